//! Locks, unnamed files, and reading what a pod could have written.

use crate::beneath;
use crate::failure::{NativeFailure, Outcome, outcome};
use crate::sys;
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use rustix::fs::{AtFlags, CWD, FileType, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// flock(2), never waiting: false when another holds the lock.
#[napi(catch_unwind)]
pub fn flock(fd: i32, mode: String) -> Outcome<bool> {
    outcome(try_flock(fd, &mode))
}

fn try_flock(fd: i32, mode: &str) -> Result<bool, NativeFailure> {
    let operation = match mode {
        "shared" => FlockOperation::NonBlockingLockShared,
        "exclusive" => FlockOperation::NonBlockingLockExclusive,
        "unlock" => FlockOperation::NonBlockingUnlock,
        _ => return Err(NativeFailure::new("RKT_BAD_LOCK_MODE", format!("{mode:?} is no mode of a lock"))),
    };
    let lock = || rustix::fs::flock(sys::borrow(&fd)?, operation);
    match rustix::io::retry_on_intr(lock) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(NativeFailure::system("RKT_LOCK_FAILED", format!("cannot lock descriptor {fd}"), errno)),
    }
}

/// Gives an unnamed file a name that is not taken yet, complete with its mode: false when the name is taken.
#[napi(catch_unwind)]
pub fn publish(fd: i32, path: String, mode: u32) -> Outcome<bool> {
    outcome(match try_publish(fd, &path, mode) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(errno) => Err(NativeFailure::system("RKT_WRITE_FAILED", format!("cannot create {path}"), errno)),
    })
}

/// Through /proc: naming the descriptor itself (AT_EMPTY_PATH) needs CAP_DAC_READ_SEARCH before Linux 6.10.
fn try_publish(fd: i32, path: &str, mode: u32) -> Result<(), Errno> {
    let fd = sys::borrow(&fd)?;
    rustix::fs::fchmod(fd, Mode::from_bits_truncate(mode))?;
    rustix::fs::linkat(CWD, beneath::path_of(fd), CWD, path, AtFlags::SYMLINK_FOLLOW)
}

/// Opens an unnamed file in a directory.
#[napi(catch_unwind)]
pub fn open_tmp_file(dir: String) -> Outcome<i32> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, &*dir, flags, Mode::RUSR | Mode::WUSR);
    outcome(
        opened.map(sys::give).map_err(|errno| {
            NativeFailure::system("RKT_WRITE_FAILED", format!("cannot create a file in {dir}"), errno)
        }),
    )
}

/// Reads a bounded regular file below a root; null when it, or the root, is absent.
#[napi(catch_unwind)]
pub fn read_file_beneath(root: String, path: String, max: u32) -> Outcome<Option<Buffer>> {
    outcome(try_read(Path::new(&root), Path::new(&path), u64::from(max)).map(|bytes| bytes.map(Buffer::from)))
}

fn try_read(root: &Path, path: &Path, max: u64) -> Result<Option<Vec<u8>>, NativeFailure> {
    let Some(found) = find(root, path)? else { return Ok(None) };
    let failed = |errno| NativeFailure::system("RKT_READ_FAILED", format!("cannot read {}", name(root, path)), errno);
    // Asked before it is opened: opening a device can do things, and a fifo can wait.
    if FileType::from_raw_mode(rustix::fs::fstat(&found).map_err(failed)?.st_mode) != FileType::RegularFile {
        return Err(NativeFailure::new("RKT_NOT_REGULAR", format!("{} is not a regular file", name(root, path))));
    }
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, beneath::path_of(&found), flags, Mode::empty()).map_err(failed)?;
    let mut bytes = Vec::new();
    let read = File::from(opened).take(max + 1).read_to_end(&mut bytes);
    read.map_err(|error| NativeFailure::io("RKT_READ_FAILED", format!("cannot read {}", name(root, path)), &error))?;
    if bytes.len() as u64 > max {
        let message = format!("{} is larger than {max} bytes", name(root, path));
        return Err(NativeFailure::new("RKT_FILE_TOO_LARGE", message));
    }
    Ok(Some(bytes))
}

/// The text of a link below a root; null when it, or the root, is absent.
#[napi(catch_unwind)]
pub fn read_link_beneath(root: String, path: String) -> Outcome<Option<String>> {
    outcome(try_read_link(Path::new(&root), Path::new(&path)))
}

fn try_read_link(root: &Path, path: &Path) -> Result<Option<String>, NativeFailure> {
    let Some(found) = find(root, path)? else { return Ok(None) };
    match rustix::fs::readlinkat(found.as_fd(), "", Vec::new()) {
        Ok(text) => Ok(Some(text.to_string_lossy().into_owned())),
        Err(Errno::INVAL | Errno::NOENT) => {
            Err(NativeFailure::new("RKT_NOT_A_LINK", format!("{} is not a symbolic link", name(root, path))))
        }
        Err(errno) => {
            Err(NativeFailure::system("RKT_READ_FAILED", format!("cannot read the link {}", name(root, path)), errno))
        }
    }
}

fn name(root: &Path, path: &Path) -> String {
    root.join(path.strip_prefix("/").unwrap_or(path)).display().to_string()
}

fn find(root: &Path, path: &Path) -> Result<Option<OwnedFd>, NativeFailure> {
    match beneath::open_root(root).and_then(|root| beneath::locate(root, path, OFlags::empty())) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno @ (Errno::LOOP | Errno::XDEV)) => {
            let message =
                format!("refusing to read {}: the path leaves its tree or goes through a link", name(root, path));
            Err(NativeFailure::system("RKT_UNSAFE_PATH", message, errno))
        }
        Err(errno) => Err(NativeFailure::system("RKT_READ_FAILED", format!("cannot read {}", name(root, path)), errno)),
    }
}
