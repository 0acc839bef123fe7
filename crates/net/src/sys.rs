//! Thin, safe faces of the system calls that rustix lacks. The crate's only unsafe code.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

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
    let parent = std::process::id();
    // SAFETY: the closure runs between fork and exec and makes two system calls, which take no pointer, and allocates nothing.
    unsafe {
        command.pre_exec(move || {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            // The end of a parent that ended before this line is told to nobody.
            if libc::getppid().cast_unsigned() == parent {
                Ok(())
            } else {
                Err(io::Error::from_raw_os_error(libc::ESRCH))
            }
        });
    }
}

/// Keeps a file open until a thread of the kernel closes it, which the caller then need not wait for: as a file of a ring of io_uring(7)
/// that is given up at once.
pub fn leave_to_kernel(file: BorrowedFd<'_>) -> io::Result<()> {
    /// `struct io_uring_params` (io_uring_setup(2)): 120 bytes, zero where nothing is asked for.
    const PARAMETERS: usize = 120 / size_of::<u32>();
    const REGISTER_FILES: libc::c_uint = 2;
    let (entries, mut parameters): (libc::c_uint, _) = (1, [0u32; PARAMETERS]);
    // SAFETY: the parameters outlive the call and are as long as the kernel's.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, parameters.as_mut_ptr()) };
    if ring < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else owns it.
    let ring = unsafe { OwnedFd::from_raw_fd(ring as i32) };
    let (files, count): (_, libc::c_uint) = ([file.as_raw_fd()], 1);
    // SAFETY: the array outlives the call and its length is given.
    let result =
        unsafe { libc::syscall(libc::SYS_io_uring_register, ring.as_raw_fd(), REGISTER_FILES, files.as_ptr(), count) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A packet socket that sees the IPv4 packets of a link, in the caller's network namespace (packet(7)).
pub fn packet_socket(link: u32) -> io::Result<OwnedFd> {
    let protocol = (libc::ETH_P_IP as u16).to_be();
    // SAFETY: no pointer is passed.
    let socket = unsafe { libc::socket(libc::AF_PACKET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, i32::from(protocol)) };
    if socket < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(socket) };
    let address = link_address(link);
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the address outlives the call and its size is given.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
}

/// Sends an IPv4 packet to every station of a link.
pub fn send_to_all(socket: &OwnedFd, link: u32, packet: &[u8]) -> io::Result<()> {
    let address = link_address(link);
    let length = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: packet and address outlive the call and their sizes are given.
    let sent = unsafe {
        libc::sendto(socket.as_raw_fd(), packet.as_ptr().cast(), packet.len(), 0, (&raw const address).cast(), length)
    };
    if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn link_address(link: u32) -> libc::sockaddr_ll {
    libc::sockaddr_ll {
        sll_family: libc::AF_PACKET as u16,
        sll_protocol: (libc::ETH_P_IP as u16).to_be(),
        sll_ifindex: link as i32,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 6,
        sll_addr: [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0],
    }
}

/// A descriptor that is readable as soon as SIGINT or SIGTERM came; they end this process no more. To be called before any thread starts.
pub fn ending_signals() -> io::Result<OwnedFd> {
    // SAFETY: the set is filled in by the first call and outlives the others; all of them only read it.
    let signals = unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        libc::signalfd(-1, &raw const set, libc::SFD_CLOEXEC)
    };
    if signals < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(signals) })
}

/// The listening socket that the init system opened for this process (sd_listen_fds(3)), if it did.
pub fn activated_listener() -> Option<UnixListener> {
    const FIRST: i32 = 3;
    let variable = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    if variable("LISTEN_PID")? != std::process::id() || variable("LISTEN_FDS")? == 0 {
        return None;
    }
    // SAFETY: by that protocol the descriptor is open, and meant for this process alone; it is asked for once.
    Some(unsafe { UnixListener::from_raw_fd(FIRST) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::os::fd::AsFd;

    #[test]
    fn what_is_left_to_the_kernel_is_closed() {
        let (mut reader, writer) = std::io::pipe().unwrap();

        if let Err(error) = leave_to_kernel(writer.as_fd()) {
            eprintln!("skipped: io_uring: {error}");
            return;
        }

        drop(writer);
        assert_eq!(reader.read(&mut [0]).unwrap(), 0);
    }
}
