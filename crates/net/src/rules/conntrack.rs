//! Connections that the kernel remembers (linux/netfilter/nfnetlink_conntrack.h).

use crate::netlink::{Attributes, Message, Protocol, Socket, flag};
use sandbox::Result;

const SUBSYSTEM: u16 = 1;
const GET: u16 = 1;
const DELETE: u16 = 2;
const HEADER: usize = 4;
const TUPLE_ORIGINAL: u16 = 1;
const TUPLE_PROTOCOL: u16 = 2;
const PROTOCOL_NUMBER: u16 = 1;
const DESTINATION_PORT: u16 = 3;
const ID: u16 = 12;
const ZONE: u16 = 18;
const NESTED: u16 = 0x8000;

/// Has the kernel forget every connection that was made to one of these protocols and ports. Their next packet is looked at anew.
pub fn forget(ports: &[(u8, u16)]) -> Result<()> {
    if ports.is_empty() {
        return Ok(());
    }
    let mut socket = Socket::open(Protocol::Netfilter)?;
    let request = Message::new(SUBSYSTEM << 8 | GET, flag::REQUEST | flag::DUMP, &[0; HEADER]);
    let connections = match socket.try_query(request)? {
        Ok(connections) => connections,
        Err(refusal) if refusal.errno == libc::EINVAL => return Ok(()), // no connection tracking, nothing to forget
        Err(refusal) => return Err(refusal.into_failure("list connections".to_owned())),
    };
    for connection in connections {
        let attributes = connection.attributes(HEADER);
        let protocol = attributes.nested(TUPLE_ORIGINAL).nested(TUPLE_PROTOCOL);
        if destination(protocol).is_none_or(|destination| !ports.contains(&destination)) {
            continue;
        }
        let mut request =
            Message::new(SUBSYSTEM << 8 | DELETE, flag::REQUEST | flag::ACK, &connection.payload[..HEADER]);
        for (kind, flags) in [(TUPLE_ORIGINAL, NESTED), (ID, 0), (ZONE, 0)] {
            if let Some(bytes) = attributes.get(kind) {
                request.attr(kind | flags, bytes);
            }
        }
        match socket.try_request(request)? {
            None => {}
            Some(refusal) if refusal.errno == libc::ENOENT => {}
            Some(refusal) => return Err(refusal.into_failure("forget a connection".to_owned())),
        }
    }
    Ok(())
}

fn destination(protocol: Attributes<'_>) -> Option<(u8, u16)> {
    let number = *protocol.get(PROTOCOL_NUMBER)?.first()?;
    let port: [u8; 2] = protocol.get(DESTINATION_PORT)?.try_into().ok()?;
    Some((number, u16::from_be_bytes(port)))
}
