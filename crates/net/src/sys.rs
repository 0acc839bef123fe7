//! Thin, safe faces of the system calls that rustix lacks. The crate's only unsafe code.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

fn set_option<T>(socket: BorrowedFd<'_>, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the value outlives the call and its size is given.
    let result = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, std::ptr::from_ref(value).cast(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Has the kernel say in words why it refuses a netlink request, and filter dumps as strictly as they are asked.
pub fn explain_refusals(netlink: BorrowedFd<'_>) -> io::Result<()> {
    let on: libc::c_int = 1;
    set_option(netlink, libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, &on)?;
    set_option(netlink, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, &on)?;
    set_option(netlink, libc::SOL_NETLINK, libc::NETLINK_GET_STRICT_CHK, &on)
}

/// Has the kernel end the process that `command` starts when this thread ends (PR_SET_PDEATHSIG).
pub fn end_with_us(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    // SAFETY: the closure runs between fork and exec and makes one system call, which takes no pointer.
    unsafe {
        command.pre_exec(|| {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            Ok(())
        });
    }
}
