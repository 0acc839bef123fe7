//! Which sockets that were handed to rkt each app is given (sd_listen_fds(3)): matched by the number of the port.

use crate::abi::pod::{Pod, PodApp};
use rustix::net::{AddressFamily, SocketType, sockopt};
use sandbox::plan::PassedSocket;
use sandbox::{Failure, Result};
use std::os::fd::BorrowedFd;

/// A socket that the caller handed over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handed {
    pub descriptor: i32,
    /// TCP, or else UDP.
    pub stream: bool,
    pub port: u16,
}

/// The sockets that were handed to this process: descriptors from 3 on, when `LISTEN_PID` means it. What is no TCP or UDP socket has
/// no port, and is left out.
pub fn handed() -> Vec<Handed> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u32>().ok());
    if number("LISTEN_PID") != Some(std::process::id()) {
        return Vec::new();
    }
    let count = number("LISTEN_FDS").unwrap_or(0).min(1024) as i32;
    (3..3 + count).filter_map(|descriptor| sandbox::sys::with_borrowed(descriptor, examine)?).collect()
}

fn examine(fd: BorrowedFd<'_>) -> Option<Handed> {
    use std::os::fd::AsRawFd;
    if ![AddressFamily::INET, AddressFamily::INET6].contains(&sockopt::socket_domain(fd).ok()?) {
        return None;
    }
    let stream = match sockopt::socket_type(fd).ok()? {
        SocketType::STREAM => true,
        SocketType::DGRAM => false,
        _ => return None,
    };
    let address: std::net::SocketAddr = rustix::net::getsockname(fd).ok()?.try_into().ok()?;
    Some(Handed { descriptor: fd.as_raw_fd(), stream, port: address.port() })
}

/// The sockets of an app: one a port of its that is activated by its socket.
pub fn of_app(pod: &Pod, app: &PodApp, handed: &[Handed], warnings: &mut Vec<String>) -> Result<Vec<PassedSocket>> {
    let mut sockets = Vec::new();
    for port in app.app.ports.iter().filter(|port| port.socket_activated) {
        let stream = match port.protocol.as_str() {
            "tcp" => true,
            "udp" => false,
            other => return Err(Failure::new(format!("unrecognized protocol: {other}"))),
        };
        let exposed = pod.ports.iter().find(|exposed| exposed.name == port.name);
        let number = exposed.map_or_else(
            || {
                let (name, number) = (&port.name, port.port);
                warnings.push(format!(
                    "no --port option for socket-activated port \"{name}\", assuming port {number} as specified in the manifest"
                ));
                number
            },
            |exposed| exposed.host_port,
        );
        let inherited = handed.iter().find(|one| one.stream == stream && one.port == number);
        let inherited = inherited.map(|one| one.descriptor);
        sockets.push(PassedSocket { name: port.name.clone(), stream, port: number, inherited });
    }
    Ok(sockets)
}

/// Says which sockets no app is given.
pub fn warn_of_unused<'a>(
    handed: &[Handed],
    passed: impl Iterator<Item = &'a PassedSocket> + Clone,
    warnings: &mut Vec<String>,
) {
    for one in handed.iter().filter(|one| !passed.clone().any(|socket| socket.inherited == Some(one.descriptor))) {
        let protocol = if one.stream { "tcp" } else { "udp" };
        warnings.push(format!("no app has a socket-activated port {}/{protocol}, its socket is not used", one.port));
    }
}
