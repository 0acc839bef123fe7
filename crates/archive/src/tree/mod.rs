//! Trees on disk, whoever filled them: digest, removal, copy, sums. All of it over descriptors; no link is ever followed,
//! and a directory is entered only through the one that holds it.

mod copy;
mod digest;
mod label;
mod remove;
mod sums;
mod xattr;

use std::{
    error,
    ffi::{CStr, CString},
    fmt,
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use rustix::{
    fs::{self, Dir, Mode, OFlags, ResolveFlags},
    io::Errno,
};

use crate::error::{Error, io_error};

pub use copy::copy_tree;
pub use digest::digest_tree;
pub use label::label_tree;
pub use remove::{remove_child, remove_tree};
pub use sums::tree_stats;
pub use xattr::{Xattr, list_xattrs, of_file as xattrs_of};

/// Why a tree cannot be worked on, apart from system calls that fail.
#[derive(Debug)]
pub enum TreeError {
    /// A file system is mounted inside.
    Mounted { at: String },
    /// Owners outside of the range of a user namespace.
    Owner { entry: String, source: String },
    /// Directories nested deeper than descriptors reach.
    TooDeep { at: String, limit: usize },
}

impl TreeError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Mounted { .. } => "RKT_TREE_MOUNTED",
            Self::Owner { .. } => "RKT_RENDER_OWNER_RANGE",
            Self::TooDeep { .. } => "RKT_TREE_TOO_DEEP",
        }
    }
}

impl fmt::Display for TreeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mounted { at } => write!(f, "cannot remove {at}: a file system is mounted there"),
            Self::Owner { entry, source } => write!(f, "cannot copy {entry}: {source}"),
            Self::TooDeep { at, limit } => write!(f, "{at} lies more than {limit} directories deep"),
        }
    }
}

impl error::Error for TreeError {}

/// Writes the file system that holds `path` to its disk (syncfs(2)).
///
/// # Errors
/// Opening the path, or the write.
pub fn sync_filesystem(path: &Path) -> Result<(), Error> {
    let failed = || format!("cannot flush the file system of {}", path.display());
    let file = fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(io_error(failed))?;
    fs::syncfs(&file).map_err(io_error(failed))
}

/// Opens a directory by a path that the caller vouches for.
fn open_root(path: &Path) -> Result<OwnedFd, Error> {
    fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .map_err(io_error(|| format!("cannot open directory {}", path.display())))
}

/// Opens the directory `name` of `parent`, neither through a link nor across a mount (`EXDEV`).
pub fn open_child(parent: impl AsFd, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    fs::openat2(
        parent,
        name,
        flags,
        Mode::empty(),
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV,
    )
}

/// The names in a directory, in byte order, so that work over a tree does not depend on its file system.
pub fn names(directory: impl AsFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        if !matches!(entry.file_name().to_bytes(), b"." | b"..") {
            names.push(entry.file_name().to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// `base/name` for messages.
pub fn below(base: &str, name: &CStr) -> String {
    format!("{base}/{}", crate::names::show(name.to_bytes()))
}
