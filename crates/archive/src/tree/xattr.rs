//! Extended attributes (xattr(7)) of files that may be anything.

use std::{
    ffi::{CStr, CString},
    os::fd::AsFd,
    path::Path,
};

use rustix::{buffer::spare_capacity, fs, io::Errno};

use crate::error::{Error, io_error};

/// The kernel's limit on a list of names and on a value.
const MAX: usize = 64 << 10;

/// One attribute.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Xattr {
    /// Name with its namespace: `user.x`, `security.capability`.
    pub name: CString,
    /// Any bytes.
    pub value: Vec<u8>,
}

/// All attributes of a path, by name; a link is not followed. File systems without attributes have none.
///
/// # Errors
/// A path that does not exist or cannot be read.
pub fn list_xattrs(path: &Path) -> Result<Vec<Xattr>, Error> {
    let failed = || format!("cannot read attributes of {}", path.display());
    collect(|list| fs::llistxattr(path, list), |name, value| fs::lgetxattr(path, name, value)).map_err(io_error(failed))
}

/// The same for an open file.
pub fn of_file(file: impl AsFd) -> Result<Vec<Xattr>, Errno> {
    collect(|list| fs::flistxattr(&file, list), |name, value| fs::fgetxattr(&file, name, value))
}

/// The same for `name` in `directory`, opened by nobody: the kernel has no listxattrat(2) before 6.13, the magic link of
/// the directory's descriptor stands in for it.
pub fn of_child(directory: impl AsFd, name: &CStr) -> Result<Vec<Xattr>, Errno> {
    use std::os::fd::AsRawFd;
    let mut path = format!("/proc/self/fd/{}/", directory.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name.to_bytes());
    collect(|list| fs::llistxattr(path.as_slice(), list), |name, value| fs::lgetxattr(path.as_slice(), name, value))
}

fn collect(
    list: impl Fn(rustix::buffer::SpareCapacity<'_, u8>) -> Result<usize, Errno>,
    get: impl Fn(&CStr, rustix::buffer::SpareCapacity<'_, u8>) -> Result<usize, Errno>,
) -> Result<Vec<Xattr>, Errno> {
    let mut names = Vec::with_capacity(1024);
    match list(spare_capacity(&mut names)) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        Err(Errno::RANGE) => {
            names.reserve(MAX);
            list(spare_capacity(&mut names))?;
        }
        other => drop(other?),
    }
    let mut xattrs = Vec::new();
    for name in names.split_inclusive(|byte| *byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let mut value = Vec::with_capacity(256);
        let mut got = get(name, spare_capacity(&mut value));
        if got == Err(Errno::RANGE) {
            value.reserve(MAX);
            got = get(name, spare_capacity(&mut value));
        }
        match got {
            // Gone since it was listed, or (trusted.*, without the capability) not for us.
            Err(Errno::NODATA | Errno::PERM) => continue,
            other => drop(other?),
        }
        xattrs.push(Xattr { name: name.to_owned(), value });
    }
    xattrs.sort_unstable();
    Ok(xattrs)
}
