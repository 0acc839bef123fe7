//! Copying a tree with everything that its files are.

use std::{
    collections::HashMap,
    ffi::CStr,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{self, AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};

use super::{TreeError, below, names, open_child, open_root, sums::MAX_DEPTH, xattr};
use crate::{
    error::{Error, io_error},
    privileges::Privileges,
    render::Shift,
    writer::TreeStats,
};

/// Copies `from`, a directory, to `to`, which must not exist: owners (shifted), modes, times, attributes, hard links,
/// holes, devices and pipes. Sockets are left out, as nobody listens at a copy of one.
///
/// # Errors
/// Whatever cannot be copied, named; `to` then holds a part.
pub fn copy_tree(from: &Path, to: &Path, shift: Option<Shift>) -> Result<TreeStats, Error> {
    let source = open_root(from)?;
    let failed = || format!("cannot create {}", to.display());
    fs::mkdir(to, Mode::RWXU).map_err(io_error(failed))?;
    let target = open_root(to)?;
    let mut copy = Copy {
        root: target.try_clone().map_err(io_error(failed))?,
        shift,
        privileges: Privileges::own(),
        linked: HashMap::new(),
        stats: TreeStats::default(),
    };
    let stat = fs::fstat(&source).map_err(io_error(|| format!("cannot read {}", from.display())))?;
    copy.directory(&source, &target, &stat, &from.display().to_string(), &mut Vec::new(), 0)?;
    Ok(copy.stats)
}

struct Copy {
    root: OwnedFd,
    shift: Option<Shift>,
    privileges: Privileges,
    /// Files with several names: where the first of them was copied to, below the root.
    linked: HashMap<(u64, u64), Vec<u8>>,
    stats: TreeStats,
}

impl Copy {
    fn directory(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        stat: &Stat,
        label: &str,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(TreeError::TooDeep { at: label.to_owned(), limit: MAX_DEPTH }.into());
        }
        for name in names(from).map_err(io_error(|| format!("cannot read {label}")))? {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name.to_bytes());
            self.entry(from, to, &name, &below(label, &name), path, depth)?;
            path.truncate(length);
        }
        self.metadata_of_file(from, to, stat, label)?;
        let size = fs::fstat(to).map_err(io_error(|| format!("cannot copy {label}")))?.st_size;
        self.count(size);
        Ok(())
    }

    fn entry(
        &mut self,
        from: &OwnedFd,
        to: &OwnedFd,
        name: &CStr,
        label: &str,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<(), Error> {
        let failed = || format!("cannot copy {label}");
        let stat = fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(failed))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Socket {
            return Ok(());
        }
        self.stats.entries += 1;
        if kind == FileType::Directory {
            let child = open_child(from, name).map_err(io_error(failed))?;
            fs::mkdirat(to, name, Mode::RWXU).map_err(io_error(failed))?;
            let made = open_child(to, name).map_err(io_error(failed))?;
            return self.directory(&child, &made, &stat, label, path, depth + 1);
        }
        if stat.st_nlink > 1 {
            if let Some(first) = self.linked.get(&(stat.st_dev, stat.st_ino)) {
                return fs::linkat(&self.root, first.as_slice(), to, name, AtFlags::empty()).map_err(io_error(failed));
            }
            self.linked.insert((stat.st_dev, stat.st_ino), path.clone());
        }
        self.count(stat.st_size);
        match kind {
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let source = fs::openat(from, name, flags, Mode::empty()).map_err(io_error(failed))?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let target = fs::openat(to, name, flags, Mode::RUSR | Mode::WUSR).map_err(io_error(failed))?;
                copy_data(&source, &target).map_err(io_error(failed))?;
                self.metadata_of_file(&source, &target, &stat, label)
            }
            FileType::Symlink => {
                let text = fs::readlinkat(from, name, Vec::new()).map_err(io_error(failed))?;
                fs::symlinkat(&text, to, name).map_err(io_error(failed))?;
                self.metadata_of_special(to, name, &stat, label)
            }
            FileType::CharacterDevice | FileType::BlockDevice if self.privileges.lacks_devices() => Ok(()),
            _ => {
                fs::mknodat(to, name, kind, Mode::RUSR | Mode::WUSR, stat.st_rdev).map_err(io_error(failed))?;
                self.metadata_of_special(to, name, &stat, label)
            }
        }
    }

    fn count(&mut self, size: i64) {
        self.stats.bytes = self.stats.bytes.saturating_add(u64::try_from(size).unwrap_or(0));
    }

    fn owner(&self, stat: &Stat, label: &str) -> Result<Option<(Uid, Gid)>, Error> {
        let (uid, gid) = match &self.shift {
            Some(shift) => shift
                .apply(stat.st_uid, stat.st_gid)
                .map_err(|source| TreeError::Owner { entry: label.to_owned(), source })?,
            None => (stat.st_uid, stat.st_gid),
        };
        Ok(self.privileges.owner((uid, gid)).map(|(uid, gid)| (Uid::from_raw(uid), Gid::from_raw(gid))))
    }

    fn metadata_of_file(&self, from: &OwnedFd, to: &OwnedFd, stat: &Stat, label: &str) -> Result<(), Error> {
        let failed = || format!("cannot set owner, mode and times of the copy of {label}");
        if let Some((uid, gid)) = self.owner(stat, label)? {
            fs::fchown(to, Some(uid), Some(gid)).map_err(io_error(failed))?;
        }
        for xattr in xattr::of_file(from).map_err(io_error(failed))? {
            let value = crate::writer::shifted_capability(self.shift, xattr.name.to_bytes(), &xattr.value);
            match fs::fsetxattr(to, &xattr.name, &value, XattrFlags::empty()) {
                // Labels of the host's security module and of mounts belong to the original; who may not set them goes on.
                Err(Errno::PERM | Errno::OPNOTSUPP) if !kept(xattr.name.to_bytes()) => {}
                other => other
                    .map_err(io_error(|| format!("cannot set attribute {:?} of the copy of {label}", xattr.name)))?,
            }
        }
        fs::fchmod(to, Mode::from_raw_mode(stat.st_mode)).map_err(io_error(failed))?;
        fs::futimens(to, &times(stat)).map_err(io_error(failed))
    }

    fn metadata_of_special(&self, to: &OwnedFd, name: &CStr, stat: &Stat, label: &str) -> Result<(), Error> {
        let failed = || format!("cannot set owner, mode and times of the copy of {label}");
        if let Some((uid, gid)) = self.owner(stat, label)? {
            fs::chownat(to, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(failed))?;
        }
        if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
            fs::chmodat(to, name, Mode::from_raw_mode(stat.st_mode), AtFlags::empty()).map_err(io_error(failed))?;
        }
        fs::utimensat(to, name, &times(stat), AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(failed))
    }
}

/// Attributes without which a copy is another thing.
fn kept(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name == b"security.capability" || name.starts_with(b"system.posix_acl_")
}

fn times(stat: &Stat) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as _ },
    }
}

/// The runs of data between holes, each copied by the kernel where it can (copy_file_range(2)).
fn copy_data(from: &OwnedFd, to: &OwnedFd) -> Result<(), Errno> {
    let size = u64::try_from(fs::fstat(from)?.st_size).unwrap_or(0);
    let mut at = 0;
    while at < size {
        let data = match fs::seek(from, SeekFrom::Data(at)) {
            Ok(data) => data,
            Err(Errno::NXIO) => break, // a hole up to the end
            Err(Errno::INVAL) => at,   // a file system that does not know of holes
            Err(error) => return Err(error),
        };
        let end = fs::seek(from, SeekFrom::Hole(data)).unwrap_or(size);
        copy_run(from, to, data, end)?;
        at = end;
    }
    fs::ftruncate(to, size)
}

fn copy_run(from: impl AsFd, to: impl AsFd, start: u64, end: u64) -> Result<(), Errno> {
    let (mut source, mut target) = (start, start);
    while source < end {
        let length = usize::try_from(end - source).unwrap_or(usize::MAX).min(1 << 30);
        match fs::copy_file_range(&from, Some(&mut source), &to, Some(&mut target), length) {
            Ok(0) => return Ok(()), // shorter than it was
            Ok(_) | Err(Errno::INTR) => {}
            Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                return copy_by_hand(from, to, source, end);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn copy_by_hand(from: impl AsFd, to: impl AsFd, mut at: u64, end: u64) -> Result<(), Errno> {
    let mut buffer = vec![0; 256 << 10];
    while at < end {
        let length = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        let count = match rustix::io::pread(&from, &mut buffer[..length], at) {
            Ok(0) => return Ok(()),
            Ok(count) => count,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error),
        };
        let mut written = 0;
        while written < count {
            match rustix::io::pwrite(&to, &buffer[written..count], at + written as u64) {
                Ok(more) => written += more,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        at += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
