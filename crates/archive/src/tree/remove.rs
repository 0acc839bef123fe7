//! Removing a tree that anybody may have filled, and may still be filling.

use std::{
    ffi::{CStr, CString},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use rustix::{
    fs::{self, AtFlags, IFlags, Mode, OFlags},
    io::Errno,
};

use super::{TreeError, below, names, open_child};
use crate::error::{Error, IoError, io_error};

/// How many directories are open at once. What lies deeper is moved up to the top first, so that the depth of a tree
/// costs neither descriptors nor stack.
const MAX_OPEN: usize = 64;

/// Removes `path` and all below it; that it is absent is what was wanted. A link is removed, never followed.
///
/// Where something is mounted the removal stops, everything on that mount untouched. Directories without permissions
/// and immutable or append-only files (chattr(1)) hinder nobody who may change that.
///
/// # Errors
/// A mount, by its path, or whatever cannot be removed.
pub fn remove_tree(path: &Path) -> Result<(), Error> {
    let failed = || format!("cannot remove {}", path.display());
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(IoError::new(failed(), Errno::INVAL).into());
    };
    let name = CString::new(name.as_bytes()).map_err(|_| IoError::new(failed(), Errno::INVAL))?;
    let parent_path = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent_fd = match fs::open(parent_path, flags, Mode::empty()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(()),
        Err(error) => return Err(io_error(failed)(error)),
    };
    remove_entry(&parent_fd, &name, &parent_path.display().to_string())
}

/// Removes `name` of an open directory, a tree or anything else, as [`remove_tree`] does.
///
/// # Errors
/// As there; `label` names the directory.
pub fn remove_child(parent: &OwnedFd, name: &[u8], label: &str) -> Result<(), Error> {
    let name = CString::new(name).map_err(|_| IoError::new(format!("cannot remove from {label}"), Errno::INVAL))?;
    remove_entry(parent, &name, label)
}

struct Level {
    fd: OwnedFd,
    name: CString,
    label: String,
    left: std::vec::IntoIter<CString>,
}

fn remove_entry(parent: &OwnedFd, name: &CStr, parent_label: &str) -> Result<(), Error> {
    let Some(top) = enter(parent, name, parent_label)? else { return Ok(()) };
    let mut moved = 0_u64;
    let mut stack = vec![top];
    while let Some(level) = stack.last_mut() {
        if let Some(child) = level.left.next() {
            if stack.len() == MAX_OPEN {
                let (top, deepest) = (&stack[0], &stack[MAX_OPEN - 1]);
                if move_up(&deepest.fd, &child, &top.fd, &mut moved, &deepest.label)? {
                    continue;
                }
            }
            let level = &stack[stack.len() - 1];
            if let Some(next) = enter(&level.fd, &child, &level.label)? {
                stack.push(next);
            }
            continue;
        }
        let Some(done) = stack.pop() else { break };
        let above = stack.last().map_or(parent, |above| &above.fd);
        match unlink(above, &done.name, AtFlags::REMOVEDIR) {
            Ok(()) | Err(Errno::NOENT) => {}
            // Filled again behind us, or with what was moved up: once more, for as long as there is something.
            Err(Errno::NOTEMPTY | Errno::EXIST) => {
                let left = names(rewound(&done.fd).map_err(io_error(|| format!("cannot remove {}", done.label)))?)
                    .map_err(io_error(|| format!("cannot remove {}", done.label)))?;
                stack.push(Level { left: left.into_iter(), ..done });
            }
            Err(Errno::BUSY) => return Err(TreeError::Mounted { at: done.label }.into()),
            Err(error) => return Err(io_error(|| format!("cannot remove {}", done.label))(error)),
        }
    }
    Ok(())
}

/// A directory's descriptor whose reading starts anew.
fn rewound(fd: &OwnedFd) -> Result<OwnedFd, Errno> {
    fs::openat(fd, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

/// Removes what is no directory; a directory is opened and listed.
fn enter(parent: &OwnedFd, name: &CStr, parent_label: &str) -> Result<Option<Level>, Error> {
    let label = || below(parent_label.trim_end_matches('/'), name);
    match unlink(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(None),
        Err(Errno::ISDIR) => {}
        Err(Errno::BUSY) => return Err(TreeError::Mounted { at: label() }.into()),
        Err(error) => return Err(io_error(|| format!("cannot remove {}", label()))(error)),
    }
    let opened = open_child(parent, name).or_else(|error| match error {
        Errno::ACCESS => {
            fs::chmodat(parent, name, Mode::RWXU, AtFlags::empty())?;
            open_child(parent, name)
        }
        error => Err(error),
    });
    let fd = match opened {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::XDEV) => return Err(TreeError::Mounted { at: label() }.into()),
        Err(error) => return Err(io_error(|| format!("cannot open {}", label()))(error)),
    };
    let listed = names(&fd).map_err(io_error(|| format!("cannot read {}", label())))?;
    Ok(Some(Level { fd, name: name.to_owned(), label: label(), left: listed.into_iter() }))
}

/// unlinkat(2), after taking away what a mode or a flag has against it.
fn unlink(parent: &OwnedFd, name: &CStr, flags: AtFlags) -> Result<(), Errno> {
    match fs::unlinkat(parent, name, flags) {
        Err(Errno::PERM) => {
            thaw(parent);
            if let Ok(file) = fs::openat(
                parent,
                name,
                OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC,
                Mode::empty(),
            ) {
                thaw(&file);
            }
            fs::unlinkat(parent, name, flags)
        }
        // Only for who is not root: the directory must be writable.
        Err(Errno::ACCESS) => {
            fs::fchmod(parent, Mode::RWXU)?;
            fs::unlinkat(parent, name, flags)
        }
        other => other,
    }
}

/// Takes the flags off that forbid removal. What has none stays as it is; a failure shows in the next try.
fn thaw(file: impl AsFd) {
    if let Ok(flags) = fs::ioctl_getflags(&file) {
        let forbidding = IFlags::IMMUTABLE | IFlags::APPEND;
        if flags.intersects(forbidding) {
            let _ = fs::ioctl_setflags(&file, flags - forbidding);
        }
    }
}

/// Moves a deep directory into the top one under a name that is free there; false when it is no directory.
fn move_up(parent: &OwnedFd, name: &CStr, top: &OwnedFd, moved: &mut u64, label: &str) -> Result<bool, Error> {
    let failed = || format!("cannot remove {}", below(label, name));
    let stat = match fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(true),
        other => other.map_err(io_error(failed))?,
    };
    if fs::FileType::from_raw_mode(stat.st_mode) != fs::FileType::Directory {
        return Ok(false);
    }
    loop {
        *moved += 1;
        let free = format!(".rkt-deep-{moved}");
        match fs::renameat_with(parent, name, top, free.as_str(), fs::RenameFlags::NOREPLACE) {
            Ok(()) | Err(Errno::NOENT) => return Ok(true),
            Err(Errno::EXIST) => {}
            Err(Errno::BUSY | Errno::XDEV) => return Err(TreeError::Mounted { at: below(label, name) }.into()),
            Err(Errno::PERM | Errno::ACCESS) => {
                thaw(parent);
                let child = open_child(parent, name).map_err(io_error(failed))?;
                thaw(&child);
                fs::fchmod(&child, Mode::RWXU).map_err(io_error(failed))?;
                fs::renameat_with(parent, name, top, free.as_str(), fs::RenameFlags::NOREPLACE)
                    .map_err(io_error(failed))?;
                return Ok(true);
            }
            Err(error) => return Err(io_error(failed)(error)),
        }
    }
}

#[cfg(test)]
mod tests;
