//! The entrypoint `gc`: gives back what a pod that was killed could not. Running it again does no harm.

use super::state;
use crate::abi::options::{Words, parse_uuid};
use sandbox::{Result, cgroup};
use std::path::Path;
use std::time::Duration;

/// How long leftovers may resist.
const PATIENCE: Duration = Duration::from_secs(5);

/// Collects what is left of the pod of the current directory.
pub fn gc(arguments: &[String]) -> i32 {
    match collect(arguments) {
        Ok(()) => 0,
        Err(failure) => crate::report("stage1 gc", &failure),
    }
}

fn collect(arguments: &[String]) -> Result<()> {
    let mut words = Words::new(arguments);
    words.options(|name, value| match name {
        "debug" => value.switch().map(|_| true),
        "local-config" => value.text().map(|_| true),
        _ => Ok(false),
    })?;
    let uuid = parse_uuid(words.rest())?;
    let cgroups = state::leased_cgroups(Path::new("."), &uuid)?;
    // Run from inside of the pod's own cgroup, this would end ourselves.
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if own.contains(&cgroup::scope_name(&uuid)) {
        return Ok(());
    }
    cgroup::remove(&cgroups, PATIENCE)
}
