//! The CNI protocol, versions 0.1.0 to 1.1.0, as types: what a plugin is called with and what it answers.

mod answer;
mod args;
mod conf;
mod error;
pub mod exec;
pub mod process;
mod version;

pub use answer::{Answer, Dns, Interface, Ip, Route};
pub use args::Args;
pub use conf::Conf;
pub use error::{CniError, code};
pub use version::{VERSIONS, at_least};

use serde_json::Value;
use std::path::PathBuf;

/// What a plugin is to do (`CNI_COMMAND`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Attach.
    Add,
    /// Detach; what is gone already is no error.
    Del,
    /// Say whether an attachment is as it was made.
    Check,
    /// Say whether ADD would be served.
    Status,
    /// Give back what belongs to no valid attachment.
    Gc,
    /// Say which versions are spoken.
    Version,
}

impl Verb {
    /// The word of the protocol.
    pub fn word(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Status => "STATUS",
            Self::Gc => "GC",
            Self::Version => "VERSION",
        }
    }

    /// The verb of a word of the protocol.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Add, Self::Del, Self::Check, Self::Status, Self::Gc, Self::Version]
            .into_iter()
            .find(|verb| verb.word() == word)
    }
}

/// One call of a plugin. The caller is in the host's network namespace.
#[derive(Clone, Debug)]
pub struct Call {
    /// What to do.
    pub verb: Verb,
    /// `CNI_CONTAINERID`: the pod's UUID.
    pub container_id: String,
    /// `CNI_NETNS`: a file that means the pod's network namespace; none if it is not known any more.
    pub netns: Option<PathBuf>,
    /// `CNI_IFNAME`: the name of the link in the pod.
    pub ifname: String,
    /// `CNI_ARGS`: `K=V;K2=V2`, may be empty.
    pub args: String,
    /// `CNI_PATH`: directories in which delegates are looked up.
    pub path: Vec<PathBuf>,
    /// What stands on stdin: one plugin's configuration, with `runtimeConfig` and `prevResult` if there are any.
    pub conf: Value,
}

impl Call {
    /// The configuration's version; 0.1.0 if it names none.
    pub fn version(&self) -> &str {
        match Conf::of(&self.conf).text("cniVersion") {
            Ok(Some(version)) if !version.is_empty() => version,
            _ => "0.1.0",
        }
    }

    /// The configuration, to ask it for values.
    pub fn conf(&self) -> Conf<'_> {
        Conf::of(&self.conf)
    }

    /// The name of the network; empty if it has none.
    pub fn network(&self) -> &str {
        self.conf().text("name").ok().flatten().unwrap_or_default()
    }

    /// The result of the plugin before in the chain.
    pub fn prev_result(&self) -> Result<Option<Answer>, CniError> {
        match self.conf().get("prevResult") {
            None | Some(Value::Null) => Ok(None),
            Some(value) => Answer::from_json(value, self.version()).map(Some),
        }
    }

    /// The same call of another verb.
    #[must_use]
    pub fn with_verb(&self, verb: Verb) -> Self {
        Self { verb, ..self.clone() }
    }
}
