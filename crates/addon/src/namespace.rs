//! The pod's own mount namespace: its directory as a private mount, and the overlays in it. The kernel takes all of it back with the
//! last process of the pod.

use crate::beneath;
use crate::exec::{OverlayMount, PodMounts};
use crate::failure::NativeFailure;
use crate::overlay::{Layers, OverlayError, mount_detached};
use crate::{mountinfo, sys};
use rustix::fs::{AtFlags, CWD, OFlags, StatxFlags, statx};
use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, MoveMountFlags, UnmountFlags, mount_bind_recursive, mount_change, move_mount, unmount,
};
use sandbox::idmap::{IdMap, map_mount};
use sandbox::mounts::clone_tree;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Enters a new mount namespace and mounts what the pod is made of. Nothing of it can be undone in this process.
pub fn enter(mounts: &PodMounts) -> Result<(), NativeFailure> {
    let root = Path::new(&mounts.root);
    sys::unshare_mounts().map_err(|errno| failed("cannot make a mount namespace for", root, errno))?;
    // The mount below must not tell the host about ours. All others keep their propagation: volumes may need it.
    let holder = holder_of(root)?;
    mount_change(&holder, MountPropagationFlags::DOWNSTREAM)
        .map_err(|errno| failed("cannot stop the propagation of", &holder, errno))?;
    mount_bind_recursive(root, root).map_err(|errno| failed("cannot bind on itself", root, errno))?;
    mount_change(root, MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|errno| failed("cannot make private", root, errno))?;
    let inside = beneath::open_root(root).map_err(|errno| failed("cannot open", root, errno))?;
    let users = mounts.ids.map(|ids| IdMap::from(ids).namespace()).transpose().map_err(id_map_failed)?;
    mounts.overlays.iter().try_for_each(|overlay| mount_overlay(root, &inside, overlay, users.as_ref()))
}

fn id_map_failed(failure: sandbox::Failure) -> NativeFailure {
    NativeFailure::new("RKT_ID_MAP", "cannot show an image with the ids of the pod").with_cause(failure.to_string())
}

/// Where the mount lies that `path` is on.
fn holder_of(path: &Path) -> Result<PathBuf, NativeFailure> {
    let what = "cannot find the mount that holds";
    let id =
        statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).map_err(|errno| failed(what, path, errno))?.stx_mnt_id;
    let mounts = mountinfo::read()
        .map_err(|error| NativeFailure::io("RKT_MOUNT_FAILED", "cannot read /proc/self/mountinfo", &error))?;
    let holder = mounts.into_iter().find(|mount| mount.id == id);
    // Not listed: the root directory of the process is no mount, as in a plain chroot.
    holder.map(|mount| mount.point).ok_or_else(|| failed(what, path, Errno::NOENT))
}

/// Directories shown with other ids, at their own place, for as long as this value lives.
struct Shown<'a>(Vec<&'a Path>);

impl<'a> Shown<'a> {
    fn with(users: &OwnedFd, directories: &[&'a Path]) -> Result<Self, NativeFailure> {
        let mut shown = Self(Vec::new());
        for directory in directories {
            let holder = holder_of(directory)?;
            mount_change(&holder, MountPropagationFlags::DOWNSTREAM)
                .map_err(|errno| failed("cannot stop the propagation of", &holder, errno))?;
            let tree = clone_tree(CWD, directory, false).map_err(id_map_failed)?;
            map_mount(&tree, users.as_fd(), false, directory).map_err(id_map_failed)?;
            let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH;
            move_mount(&tree, "", CWD, *directory, flags)
                .map_err(|errno| failed("cannot show with the ids of the pod", directory, errno))?;
            shown.0.push(directory);
        }
        Ok(shown)
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        // The overlay has mounts of its own of them by now. What stays is the pod's alone, and ends with it.
        for directory in self.0.drain(..) {
            let _ = unmount(directory, UnmountFlags::DETACH);
        }
    }
}

fn mount_overlay(
    root: &Path,
    inside: &OwnedFd,
    overlay: &OverlayMount,
    users: Option<&OwnedFd>,
) -> Result<(), NativeFailure> {
    let target = Path::new(&overlay.target);
    let writable = match (&overlay.upper, &overlay.work) {
        (Some(upper), Some(work)) => Some((Path::new(upper), Path::new(work))),
        (None, None) => None,
        _ => {
            return Err(NativeFailure::new(
                "RKT_OVERLAY_FAILED",
                format!("the overlay {} needs both upper and work", overlay.target),
            ));
        }
    };
    let relative = target.strip_prefix(root).map_err(|_| {
        NativeFailure::new("RKT_OVERLAY_FAILED", format!("{} does not lie in {}", overlay.target, root.display()))
    })?;
    let lowers: Vec<&Path> = overlay.lowers.iter().map(Path::new).collect();
    let _shown = users.map(|users| Shown::with(users, &lowers)).transpose()?;
    let layers = Layers { lowers, writable, context: overlay.context.as_deref() };
    let mount = mount_detached(&layers).map_err(|error| overlay_failed(target, &error, users.is_some()))?;
    // The lower of an outer overlay is an image's: a link in it must not lead the mount elsewhere.
    let place = beneath::locate(inside, relative, OFlags::DIRECTORY)
        .map_err(|errno| failed("cannot open the mount point", target, errno))?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(&mount, "", &place, "", flags).map_err(|errno| failed("cannot mount the overlay on", target, errno))
}

/// Before Linux 5.19 overlays take no directories that are shown with other ids.
fn overlay_failed(target: &Path, error: &OverlayError, id_mapped: bool) -> NativeFailure {
    let next = if id_mapped && error.errno == Errno::INVAL { " (try --no-overlay)" } else { "" };
    NativeFailure::new("RKT_OVERLAY_FAILED", format!("cannot mount the overlay on {}", target.display()))
        .with_errno(error.errno.raw_os_error())
        .with_cause(error.reason() + next)
}

fn failed(what: &str, path: &Path, errno: Errno) -> NativeFailure {
    NativeFailure::system("RKT_MOUNT_FAILED", format!("{what} {}", path.display()), errno)
}
