//! One network of a pod: its plugins called in order, each with the result of the one before (CNI specification, section 3 and 4).

use super::conf::{Network, kind_of};
use super::exec::{Plugin, Search};
use super::select::Attachment;
use crate::cni::{Answer, Call, CniError, Conf, Verb, at_least, process};
use sandbox::{Failure, Result};
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Calls the plugins of a pod's networks. The working directory is the pod's.
#[derive(Clone, Debug)]
pub struct Runtime {
    /// The pod's UUID.
    pub uuid: String,
    /// The pod's network namespace; none if it is not known any more.
    pub netns: Option<PathBuf>,
    /// Where plugins are looked for.
    pub search: Search,
    /// How long one call of a program may take.
    pub patience: Duration,
}

/// Values for the plugins that declare a capability of that name (`runtimeConfig`).
pub type Capabilities = Map<String, Value>;

/// What the plugins of one verb share.
struct Request<'a> {
    verb: Verb,
    attachment: &'a Attachment,
    version: &'a str,
    capabilities: &'a Capabilities,
}

impl Runtime {
    /// Attaches the pod to a network; answers the last plugin's result, and the first plugin's path.
    pub fn add(&self, attachment: &Attachment, capabilities: &Capabilities) -> Result<(Answer, PathBuf)> {
        let network = &attachment.network;
        let outer = |failure: Failure| failure.of(format!("error adding network \"{}\"", network.name));
        let version = self.agree(network).map_err(outer)?;
        let request = Request { verb: Verb::Add, attachment, version: &version, capabilities };
        if at_least(&version, "1.1.0") {
            self.ask(&Request { verb: Verb::Status, ..request }).map_err(outer)?;
        }
        let mut answer = None;
        let mut path = None;
        for plugin in &network.plugins {
            let (found, result) = self.call(&request, plugin, answer.as_ref()).map_err(outer)?;
            path.get_or_insert_with(|| found.path().to_owned());
            answer = Some(result.unwrap_or_default());
        }
        Ok((answer.unwrap_or_default(), path.unwrap_or_default()))
    }

    /// Has the plugins that are not ours say whether the attachment is as they made it, where the version of the protocol can.
    pub fn check(&self, attachment: &Attachment, capabilities: &Capabilities, answer: &Answer) -> Result<()> {
        let network = &attachment.network;
        if network.disable_check || !network.speaks("0.4.0") {
            return Ok(());
        }
        let outer = |failure: Failure| failure.of(format!("error checking network \"{}\"", network.name));
        let version = self.agree(network).map_err(outer)?;
        if !at_least(&version, "0.4.0") {
            return Ok(());
        }
        let request = Request { verb: Verb::Check, attachment, version: &version, capabilities };
        for plugin in &network.plugins {
            if matches!(self.search.find(kind_of(plugin)).map_err(outer)?, Plugin::Program(_)) {
                self.call(&request, plugin, Some(answer)).map_err(outer)?;
            }
        }
        Ok(())
    }

    /// Detaches the pod: every plugin, in reverse order, whatever becomes of the others. What is gone already is no failure.
    pub fn del(&self, attachment: &Attachment, capabilities: &Capabilities, answer: Option<&Answer>) -> Vec<Failure> {
        let network = &attachment.network;
        let outer = |failure: Failure| failure.of(format!("error deleting \"{}\"", network.name));
        let version = self.agree(network).unwrap_or_else(|_| network.version.clone());
        let request = Request { verb: Verb::Del, attachment, version: &version, capabilities };
        let answer = answer.filter(|_| at_least(&version, "0.4.0"));
        let each = |plugin: &Value| self.call(&request, plugin, answer).err().map(outer);
        network.plugins.iter().rev().filter_map(each).collect()
    }

    /// Has the plugins of a network give back what belongs to none of the `valid` attachments (container and interface).
    pub fn gc(&self, network: &Network, valid: &[(String, String)]) -> Vec<Failure> {
        let valid: Value = valid
            .iter()
            .map(|(container, ifname)| serde_json::json!({"containerID": container, "ifname": ifname}))
            .collect();
        let outer = |failure: Failure| failure.of(format!("error collecting \"{}\"", network.name));
        let mut failures = Vec::new();
        for plugin in &network.plugins {
            let mut conf = prepared(network, plugin, &network.version);
            conf.insert("cni.dev/valid-attachments".to_owned(), valid.clone());
            conf.insert("cni.dev/attachments".to_owned(), valid.clone());
            let call = self.bare(Verb::Gc, Value::Object(conf));
            failures.extend(self.perform(kind_of(plugin), &call, None).err().map(outer));
        }
        failures
    }

    /// The newest version that the configuration allows and that all plugins speak. Asked of programs only where there is a choice.
    fn agree(&self, network: &Network) -> Result<String> {
        if network.versions.len() < 2 {
            return Ok(network.version.clone());
        }
        let mut allowed = network.versions.clone();
        for kind in network.kinds() {
            let spoken = self.versions_of(kind)?;
            allowed.retain(|version| spoken.contains(version));
        }
        allowed.pop().ok_or_else(|| {
            let wanted = network.versions.join(", ");
            Failure::new(format!("its plugins speak none of the versions {wanted} together"))
        })
    }

    fn versions_of(&self, kind: &str) -> Result<Vec<String>> {
        if let Plugin::Builtin(_) = self.search.find(kind)? {
            let known = crate::plugins::versions(kind).unwrap_or_default();
            return Ok(known.iter().map(|&version| version.to_owned()).collect());
        }
        let newest = crate::cni::VERSIONS[crate::cni::VERSIONS.len() - 1];
        let call = self.bare(Verb::Version, serde_json::json!({"cniVersion": newest}));
        let Ok(output) = self.execute(kind, &call, None) else {
            // The protocol's first version had no such question.
            return Ok(vec!["0.1.0".to_owned()]);
        };
        let value: Value = serde_json::from_slice(&output).unwrap_or_default();
        let listed = Conf::of(&value).texts("supportedVersions").unwrap_or_default();
        let listed: Vec<String> = listed.into_iter().map(str::to_owned).collect();
        Ok(if listed.is_empty() { vec!["0.1.0".to_owned(), "0.2.0".to_owned()] } else { listed })
    }

    /// Calls every plugin for its word alone.
    fn ask(&self, request: &Request<'_>) -> Result<()> {
        for plugin in &request.attachment.network.plugins {
            self.call(request, plugin, None)?;
        }
        Ok(())
    }

    fn call(
        &self,
        request: &Request<'_>,
        plugin: &Value,
        previous: Option<&Answer>,
    ) -> Result<(Plugin, Option<Answer>)> {
        let Request { verb, attachment, version, capabilities } = *request;
        let network = &attachment.network;
        let mut conf = prepared(network, plugin, version);
        let mut added = false;
        let values = runtime_config(plugin, capabilities);
        if !values.is_empty() && verb != Verb::Status {
            conf.insert("runtimeConfig".to_owned(), Value::Object(values));
            added = true;
        }
        if let Some(previous) = previous {
            conf.insert("prevResult".to_owned(), previous.to_json(version));
            added = true;
        }
        // A single plugin reads the file as it was written, wherever there is nothing to add.
        let verbatim = network.single && !added && network.versions.len() < 2;
        let bare = self.bare(verb, Value::Object(conf));
        let call = if verb == Verb::Status {
            bare
        } else {
            let Attachment { ifname, args, .. } = attachment;
            Call { ifname: ifname.clone(), args: args.clone(), netns: self.netns.clone(), ..bare }
        };
        self.perform(kind_of(plugin), &call, verbatim.then_some(network.text.as_slice()))
    }

    /// A call that says nothing of an attachment.
    fn bare(&self, verb: Verb, conf: Value) -> Call {
        Call {
            verb,
            container_id: self.uuid.clone(),
            netns: None,
            ifname: String::new(),
            args: String::new(),
            path: self.search.directories(),
            conf,
        }
    }

    fn perform(&self, kind: &str, call: &Call, text: Option<&[u8]>) -> Result<(Plugin, Option<Answer>)> {
        let said = |error: CniError| Failure::new(format!("plugin \"{kind}\" failed at {}: {error}", call.verb.word()));
        let found = self.search.find(kind)?;
        if let Plugin::Builtin(_) = found {
            let answer = crate::plugins::call(kind, call).transpose().map_err(said)?.flatten();
            return Ok((found, answer));
        }
        let output = self.execute(kind, call, text).map_err(said)?;
        if call.verb != Verb::Add {
            return Ok((found, None));
        }
        let unreadable = |why: String| {
            let network = call.network();
            said(CniError::internal(format!("error parsing \"{network}\" result: {why}")))
        };
        let value: Value = serde_json::from_slice(&output).map_err(|error| unreadable(error.to_string()))?;
        let answer = Answer::from_json(&value, call.version()).map_err(|error| unreadable(error.to_string()))?;
        Ok((found, Some(answer)))
    }

    fn execute(&self, kind: &str, call: &Call, text: Option<&[u8]>) -> std::result::Result<Vec<u8>, CniError> {
        let found = self.search.find(kind)?;
        let encoded;
        let input = match text {
            Some(text) => text,
            None => {
                encoded = call.conf.to_string();
                encoded.as_bytes()
            }
        };
        process::run(found.path(), call, input, self.patience)
    }
}

/// A plugin's configuration with what the runtime owes it.
fn prepared(network: &Network, plugin: &Value, version: &str) -> Map<String, Value> {
    let mut conf = plugin.as_object().cloned().unwrap_or_default();
    if !network.single {
        conf.insert("name".to_owned(), Value::from(network.name.as_str()));
    }
    if !network.single || network.versions.len() > 1 {
        conf.insert("cniVersion".to_owned(), Value::from(version));
    }
    conf
}

/// The values for what a plugin declares that it can do.
fn runtime_config(plugin: &Value, capabilities: &Capabilities) -> Map<String, Value> {
    let declared = Conf::of(plugin).object("capabilities").unwrap_or(Conf::of(&Value::Null));
    capabilities
        .iter()
        .filter(|(name, _)| declared.flag(name).unwrap_or(false))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Whether a plugin of the network takes values of that capability.
pub fn has_capability(network: &Network, name: &str) -> bool {
    let declares = |plugin: &Value| {
        Conf::of(plugin).object("capabilities").is_ok_and(|declared| declared.flag(name).unwrap_or(false))
    };
    network.plugins.iter().any(declares)
}

/// Where the administrator's plugins lie, in the order in which they are searched.
pub fn administrators(local: &Path) -> Vec<PathBuf> {
    vec![local.join("net.d"), PathBuf::from("/usr/lib/rkt/plugins/net")]
}
