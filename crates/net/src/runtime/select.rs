//! The option `--net` as stage1 gets it, and the networks that a pod is attached to for it.

use super::conf::{Directories, Network};
use sandbox::{Failure, Result};
use std::collections::BTreeMap;

/// What `--net` comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The host's network.
    Host,
    /// A network namespace with nothing but a loopback interface.
    Loopback,
    /// Networks of the configuration.
    Networks(Wanted),
}

/// Networks by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Every network of the configuration.
    all: bool,
    /// Names, each with the arguments of its plugins.
    names: BTreeMap<String, String>,
}

/// A network of a pod.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The network.
    pub network: Network,
    /// The interface in the pod.
    pub ifname: String,
    /// `CNI_ARGS`.
    pub args: String,
}

/// What was selected.
#[derive(Debug, Default)]
pub struct Selection {
    /// In the order of attachment.
    pub attachments: Vec<Attachment>,
    /// Lines for stderr.
    pub notes: Vec<String>,
    /// Lines for stderr when all steps are told.
    pub debug: Vec<String>,
}

impl Choice {
    /// Reads the elements of `--net`: `NAME` or `NAME:ARGS`. None at all is the default network.
    pub fn parse(words: &[String]) -> Self {
        let pairs = words.iter().map(|word| word.split_once(':').unwrap_or((word, "")));
        let mut names: BTreeMap<String, String> =
            pairs.map(|(name, args)| (name.to_owned(), args.to_owned())).collect();
        if names.contains_key("host") {
            return Self::Host;
        }
        if names.contains_key("none") {
            return Self::Loopback;
        }
        let all = names.remove("all").is_some();
        if names.is_empty() && !all {
            names.insert("default".to_owned(), String::new());
        }
        Self::Networks(Wanted { all, names })
    }
}

impl Wanted {
    /// Finds the networks in the configuration.
    pub fn find(&self, directories: &Directories) -> Result<Selection> {
        let found = directories.load(|name| self.all || self.names.contains_key(name))?;
        let missing: Vec<&str> =
            self.names.keys().map(String::as_str).filter(|name| !found.networks.contains_key(*name)).collect();
        if !missing.is_empty() {
            return Err(Failure::new(format!("networks not found: {}", missing.join(", "))));
        }
        let mut networks: Vec<Network> = found.networks.into_values().collect();
        networks.sort_by(|one, other| (&one.file, &one.name).cmp(&(&other.file, &other.name)));
        let attachments = networks.into_iter().enumerate().map(|(index, network)| Attachment {
            args: self.names.get(&network.name).cloned().unwrap_or_default(),
            ifname: format!("eth{index}"),
            network,
        });
        Ok(Selection { attachments: attachments.collect(), notes: found.notes, debug: found.debug })
    }
}

#[cfg(test)]
mod tests {
    use super::Choice;

    fn parse(list: &str) -> Choice {
        Choice::parse(&list.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn host_beats_none_and_none_beats_names() {
        assert_eq!(parse("default,none,host"), Choice::Host);
        assert_eq!(parse("default,none"), Choice::Loopback);
        assert_eq!(parse(""), parse("default"));
        assert!(
            matches!(parse("all,default:IP=1.2.3.4"), Choice::Networks(wanted) if wanted.all && wanted.names["default"] == "IP=1.2.3.4")
        );
        assert!(matches!(parse("all"), Choice::Networks(wanted) if wanted.names.is_empty()));
    }
}
