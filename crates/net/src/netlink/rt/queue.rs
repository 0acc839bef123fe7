//! Queueing disciplines and the filters that feed them (linux/pkt_sched.h, linux/pkt_cls.h).

use super::Rtnl;
use crate::netlink::{Message, flag};
use sandbox::Result;

const NEWQDISC: u16 = 36;
const DELQDISC: u16 = 37;
const GETQDISC: u16 = 38;
const NEWTFILTER: u16 = 44;
const HEADER: usize = 20;

const KIND: u16 = 1;
const OPTIONS: u16 = 2;
const ROOT: u32 = 0xffff_ffff;
const INGRESS: u32 = 0xffff_fff1;
const INGRESS_HANDLE: u32 = 0xffff_0000;

/// Rate and burst of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes a second.
    pub rate: u64,
    /// Bytes that may go at once.
    pub burst: u32,
}

impl Rtnl {
    /// Limits what leaves by a link; packets that would wait longer than 25 ms are dropped.
    pub fn limit(&mut self, link: u32, limit: Rate) -> Result<()> {
        const PARAMETERS: u16 = 1;
        const RATE64: u16 = 4;
        const BURST: u16 = 6;
        const ETHERNET: u8 = 1;
        let flags = flag::REQUEST | flag::ACK | flag::CREATE | flag::REPLACE;
        let queue = (limit.rate / 40).saturating_add(u64::from(limit.burst)).min(u64::from(u32::MAX)) as u32;
        // struct tc_tbf_qopt: rate, peak rate, limit, buffer, mtu
        let mut parameters = [0; 36];
        parameters[1] = ETHERNET;
        parameters[8..12].copy_from_slice(&(limit.rate.min(u64::from(u32::MAX)) as u32).to_ne_bytes());
        parameters[24..28].copy_from_slice(&queue.to_ne_bytes());
        let mut message = Message::new(NEWQDISC, flags, &header(link, 0x1_0000, ROOT, 0));
        message.text(KIND, "tbf").nest(OPTIONS, |options| {
            options.attr(PARAMETERS, &parameters).u32(BURST, limit.burst);
            if limit.rate > u64::from(u32::MAX) {
                options.attr(RATE64, &limit.rate.to_ne_bytes());
            }
        });
        self.socket.request(message, || format!("failed to limit link {link}"))
    }

    /// Whether a link's root queue is of a kind.
    pub fn has_queue(&mut self, link: u32, kind: &str) -> Result<bool> {
        let message = Message::new(GETQDISC, flag::REQUEST | flag::DUMP, &header(link, 0, 0, 0));
        let replies = self.socket.query(message, || "list queues".to_owned())?;
        Ok(replies.iter().any(|reply| {
            reply.u32_at(4) == link
                && reply.u32_at(12) == ROOT
                && reply.attributes(HEADER).text(KIND).as_deref() == Some(kind)
        }))
    }

    /// Removes a link's root queue, for the kernel's default; one that is not there is removed.
    pub fn unlimit(&mut self, link: u32) -> Result<()> {
        let message = Message::new(DELQDISC, flag::REQUEST | flag::ACK, &header(link, 0, ROOT, 0));
        match self.socket.try_request(message)? {
            None => Ok(()),
            Some(refusal) if [libc::ENOENT, libc::EINVAL, libc::ENODEV].contains(&refusal.errno) => Ok(()),
            Some(refusal) => Err(refusal.into_failure(format!("failed to remove the limit of link {link}"))),
        }
    }

    /// Has everything that comes in by a link leave by another one.
    pub fn redirect(&mut self, from: u32, to: u32) -> Result<()> {
        const U32_SELECTOR: u16 = 5;
        const U32_ACTION: u16 = 7;
        const ACTION_KIND: u16 = 1;
        const ACTION_OPTIONS: u16 = 2;
        const MIRRED_PARAMETERS: u16 = 2;
        const EVERY_PROTOCOL: u32 = (libc::ETH_P_ALL as u16).to_be() as u32;
        const PRIORITY: u32 = 1 << 16;
        let flags = flag::REQUEST | flag::ACK | flag::CREATE | flag::REPLACE;
        let mut queue = Message::new(NEWQDISC, flags, &header(from, INGRESS_HANDLE, INGRESS, 0));
        queue.text(KIND, "ingress");
        self.socket.request(queue, || format!("failed to catch what comes in by link {from}"))?;
        // struct tc_u32_sel: terminal, one key that matches everything
        let mut selector = [0; 32];
        (selector[0], selector[2]) = (1, 1);
        // struct tc_mirred: action stolen, redirect out of
        let mut parameters = [0; 28];
        parameters[8..12].copy_from_slice(&4u32.to_ne_bytes());
        parameters[20..24].copy_from_slice(&1u32.to_ne_bytes());
        parameters[24..28].copy_from_slice(&to.to_ne_bytes());
        let flags = flag::REQUEST | flag::ACK | flag::CREATE | flag::EXCL;
        let mut filter = Message::new(NEWTFILTER, flags, &header(from, 0, INGRESS_HANDLE, PRIORITY | EVERY_PROTOCOL));
        filter.text(KIND, "u32").nest(OPTIONS, |options| {
            options.attr(U32_SELECTOR, &selector).nest(U32_ACTION, |actions| {
                actions.nest(1, |action| {
                    action.text(ACTION_KIND, "mirred").nest(ACTION_OPTIONS, |options| {
                        options.attr(MIRRED_PARAMETERS, &parameters);
                    });
                });
            });
        });
        self.socket.request(filter, || format!("failed to redirect what comes in by link {from}"))
    }
}

/// struct tcmsg
fn header(link: u32, handle: u32, parent: u32, info: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    for (at, value) in [(4, link), (8, handle), (12, parent), (16, info)] {
        bytes[at..at + 4].copy_from_slice(&value.to_ne_bytes());
    }
    bytes
}
