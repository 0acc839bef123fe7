//! `bridge`: a veth whose host end is a port of a bridge of this host, which is made if it is not there.

mod options;
mod switch;

use super::Outcome;
use super::common::links::{Veth, VethOptions, add_veth, parse_mac};
use super::common::{self, Pod, ipam};
use super::host_local::valid_attachments;
use crate::Prefix;
use crate::address::{bits, from_bits};
use crate::cni::{Answer, Call, CniError, Interface, Route, Verb};
use crate::netlink::rt::{Link, NewAddress, Rtnl};
use crate::rules::{Rules, Tag};
use options::Options;
use std::time::Duration;

/// Performs a verb.
pub fn call(call: &Call) -> Outcome {
    match call.verb {
        Verb::Add => add(call).map(Some),
        Verb::Del => del(call).map(|()| None),
        Verb::Check => check(call).map(|()| None),
        Verb::Gc => gc(call).map(|()| None),
        Verb::Status => ipam::forward(call, Verb::Status).map(|()| None),
        Verb::Version => Ok(None),
    }
}

fn add(call: &Call) -> Result<Answer, CniError> {
    let options = Options::of(call)?;
    let mut pod = Pod::open(call)?;
    pod.want_free(&call.ifname)?;
    let mut host = Rtnl::open()?;
    let bridge = switch::ensure(&mut host, &options)?;
    let tag = Tag::of(call);
    let wanted = VethOptions { alias: tag.text(), mtu: options.mtu, mac: options.mac, pod_down: options.pod_down };
    let veth = add_veth(&mut host, &mut pod, &call.ifname, wanted)?;
    match attach(call, &options, &mut host, &mut pod, &bridge, &veth) {
        Ok(answer) => Ok(answer),
        Err(error) => {
            let _ = del(call); // the first error is the one to tell
            Err(error)
        }
    }
}

fn attach(
    call: &Call,
    options: &Options,
    host: &mut Rtnl,
    pod: &mut Pod,
    bridge: &Link,
    veth: &Veth,
) -> Result<Answer, CniError> {
    switch::plug(host, options, bridge, &veth.host)?;
    if let Some(mac) = parse_mac(&veth.pod.mac).filter(|_| options.guards_sender) {
        Rules::open()?.guard_port(&Tag::of(call), &veth.host.name, mac)?;
    }
    let mut answer = Answer::default();
    if ipam::is_wanted(call)? {
        answer = ipam::add(call)?;
        fill_gateways(options, &mut answer);
        pod.allow_v6(&call.ifname, &answer)?;
        pod.add_addresses(
            veth.pod.index,
            &answer,
            NewAddress { detect_duplicates: options.detect_duplicates, ..NewAddress::default() },
        )?;
        pod.add_routes(veth.pod.index, &answer)?;
    }
    let mut interfaces = vec![
        Interface { name: bridge.name.clone(), mac: bridge.mac.clone(), ..Interface::default() },
        Interface { name: veth.host.name.clone(), mac: veth.host.mac.clone(), ..Interface::default() },
        Interface {
            name: veth.pod.name.clone(),
            mac: veth.pod.mac.clone(),
            sandbox: Pod::sandbox(call),
            ..Interface::default()
        },
    ];
    if options.is_gateway && !answer.ips.is_empty() {
        let gateway = switch::gateway_link(host, options, bridge)?;
        if gateway.index != bridge.index {
            interfaces.push(Interface { name: gateway.name.clone(), mac: gateway.mac.clone(), ..Interface::default() });
        }
        for ip in &answer.ips {
            if let Some(address) = ip.gateway {
                switch::give_address(
                    host,
                    &gateway,
                    Prefix { address, length: ip.address.length },
                    options.force_address,
                )?;
            }
        }
        common::enable_forwarding(&answer)?;
    }
    common::add_rules(call, &common::prefixes(&answer))?;
    if !options.pod_down {
        wait_for_carrier(host, &veth.host)?;
    }
    answer.dns = common::dns(call, &answer.dns)?;
    answer.interfaces = interfaces;
    answer.ips.iter_mut().for_each(|ip| ip.interface = Some(2));
    Ok(answer)
}

/// A gateway is the first address of its subnet if nobody says otherwise; with `isDefaultGateway` it is the way out, unless address
/// management names another.
fn fill_gateways(options: &Options, answer: &mut Answer) {
    if !options.is_gateway {
        return;
    }
    for ip in &mut answer.ips {
        let network = ip.address.network();
        ip.gateway.get_or_insert_with(|| from_bits(bits(network.address) + 1, network.is_v6()));
    }
    if !options.is_default_gateway {
        return;
    }
    for v6 in [false, true] {
        let default = Prefix::any(v6);
        let gateway = answer.ips.iter().filter(|ip| ip.address.is_v6() == v6).find_map(|ip| ip.gateway);
        let chosen = answer.routes.iter().any(|route| route.dst == default && route.gw.is_some());
        if let Some(gateway) = gateway.filter(|_| !chosen) {
            answer.routes.retain(|route| route.dst != default);
            answer.routes.push(Route::new(default, Some(gateway)));
        }
    }
}

fn wait_for_carrier(host: &mut Rtnl, link: &Link) -> Result<(), CniError> {
    for pause in [0, 1, 5, 20, 50, 500, 1000] {
        std::thread::sleep(Duration::from_millis(pause));
        if host.link(&link.name)?.is_running() {
            return Ok(());
        }
    }
    Err(CniError::internal(format!("bridge port {} does not come up", link.name)))
}

fn del(call: &Call) -> Result<(), CniError> {
    let released = ipam::release(call);
    let unguarded = Rules::open()?.remove_port_guard(&Tag::of(call)).map_err(CniError::from);
    let unruled = common::both(unguarded, common::remove_rules(call));
    let unlinked = Pod::find(call).map_or(Ok(()), |mut pod| pod.remove_link(&call.ifname));
    common::both(released, common::both(unruled, unlinked))
}

fn gc(call: &Call) -> Result<(), CniError> {
    let valid = valid_attachments(call.conf())?;
    Rules::open()?.collect_port_guards(call.network(), &valid)?;
    common::both(ipam::forward(call, Verb::Gc), common::collect_rules(call))
}

fn check(call: &Call) -> Result<(), CniError> {
    ipam::forward(call, Verb::Check)?;
    let options = Options::of(call)?;
    let answer = common::required_prev_result(call)?;
    let mut host = Rtnl::open()?;
    let bridge = host.link(&options.bridge)?;
    let ports = answer.interfaces.iter().filter(|interface| interface.sandbox.is_empty());
    for port in ports.filter(|interface| interface.name.starts_with("veth")) {
        if host.link(&port.name)?.master != Some(bridge.index) {
            return Err(CniError::internal(format!("{} is no port of bridge {}", port.name, options.bridge)));
        }
    }
    if !options.pod_down {
        Pod::open(call)?.check(call, &answer)?;
    }
    if call.conf().flag("ipMasq")? && !Rules::open()?.has_masquerade(&Tag::of(call), &common::prefixes(&answer))? {
        return Err(CniError::internal(format!("the masquerading of network \"{}\" is missing", call.network())));
    }
    Ok(())
}
