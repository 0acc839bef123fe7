//! The plugins that rkt ships, by the names of the CNI reference plugins.

mod bandwidth;
mod bridge;
mod common;
pub mod dhcp;
mod firewall;
mod fixed;
mod flannel;
pub mod host_local;
mod ipvlan;
mod loopback;
mod macvlan;
mod portmap;
mod ptp;
mod tuning;

use crate::cni::{Answer, Call, CniError, VERSIONS, Verb, at_least, code};

/// What a verb answers: an ADD its result, other verbs nothing.
pub type Outcome = Result<Option<Answer>, CniError>;

/// The keys of `CNI_ARGS` that any of the plugins knows. One that is of use to another plugin of the chain is no mistake.
const ARGS: &[&str] = &["IP", "MAC", "GATEWAY"];

/// Versions that have `prevResult`.
const CHAINED: &[&str] = &["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// Versions that have CHECK.
const CHECKED: &[&str] = &["0.4.0", "1.0.0", "1.1.0"];

struct Plugin {
    name: &'static str,
    versions: &'static [&'static str],
    call: fn(&Call) -> Outcome,
}

const PLUGINS: &[Plugin] = &[
    Plugin { name: "bandwidth", versions: CHAINED, call: bandwidth::call },
    Plugin { name: "bridge", versions: &VERSIONS, call: bridge::call },
    Plugin { name: "dhcp", versions: &VERSIONS, call: dhcp::call },
    Plugin { name: "firewall", versions: CHECKED, call: firewall::call },
    Plugin { name: "flannel", versions: &VERSIONS, call: flannel::call },
    Plugin { name: "host-local", versions: &VERSIONS, call: host_local::call },
    Plugin { name: "ipvlan", versions: &VERSIONS, call: ipvlan::call },
    Plugin { name: "loopback", versions: &VERSIONS, call: loopback::call },
    Plugin { name: "macvlan", versions: &VERSIONS, call: macvlan::call },
    Plugin { name: "portmap", versions: CHAINED, call: portmap::call },
    Plugin { name: "ptp", versions: &VERSIONS, call: ptp::call },
    Plugin { name: "static", versions: &VERSIONS, call: fixed::call },
    Plugin { name: "tuning", versions: CHAINED, call: tuning::call },
];

/// Calls a built-in plugin in this process, which must have one thread and be in the host's network namespace.
///
/// None: there is no built-in of that name. An ADD answers its result, other verbs none.
pub fn call(kind: &str, call: &Call) -> Option<Outcome> {
    let plugin = find(kind)?;
    Some(admit(plugin, call).and_then(|()| (plugin.call)(call)))
}

/// Refuses a version that the plugin does not speak, and a verb that the version does not have.
fn admit(plugin: &Plugin, call: &Call) -> Result<(), CniError> {
    let version = call.version();
    let since = match call.verb {
        Verb::Check => "0.4.0",
        Verb::Status | Verb::Gc => "1.1.0",
        Verb::Add | Verb::Del | Verb::Version => "0.1.0",
    };
    if call.verb != Verb::Version && !plugin.versions.contains(&version) {
        let details = format!("config is \"{version}\", plugin supports {:?}", plugin.versions);
        return Err(CniError { details, ..CniError::new(code::VERSION, "incompatible CNI versions") });
    }
    if !at_least(version, since) {
        let message = format!("config version \"{version}\" does not allow {}", call.verb.word());
        return Err(CniError::new(code::VERSION, message));
    }
    Ok(())
}

/// The versions of the protocol that a built-in plugin speaks, oldest first; none if there is no such plugin.
pub fn versions(kind: &str) -> Option<&'static [&'static str]> {
    find(kind).map(|plugin| plugin.versions)
}

/// The names of the built-in plugins.
pub fn names() -> impl Iterator<Item = &'static str> {
    PLUGINS.iter().map(|plugin| plugin.name)
}

fn find(kind: &str) -> Option<&'static Plugin> {
    PLUGINS.iter().find(|plugin| plugin.name == kind)
}
