//! Routes.

use super::Rtnl;
use super::address::family;
use crate::Prefix;
use crate::address::{from_octets, octets};
use crate::netlink::{Message, flag};
use sandbox::Result;
use std::net::IpAddr;

const NEWROUTE: u16 = 24;
const DELROUTE: u16 = 25;
const GETROUTE: u16 = 26;
const HEADER: usize = 12;

const DST: u16 = 1;
const OIF: u16 = 4;
const GATEWAY: u16 = 5;
const PRIORITY: u16 = 6;
const PREFSRC: u16 = 7;
const METRICS: u16 = 8;
const TABLE: u16 = 15;
const METRIC_MTU: u16 = 2;
const METRIC_ADVMSS: u16 = 8;

const PROTOCOL_BOOT: u8 = 3;
const UNICAST: u8 = 1;
const MAIN: u32 = 254;

/// Scopes of routes (rtnetlink(7)).
pub mod scope {
    /// Through a gateway.
    pub const GLOBAL: u8 = 0;
    /// On the link.
    pub const LINK: u8 = 253;
    /// On this host.
    pub const HOST: u8 = 254;
}

/// A route to be made or removed.
#[derive(Clone, Copy, Debug)]
pub struct RouteSpec {
    /// Where to.
    pub dst: Prefix,
    /// Out of which link, by number.
    pub link: u32,
    /// Through whom.
    pub gateway: Option<IpAddr>,
    /// The address to send from.
    pub source: Option<IpAddr>,
    /// One of [`scope`].
    pub scope: u8,
    /// The main table if absent.
    pub table: Option<u32>,
    /// Metric.
    pub priority: Option<u32>,
    /// Bytes.
    pub mtu: Option<u32>,
    /// Bytes.
    pub advmss: Option<u32>,
}

/// A route as it is.
#[derive(Clone, Debug)]
pub struct RouteEntry {
    /// Where to.
    pub dst: Prefix,
    /// Out of which link, by number.
    pub link: Option<u32>,
    /// Through whom.
    pub gateway: Option<IpAddr>,
    /// The table.
    pub table: u32,
    /// Metric.
    pub priority: u32,
}

impl RouteSpec {
    /// A route on the link, without a gateway.
    pub fn on_link(dst: Prefix, link: u32) -> Self {
        let scope = if dst.is_v6() { scope::GLOBAL } else { scope::LINK };
        let nothing = (None, None, None, None, None, None);
        let (gateway, source, table, priority, mtu, advmss) = nothing;
        Self { dst, link, gateway, source, scope, table, priority, mtu, advmss }
    }

    /// A route through a gateway.
    pub fn via(dst: Prefix, link: u32, gateway: IpAddr) -> Self {
        Self { gateway: Some(gateway), scope: scope::GLOBAL, ..Self::on_link(dst, link) }
    }

    fn not_added(&self) -> String {
        let via = self.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        format!("failed to add route {}{via}", self.dst.network())
    }

    fn message(&self, kind: u16, flags: u16) -> Message {
        let table = self.table.unwrap_or(MAIN);
        let small = u8::try_from(table).unwrap_or(0);
        let network = self.dst.network();
        let v6 = network.is_v6();
        // struct rtmsg
        let header = [family(v6), network.length, 0, 0, small, PROTOCOL_BOOT, self.scope, UNICAST, 0, 0, 0, 0];
        let mut message = Message::new(kind, flags, &header);
        if network.length > 0 {
            message.attr(DST, &octets(network.address));
        }
        message.u32(OIF, self.link).u32(TABLE, table);
        for (kind, address) in [(GATEWAY, self.gateway), (PREFSRC, self.source)] {
            if let Some(address) = address {
                message.attr(kind, &octets(address));
            }
        }
        if let Some(priority) = self.priority {
            message.u32(PRIORITY, priority);
        }
        if self.mtu.or(self.advmss).is_some() {
            message.nest(METRICS, |metrics| {
                for (kind, value) in [(METRIC_MTU, self.mtu), (METRIC_ADVMSS, self.advmss)] {
                    if let Some(value) = value {
                        metrics.u32(kind, value);
                    }
                }
            });
        }
        message
    }
}

impl Rtnl {
    /// Adds a route; one that is there already is fine.
    pub fn add_route(&mut self, route: &RouteSpec) -> Result<()> {
        let message = route.message(NEWROUTE, flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL);
        match self.socket.try_request(message)? {
            None => Ok(()),
            Some(refusal) if refusal.errno == libc::EEXIST => Ok(()),
            Some(refusal) => Err(refusal.into_failure(route.not_added())),
        }
    }

    /// Adds a route in the place of one to the same destination, if there is one.
    pub fn replace_route(&mut self, route: &RouteSpec) -> Result<()> {
        let message = route.message(NEWROUTE, flag::REQUEST | flag::ACK | flag::CREATE | flag::REPLACE);
        self.socket.request(message, || route.not_added())
    }

    /// Removes a route; one that is gone is removed.
    pub fn remove_route(&mut self, route: &RouteSpec) -> Result<()> {
        let message = route.message(DELROUTE, flag::REQUEST | flag::ACK);
        match self.socket.try_request(message)? {
            None => Ok(()),
            Some(refusal) if [libc::ESRCH, libc::ENODEV].contains(&refusal.errno) => Ok(()),
            Some(refusal) => Err(refusal.into_failure(format!("failed to remove route {}", route.dst))),
        }
    }

    /// The routes of a family, of every table.
    pub fn routes(&mut self, v6: bool) -> Result<Vec<RouteEntry>> {
        let mut header = [0; HEADER];
        header[0] = family(v6);
        let message = Message::new(GETROUTE, flag::REQUEST | flag::DUMP, &header);
        let replies = self.socket.query(message, || "list routes".to_owned())?;
        Ok(replies
            .iter()
            .filter(|reply| reply.payload.get(7) == Some(&UNICAST))
            .filter_map(|reply| entry(reply, v6))
            .collect())
    }

    /// The link out of which packets to an address go, by number.
    pub fn link_to(&mut self, destination: IpAddr) -> Result<Option<u32>> {
        let prefix = Prefix::host(destination);
        let mut header = [0; HEADER];
        (header[0], header[1]) = (family(prefix.is_v6()), prefix.length);
        let mut message = Message::new(GETROUTE, flag::REQUEST, &header);
        message.attr(DST, &octets(destination));
        match self.socket.try_query(message)? {
            Ok(replies) => Ok(replies.first().and_then(|reply| reply.attributes(HEADER).u32(OIF))),
            Err(refusal) if [libc::ENETUNREACH, libc::EHOSTUNREACH].contains(&refusal.errno) => Ok(None),
            Err(refusal) => Err(refusal.into_failure(format!("look up the route to {destination}"))),
        }
    }
}

fn entry(reply: &crate::netlink::Reply, v6: bool) -> Option<RouteEntry> {
    let attributes = reply.attributes(HEADER);
    let dst = match attributes.get(DST) {
        Some(bytes) => Prefix { address: from_octets(bytes)?, length: reply.payload[1] },
        None => Prefix::any(v6),
    };
    Some(RouteEntry {
        dst,
        link: attributes.u32(OIF),
        gateway: attributes.get(GATEWAY).and_then(from_octets),
        table: attributes.u32(TABLE).unwrap_or(u32::from(reply.payload[4])),
        priority: attributes.u32(PRIORITY).unwrap_or(0),
    })
}
