//! What several plugins need: the pod's side, address management by another plugin, addresses and routes in the pod.

pub mod child;
pub mod ipam;
pub mod links;
pub mod pod;
pub mod sysctl;

pub use pod::Pod;

use crate::Prefix;
use crate::cni::{Answer, Call, CniError, Dns};
use crate::netlink::rt::Rtnl;
use crate::rules::{Rules, Tag};

/// The `dns` of a configuration, if it says anything, else the one of address management.
pub fn dns(call: &Call, ipam: &Dns) -> Result<Dns, CniError> {
    let own = Dns::from_conf(call.conf().object("dns")?)?;
    Ok(if own.is_empty() { ipam.clone() } else { own })
}

/// Has this host forward packets of the families that the addresses are of.
pub fn enable_forwarding(answer: &Answer) -> Result<(), CniError> {
    for (v6, path) in [(false, "ipv4/ip_forward"), (true, "ipv6/conf/all/forwarding")] {
        if answer.ips.iter().any(|ip| ip.address.is_v6() == v6) {
            if v6 {
                keep_advertised_routes()?;
            }
            sysctl::set(path, "1").map_err(|failure| CniError::from(failure).of("failed to enable forwarding"))?;
        }
    }
    Ok(())
}

/// A host that forwards IPv6 takes no routes from its routers any more, and forgets the ones that it has, unless it is told to go on.
fn keep_advertised_routes() -> Result<(), CniError> {
    if sysctl::get("ipv6/conf/all/forwarding").is_ok_and(|value| value != "0") {
        return Ok(());
    }
    for link in Rtnl::open()?.links()? {
        let name = format!("ipv6/conf/{}/accept_ra", link.name);
        if sysctl::get(&name).is_ok_and(|value| value == "1") {
            sysctl::set(&name, "2")?;
        }
    }
    Ok(())
}

/// The rules that routed traffic of a pod needs: masquerading if the configuration asks for it, and room among others' rules.
pub fn add_rules(call: &Call, addresses: &[Prefix]) -> Result<(), CniError> {
    let (tag, mut rules) = (Tag::of(call), Rules::open()?);
    if call.conf().flag("ipMasq")? {
        rules.masquerade(&tag, addresses)?;
    }
    Ok(rules.admit(&tag, addresses)?)
}

/// Undoes [`add_rules`]; what is gone is undone.
pub fn remove_rules(call: &Call) -> Result<(), CniError> {
    let (tag, mut rules) = (Tag::of(call), Rules::open()?);
    let masquerade = rules.remove_masquerade(&tag);
    rules.remove_admission(&tag)?;
    Ok(masquerade?)
}

/// Undoes [`add_rules`] for every attachment that is not valid any more.
pub fn collect_rules(call: &Call) -> Result<(), CniError> {
    let (valid, mut rules) = (super::host_local::valid_attachments(call.conf())?, Rules::open()?);
    let masquerade = rules.collect_masquerade(call.network(), &valid);
    rules.collect_admissions(call.network(), &valid)?;
    Ok(masquerade?)
}

/// The result of the plugin before in the chain, which there must be.
pub fn required_prev_result(call: &Call) -> Result<Answer, CniError> {
    call.prev_result()?.ok_or_else(|| CniError::configuration("required prevResult is missing"))
}

/// The addresses of a result.
pub fn prefixes(answer: &Answer) -> Vec<Prefix> {
    answer.ips.iter().map(|ip| ip.address).collect()
}

/// Does both, whatever becomes of the first; answers the first failure.
pub fn both(first: Result<(), CniError>, second: Result<(), CniError>) -> Result<(), CniError> {
    first.and(second)
}
