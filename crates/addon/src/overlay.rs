//! Overlays as detached mounts (fsopen(2)): nothing is visible until one is moved to its place, and a closed descriptor leaves nothing.

use crate::beneath::path_of;
use crate::sys;
use archive::layer::Flavor;
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// fsconfig(2) takes strings of 255 bytes.
const LONGEST_VALUE: usize = 255;

/// What is laid on each other.
pub struct Layers<'a> {
    /// Highest first.
    pub lowers: Vec<&'a Path>,
    /// Upper and work directory, or a read-only overlay.
    pub writable: Option<(&'a Path, &'a Path)>,
    /// The SELinux context of all files, in place of those of the layers.
    pub context: Option<&'a str>,
}

/// Why there is no overlay.
#[derive(Debug)]
pub struct OverlayError {
    /// The kernel's number.
    pub errno: Errno,
    /// What was tried, as `open /lower`.
    pub step: String,
    /// What the kernel said about it (fsopen(2), the message log), if it did.
    pub said: Option<String>,
}

impl OverlayError {
    /// Step, the kernel's words and the text of the number, for a person.
    pub fn reason(&self) -> String {
        let errno = std::io::Error::from(self.errno).to_string().to_lowercase();
        let errno = errno.split(" (os error").next().unwrap_or_default();
        match &self.said {
            Some(said) => format!("{}: {errno} ({said})", self.step),
            None => format!("{}: {errno}", self.step),
        }
    }
}

/// A detached overlay; its descriptor is close-on-exec.
pub fn mount_detached(layers: &Layers<'_>) -> Result<OwnedFd, OverlayError> {
    match try_mount(layers, append_lowers) {
        // Before Linux 6.5 there is no `lowerdir+`; the error that counts is the first one, if the other form does no better.
        Err(error) if error.errno == Errno::INVAL => {
            let joined = among_descriptors(|| try_mount(layers, join_lowers));
            joined.map_err(|other| if other.errno == Errno::TOOBIG { other } else { error })
        }
        result => result,
    }
}

type SetLowers = fn(&OwnedFd, &[&Path], &mut Vec<OwnedFd>) -> Result<(), OverlayError>;

fn try_mount(layers: &Layers<'_>, set_lowers: SetLowers) -> Result<OwnedFd, OverlayError> {
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| failure("open overlay", errno))?;
    set(&context, "source", Path::new("overlay"))?; // what /proc/mounts shows
    // In a user namespace nobody may write the attributes that only the host's root can.
    if archive::Privileges::own().flavor() == Flavor::User {
        fsconfig_set_flag(&context, "userxattr").map_err(|errno| told(&context, "set userxattr", errno))?;
    }
    let mut held = Vec::new();
    set_lowers(&context, &layers.lowers, &mut held)?;
    if let Some((upper, work)) = layers.writable {
        set(&context, "upperdir", &value(upper, &mut held)?)?;
        set(&context, "workdir", &value(work, &mut held)?)?;
    }
    if let Some(label) = layers.context {
        set(&context, "context", Path::new(label))?;
    }
    fsconfig_create(&context).map_err(|errno| told(&context, "mount overlay", errno))?;
    let attributes = match layers.writable {
        Some(_) => MountAttrFlags::empty(),
        None => MountAttrFlags::MOUNT_ATTR_RDONLY,
    };
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(|errno| told(&context, "mount overlay", errno))
}

/// One layer a call: as many as the kernel takes (500), of any name. A single one every kernel takes, without a line in its log about
/// what it does not know, if no character has a meaning there.
fn append_lowers(context: &OwnedFd, lowers: &[&Path], held: &mut Vec<OwnedFd>) -> Result<(), OverlayError> {
    if let [only] = lowers
        && !only.as_os_str().as_bytes().iter().any(|byte| b":,\\".contains(byte))
    {
        return set(context, "lowerdir", &value(only, held)?);
    }
    lowers.iter().try_for_each(|lower| set(context, "lowerdir+", &value(lower, held)?))
}

/// All layers in one value, by the numbers of their descriptors ([`among_descriptors`]): so more than sixty have room in it, and no
/// character has to be escaped.
fn join_lowers(context: &OwnedFd, lowers: &[&Path], held: &mut Vec<OwnedFd>) -> Result<(), OverlayError> {
    let mut numbers = Vec::new();
    for lower in lowers {
        held.push(open_directory(lower)?);
        numbers.extend(held.last().map(|fd| fd.as_raw_fd().to_string()));
    }
    let joined = numbers.join(":");
    if joined.len() > LONGEST_VALUE {
        let step = format!("lay {} directories on each other, which takes Linux 6.5", lowers.len());
        return Err(failure(&step, Errno::TOOBIG));
    }
    set(context, "lowerdir", Path::new(&joined))
}

/// Calls this in a thread of its own, whose current directory is that of our descriptors.
fn among_descriptors<T: Send>(call: impl FnOnce() -> Result<T, OverlayError> + Send) -> Result<T, OverlayError> {
    let there = || {
        sys::unshare_directories().map_err(|errno| failure("unshare directories", errno))?;
        rustix::process::chdir("/proc/self/fd").map_err(|errno| failure("enter /proc/self/fd", errno))?;
        call()
    };
    std::thread::scope(|scope| scope.spawn(there).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn set(context: &OwnedFd, key: &str, value: &Path) -> Result<(), OverlayError> {
    fsconfig_set_string(context, key, value)
        .map_err(|errno| told(context, &format!("set {key} {}", value.display()), errno))
}

/// The path, or a short name for it where it is too long.
fn value(path: &Path, held: &mut Vec<OwnedFd>) -> Result<PathBuf, OverlayError> {
    if path.as_os_str().len() > LONGEST_VALUE { hold(path, held) } else { Ok(path.to_owned()) }
}

fn hold(path: &Path, held: &mut Vec<OwnedFd>) -> Result<PathBuf, OverlayError> {
    let fd = open_directory(path)?;
    let name = path_of(&fd);
    held.push(fd);
    Ok(name)
}

fn open_directory(path: &Path) -> Result<OwnedFd, OverlayError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::empty()).map_err(|errno| failure(&format!("open {}", path.display()), errno))
}

fn failure(step: &str, errno: Errno) -> OverlayError {
    OverlayError { errno, step: step.to_owned(), said: None }
}

fn told(context: impl AsFd, step: &str, errno: Errno) -> OverlayError {
    let mut buffer = [0; 512];
    let said = rustix::io::read(context, &mut buffer).ok().and_then(|length| {
        let line = String::from_utf8_lossy(&buffer[..length]).trim().to_owned();
        line.strip_prefix("e ").map(|text| text.strip_prefix("overlay: ").unwrap_or(text).to_owned())
    });
    OverlayError { errno, step: step.to_owned(), said }
}
