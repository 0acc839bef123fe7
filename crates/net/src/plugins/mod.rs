//! The plugins that rkt ships, by the names of the CNI reference plugins.

pub mod host_local;

use crate::cni::{Answer, Call, CniError, VERSIONS};

/// What a verb answers: an ADD its result, other verbs nothing.
pub type Outcome = Result<Option<Answer>, CniError>;

/// The keys of `CNI_ARGS` that any of the plugins knows. One that is of use to another plugin of the chain is no mistake.
const ARGS: &[&str] = &["IP", "MAC", "GATEWAY"];

struct Plugin {
    name: &'static str,
    versions: &'static [&'static str],
    call: fn(&Call) -> Outcome,
}

const PLUGINS: &[Plugin] = &[Plugin { name: "host-local", versions: &VERSIONS, call: host_local::call }];

/// Calls a built-in plugin in this process, which must have one thread and be in the host's network namespace.
///
/// None: there is no built-in of that name. An ADD answers its result, other verbs none.
pub fn call(kind: &str, call: &Call) -> Option<Outcome> {
    let plugin = find(kind)?;
    Some((plugin.call)(call))
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
