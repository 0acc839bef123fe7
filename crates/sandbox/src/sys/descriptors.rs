//! Descriptors by their numbers.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Marks every descriptor from `first` on close-on-exec (close_range(2)).
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: no pointer is passed, and no descriptor is closed now.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Takes a descriptor number that was handed to this process, by its environment or by a constant of a protocol, as ours.
pub fn adopt(number: i32) -> Option<OwnedFd> {
    // SAFETY: F_GETFD only asks whether the number is open.
    if number < 0 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open, and by the protocol it belongs to this process; each is adopted once.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Looks at a descriptor by a number that was handed to this process; none when it is not open.
pub fn with_borrowed<T>(number: i32, look: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
    // SAFETY: F_GETFD only asks whether the number is open.
    if number < 0 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open, and the one thread of this process is in `look` as long as it is borrowed.
    Some(look(unsafe { BorrowedFd::borrow_raw(number) }))
}

/// Duplicates a descriptor to a number not below `least`, close-on-exec.
pub fn duplicate_from(fd: BorrowedFd<'_>, least: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    let number = check(i64::from(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) }))?;
    // SAFETY: the kernel has just made it, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number as i32) })
}

/// Makes `fd` the descriptor `number`, inherited across exec. `number` is one that nobody owns here, as 0, 1 and 2 are, or whose owner
/// is not used any more: a process that is about to execute has others.
pub fn install(fd: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    if fd.as_raw_fd() == number {
        // SAFETY: clears close-on-exec; dup2 on itself would not.
        return check(i64::from(unsafe { libc::fcntl(number, libc::F_SETFD, 0) })).map(drop);
    }
    // SAFETY: replaces a descriptor that nobody uses through an owner any more.
    check(i64::from(unsafe { libc::dup2(fd.as_raw_fd(), number) })).map(drop)
}
