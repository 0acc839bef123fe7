//! A rendered layer moved into the tree of the layers below it, by the rules of overlayfs: what a mount of both would show.

use std::{collections::HashSet, ffi::CString, os::fd::OwnedFd};

use rustix::{
    fs::{self, AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};

use super::tree::{Flavor, is_whiteout, kind, open_in};
use crate::{
    error::{Error, io_error},
    names::show,
    tree::{self, open_child, remove_child},
};

/// Deeper than any tree of ours: paths that the kernel takes whole have at most 2,048 components.
const MAX_DEPTH: usize = 2048;

/// Moves what is in `upper` over `lower`, on one file system; `upper` is left with remains that are of no use. Directories
/// that are only `implied` by what lies in them leave those that exist as they are: a name in one leads through a link of
/// `lower` to a directory below its root, as it would for who unpacks the layer there.
pub fn merge(upper: &OwnedFd, lower: &OwnedFd, flavor: Flavor, implied: &HashSet<Vec<u8>>) -> Result<(), Error> {
    let mut merger = Merger { root: lower, flavor, implied, path: Vec::new() };
    merger.directory(upper, lower, true, 0)
}

struct Merger<'a> {
    /// What paths and links are looked up in.
    root: &'a OwnedFd,
    flavor: Flavor,
    implied: &'a HashSet<Vec<u8>>,
    /// Where the walk is, below the root.
    path: Vec<u8>,
}

impl Merger<'_> {
    /// `existed` says that the lower directory was not made for this merge.
    fn directory(&mut self, upper: &OwnedFd, lower: &OwnedFd, existed: bool, depth: usize) -> Result<(), Error> {
        let label = show(&self.path).into_owned();
        let failed = || format!("cannot merge \"{label}\"");
        if depth > MAX_DEPTH {
            return Err(tree::TreeError::TooDeep { at: label, limit: MAX_DEPTH }.into());
        }
        // Moving names changes the times of both directories.
        let (above, below) = (fs::fstat(upper), fs::fstat(lower));
        let (above, below) = (above.map_err(io_error(failed))?, below.map_err(io_error(failed))?);
        if self.take_opaque(upper).map_err(io_error(failed))? {
            for name in tree::names(lower).map_err(io_error(failed))? {
                remove_child(lower, name.to_bytes(), &label)?;
            }
        }
        let length = self.path.len();
        for name in tree::names(upper).map_err(io_error(failed))? {
            if length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name.to_bytes());
            self.child(upper, lower, &name, depth)?;
            self.path.truncate(length);
        }
        if existed && self.implied.contains(&self.path) {
            return fs::futimens(lower, &times(&below)).map_err(io_error(failed));
        }
        copy_attributes(upper, &above, lower).map_err(io_error(failed))
    }

    fn child(&mut self, upper: &OwnedFd, lower: &OwnedFd, name: &CString, depth: usize) -> Result<(), Error> {
        let label = show(&self.path).into_owned();
        let failed = || format!("cannot merge \"{label}\"");
        let above = fs::statat(upper, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(failed))?;
        let below = match fs::statat(lower, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Some(kind(&stat)),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(io_error(failed)(error)),
        };
        let directory = kind(&above) == FileType::Directory;
        if directory && below == Some(FileType::Symlink) && self.implied.contains(&self.path) {
            // The path leads there, however many links it goes through.
            match open_in(self.root, &self.path, OFlags::RDONLY) {
                Ok(there) => {
                    let upper = open_child(upper, name).map_err(io_error(failed))?;
                    return self.directory(&upper, &there, true, depth + 1);
                }
                // A link that leads nowhere, or to what is no directory, is replaced.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                Err(error) => return Err(io_error(failed)(error)),
            }
        }
        let stays = directory && below == Some(FileType::Directory);
        if below.is_some() && !stays {
            remove_child(lower, name.to_bytes(), &label)?;
        }
        if is_whiteout(&above) {
            return Ok(());
        }
        if !directory {
            return fs::renameat_with(upper, name, lower, name, RenameFlags::NOREPLACE).map_err(io_error(failed));
        }
        if !stays {
            // Not moved as a whole: whiteouts inside would come with it.
            fs::mkdirat(lower, name, Mode::RWXU).map_err(io_error(failed))?;
        }
        let upper = open_child(upper, name).map_err(io_error(failed))?;
        let lower = open_child(lower, name).map_err(io_error(failed))?;
        self.directory(&upper, &lower, stays, depth + 1)
    }

    /// Whether a directory hides what lies below; it does no more afterwards.
    fn take_opaque(&self, directory: &OwnedFd) -> Result<bool, Errno> {
        match fs::fremovexattr(directory, self.flavor.opaque()) {
            Ok(()) => Ok(true),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// Owner, mode, attributes and times, the upper directory's in place of all that the lower one had.
fn copy_attributes(upper: &OwnedFd, stat: &Stat, lower: &OwnedFd) -> Result<(), Errno> {
    fs::fchown(lower, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
    let wanted = tree::xattrs_of(upper)?;
    for attribute in tree::xattrs_of(lower)? {
        if attribute.name.to_bytes().starts_with(b"user.") && wanted.iter().all(|other| other.name != attribute.name) {
            fs::fremovexattr(lower, &attribute.name)?;
        }
    }
    for attribute in wanted {
        // Labels of the host's security modules are the host's business.
        if attribute.name.to_bytes().starts_with(b"user.") {
            fs::fsetxattr(lower, &attribute.name, &attribute.value, XattrFlags::empty())?;
        }
    }
    fs::fchmod(lower, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
    fs::futimens(lower, &times(stat))
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds, nanoseconds| Timespec { tv_sec: seconds, tv_nsec: i64::try_from(nanoseconds).unwrap_or(0) };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Opens a directory that was just made.
pub fn open_directory(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat(parent, name, flags, Mode::empty())
}
