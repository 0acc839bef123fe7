//! Address management by the plugin that `ipam.type` names.

use crate::cni::exec::delegate;
use crate::cni::{Answer, Call, CniError, Verb, at_least};

/// Whether the configuration has addresses managed.
pub fn is_wanted(call: &Call) -> Result<bool, CniError> {
    Ok(kind(call)?.is_some())
}

fn kind(call: &Call) -> Result<Option<&str>, CniError> {
    Ok(call.conf().object("ipam")?.text("type")?.filter(|kind| !kind.is_empty()))
}

/// Gets addresses; an answer without one is an error, after what was taken was given back.
pub fn add(call: &Call) -> Result<Answer, CniError> {
    let kind =
        kind(call)?.ok_or_else(|| CniError::configuration("the configuration names no \"ipam\" with a \"type\""))?;
    let answer = match delegate(kind, &call.with_verb(Verb::Add)) {
        Ok(answer) => answer.unwrap_or_default(),
        Err(error) => {
            let _ = delegate(kind, &call.with_verb(Verb::Del)); // the error of the ADD is the one to tell
            return Err(error);
        }
    };
    if answer.ips.is_empty() {
        release(call)?;
        return Err(CniError::internal("IPAM plugin returned missing IP config"));
    }
    Ok(answer)
}

/// Gives the addresses back.
pub fn release(call: &Call) -> Result<(), CniError> {
    forward(call, Verb::Del)
}

/// CHECK, STATUS or GC of the plugin that manages addresses, where the version has it.
pub fn forward(call: &Call, verb: Verb) -> Result<(), CniError> {
    let since = match verb {
        Verb::Check => "0.4.0",
        Verb::Status | Verb::Gc => "1.1.0",
        _ => "0.1.0",
    };
    match kind(call)? {
        Some(kind) if at_least(call.version(), since) => delegate(kind, &call.with_verb(verb)).map(|_| ()),
        _ => Ok(()),
    }
}
