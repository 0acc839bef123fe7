//! What pid 1 takes along from outside of the pod: opened by the process outside, with the host's privileges, before pid 1 exists.

use rustix::fs::{Mode, OFlags};
use sandbox::cgroup::Entry;
use sandbox::plan::{Plan, Propagation, Stdio};
use sandbox::{Context, Result, mounts};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Descriptors of the host's side, none of which an app inherits.
pub struct Outside {
    /// The root of stage1 with the apps' roots in it, attached nowhere.
    pub stage1: OwnedFd,
    /// One for each app, in their order.
    pub apps: Vec<AppOutside>,
}

/// What belongs to one app.
pub struct AppOutside {
    pub cgroups: Entry,
    /// Of an app whose output is logged.
    pub log: Option<File>,
    /// One for each mount of the app: the host's trees.
    pub taken: Vec<Option<OwnedFd>>,
}

impl Outside {
    /// Takes what the plan names; `directory` is the pod's.
    pub fn take(plan: &Plan, directory: &Path) -> Result<Self> {
        let stage1 = mounts::clone_tree(rustix::fs::CWD, directory.join("stage1/rootfs"), true)?;
        mounts::set_propagation(&stage1, Propagation::Private)?;
        let mut apps = Vec::with_capacity(plan.apps.len());
        for (index, app) in plan.apps.iter().enumerate() {
            let places = plan.cgroups.hierarchies.iter();
            apps.push(AppOutside {
                cgroups: Entry::open(places.map(|place| (place.apps[index].as_path(), place.unified)))?,
                log: (app.stdio == Stdio::Log).then(|| open_log(directory, &app.name)).transpose()?,
                taken: app.mounts.iter().map(mounts::take_host_source).collect::<Result<_>>()?,
            });
        }
        Ok(Self { stage1, apps })
    }
}

fn open_log(directory: &Path, app: &str) -> Result<File> {
    let path = directory.join("logs").join(format!("{app}.log"));
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(&path, flags, Mode::from_raw_mode(0o640))
        .map(File::from)
        .context(|| format!("open {}", path.display()))
}
