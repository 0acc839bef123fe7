//! Copying a directory of an app's root out of it: what an implicit volume begins with.

use crate::tree::Root;
use crate::{Context, Result};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Uid};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Gives the directory `to` the content, owner and mode of the directory `from` of `root`; nothing happens when that is absent.
/// Hard links become files of their own.
pub fn copy_content(root: &Root, from: &str, to: &Path) -> Result<()> {
    if !root.exists(from) {
        return Ok(());
    }
    let failed = || format!("copy {from}");
    let source = root.open(from, OFlags::RDONLY | OFlags::DIRECTORY)?;
    let target = rustix::fs::openat(CWD, to, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .context(failed)?;
    copy_directory(&source, &target).context(failed)
}

fn copy_directory(source: &OwnedFd, target: &OwnedFd) -> std::io::Result<()> {
    for entry in Dir::read_from(source)? {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_bytes() != b"." && name.to_bytes() != b".." {
            copy_entry(source.as_fd(), target.as_fd(), name)?;
        }
    }
    let stat = rustix::fs::fstat(source)?;
    rustix::fs::fchown(target, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    Ok(rustix::fs::fchmod(target, Mode::from_raw_mode(stat.st_mode))?)
}

fn copy_entry(source: BorrowedFd<'_>, target: BorrowedFd<'_>, name: &std::ffi::CStr) -> std::io::Result<()> {
    let stat = rustix::fs::statat(source, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let mode = Mode::from_raw_mode(stat.st_mode);
    let open = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let kind = FileType::from_raw_mode(stat.st_mode);
    match kind {
        FileType::Directory => {
            rustix::fs::mkdirat(target, name, Mode::RWXU)?;
            let below = rustix::fs::openat(source, name, OFlags::RDONLY | OFlags::DIRECTORY | open, Mode::empty())?;
            let into = rustix::fs::openat(target, name, OFlags::RDONLY | OFlags::DIRECTORY | open, Mode::empty())?;
            return copy_directory(&below, &into);
        }
        FileType::Symlink => {
            let link = rustix::fs::readlinkat(source, name, Vec::new())?;
            rustix::fs::symlinkat(&link, target, name)?;
        }
        FileType::RegularFile => {
            let mut from = File::from(rustix::fs::openat(source, name, OFlags::RDONLY | open, Mode::empty())?);
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | open;
            let mut to = File::from(rustix::fs::openat(target, name, flags, Mode::RUSR | Mode::WUSR)?);
            std::io::copy(&mut from, &mut to)?;
        }
        other => rustix::fs::mknodat(target, name, other, mode, stat.st_rdev)?,
    }
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(target, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if kind != FileType::Symlink {
        // After the owner, whose change clears set-user-id bits.
        rustix::fs::chmodat(target, name, mode, AtFlags::empty())?;
    }
    Ok(())
}
