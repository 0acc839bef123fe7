//! Addresses of links.

use super::Rtnl;
use crate::Prefix;
use crate::address::{from_octets, octets};
use crate::netlink::{Message, flag, number};
use sandbox::Result;

const NEWADDR: u16 = 20;
const DELADDR: u16 = 21;
const GETADDR: u16 = 22;
const HEADER: usize = 8;

const ADDRESS: u16 = 1;
const LOCAL: u16 = 2;
const BROADCAST: u16 = 4;
const FLAGS: u16 = 8;

const NODAD: u32 = 0x02;
const DADFAILED: u32 = 0x08;
const TENTATIVE: u32 = 0x40;
const NOPREFIXROUTE: u32 = 0x200;

/// An address as it is.
#[derive(Clone, Debug)]
pub struct Address {
    /// The link, by number.
    pub link: u32,
    /// With its prefix.
    pub prefix: Prefix,
    /// 0 global, 253 link, 254 host.
    pub scope: u8,
    flags: u32,
}

impl Address {
    /// Whether duplicates are still looked for.
    pub fn is_tentative(&self) -> bool {
        self.flags & TENTATIVE != 0
    }

    /// Whether another host has it.
    pub fn is_duplicate(&self) -> bool {
        self.flags & DADFAILED != 0
    }
}

/// How an address is added.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewAddress {
    /// Without the route to its prefix.
    pub no_route: bool,
    /// IPv6: look for duplicates first, so that it cannot be used for a second or more.
    pub detect_duplicates: bool,
}

impl Rtnl {
    /// Adds an address to a link. EEXIST if it is there.
    pub fn add_address(&mut self, link: u32, prefix: Prefix, how: NewAddress) -> Result<()> {
        let flags = flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL;
        let mut message = Message::new(NEWADDR, flags, &header(link, prefix));
        let bytes = octets(prefix.address);
        message.attr(LOCAL, &bytes).attr(ADDRESS, &bytes);
        if !prefix.is_v6() && prefix.length < 31 {
            message.attr(BROADCAST, &octets(prefix.last()));
        }
        let quiet = if prefix.is_v6() && !how.detect_duplicates { NODAD } else { 0 };
        message.u32(FLAGS, quiet | if how.no_route { NOPREFIXROUTE } else { 0 });
        self.socket.request(message, || format!("failed to add address {prefix}"))
    }

    /// Removes an address of a link; one that is gone is removed.
    pub fn remove_address(&mut self, link: u32, prefix: Prefix) -> Result<()> {
        let mut message = Message::new(DELADDR, flag::REQUEST | flag::ACK, &header(link, prefix));
        message.attr(LOCAL, &octets(prefix.address));
        match self.socket.try_request(message)? {
            None => Ok(()),
            Some(refusal) if [libc::EADDRNOTAVAIL, libc::ENODEV].contains(&refusal.errno) => Ok(()),
            Some(refusal) => Err(refusal.into_failure(format!("failed to remove address {prefix}"))),
        }
    }

    /// The addresses of a link.
    pub fn addresses(&mut self, link: u32) -> Result<Vec<Address>> {
        let mut header = [0; HEADER];
        header[4..].copy_from_slice(&link.to_ne_bytes());
        let message = Message::new(GETADDR, flag::REQUEST | flag::DUMP, &header);
        let replies = self.socket.query(message, || format!("list addresses of link {link}"))?;
        let addresses = replies.iter().filter_map(|reply| {
            let attributes = reply.attributes(HEADER);
            let bytes = attributes.get(LOCAL).or(attributes.get(ADDRESS))?;
            let prefix = Prefix { address: from_octets(bytes)?, length: reply.payload[1] };
            let flags = attributes.get(FLAGS).map_or(u32::from(reply.payload[2]), number);
            Some(Address { link: reply.u32_at(4), prefix, scope: reply.payload[3], flags })
        });
        Ok(addresses.filter(|address| address.link == link).collect())
    }
}

/// AF_INET or AF_INET6.
pub(super) fn family(v6: bool) -> u8 {
    (if v6 { libc::AF_INET6 } else { libc::AF_INET }) as u8
}

/// struct ifaddrmsg
fn header(link: u32, prefix: Prefix) -> [u8; HEADER] {
    let mut bytes = [family(prefix.is_v6()), prefix.length, 0, 0, 0, 0, 0, 0];
    bytes[4..].copy_from_slice(&link.to_ne_bytes());
    bytes
}
