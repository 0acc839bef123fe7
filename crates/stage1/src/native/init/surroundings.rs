//! The surroundings of a pod, made by its pid 1. The order matters: what is outside is taken before the root changes.

use super::streams::open_log;
use super::supervised::Supervised;
use sandbox::cgroup::Entry;
use sandbox::plan::{Network, Plan, Stdio};
use sandbox::tree::Root;
use sandbox::{Context, Result, mounts, sys};
use std::path::Path;

/// Enters the pod's cgroups and root, mounts what it needs there, and answers the root and the apps, which are taken out of the plan.
pub fn make(plan: &mut Plan, directory: &Path, cgroups: &Entry) -> Result<(Root, Vec<Supervised>)> {
    cgroups.join()?;
    let mut opened = Vec::with_capacity(plan.apps.len());
    for (index, app) in plan.apps.iter().enumerate() {
        let places = plan.cgroups.hierarchies.iter();
        let cgroups = Entry::open(places.map(|place| (place.apps[index].as_path(), place.unified)))?;
        let log = (app.stdio == Stdio::Log).then(|| open_log(directory, &app.name)).transpose()?;
        opened.push((log, cgroups));
    }
    sys::unshare(libc::CLONE_NEWCGROUP).context(|| "unshare the cgroup namespace")?;

    mounts::follow_host()?;
    let mut apps = Vec::with_capacity(opened.len());
    for (number, (app, (log, cgroups))) in std::mem::take(&mut plan.apps).into_iter().zip(opened).enumerate() {
        let taken = app.mounts.iter().map(mounts::take_host_source).collect::<Result<_>>()?;
        apps.push(Supervised::new(number, app, log, cgroups, taken));
    }
    let stage1 = mounts::attach_root(directory.join("stage1/rootfs"), true)?;
    mounts::enter_root(&stage1)?;
    rustix::system::sethostname(plan.hostname.as_bytes()).context(|| "set the hostname")?;
    if plan.namespaces.network == Network::Loopback {
        sys::loopback_up().context(|| "bring the loopback interface up")?;
    }
    mounts::make_masks(&stage1)?;
    for mount in &plan.mounts {
        mounts::perform(&stage1, &stage1, mount, None)?;
    }
    let _ = std::fs::remove_file("/rkt/supervisor-status");
    Ok((stage1, apps))
}
