//! Frames of DHCP on a link that has no address yet: IPv4 and UDP by hand over a packet socket (packet(7)).

use super::packet::Reply;
use crate::netlink::rt::Link;
use crate::ns::Namespace;
use crate::sys;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sandbox::{Context, Result};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

const CLIENT: u16 = 68;
const SERVER: u16 = 67;
const UDP: u8 = 17;
const IP_HEADER: usize = 20;
const UDP_HEADER: usize = 8;

/// A link to speak DHCP on.
#[derive(Debug)]
pub struct Wire {
    socket: OwnedFd,
    link: u32,
}

impl Wire {
    /// On a link of a namespace.
    pub fn open(namespace: &Namespace, link: &Link) -> Result<Self> {
        let socket = namespace.within(|| sys::packet_socket(link.index))?;
        Ok(Self { socket: socket.context(|| format!("open a packet socket on \"{}\"", link.name))?, link: link.index })
    }

    /// Sends a message to every server of the link.
    pub fn broadcast(&self, from: Ipv4Addr, message: &[u8]) -> Result<()> {
        let packet = frame(from, Ipv4Addr::BROADCAST, message);
        sys::send_to_all(&self.socket, self.link, &packet).context(|| "send a DHCP message")
    }

    /// The next message for which `wanted` answers something; none if none comes in time.
    pub fn receive<T>(&self, patience: Duration, wanted: impl Fn(&Reply) -> Option<T>) -> Result<Option<T>> {
        let until = Instant::now() + patience;
        let mut buffer = vec![0; 65536];
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !wait(&self.socket, left).context(|| "wait for a DHCP message")? {
                return Ok(None);
            }
            let length = match rustix::io::read(&self.socket, &mut buffer) {
                Ok(length) => length,
                Err(rustix::io::Errno::INTR | rustix::io::Errno::NETDOWN) => continue,
                Err(error) => return Err(error).context(|| "receive a DHCP message"),
            };
            if let Some(found) = payload(&buffer[..length]).and_then(Reply::decode).and_then(|reply| wanted(&reply)) {
                return Ok(Some(found));
            }
        }
    }
}

/// Sends a message to one server from an address that the pod has, and answers the reply to it for which `wanted` answers something.
pub fn unicast<T>(
    namespace: &Namespace,
    from: Ipv4Addr,
    to: Ipv4Addr,
    message: &[u8],
    patience: Duration,
    wanted: impl Fn(&Reply) -> Option<T>,
) -> Result<Option<T>> {
    let open = || -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(SocketAddr::from((from, CLIENT)))?;
        socket.send_to(message, SocketAddr::from((to, SERVER)))?;
        Ok(socket)
    };
    let what = || format!("send a DHCP message to {to}");
    let socket = namespace.within(open)?.context(what)?;
    let until = Instant::now() + patience;
    let mut buffer = vec![0; 65536];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left)).context(what)?;
        match socket.recv(&mut buffer) {
            Ok(length) => {
                if let Some(found) = Reply::decode(&buffer[..length]).and_then(|reply| wanted(&reply)) {
                    return Ok(Some(found));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error).context(what),
        }
    }
}

fn wait(socket: &OwnedFd, left: Duration) -> io::Result<bool> {
    let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        Err(rustix::io::Errno::INTR) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

fn frame(from: Ipv4Addr, to: Ipv4Addr, message: &[u8]) -> Vec<u8> {
    let length = IP_HEADER + UDP_HEADER + message.len();
    let mut packet = vec![0x45, 0x10];
    packet.extend((length as u16).to_be_bytes());
    packet.extend([0, 0, 0x40, 0, 64, UDP, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    let sum = checksum(&packet);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(CLIENT.to_be_bytes());
    packet.extend(SERVER.to_be_bytes());
    packet.extend(((UDP_HEADER + message.len()) as u16).to_be_bytes());
    packet.extend([0, 0]); // of UDP over IPv4 the checksum may be left out (RFC 768)
    packet.extend_from_slice(message);
    packet
}

/// RFC 1071.
fn checksum(header: &[u8]) -> u16 {
    let sum: u32 = header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// What a packet to a client's port holds. Its checksums are not looked at: over a veth they are not filled in.
fn payload(packet: &[u8]) -> Option<&[u8]> {
    let header = usize::from(packet.first()? & 0xf) * 4;
    let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x1fff;
    if packet[0] >> 4 != 4 || *packet.get(9)? != UDP || fragment != 0 {
        return None;
    }
    let udp = packet.get(header..)?;
    let (port, length) = (udp.get(2..4)?, udp.get(4..6)?);
    if port != CLIENT.to_be_bytes() {
        return None;
    }
    udp.get(UDP_HEADER..usize::from(u16::from_be_bytes([length[0], length[1]])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_has_a_right_checksum_and_only_what_is_for_clients_is_read() {
        let packet = frame(Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, b"hello");
        assert_eq!(checksum(&packet[..IP_HEADER]), 0);
        assert_eq!(payload(&packet), None, "for servers");
        let mut answer = packet.clone();
        answer[IP_HEADER + 2..IP_HEADER + 4].copy_from_slice(&CLIENT.to_be_bytes());
        assert_eq!(payload(&answer), Some(&b"hello"[..]));
        for cut in 0..answer.len() {
            assert_eq!(payload(&answer[..cut]), None, "{cut}");
        }
    }
}
