//! Gives back what a pod holds of the host's network. May be done twice, by anybody, in any order.

use super::attach::call_own;
use super::chain::Runtime;
use super::conf::kind_of;
use super::lease::{self, Held, Lease};
use super::registry::Registry;
use super::select::Attachment;
use super::{links, namespace};
use crate::cni::Verb;
use sandbox::{Failure, Result};
use std::path::{Path, PathBuf};

/// Gives back what the record says, if there is one: what the supervisor does at the end of its pod, and others for one that died.
/// Answers whether there was something, and what could not be given back; that stays recorded.
pub fn release(directory: &Path, runtime: &Runtime) -> Result<(bool, Vec<Failure>)> {
    if Lease::load(directory)?.is_none() {
        return Ok((false, Vec::new()));
    }
    let Some(_held) = lease::hold(directory)? else { return Ok((false, Vec::new())) };
    // Somebody may have been faster.
    let Some(lease) = Lease::load(directory)? else { return Ok((false, Vec::new())) };
    let left = links::leave(directory, runtime, &lease);
    // Without a namespace plugins leave its links alone.
    Ok((true, undo(directory, runtime, &lease, lease.netns.clone().filter(|_| !left), |_| {})))
}

/// The last chance: once more for every network that the pod had, by the record or by what other programs know of it. `executing` is
/// told the type of each plugin before it is called.
pub fn collect(directory: &Path, runtime: &Runtime, executing: impl FnMut(&str)) -> Result<Vec<Failure>> {
    let lease = match Lease::load(directory)? {
        Some(lease) => Some(lease),
        None => Lease::remembered(directory)?,
    };
    let Some(lease) = lease else { return Ok(Vec::new()) };
    let mut failures = give_back(directory, runtime, &lease, executing);
    for held in &lease.networks {
        if let Ok(Some(Attachment { network, .. })) = held.attachment(directory)
            && let Some(registry) = Registry::open(&network, true)?
        {
            failures.extend(runtime.gc(&network, &registry.valid()));
        }
        let name = Path::new(&held.net_conf).file_name().unwrap_or_default();
        failures.extend(remove(&directory.join("net").join(name)).err());
    }
    failures.extend(links::remove_rest(runtime, &lease.networks).err());
    Ok(failures)
}

/// Undoes everything that the record names, newest first; ends the record when nothing of it is left.
pub(super) fn give_back(
    directory: &Path,
    runtime: &Runtime,
    lease: &Lease,
    executing: impl FnMut(&str),
) -> Vec<Failure> {
    undo(directory, runtime, lease, lease.netns.clone(), executing)
}

/// The same, with what plugins are told of the namespace.
fn undo(
    directory: &Path,
    runtime: &Runtime,
    lease: &Lease,
    netns: Option<PathBuf>,
    mut executing: impl FnMut(&str),
) -> Vec<Failure> {
    // Another program's plugin does not like a file that is no namespace any more.
    let netns = netns.filter(|path| namespace::is_namespace(path));
    let runtime = Runtime { netns, ..runtime.clone() };
    let mut failures = Vec::new();
    for own in lease.own.iter().rev() {
        let undone = call_own(&runtime, Verb::Del, own);
        let outer = || format!("error undoing \"{}\"", kind_of(&own.conf));
        failures.extend(undone.err().map(|error| Failure::new(error.to_string()).of(outer())));
    }
    for held in lease.networks.iter().rev() {
        failures.extend(detach(directory, &runtime, held, &mut executing));
    }
    if let Some(netns) = &lease.netns {
        failures.extend(namespace::remove(netns).err());
    }
    if failures.is_empty() {
        failures.extend(Lease::end(directory).err());
    }
    failures
}

fn detach(directory: &Path, runtime: &Runtime, held: &Held, executing: &mut impl FnMut(&str)) -> Vec<Failure> {
    match held.attachment(directory) {
        Ok(Some(attachment)) => {
            for kind in attachment.network.kinds().collect::<Vec<_>>().into_iter().rev() {
                executing(kind);
            }
            let registry = Registry::open(&attachment.network, false);
            let failures = runtime.del(&attachment, &held.capabilities, held.answer().as_ref());
            if let Ok(Some(registry)) = registry
                && failures.is_empty()
            {
                registry.forget(&runtime.uuid, &attachment.ifname);
            }
            failures
        }
        Ok(None) => Vec::new(),
        Err(failure) => vec![failure.of("ignoring")],
    }
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(Failure::system(format!("remove {}", path.display()), error))
        }
        _ => Ok(()),
    }
}
