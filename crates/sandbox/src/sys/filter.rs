//! Filters of system calls, and hearing of what they withhold.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Filters the system calls of this process, for ever (seccomp(2)); with `listen` the descriptor that tells of notifications.
pub fn seccomp(program: &[crate::seccomp::Instruction], listen: bool) -> io::Result<Option<OwnedFd>> {
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const crate::seccomp::Instruction,
    }
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = Program { length, instructions: program.as_ptr() };
    let flags = if listen { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    // SAFETY: the program has the layout of sock_fprog (an Instruction that of sock_filter), its length is that of the slice, and the
    // kernel copies both before it returns.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    let number = check(result)?;
    // SAFETY: the kernel has just made it, nobody else owns it.
    Ok(listen.then(|| unsafe { OwnedFd::from_raw_fd(number as i32) }))
}

/// A system call that its filter tells of, and that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Notification {
    /// Which one, for the answer.
    pub id: u64,
    /// The thread, in our pid namespace; 0 for one outside of it.
    pub thread: i32,
    /// `AUDIT_ARCH_*`.
    pub architecture: u32,
    /// The call.
    pub number: u32,
}

/// The next notification of a listener (seccomp_unotify(2)), none when its thread is gone meanwhile.
pub fn receive_notification(listener: BorrowedFd<'_>) -> io::Result<Option<Notification>> {
    // SAFETY: seccomp_notif is plain memory for which all zeroes is a value, and the one that the kernel asks for.
    let mut notification: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: writes one seccomp_notif, whose size the request says.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_RECV, &raw mut notification) };
    match check(i64::from(result)) {
        Ok(_) => Ok(Some(Notification {
            id: notification.id,
            thread: notification.pid as i32,
            architecture: notification.data.arch,
            number: notification.data.nr as u32,
        })),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the thread of a notification still waits for its answer.
pub fn is_waiting(listener: BorrowedFd<'_>, notification: Notification) -> bool {
    // SAFETY: reads a u64 of ours.
    unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_ID_VALID, &raw const notification.id) == 0 }
}

const NOTIF_RECV: libc::Ioctl = 0xc050_2100;
const NOTIF_ID_VALID: libc::Ioctl = 0x4008_2102;
