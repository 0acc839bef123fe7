//! Overlays to look at, and what is left mounted.

use crate::beneath;
use crate::failure::{NativeFailure, Outcome, outcome};
use crate::overlay::{Layers, mount_detached};
use crate::{mountinfo, probe, sys};
use napi_derive::napi;
use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, OpenTreeFlags, UnmountFlags, mount_change, open_tree, unmount};
use sandbox::idmap::{IdMap, map_mount};
use sandbox::mounts::clone_tree;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Makes an overlay inside a directory and takes it away again: null, or the reason why it does not work there.
#[napi(catch_unwind)]
pub fn probe_overlay(dir: String) -> Outcome<Option<String>> {
    outcome(probe::overlay_refusal(Path::new(&dir)))
}

/// Shows a directory with the ids of a user namespace and forgets it again: null, or the reason why that does not work there.
#[napi(catch_unwind)]
pub fn probe_id_map(dir: String) -> Option<String> {
    let range = IdMap { base: 1 << 16, count: 1 << 16 };
    let tried = range.namespace().and_then(|users| {
        let tree = clone_tree(CWD, &dir, false)?;
        map_mount(&tree, users.as_fd(), false, Path::new(&dir))
    });
    tried.err().map(|failure| failure.to_string())
}

/// A detached, read-only view of directories laid on each other, highest first.
#[napi(catch_unwind)]
pub fn overlay_view(lowers: Vec<String>) -> Outcome<i32> {
    outcome(match lowers.as_slice() {
        [] => Err(NativeFailure::new("RKT_OVERLAY_FAILED", "an overlay of no directories")),
        // An overlay needs two; one is shown as it is.
        [only] => clone_read_only(Path::new(only)).map(sys::give),
        _ => {
            let layers = Layers { lowers: lowers.iter().map(Path::new).collect(), writable: None, context: None };
            mount_detached(&layers).map(sys::give).map_err(|error| {
                NativeFailure::new("RKT_OVERLAY_FAILED", format!("cannot lay an overlay over {}", lowers[0]))
                    .with_errno(error.errno.raw_os_error())
                    .with_cause(error.reason())
            })
        }
    })
}

fn clone_read_only(path: &Path) -> Result<OwnedFd, NativeFailure> {
    let failed = |errno| {
        NativeFailure::system("RKT_MOUNT_FAILED", format!("cannot clone the mount of {}", path.display()), errno)
    };
    let tree =
        open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC).map_err(failed)?;
    sys::make_read_only(&tree).map_err(failed)?;
    Ok(tree)
}

/// Detaches what is mounted at or below a directory in this namespace, deepest first; answers the mount points.
#[napi(catch_unwind)]
pub fn unmount_below(dir: String) -> Outcome<Vec<String>> {
    outcome(try_unmount_below(Path::new(&dir)))
}

fn try_unmount_below(dir: &Path) -> Result<Vec<String>, NativeFailure> {
    let mounts = mountinfo::read()
        .map_err(|error| NativeFailure::io("RKT_UNMOUNT_FAILED", "cannot read /proc/self/mountinfo", &error))?;
    let mut points: Vec<PathBuf> =
        mounts.into_iter().map(|mount| mount.point).filter(|point| point.starts_with(dir)).collect();
    points.reverse(); // a mount stands after the one that it lies on
    // Private first, and all of them: detaching one that is shared would take it from every namespace that shares it.
    for point in &points {
        at(point, |path| mount_change(path, MountPropagationFlags::PRIVATE))?;
    }
    for point in &points {
        at(point, |path| unmount(path, UnmountFlags::DETACH))?;
    }
    Ok(points.into_iter().map(|point| point.display().to_string()).collect())
}

/// By descriptor: a pod could have laid a link on the way. A mount point that is gone is what is wanted.
fn at(point: &Path, act: impl Fn(&Path) -> Result<(), Errno>) -> Result<(), NativeFailure> {
    let located = beneath::open_root(Path::new("/")).and_then(|root| beneath::locate(root, point, OFlags::empty()));
    match located.and_then(|mount| act(&beneath::path_of(&mount))) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => {
            Err(NativeFailure::system("RKT_UNMOUNT_FAILED", format!("cannot unmount {}", point.display()), errno))
        }
    }
}
