//! What pid 1 takes along from outside of the pod: opened by the process outside, with the host's privileges, before pid 1 exists.

use super::log::Log;
use super::state::MOUNT_NAMESPACES;
use rustix::fs::{Mode, OFlags};
use sandbox::cgroup::Entry;
use sandbox::plan::{Plan, Propagation};
use sandbox::{Context, Failure, Result, mounts, sys};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
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
    pub log: Log,
    /// One for each mount of the app: the host's trees.
    pub taken: Vec<Option<OwnedFd>>,
    /// Keeps the number of the descriptor by which `enter` will find the app, before others take it; none for one that is asked for.
    pub place: Option<OwnedFd>,
}

impl Outside {
    /// Takes what the plan names; `directory` is the pod's.
    pub fn take(plan: &Plan, directory: &Path) -> Result<Self> {
        let places: Vec<OwnedFd> = (0..plan.apps.len()).map(keep_place).collect::<Result<_>>()?;
        let stage1 = mounts::clone_tree(rustix::fs::CWD, directory.join("stage1/rootfs"), true)?;
        mounts::set_propagation(&stage1, Propagation::Private)?;
        let id_mapped = plan.apps.iter().flat_map(|app| &app.mounts).any(|mount| mount.id_mapped);
        let users = plan.namespaces.users.filter(|_| id_mapped).map(|ids| ids.namespace()).transpose()?;
        let mut apps = Vec::with_capacity(plan.apps.len());
        for (index, place) in places.into_iter().enumerate() {
            apps.push(AppOutside::take(plan, directory, index, users.as_ref(), Some(place))?);
        }
        Ok(Self { stage1, apps })
    }
}

impl AppOutside {
    /// Takes what belongs to the app of that index. `users` is the pod's user namespace, where mounts are id-mapped.
    pub fn take(
        plan: &Plan,
        directory: &Path,
        index: usize,
        users: Option<&OwnedFd>,
        place: Option<OwnedFd>,
    ) -> Result<Self> {
        let places = plan.cgroups.hierarchies.iter();
        let app = &plan.apps[index];
        let taken = app.mounts.iter().map(|mount| mounts::take_host_source(mount, users.map(AsFd::as_fd)));
        Ok(Self {
            cgroups: Entry::open(places.map(|place| (place.apps[index].as_path(), place.unified)))?,
            log: Log::open(directory, &plan.uuid, &app.name, app.plain_log.as_ref())?,
            taken: taken.collect::<Result<_>>().map_err(|failure| failure.of(format!("app \"{}\"", app.name)))?,
            place,
        })
    }
}

fn keep_place(number: usize) -> Result<OwnedFd> {
    let null = rustix::fs::open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    at_number(number, null.context(|| "open /dev/null")?)
}

/// The descriptor by which `enter` finds the app of this number.
pub fn at_number(number: usize, fd: OwnedFd) -> Result<OwnedFd> {
    let number = MOUNT_NAMESPACES + number as i32;
    let placed = sys::duplicate_from(fd.as_fd(), number).context(|| "keep the mount namespace")?;
    if placed.as_raw_fd() != number {
        return Err(Failure::new(format!("descriptor {number} is taken")));
    }
    Ok(placed)
}
