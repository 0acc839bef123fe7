//! Sockets that apps are given at their start.

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, ipproto, listen, socket_with, sockopt};
use sandbox::plan::PassedSocket;
use sandbox::{Context, Failure, Result, sys};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

/// The sockets of an app, in the order of the plan: those that were handed over, and new ones in the network of this process.
pub fn open(passed: &[PassedSocket]) -> Result<Vec<OwnedFd>> {
    passed.iter().map(open_one).collect()
}

fn open_one(passed: &PassedSocket) -> Result<OwnedFd> {
    if let Some(number) = passed.inherited {
        return sys::adopt(number).ok_or_else(|| Failure::new(format!("descriptor {number} is not open")));
    }
    let socket = match bind_to(passed, SocketAddr::from((Ipv6Addr::UNSPECIFIED, passed.port))) {
        // A kernel without IPv6.
        Err(Errno::AFNOSUPPORT | Errno::ADDRNOTAVAIL) => {
            bind_to(passed, SocketAddr::from((Ipv4Addr::UNSPECIFIED, passed.port)))
        }
        other => other,
    };
    socket.context(|| format!("listen on port {} for \"{}\"", passed.port, passed.name))
}

/// Both families at once, as systemd does with `BindIPv6Only=both`.
fn bind_to(passed: &PassedSocket, address: SocketAddr) -> rustix::io::Result<OwnedFd> {
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let (kind, protocol) =
        if passed.stream { (SocketType::STREAM, ipproto::TCP) } else { (SocketType::DGRAM, ipproto::UDP) };
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(protocol))?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    sockopt::set_socket_reuseaddr(&socket, true)?;
    bind(&socket, &address)?;
    if passed.stream {
        listen(&socket, 4096)?;
    }
    Ok(socket)
}
