//! Mounts by descriptor (fsopen(2), open_tree(2), move_mount(2), mount_setattr(2)): a path is resolved once, and what was resolved is
//! what is mounted.

use crate::plan::{Allow, Mount, Propagation, Source};
use crate::tree::{Make, Root, is_directory};
use crate::{Context, Failure, Result};
use crate::{idmap, sys};
use rustix::fs::{CWD, FileType, Mode, OFlags, XattrFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::OnceLock;

const RDONLY: u64 = libc::MOUNT_ATTR_RDONLY;

/// Directory and file without any permission, mounted over what apps are not to see; below the root of stage1.
pub const MASKS: &str = "/rkt/masks";

/// The SELinux context of the files of new file systems, once it is set.
static FILE_CONTEXT: OnceLock<String> = OnceLock::new();

/// File systems of the kernel whose files have no labels of their own.
const UNLABELLED: [&str; 2] = ["devpts", "tmpfs"];

/// One that is there as soon as its namespace is, and can take no option any more: its root is labelled.
const THERE_ALREADY: &str = "mqueue";

/// Labels the files of all file systems that this process makes from now on with a context of SELinux.
pub fn label_files(context: &str) {
    // One pod a process: a second call cannot say anything else.
    let _ = FILE_CONTEXT.set(context.to_owned());
}

/// A new file system, not attached anywhere yet.
pub fn filesystem(kind: &str, options: &[(&str, &str)], allow: Allow, read_only: bool) -> Result<OwnedFd> {
    let failed = || format!("mount {kind}");
    let context = fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).context(failed)?;
    // What /proc/mounts shows first.
    fsconfig_set_string(&context, "source", kind).context(failed)?;
    for &(key, value) in options {
        fsconfig_set_string(&context, key, value).context(failed)?;
    }
    if let Some(label) = FILE_CONTEXT.get().filter(|_| UNLABELLED.contains(&kind)) {
        fsconfig_set_string(&context, "context", label).context(failed)?;
    }
    fsconfig_create(&context).context(failed)?;
    let mut attributes = MountAttrFlags::MOUNT_ATTR_NOSUID;
    if allow != Allow::Devices {
        attributes |= MountAttrFlags::MOUNT_ATTR_NODEV;
    }
    if allow != Allow::Executables {
        attributes |= MountAttrFlags::MOUNT_ATTR_NOEXEC;
    }
    if read_only {
        attributes |= MountAttrFlags::MOUNT_ATTR_RDONLY;
    }
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).context(failed)?;
    if let Some(label) = FILE_CONTEXT.get().filter(|_| kind == THERE_ALREADY) {
        label_root(&mount, label).context(|| format!("label {kind}"))?;
    }
    Ok(mount)
}

/// Gives the root of a mount a context of SELinux, where the policy has labels for such a file system.
fn label_root(mount: &OwnedFd, label: &str) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::openat(mount, ".", flags, Mode::empty())?;
    match rustix::fs::fsetxattr(root, "security.selinux", label.as_bytes(), XattrFlags::empty()) {
        Err(rustix::io::Errno::NOTSUP) => Ok(()),
        other => other,
    }
}

/// A copy of the mount at `path` of `directory`, from that path down, not attached anywhere yet.
pub fn clone_tree(directory: impl AsFd, path: impl AsRef<Path>, recursive: bool) -> Result<OwnedFd> {
    let path = path.as_ref();
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    open_tree(directory, path, flags).context(|| format!("open {}", path.display()))
}

/// Forbids writing through a mount, and through those below it when `recursive`.
pub fn make_read_only(mount: &OwnedFd, recursive: bool) -> Result<()> {
    sys::mount_setattr(mount.as_fd(), RDONLY, 0, 0, recursive).context(|| "make a mount read-only")
}

/// Gives a detached mount, and those that came along with it, its propagation. One that is to be shared has to be so already.
pub fn set_propagation(mount: &OwnedFd, propagation: Propagation) -> Result<()> {
    let kind = match propagation {
        Propagation::Private => libc::MS_PRIVATE,
        Propagation::Slave => libc::MS_SLAVE,
        Propagation::Shared => return Ok(()),
    };
    sys::mount_setattr(mount.as_fd(), 0, 0, kind, true).context(|| "set the propagation of a mount")
}

/// Lets every mount of this mount namespace follow what happens on the host, and never the other way round.
pub fn follow_host() -> Result<()> {
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).context(|| "open /")?;
    sys::mount_setattr(root.as_fd(), 0, 0, libc::MS_SLAVE, true).context(|| "make / a recursive slave")
}

/// Attaches a mount on what `target` refers to.
pub fn attach(mount: &OwnedFd, target: &OwnedFd) -> Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    move_mount(mount, "", target, "", flags).context(|| "attach a mount")
}

/// Makes the tree at `path` the root of this process and detaches everything else from its mount namespace.
///
/// The tree is a copy of the mount there, so that a plain directory serves as well as a mount point.
pub fn enter_root(root: &Root) -> Result<()> {
    rustix::process::fchdir(root).context(|| "enter the new root")?;
    rustix::process::pivot_root(".", ".").context(|| "pivot to the new root")?;
    // The old root lies on top of the new one now.
    rustix::mount::unmount(".", UnmountFlags::DETACH).context(|| "detach the old root")?;
    rustix::process::chdir("/").context(|| "enter /")
}

/// Attaches a detached tree upon the root of this mount namespace, where [`enter_root`] can make it the root.
pub fn attach_new_root(tree: OwnedFd) -> Result<Root> {
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).context(|| "open /")?;
    attach(&tree, &root)?;
    Ok(Root::from(tree))
}

/// Mounts a copy of `path` upon itself and answers its root.
pub fn attach_root(path: impl AsRef<Path>, recursive: bool) -> Result<Root> {
    let path = path.as_ref();
    let tree = clone_tree(CWD, path, recursive)?;
    let target = rustix::fs::open(path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .context(|| format!("open {}", path.display()))?;
    attach(&tree, &target).map_err(|failure| failure.of(path.display()))?;
    Ok(Root::from(tree))
}

/// A host path taken while the host's tree can still be seen: what a mount of [`Source::Host`] is performed with later.
///
/// `users` is the user namespace whose ids an id-mapped mount shows.
pub fn take_host_source(mount: &Mount, users: Option<BorrowedFd<'_>>) -> Result<Option<OwnedFd>> {
    let Source::Host(path) = &mount.source else { return Ok(None) };
    let take = || {
        let tree = clone_tree(CWD, path, mount.recursive)?;
        set_propagation(&tree, mount.propagation)?;
        if let Some(users) = users.filter(|_| mount.id_mapped) {
            idmap::map_mount(&tree, users, mount.recursive, path)?;
        }
        Ok(tree)
    };
    take().map(Some).map_err(|failure: Failure| failure.of(format!("mount {}", mount.target)))
}

/// Performs one mount below `root`. `stage1` is the root of stage1; `taken` is what [`take_host_source`] answered.
pub fn perform(root: &Root, stage1: &Root, mount: &Mount, taken: Option<OwnedFd>) -> Result<()> {
    perform_inner(root, stage1, mount, taken).map_err(|failure| failure.of(format!("mount {}", mount.target)))
}

fn perform_inner(root: &Root, stage1: &Root, mount: &Mount, taken: Option<OwnedFd>) -> Result<()> {
    if !mount.make_target && !root.exists(&mount.target) {
        return Ok(());
    }
    let tree = match &mount.source {
        Source::Filesystem { kind, options, allow } => filesystem(kind, options, *allow, mount.read_only)?,
        Source::Devices { tun, bound } => {
            let tree = filesystem("tmpfs", &[("mode", "0755"), ("size", "4m")], Allow::Devices, false)?;
            populate_devices(&tree, *tun, *bound)?;
            tree
        }
        Source::Host(path) => taken.ok_or_else(|| Failure::new(format!("{} was not taken", path.display())))?,
        Source::Stage1(path) => clone_tree(stage1.open(path, OFlags::PATH)?, "", mount.recursive)?,
        Source::Itself => clone_tree(root.open(&mount.target, OFlags::PATH)?, "", mount.recursive)?,
        Source::Masked => {
            let over = root.open(&mount.target, OFlags::PATH)?;
            let mask = if is_directory(&over) { "directory" } else { "file" };
            clone_tree(stage1.open(format!("{MASKS}/{mask}"), OFlags::PATH)?, "", false)?
        }
    };
    // A new file system was made read-only with its mount.
    if mount.read_only && !matches!(mount.source, Source::Filesystem { .. }) {
        make_read_only(&tree, mount.recursive)?;
    }
    let make = if is_directory(&tree) { Make::Directory } else { Make::File };
    let target = root.ensure(&mount.target, make)?;
    match (make, is_directory(&target)) {
        (Make::Directory, false) => return Err(Failure::new("the source is a directory while the target is not")),
        (Make::File, true) => return Err(Failure::new("the target is a directory while the source is not")),
        _ => {}
    }
    attach(&tree, &target)?;
    match mount.source {
        Source::Devices { tun, bound: true } => bind_devices(&tree, tun),
        _ => Ok(()),
    }
}

/// Devices of the OS specification: name, major, minor.
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links below /dev.
const LINKS: [(&str, &str); 6] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("log", "/run/systemd/journal/dev-log"),
];

/// What is bound gets an empty file to be mounted on.
fn populate_devices(tree: &OwnedFd, tun: bool, bound: bool) -> Result<()> {
    let umask = rustix::process::umask(Mode::empty());
    let made = make_devices(tree, tun, bound);
    rustix::process::umask(umask);
    made.context(|| "make devices")
}

fn devices(tun: bool) -> impl Iterator<Item = (&'static str, u32, u32)> {
    DEVICES.into_iter().chain(tun.then_some(("net/tun", 10, 200)))
}

fn make_devices(tree: &OwnedFd, tun: bool, bound: bool) -> rustix::io::Result<()> {
    let everyone = Mode::from_raw_mode(0o666);
    for name in ["pts", "shm", "mqueue", "net"] {
        rustix::fs::mkdirat(tree, name, Mode::from_raw_mode(0o755))?;
    }
    for (name, major, minor) in devices(tun) {
        let (kind, number) = if bound {
            (FileType::RegularFile, 0)
        } else {
            (FileType::CharacterDevice, rustix::fs::makedev(major, minor))
        };
        rustix::fs::mknodat(tree, name, kind, everyone, number)?;
    }
    for (name, target) in LINKS {
        rustix::fs::symlinkat(target, tree, name)?;
    }
    Ok(())
}

/// Mounts the devices of our /dev in a tree that is attached.
fn bind_devices(tree: &OwnedFd, tun: bool) -> Result<()> {
    for (name, ..) in devices(tun) {
        let device = clone_tree(CWD, Path::new("/dev").join(name), false)?;
        let target = rustix::fs::openat(tree, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
            .context(|| format!("open {name}"))?;
        attach(&device, &target)?;
    }
    Ok(())
}

/// The masks of [`MASKS`], on a file system of their own.
pub fn make_masks(stage1: &Root) -> Result<()> {
    let tree = filesystem("tmpfs", &[("mode", "0700"), ("size", "4k")], Allow::Data, false)?;
    let masks = || -> rustix::io::Result<()> {
        rustix::fs::mkdirat(&tree, "directory", Mode::empty())?;
        rustix::fs::mknodat(&tree, "file", FileType::RegularFile, Mode::empty(), 0)
    };
    masks().context(|| "make masks")?;
    make_read_only(&tree, false)?;
    attach(&tree, &stage1.ensure(MASKS, Make::Directory)?)
}
