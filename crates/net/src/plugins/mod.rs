//! The plugins that rkt ships, by the names of the CNI reference plugins.

use crate::cni::{Answer, Call, CniError};

/// Calls a built-in plugin in this process, which must have one thread and be in the host's network namespace.
///
/// None: there is no built-in of that name. An ADD answers its result, other verbs none.
pub fn call(kind: &str, call: &Call) -> Option<Result<Option<Answer>, CniError>> {
    let _ = (kind, call);
    None
}

/// The versions of the protocol that a built-in plugin speaks, oldest first; none if there is no such plugin.
pub fn versions(kind: &str) -> Option<&'static [&'static str]> {
    let _ = kind;
    None
}
