//! `ipvlan`: a link of the pod on a link of the host, with that one's hardware address.

use super::Outcome;
use super::common::child::{self, Child};
use crate::cni::{Answer, Call, CniError, Verb};

const MODE: u16 = 1;
/// linux/if_link.h
const MODES: [(&str, u16); 3] = [("l2", 0), ("l3", 1), ("l3s", 2)];

/// Performs a verb.
pub fn call(call: &Call) -> Outcome {
    let conf = call.conf();
    let previous = if call.verb == Verb::Add { call.prev_result()? } else { None };
    let chained = previous.as_ref().map(single_link).transpose()?;
    let child = Child {
        kind: "ipvlan",
        mac: None,
        master_in_pod: conf.flag("linkInContainer")?,
        master: conf.text("master")?.filter(|name| !name.is_empty()).or(chained.as_deref()),
    };
    match call.verb {
        Verb::Add => {
            let mode = mode(conf.text("mode")?)?;
            let data = |message: &mut crate::netlink::Message| {
                message.u16(MODE, mode);
            };
            // Addresses that an earlier plugin of the chain got are for this link, unless they are managed here.
            let given = previous.as_ref().filter(|given| !given.ips.is_empty() && conf.get("ipam").is_none());
            child::add(call, &child, given, &data, &|| Ok(())).map(Some)
        }
        Verb::Del => child::del(call).map(|()| None),
        Verb::Check | Verb::Gc | Verb::Status => child::other(call, &child).map(|()| None),
        Verb::Version => Ok(None),
    }
}

fn single_link(previous: &Answer) -> Result<String, CniError> {
    match previous.interfaces.as_slice() {
        [link] => Ok(link.name.clone()),
        links => {
            Err(CniError::configuration(format!("chained ipvlan needs one link in prevResult, not {}", links.len())))
        }
    }
}

fn mode(name: Option<&str>) -> Result<u16, CniError> {
    let name = name.filter(|name| !name.is_empty()).unwrap_or("l2");
    let found = MODES.iter().find(|(known, _)| *known == name);
    found.map(|(_, mode)| *mode).ok_or_else(|| CniError::configuration(format!("unknown ipvlan mode: \"{name}\"")))
}
