//! The entrypoint `gc`: gives back what a pod that was killed could not. Running it again does no harm.

use super::{network, state};
use crate::abi::options::{Words, parse_uuid};
use net::runtime::detach;
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
    let (mut debug, mut local_config) = (false, "/etc/rkt".to_owned());
    let mut words = Words::new(arguments);
    words.options(|name, value| {
        match name {
            "debug" => debug = value.switch()?,
            "local-config" => local_config = value.text()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let uuid = parse_uuid(words.rest())?;
    let cgroups = collect_cgroups(&uuid);
    collect_networks(&uuid, &local_config, debug).and(cgroups)
}

fn collect_cgroups(uuid: &str) -> Result<()> {
    let cgroups = state::leased_cgroups(Path::new("."), uuid)?;
    // Run from inside of the pod's own cgroup, this would end ourselves.
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    if own.contains(&cgroup::scope_name(uuid)) {
        return Ok(());
    }
    cgroup::remove(&cgroups, PATIENCE)
}

/// What plugins say is told and not fatal: the pod is removed all the same.
fn collect_networks(uuid: &str, local_config: &str, debug: bool) -> Result<()> {
    // The files beside this program, which the pod could not write.
    let own = network::own_root()?;
    let runtime = network::runtime(uuid, local_config, &own);
    let executing = |kind: &str| {
        if debug {
            eprintln!("networking: teardown - executing net-plugin {kind}");
        }
    };
    for failure in detach::collect(Path::new("."), &runtime, executing)? {
        eprintln!("networking: {failure}");
    }
    Ok(())
}
