//! Filters of system calls: what becomes of each, by name, and the program that the kernel runs for it.
//!
//! The default filter is compiled when this crate is built, so that the start of a pod pays for none of it. Our own assembler
//! stands here because the libraries that are small enough know one architecture a program, and let no name of i386 or x32 be
//! filtered on amd64.

pub mod compile;
mod errno;
mod filter;
pub mod groups;
pub mod listener;
pub mod table;

pub use compile::Instruction;
pub use errno::{errno, errno_name};
pub use filter::{Outcome, Rule, SystemCalls};

use crate::{Context, Result, sys};
use serde::ser::SerializeStruct;
use std::borrow::Cow;
use std::os::fd::OwnedFd;

// What the build script has computed: DEFAULTS, one a value of `administers`.
include!(concat!(env!("OUT_DIR"), "/default_filters.rs"));

/// The default filter, computed ahead.
struct Default {
    /// Outcome and names of each rule.
    rules: &'static [(Outcome, &'static str)],
    /// What is withheld ends the process.
    killing: &'static [Instruction],
    /// What is withheld is told to whoever listens, who ends the process.
    notifying: &'static [Instruction],
}

impl serde::Serialize for Outcome {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::Allow => serializer.serialize_str("allow"),
            Self::Kill => serializer.serialize_str("kill"),
            Self::Error(number) => match errno_name(*number) {
                Some(name) => serializer.serialize_str(name),
                None => serializer.serialize_u16(*number),
            },
        }
    }
}

impl<'de> serde::Deserialize<'de> for Outcome {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(untagged)]
        enum Text {
            Name(String),
            Number(u16),
        }
        Ok(match Text::deserialize(deserializer)? {
            Text::Number(number) => Self::Error(number),
            Text::Name(name) => match name.as_str() {
                "allow" => Self::Allow,
                "kill" => Self::Kill,
                name => errno(name).map(Self::Error).ok_or_else(|| serde::de::Error::custom("unknown outcome"))?,
            },
        })
    }
}

impl<'de> serde::Deserialize<'de> for SystemCalls {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        // The build script reads the types too, and has no serde.
        #[derive(serde::Deserialize)]
        struct OneRule {
            outcome: Outcome,
            names: String,
        }
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Whole {
            rules: Vec<OneRule>,
            new_namespaces: Outcome,
            otherwise: Outcome,
            unknown: Outcome,
        }
        let Whole { rules, new_namespaces, otherwise, unknown } = Whole::deserialize(deserializer)?;
        let rules = rules.into_iter().map(|OneRule { outcome, names }| Rule { outcome, names: names.into() }).collect();
        Ok(Self { rules, new_namespaces, otherwise, unknown })
    }
}

impl serde::Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Rule", 2)?;
        fields.serialize_field("outcome", &self.outcome)?;
        fields.serialize_field("names", &self.names)?;
        fields.end()
    }
}

impl serde::Serialize for SystemCalls {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("SystemCalls", 4)?;
        fields.serialize_field("rules", &self.rules)?;
        fields.serialize_field("newNamespaces", &self.new_namespaces)?;
        fields.serialize_field("otherwise", &self.otherwise)?;
        fields.serialize_field("unknown", &self.unknown)?;
        fields.end()
    }
}

impl SystemCalls {
    /// The filter of an app that asks for none. `administers` tells whether the app has CAP_SYS_ADMIN, without which it makes no
    /// namespaces.
    pub fn default_filter(administers: bool) -> Self {
        let rules = DEFAULTS[usize::from(administers)].rules.iter();
        Self {
            rules: rules.map(|&(outcome, names)| Rule { outcome, names: Cow::Borrowed(names) }).collect(),
            new_namespaces: if administers { Outcome::Allow } else { Outcome::Error(libc::EPERM as u16) },
            otherwise: Outcome::Error(libc::EPERM as u16),
            unknown: Outcome::Error(libc::ENOSYS as u16),
        }
    }

    /// The program of this filter.
    fn program(&self, notifying: bool) -> Cow<'static, [Instruction]> {
        let ahead = [false, true].into_iter().find(|&administers| *self == Self::default_filter(administers));
        match ahead.map(|administers| &DEFAULTS[usize::from(administers)]) {
            Some(default) => Cow::Borrowed(if notifying { default.notifying } else { default.killing }),
            None => {
                let kill = if notifying { compile::RET_NOTIFY } else { compile::RET_KILL };
                Cow::Owned(compile::compile(std::env::consts::ARCH, self, kill))
            }
        }
    }

    /// Puts this filter upon the process, for ever. It needs CAP_SYS_ADMIN or `no_new_privs`.
    pub fn install(&self) -> Result<()> {
        sys::seccomp(&self.program(false), false).map(drop).context(|| "filter system calls")
    }

    /// The same, but what would end the process is told to the listener that is answered. None where the kernel has no listeners or
    /// the process has one already: then the kernel ends the process itself.
    pub fn install_listened(&self) -> Result<Option<OwnedFd>> {
        match sys::seccomp(&self.program(true), true) {
            Ok(listener) => Ok(listener),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EBUSY | libc::ENOSYS)) => {
                self.install().map(|()| None)
            }
            Err(error) => Err(crate::Failure::system("filter system calls", error)),
        }
    }

    /// What becomes of a call by its name.
    pub fn outcome(&self, name: &str) -> Outcome {
        self.by_name().get(name).copied().unwrap_or(self.otherwise)
    }
}

#[cfg(test)]
mod tests;
