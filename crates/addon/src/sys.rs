//! The few system calls that rustix has no safe form of.

use rustix::io::Errno;
use rustix::thread::UnshareFlags;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd, OwnedFd, RawFd};

/// A descriptor that the caller on the other side of the seam owns and promises to keep open during the call.
pub fn borrow(fd: &RawFd) -> Result<BorrowedFd<'_>, Errno> {
    if *fd < 0 {
        return Err(Errno::BADF);
    }
    // SAFETY: not -1; the contract makes the caller keep it open, and the kernel answers EBADF where it lies.
    Ok(unsafe { BorrowedFd::borrow_raw(*fd) })
}

/// Gives a descriptor to the other side of the seam.
pub fn give(fd: OwnedFd) -> RawFd {
    fd.into_raw_fd()
}

/// Gives the calling thread a copy of the mount namespace (and, by that, its own root and working directory).
pub fn unshare_mounts() -> Result<(), Errno> {
    // SAFETY: descriptors stay shared, which is what would be unsafe to change.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNS) }
}

/// Gives the calling thread its own root and working directory.
pub fn unshare_directories() -> Result<(), Errno> {
    // SAFETY: descriptors stay shared, which is what would be unsafe to change.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }
}

/// Makes a mount read-only by mount_setattr(2), which rustix lacks.
pub fn make_read_only(mount: impl AsFd) -> Result<(), Errno> {
    let attributes = libc::mount_attr { attr_set: libc::MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: an open descriptor, a C string, and one mount_attr of the size that is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    };
    if result == 0 { Ok(()) } else { Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)) }
}
