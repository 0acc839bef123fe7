//! `ptp`: a veth between this host and the pod; the pod reaches everything through the host.

use super::Outcome;
use super::common::links::{VethOptions, add_veth};
use super::common::{self, Pod, ipam};
use crate::Prefix;
use crate::cni::{Answer, Call, CniError, Interface, Verb};
use crate::netlink::rt::{Link, NewAddress, RouteSpec, Rtnl, scope};
use crate::rules::{Rules, Tag};

/// Performs a verb.
pub fn call(call: &Call) -> Outcome {
    match call.verb {
        Verb::Add => add(call).map(Some),
        Verb::Del => del(call).map(|()| None),
        Verb::Check => check(call).map(|()| None),
        Verb::Gc => common::both(ipam::forward(call, Verb::Gc), common::collect_rules(call)).map(|()| None),
        Verb::Status => ipam::forward(call, Verb::Status).map(|()| None),
        Verb::Version => Ok(None),
    }
}

fn add(call: &Call) -> Result<Answer, CniError> {
    let mtu = call.conf().number32("mtu")?;
    let mut pod = Pod::open(call)?;
    pod.want_free(&call.ifname)?;
    let mut answer = ipam::add(call)?;
    let mut attach = || -> Result<(), CniError> {
        common::enable_forwarding(&answer)?;
        let mut host = Rtnl::open()?;
        let tag = Tag::of(call);
        let options = VethOptions { alias: tag.text(), mtu, ..VethOptions::default() };
        let veth = add_veth(&mut host, &mut pod, &call.ifname, options)?;
        set_up_pod(&mut pod, call, &veth.pod, &answer)?;
        set_up_host(&mut host, &veth.host, &answer)?;
        common::add_rules(call, &common::prefixes(&answer))?;
        answer.dns = common::dns(call, &answer.dns)?;
        answer.interfaces = vec![
            Interface { name: veth.host.name, mac: veth.host.mac, ..Interface::default() },
            Interface { name: veth.pod.name, mac: veth.pod.mac, sandbox: Pod::sandbox(call), ..Interface::default() },
        ];
        answer.ips.iter_mut().for_each(|ip| ip.interface = Some(1));
        Ok(())
    };
    match attach() {
        Ok(()) => Ok(answer),
        Err(error) => {
            let _ = del(call); // the first error is the one to tell
            Err(error)
        }
    }
}

/// The pod talks to its gateway directly and to the rest of its subnet through it.
fn set_up_pod(pod: &mut Pod, call: &Call, link: &Link, answer: &Answer) -> Result<(), CniError> {
    pod.allow_v6(&call.ifname, answer)?;
    pod.add_addresses(link.index, answer, NewAddress { no_route: true, ..NewAddress::default() })?;
    for ip in &answer.ips {
        let source = Some(ip.address.address);
        let subnet = ip.address.network();
        let Some(gateway) = ip.gateway else {
            pod.rtnl.add_route(&RouteSpec { source, ..RouteSpec::on_link(subnet, link.index) })?;
            continue;
        };
        pod.rtnl.add_route(&RouteSpec { source, ..RouteSpec::on_link(Prefix::host(gateway), link.index) })?;
        pod.rtnl.add_route(&RouteSpec { source, ..RouteSpec::via(subnet, link.index, gateway) })?;
    }
    pod.add_routes(link.index, answer)
}

/// The host has the gateway's address on its end, and a route to the pod.
fn set_up_host(host: &mut Rtnl, link: &Link, answer: &Answer) -> Result<(), CniError> {
    for ip in &answer.ips {
        if let Some(gateway) = ip.gateway {
            host.add_address(link.index, Prefix::host(gateway), NewAddress::default())?;
        }
        let route = RouteSpec::on_link(Prefix::host(ip.address.address), link.index);
        let scope = if ip.address.is_v6() { route.scope } else { scope::HOST };
        // A route that is there leads to a pod that has ended, by a link that the kernel has not removed yet.
        host.replace_route(&RouteSpec { scope, ..route })?;
    }
    Ok(())
}

fn del(call: &Call) -> Result<(), CniError> {
    let released = ipam::release(call);
    let unruled = common::remove_rules(call);
    let unlinked = Pod::find(call).map_or(Ok(()), |mut pod| pod.remove_link(&call.ifname));
    common::both(released, common::both(unruled, unlinked))
}

fn check(call: &Call) -> Result<(), CniError> {
    ipam::forward(call, Verb::Check)?;
    let answer = common::required_prev_result(call)?;
    Pod::open(call)?.check(call, &answer)?;
    let addresses = common::prefixes(&answer);
    if call.conf().flag("ipMasq")? && !Rules::open()?.has_masquerade(&Tag::of(call), &addresses)? {
        return Err(CniError::internal(format!("the masquerading of network \"{}\" is missing", call.network())));
    }
    Ok(())
}
