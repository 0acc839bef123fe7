//! `macvlan`: a link of the pod with a hardware address of its own on a link of the host.

use super::Outcome;
use super::common::child::{self, Child};
use super::common::{links, sysctl};
use crate::cni::{Call, CniError, Verb};

const MODE: u16 = 1;
const BROADCAST_QUEUE: u16 = 7;
/// linux/if_link.h
const MODES: [(&str, u32); 4] = [("bridge", 4), ("private", 1), ("vepa", 2), ("passthru", 8)];

/// Performs a verb.
pub fn call(call: &Call) -> Outcome {
    let conf = call.conf();
    let child = Child {
        kind: "macvlan",
        mac: links::requested_mac(call)?,
        master_in_pod: conf.flag("linkInContainer")?,
        master: conf.text("master")?.filter(|name| !name.is_empty()),
    };
    match call.verb {
        Verb::Add => {
            let mode = mode(conf.text("mode")?)?;
            let queue = conf.number32("bcqueuelen")?;
            let data = |message: &mut crate::netlink::Message| {
                message.u32(MODE, mode);
                if let Some(queue) = queue {
                    message.u32(BROADCAST_QUEUE, queue);
                }
            };
            // Neighbours that knew another pod by this address learn the new one.
            let ready = || {
                sysctl::set_if_there(&format!("ipv4/conf/{}/arp_notify", call.ifname), "1")?;
                sysctl::set_if_there(&format!("ipv6/conf/{}/ndisc_notify", call.ifname), "1")
            };
            child::add(call, &child, None, &data, &ready).map(Some)
        }
        Verb::Del => child::del(call).map(|()| None),
        Verb::Check | Verb::Gc | Verb::Status => child::other(call, &child).map(|()| None),
        Verb::Version => Ok(None),
    }
}

fn mode(name: Option<&str>) -> Result<u32, CniError> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("bridge");
    let found = MODES.iter().find(|(known, _)| *known == name);
    found.map(|(_, mode)| *mode).ok_or_else(|| CniError::configuration(format!("unknown macvlan mode: \"{name}\"")))
}
