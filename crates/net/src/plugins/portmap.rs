//! `portmap`: ports of this host that lead into the pod.

use super::Outcome;
use super::common::{self, Pod, sysctl};
use super::host_local::valid_attachments;
use crate::Prefix;
use crate::cni::{Answer, Call, CniError, Conf, Verb, code};
use crate::netlink::rt::{Port, Rtnl};
use crate::rules::ports::{Forward, PortTaken};
use crate::rules::{Rules, Tag, conntrack};
use serde_json::Value;
use std::net::IpAddr;

/// Performs a verb. An ADD answers the result that it was given.
pub fn call(call: &Call) -> Outcome {
    match call.verb {
        Verb::Add => add(call).map(Some),
        Verb::Del => del(call).map(|()| None),
        Verb::Check => check(call).map(|()| None),
        Verb::Gc => {
            let valid = valid_attachments(call.conf())?;
            let mut rules = Rules::open()?;
            rules.collect_forwards(call.network(), &valid)?;
            rules.collect_admissions(call.network(), &valid)?;
            Ok(None)
        }
        Verb::Status | Verb::Version => Ok(None),
    }
}

/// Numbers of the transport protocols that have ports.
const PROTOCOLS: [(&str, u8); 3] = [("tcp", 6), ("udp", 17), ("sctp", 132)];

fn add(call: &Call) -> Result<Answer, CniError> {
    let answer = common::required_prev_result(call)?;
    let addresses = pod_addresses(call, &answer);
    let forwards = forwards(call, &addresses)?;
    if forwards.is_empty() {
        return Ok(answer);
    }
    let tag = Tag::of(call);
    let (snat, all) = (call.conf().optional_flag("snat")?.unwrap_or(true), call.conf().flag("masqAll")?);
    let mut rules = Rules::open()?;
    if let Err(taken) = rules.forward(&tag, &forwards, &addresses, snat, all)? {
        return Err(say_taken(&taken));
    }
    let mut finish = || -> Result<(), CniError> {
        if snat {
            allow_loopback(&forwards)?;
            allow_hairpin(&answer)?;
        }
        rules.admit(&tag, &addresses)?;
        forget_old_flows(&forwards)
    };
    match finish() {
        Ok(()) => Ok(answer),
        Err(error) => {
            let _ = del(call); // the first error is the one to tell
            Err(error)
        }
    }
}

fn del(call: &Call) -> Result<(), CniError> {
    let tag = Tag::of(call);
    let mut rules = Rules::open()?;
    // Whatever is not known, or wrong: the rules bear the tag.
    let answer = call.prev_result().ok().flatten().unwrap_or_default();
    let known = forwards(call, &pod_addresses(call, &answer)).unwrap_or_default();
    let forwards = rules.remove_forwards(&tag, &known)?;
    rules.remove_admission(&tag)?;
    forget_old_flows(&forwards)
}

fn check(call: &Call) -> Result<(), CniError> {
    let addresses = pod_addresses(call, &common::required_prev_result(call)?);
    match Rules::open()?.missing_forward(&Tag::of(call), &forwards(call, &addresses)?)? {
        None => Ok(()),
        Some(forward) => Err(CniError::internal(format!("{} does not lead into the pod", name(&forward)))),
    }
}

/// The pod's first address of each family, with its network's length.
fn pod_addresses(call: &Call, answer: &Answer) -> Vec<Prefix> {
    let sandbox = Pod::sandbox(call);
    let of_pod = |index: Option<usize>| {
        let interface = index.and_then(|index| answer.interfaces.get(index));
        interface.is_none_or(|interface| {
            interface.sandbox == sandbox || (sandbox.is_empty() && !interface.sandbox.is_empty())
        })
    };
    let first =
        |v6: bool| answer.ips.iter().find(|ip| ip.address.is_v6() == v6 && of_pod(ip.interface)).map(|ip| ip.address);
    [first(false), first(true)].into_iter().flatten().collect()
}

/// What the runtime asks for, for each family that the pod has an address of.
fn forwards(call: &Call, addresses: &[Prefix]) -> Result<Vec<Forward>, CniError> {
    let conf = call.conf();
    for key in ["conditionsV4", "conditionsV6"] {
        // They are arguments of the iptables program.
        if let Some(first) = conf.list(key)?.first() {
            return Err(CniError::new(code::UNSUPPORTED, format!("\"{key}\": {first} is not supported")));
        }
    }
    let mut forwards = Vec::new();
    for mapping in conf.object("runtimeConfig")?.list("portMappings")? {
        let mapping = Mapping::parse(mapping)?;
        for address in addresses {
            if mapping.host_ip.is_some_and(|host| host.is_ipv6() != address.is_v6()) {
                continue;
            }
            let host_ip = mapping.host_ip.filter(|host| !host.is_unspecified());
            let Mapping { protocol, host_port, pod_port, .. } = mapping;
            forwards.push(Forward { protocol, host_ip, host_port, pod_ip: address.address, pod_port });
        }
    }
    Ok(forwards)
}

#[derive(Clone, Copy)]
struct Mapping {
    protocol: u8,
    host_ip: Option<IpAddr>,
    host_port: u16,
    pod_port: u16,
}

impl Mapping {
    fn parse(value: &Value) -> Result<Self, CniError> {
        let conf = Conf::of(value);
        let port = |key: &str, what: &str| -> Result<u16, CniError> {
            let number = conf.number(key)?.unwrap_or(0);
            let port = u16::try_from(number).ok().filter(|port| *port > 0);
            port.ok_or_else(|| CniError::configuration(format!("invalid {what} port number: {number}")))
        };
        let protocol = conf.text("protocol")?.filter(|text| !text.is_empty()).unwrap_or("tcp").to_lowercase();
        let protocol = PROTOCOLS
            .iter()
            .find(|(name, _)| *name == protocol)
            .map(|(_, number)| *number)
            .ok_or_else(|| CniError::configuration(format!("invalid protocol \"{protocol}\" of a port mapping")))?;
        let host_ip = match conf.text("hostIP")?.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => {
                let wrong = |_| CniError::configuration(format!("invalid host IP of a port mapping: {text}"));
                Some(text.parse().map_err(wrong)?)
            }
        };
        Ok(Self {
            protocol,
            host_ip,
            host_port: port("hostPort", "host")?,
            pod_port: port("containerPort", "container")?,
        })
    }
}

/// Lets packets from 127.0.0.1 leave by the link that leads to the pod. Other pods gain nothing by it: see the table's `guard`.
fn allow_loopback(forwards: &[Forward]) -> Result<(), CniError> {
    let Some(forward) = forwards.iter().find(|forward| forward.pod_ip.is_ipv4()) else { return Ok(()) };
    let mut host = Rtnl::open()?;
    let Some(index) = host.link_to(forward.pod_ip)? else { return Ok(()) };
    match host.link_at(index)? {
        Some(link) if link.name != "lo" => Ok(sysctl::set(&format!("ipv4/conf/{}/route_localnet", link.name), "1")?),
        _ => Ok(()),
    }
}

/// Where the frames of bridges pass the rules of IP (br_netfilter), a pod that asks for its own port is answered by its own port of
/// the bridge.
fn allow_hairpin(answer: &Answer) -> Result<(), CniError> {
    let filtered =
        |family: &str| sysctl::get(&format!("bridge/bridge-nf-call-{family}")).is_ok_and(|value| value == "1");
    if !filtered("iptables") && !filtered("ip6tables") {
        return Ok(());
    }
    let mut host = Rtnl::open()?;
    for interface in answer.interfaces.iter().filter(|interface| interface.sandbox.is_empty()) {
        let Some(port) = host.find_link(&interface.name)? else { continue };
        let bridge = port.master.map(|master| host.link_at(master)).transpose()?.flatten();
        if bridge.is_some_and(|bridge| bridge.kind == "bridge") {
            host.change_port(port.index, Port { hairpin: Some(true), ..Port::default() })?;
        }
    }
    Ok(())
}

/// A flow without an end, as UDP has them, would keep on going where it went before.
fn forget_old_flows(forwards: &[Forward]) -> Result<(), CniError> {
    const TCP: u8 = 6;
    let ports: Vec<(u8, u16)> = forwards
        .iter()
        .filter(|forward| forward.protocol != TCP)
        .map(|forward| (forward.protocol, forward.host_port))
        .collect();
    Ok(conntrack::forget(&ports)?)
}

fn name(forward: &Forward) -> String {
    let protocol = PROTOCOLS.iter().find(|(_, number)| *number == forward.protocol).map_or("?", |(name, _)| name);
    let host = match forward.host_ip {
        None => String::new(),
        Some(IpAddr::V4(address)) => format!("{address}:"),
        Some(IpAddr::V6(address)) => format!("[{address}]:"),
    };
    format!("host port {host}{}/{protocol}", forward.host_port)
}

fn say_taken(taken: &PortTaken) -> CniError {
    CniError {
        details: taken.by.clone(),
        ..CniError::internal(format!("{} is forwarded to another pod already", name(&taken.forward)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn wrong_mappings_are_refused_with_the_reason() {
        let cases = [
            (json!({"containerPort": 80, "protocol": "tcp"}), "invalid host port number: 0"),
            (json!({"hostPort": 65536, "containerPort": 80}), "invalid host port number: 65536"),
            (json!({"hostPort": 1, "containerPort": 0}), "invalid container port number: 0"),
            (
                json!({"hostPort": 1, "containerPort": 1, "protocol": "icmp"}),
                "invalid protocol \"icmp\" of a port mapping",
            ),
            (
                json!({"hostPort": 1, "containerPort": 1, "hostIP": "localhost"}),
                "invalid host IP of a port mapping: localhost",
            ),
        ];
        for (value, reason) in cases {
            assert_eq!(Mapping::parse(&value).err().unwrap().msg, reason);
        }
    }
}
