//! Links.

use super::Rtnl;
use crate::netlink::{Message, Reply, flag};
use sandbox::{Failure, Result};
use std::os::fd::{AsRawFd, BorrowedFd};

const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const HEADER: usize = 16;

const ADDRESS: u16 = 1;
const IFNAME: u16 = 3;
const MTU: u16 = 4;
const LINK: u16 = 5;
const MASTER: u16 = 10;
const TXQLEN: u16 = 13;
const LINKINFO: u16 = 18;
const ALIAS: u16 = 20;
const NET_NS_FD: u16 = 28;
const EXT_MASK: u16 = 29;
const PROMISCUITY: u16 = 30;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const VETH_PEER: u16 = 1;
const SKIP_STATS: u32 = 8;

const UP: u32 = libc::IFF_UP as u32;
const RUNNING: u32 = libc::IFF_RUNNING as u32;

/// A link as it is.
#[derive(Clone, Debug)]
pub struct Link {
    /// Its number in its namespace.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// `veth`, `bridge`, …; empty for physical ones and lo.
    pub kind: String,
    /// `aa:bb:cc:dd:ee:ff`; empty if it has none.
    pub mac: String,
    /// Bytes.
    pub mtu: u32,
    /// Flags as netdevice(7) has them.
    pub flags: u32,
    /// The link that it is a port of, by number.
    pub master: Option<u32>,
    /// The link that it stands on, or a veth's other end, by number in that one's namespace.
    pub lower: Option<u32>,
    /// Packets.
    pub txqlen: u32,
    /// What it is for; empty if nobody said.
    pub alias: String,
    /// How often promiscuity was asked for.
    pub promiscuity: u32,
    data: Vec<u8>,
}

impl Link {
    /// Whether it is set up.
    pub fn is_up(&self) -> bool {
        self.flags & UP != 0
    }

    /// Whether it has a carrier.
    pub fn is_running(&self) -> bool {
        self.flags & RUNNING != 0
    }

    /// What its driver says of it.
    pub fn data(&self) -> crate::netlink::Attributes<'_> {
        crate::netlink::Attributes(&self.data)
    }

    fn of(reply: &Reply) -> Self {
        let attributes = reply.attributes(HEADER);
        let info = attributes.nested(LINKINFO);
        Self {
            index: reply.u32_at(4),
            name: attributes.text(IFNAME).unwrap_or_default(),
            kind: info.text(INFO_KIND).unwrap_or_default(),
            mac: attributes.get(ADDRESS).map(mac_text).unwrap_or_default(),
            mtu: attributes.u32(MTU).unwrap_or_default(),
            flags: reply.u32_at(8),
            master: attributes.u32(MASTER),
            lower: attributes.u32(LINK),
            txqlen: attributes.u32(TXQLEN).unwrap_or_default(),
            alias: attributes.text(ALIAS).unwrap_or_default(),
            promiscuity: attributes.u32(PROMISCUITY).unwrap_or_default(),
            data: info.get(INFO_DATA).unwrap_or_default().to_vec(),
        }
    }
}

/// A link to be made.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewLink<'a> {
    /// `bridge`, `macvlan`, `ifb`, …
    pub kind: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Bytes; the kernel's default if absent.
    pub mtu: Option<u32>,
    /// Six bytes; random if absent.
    pub mac: Option<[u8; 6]>,
    /// The link that it stands on.
    pub lower: Option<u32>,
    /// The namespace that it appears in; the socket's if absent.
    pub namespace: Option<BorrowedFd<'a>>,
    /// Set up at once.
    pub up: bool,
    /// Queue length in packets.
    pub txqlen: Option<u32>,
}

/// What changes about a link; absent members stay.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkChange<'a> {
    /// Up or down.
    pub up: Option<bool>,
    /// Bytes.
    pub mtu: Option<u32>,
    /// Six bytes.
    pub mac: Option<[u8; 6]>,
    /// A new name; of a link that is down.
    pub name: Option<&'a str>,
    /// The link to be a port of, by number; 0 for none.
    pub master: Option<u32>,
    /// The namespace to move to.
    pub namespace: Option<BorrowedFd<'a>>,
    /// What it is for.
    pub alias: Option<&'a str>,
    /// Promiscuous.
    pub promisc: Option<bool>,
    /// All multicast.
    pub allmulti: Option<bool>,
    /// Packets.
    pub txqlen: Option<u32>,
}

impl NewLink<'_> {
    fn common(&self, message: &mut Message) {
        message.text(IFNAME, self.name);
        if let Some(mtu) = self.mtu {
            message.u32(MTU, mtu);
        }
        if let Some(mac) = self.mac {
            message.attr(ADDRESS, &mac);
        }
        if let Some(lower) = self.lower {
            message.u32(LINK, lower);
        }
        if let Some(namespace) = self.namespace {
            message.u32(NET_NS_FD, namespace.as_raw_fd() as u32);
        }
        if let Some(length) = self.txqlen {
            message.u32(TXQLEN, length);
        }
    }
}

impl Rtnl {
    /// The link of a name; none if there is none.
    pub fn find_link(&mut self, name: &str) -> Result<Option<Link>> {
        let mut message = Message::new(GETLINK, flag::REQUEST, &header(0, 0, 0));
        message.text(IFNAME, name).u32(EXT_MASK, SKIP_STATS);
        self.one_link(message, || format!("find link \"{name}\""))
    }

    /// The link of a name.
    pub fn link(&mut self, name: &str) -> Result<Link> {
        self.find_link(name)?.ok_or_else(|| Failure::new(format!("link \"{name}\" not found")))
    }

    /// The link of a number; none if there is none.
    pub fn link_at(&mut self, index: u32) -> Result<Option<Link>> {
        let mut message = Message::new(GETLINK, flag::REQUEST, &header(index, 0, 0));
        message.u32(EXT_MASK, SKIP_STATS);
        self.one_link(message, || format!("find link {index}"))
    }

    fn one_link(&mut self, message: Message, what: impl Fn() -> String) -> Result<Option<Link>> {
        match self.socket.try_query(message)? {
            Ok(replies) => Ok(replies.first().map(Link::of)),
            Err(refusal) if refusal.errno == libc::ENODEV => Ok(None),
            Err(refusal) => Err(refusal.into_failure(what())),
        }
    }

    /// All links.
    pub fn links(&mut self) -> Result<Vec<Link>> {
        let mut message = Message::new(GETLINK, flag::REQUEST | flag::DUMP, &header(0, 0, 0));
        message.u32(EXT_MASK, SKIP_STATS);
        Ok(self.socket.query(message, || "list links".to_owned())?.iter().map(Link::of).collect())
    }

    /// Makes a link; `data` adds what its driver wants to know.
    pub fn add_link(&mut self, link: &NewLink<'_>, data: impl FnOnce(&mut Message)) -> Result<()> {
        let flags = flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL;
        let up = if link.up { UP } else { 0 };
        let mut message = Message::new(NEWLINK, flags, &header(0, up, up));
        link.common(&mut message);
        message.nest(LINKINFO, |info| {
            info.text(INFO_KIND, link.kind).nest(INFO_DATA, data);
        });
        let what = || format!("failed to create {} \"{}\"", link.kind, link.name);
        match self.socket.try_request(message)? {
            None => Ok(()),
            Some(refusal) if refusal.errno == libc::EOPNOTSUPP => {
                Err(refusal.into_failure(format!("{}: this kernel has no links of type {}", what(), link.kind)))
            }
            Some(refusal) => Err(refusal.into_failure(what())),
        }
    }

    /// Makes both ends of a veth, each where it belongs. EEXIST if either name is taken. Only the host's end can be set up at once.
    pub fn add_veth(&mut self, host: &NewLink<'_>, pod: &NewLink<'_>) -> Result<()> {
        let flags = flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL;
        let up = if host.up { UP } else { 0 };
        let mut message = Message::new(NEWLINK, flags, &header(0, up, up));
        host.common(&mut message);
        message.nest(LINKINFO, |info| {
            info.text(INFO_KIND, "veth").nest(INFO_DATA, |data| {
                data.nest_after(VETH_PEER, &header(0, 0, 0), |peer| pod.common(peer));
            });
        });
        self.socket.request(message, || format!("failed to create veth \"{}\" for \"{}\"", host.name, pod.name))
    }

    /// Changes a link.
    pub fn change_link(&mut self, index: u32, change: &LinkChange<'_>) -> Result<()> {
        let (mut flags, mut mask) = (0, 0);
        let bits =
            [(change.up, UP), (change.promisc, libc::IFF_PROMISC as u32), (change.allmulti, libc::IFF_ALLMULTI as u32)];
        for (wanted, bit) in bits {
            if let Some(on) = wanted {
                mask |= bit;
                flags |= if on { bit } else { 0 };
            }
        }
        let mut message = Message::new(NEWLINK, flag::REQUEST | flag::ACK, &header(index, flags, mask));
        if let Some(name) = change.name {
            message.text(IFNAME, name);
        }
        if let Some(alias) = change.alias {
            message.text(ALIAS, alias);
        }
        if let Some(mac) = change.mac {
            message.attr(ADDRESS, &mac);
        }
        for (kind, value) in [(MTU, change.mtu), (MASTER, change.master), (TXQLEN, change.txqlen)] {
            if let Some(value) = value {
                message.u32(kind, value);
            }
        }
        if let Some(namespace) = change.namespace {
            message.u32(NET_NS_FD, namespace.as_raw_fd() as u32);
        }
        self.socket.request(message, || format!("failed to change link {index}"))
    }

    /// Removes a link; one that is gone is removed.
    pub fn remove_link(&mut self, index: u32) -> Result<()> {
        let message = Message::new(DELLINK, flag::REQUEST | flag::ACK, &header(index, 0, 0));
        match self.socket.try_request(message)? {
            None => Ok(()),
            Some(refusal) if refusal.errno == libc::ENODEV => Ok(()),
            Some(refusal) => Err(refusal.into_failure(format!("failed to remove link {index}"))),
        }
    }
}

/// struct ifinfomsg
fn header(index: u32, flags: u32, mask: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes[8..12].copy_from_slice(&flags.to_ne_bytes());
    bytes[12..].copy_from_slice(&mask.to_ne_bytes());
    bytes
}

fn mac_text(bytes: &[u8]) -> String {
    let parts: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    parts.join(":")
}
