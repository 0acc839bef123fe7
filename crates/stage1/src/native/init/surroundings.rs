//! The surroundings of a pod, made by its pid 1. The order matters: what shows the host is needed until the root changes.

use super::super::outside::Outside;
use super::services::Services;
use super::sockets;
use super::supervised::Supervised;
use rustix::fs::OFlags;
use sandbox::cgroup::Entry;
use sandbox::plan::{Network, Plan, Sysctl};
use sandbox::tree::Root;
use sandbox::{Context, Result, mounts, sys};

/// Enters the pod's cgroups and root, mounts what it needs there, and answers the root and the apps, which are taken out of the plan.
pub fn make(plan: &mut Plan, outside: Outside, cgroups: &Entry) -> Result<(Root, Vec<Supervised>)> {
    cgroups.join()?;
    mounts::follow_host()?;
    rustix::system::sethostname(plan.hostname.as_bytes()).context(|| "set the hostname")?;
    if plan.namespaces.network == Network::Loopback {
        sys::loopback_up().context(|| "bring the loopback interface up")?;
    }
    let stage1 = mounts::attach_new_root(outside.stage1)?;
    if let Some(context) = &plan.file_context {
        mounts::label_files(context);
    }
    mounts::make_masks(&stage1)?;
    // In a user namespace the kernel allows a new /proc and /sys only as long as the host's can be seen.
    for mount in &plan.mounts {
        let taken = mounts::take_host_source(mount, None)?;
        mounts::perform(&stage1, &stage1, mount, taken)?;
        if mount.target == "/proc" {
            plan.sysctls.iter().try_for_each(|sysctl| set_parameter(&stage1, sysctl))?;
        }
    }
    mounts::enter_root(&stage1)?;
    let _ = std::fs::remove_file("/rkt/supervisor-status");
    let mut apps = Vec::with_capacity(outside.apps.len());
    for (number, (app, outside)) in std::mem::take(&mut plan.apps).into_iter().zip(outside.apps).enumerate() {
        let services = Services::open(&stage1, &app)?;
        let sockets = sockets::open(&app.sockets).map_err(|failure| failure.of(format!("app \"{}\"", app.name)))?;
        apps.push(Supervised::new(number, app, outside, services, sockets)?);
    }
    Ok((stage1, apps))
}

fn set_parameter(stage1: &Root, Sysctl { path, value }: &Sysctl) -> Result<()> {
    let file = stage1.open(format!("/proc/sys/{path}"), OFlags::WRONLY)?;
    rustix::io::write(file, value.as_bytes()).map(drop).context(|| format!("set {path} to \"{value}\""))
}
