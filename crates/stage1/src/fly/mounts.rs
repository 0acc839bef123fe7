//! The mounts of `fly`: the host's own device, process and system trees, and volumes by their names.

use crate::abi::manifest::Volume;
use crate::abi::options::{FileMode, RunOptions};
use crate::abi::pod::{Pod, PodApp};
use crate::abi::volumes;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use sandbox::mounts::{attach, attach_root, clone_tree, filesystem, make_read_only, set_propagation};
use sandbox::plan::{Allow, EmptyVolume, Propagation};
use sandbox::tree::{Make, Root, is_directory};
use sandbox::{Context, Failure, Result, sys};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A volume at its place.
#[derive(Debug, PartialEq, Eq)]
pub struct VolumeMount {
    pub source: PathBuf,
    pub target: String,
    pub read_only: bool,
    pub recursive: bool,
    /// None: a source that is a mount of its own propagates both ways, as the reference has it.
    pub propagation: Option<Propagation>,
}

impl VolumeMount {
    /// The mount of `source` alone, writable.
    fn new(source: impl Into<PathBuf>, target: &str) -> Self {
        Self { source: source.into(), target: target.to_owned(), read_only: false, recursive: false, propagation: None }
    }
}

/// What the app's volumes come to.
#[derive(Debug)]
pub struct Mounts {
    pub mounts: Vec<VolumeMount>,
    pub empty: Vec<EmptyVolume>,
}

/// Computes the mounts of the only app (stage1-abi §6, 3): by volume names, without implicit volumes.
pub fn of_app(pod: &Pod, app: &PodApp) -> Result<Mounts> {
    let mut mounts = Mounts { mounts: Vec::new(), empty: Vec::new() };
    let mut seen: Vec<&str> = Vec::new();
    for mount in &app.runtime.mounts {
        if seen.contains(&mount.volume.as_str()) {
            return Err(Failure::new(format!("duplicate mount given: \"{}\"", mount.volume)));
        }
        seen.push(&mount.volume);
        let point = app.app.mount_points.iter().find(|point| point.name == mount.volume);
        if point.is_some_and(|point| point.path != mount.path) {
            return Err(Failure::new(format!(
                "conflicting path information from mount and mountpoint \"{}\"",
                mount.volume
            )));
        }
        let volume =
            mount.app_volume.as_ref().or_else(|| pod.volumes.iter().find(|volume| volume.name == mount.volume));
        let volume = volume.ok_or_else(|| Failure::new(format!("missing volume \"{}\"", mount.volume)))?;
        mounts.add(pod, volume, &mount.path, point.is_some_and(|point| point.read_only))?;
    }
    for point in &app.app.mount_points {
        if seen.contains(&point.name.as_str()) {
            continue;
        }
        let volume = pod.volumes.iter().find(|volume| volume.name == point.name);
        let volume = volume.ok_or_else(|| Failure::new(format!("missing volume for mountpoint \"{}\"", point.name)))?;
        mounts.add(pod, volume, &point.path, point.read_only)?;
    }
    Ok(mounts)
}

impl Mounts {
    fn add(&mut self, pod: &Pod, volume: &Volume, target: &str, read_only: bool) -> Result<()> {
        let source = match volume.kind.as_str() {
            "host" => PathBuf::from(&volume.source),
            "empty" => {
                let mode = volume.mode.as_deref().unwrap_or("0755");
                let mode = u32::from_str_radix(mode, 8).ok().filter(|&mode| mode <= 0o7777);
                let mode =
                    mode.ok_or_else(|| Failure::new(format!("volume \"{}\" has an invalid mode", volume.name)))?;
                let (uid, gid) = (volume.uid.unwrap_or(0), volume.gid.unwrap_or(0));
                if volume.name.contains('/') || volume.name.starts_with('.') || volume.name.is_empty() {
                    return Err(Failure::new(format!("\"{}\" is not a valid volume name", volume.name)));
                }
                self.empty.push(EmptyVolume { name: volume.name.clone(), mode, uid, gid, copy_from: None });
                pod.directory.join("sharedVolumes").join(&volume.name)
            }
            other => return Err(Failure::new(format!("Volume {} has invalid kind {other}", volume.name))),
        };
        self.mounts.push(VolumeMount {
            source,
            target: target.to_owned(),
            read_only: volume.read_only.unwrap_or(read_only),
            recursive: volume.recursive.unwrap_or(false),
            propagation: volumes::propagation(volume)?,
        });
        Ok(())
    }
}

/// Makes the app's root at `path` and mounts everything there.
///
/// In a mount namespace of this process's own: what stage0 mounted comes along, and nothing of this is left behind on the host.
pub fn perform(path: &Path, volumes: &[VolumeMount], options: &RunOptions, stage1: &Path) -> Result<Root> {
    sys::unshare(libc::CLONE_NEWNS).context(|| "unshare the mount namespace")?;
    let root = attach_root(path, true)?;
    for tree in ["/dev", "/proc", "/sys"] {
        make_shared(Path::new(tree))?;
        bind(&root, &VolumeMount { recursive: true, ..VolumeMount::new(tree, tree) })?;
    }
    let tmp = filesystem("tmpfs", &[("mode", "01777")], Allow::Executables, false)?;
    attach(&tmp, &root.ensure("/tmp", Make::Directory)?)?;
    for volume in volumes {
        if volume.propagation.is_none() {
            make_shared(&volume.source)?;
        }
        bind(&root, volume)?;
    }
    match options.resolv_conf {
        FileMode::Host => bind(&root, &read_only("/etc/resolv.conf", "/etc/resolv.conf"))?,
        FileMode::Stage0 => {
            let text = Root::open_at(stage1)?.read("etc/rkt-resolv.conf", 1 << 20)?.unwrap_or_default();
            root.write("etc/resolv.conf", &text, 0o644)?;
        }
        FileMode::Default | FileMode::Nothing => {}
    }
    match options.hosts {
        FileMode::Host => bind(&root, &read_only("/etc/hosts", "/etc/hosts"))?,
        FileMode::Stage0 => bind(&root, &read_only(stage1.join("etc/rkt-hosts"), "/etc/hosts"))?,
        FileMode::Default if !root.exists("etc/hosts") => {
            root.write("etc/hosts", b"127.0.0.1 localhost localdomain\n", 0o644)?;
        }
        FileMode::Default | FileMode::Nothing => {}
    }
    Ok(root)
}

fn read_only(source: impl Into<PathBuf>, target: &str) -> VolumeMount {
    VolumeMount { read_only: true, ..VolumeMount::new(source, target) }
}

fn bind(root: &Root, VolumeMount { source, target, read_only, recursive, propagation }: &VolumeMount) -> Result<()> {
    let tree = clone_tree(CWD, source, *recursive)?;
    if let Some(propagation) = propagation {
        set_propagation(&tree, *propagation)?;
    }
    if *read_only {
        make_read_only(&tree, *recursive)?;
    }
    let make = if is_directory(&tree) { Make::Directory } else { Make::File };
    let existed = root.exists(target);
    let at = root.ensure(target, make)?;
    let shown = source.display();
    match (make, is_directory(&at)) {
        (Make::Directory, false) => {
            return Err(Failure::new(format!(
                "can't mount because \"{shown}\" is a directory while \"{target}\" is not"
            )));
        }
        (Make::File, true) => {
            return Err(Failure::new(format!(
                "can't mount because \"{target}\" is a directory while \"{shown}\" is not"
            )));
        }
        (Make::File, false) if !existed => set_mode(&at, 0o700)?,
        _ => {}
    }
    attach(&tree, &at).map_err(|failure| failure.of(format!("can't mount \"{shown}\" on \"{target}\"")))
}

fn set_mode(file: &OwnedFd, mode: u32) -> Result<()> {
    // fchmod(2) refuses O_PATH descriptors; their name in /proc is good for it.
    let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file));
    rustix::fs::chmodat(CWD, path, Mode::from_raw_mode(mode), AtFlags::empty()).context(|| "chmod a mount target")
}

/// Makes the mounts at and below a mount point propagate.
fn make_shared(path: &Path) -> Result<()> {
    if !is_mount_point(path) {
        return Ok(());
    }
    let failed = || format!("can't make \"{}\" shared", path.display());
    let mount = rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).context(failed)?;
    sys::mount_setattr(mount.as_fd(), 0, 0, libc::MS_SHARED, true).context(failed)
}

fn is_mount_point(path: &Path) -> bool {
    use rustix::fs::{StatxAttributes, StatxFlags, statx};
    statx(CWD, path, AtFlags::empty(), StatxFlags::empty())
        .is_ok_and(|stat| stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}
