//! From the choice of networks to a namespace that is attached to them, or to nothing at all.

use super::chain::{Capabilities, Runtime, has_capability};
use super::conf::kind_of;
use super::lease::{Lease, Own};
use super::ports::{self, Mapping};
use super::reclaim;
use super::registry::Registry;
use super::relay::Relay;
use super::select::Attachment;
use super::{NEWEST, bandwidth, detach, dns, namespace};
use crate::cni::{Answer, Call, CniError, Verb, code, exec};
use crate::ns::Namespace;
use sandbox::{Failure, Result};
use std::net::IpAddr;
use std::path::Path;

/// What is wanted for a pod.
pub struct Request<'a> {
    /// Its directory.
    pub directory: &'a Path,
    /// How plugins are called; the namespace is not known yet.
    pub runtime: Runtime,
    /// Networks, in order; none leaves the loopback interface.
    pub attachments: &'a [Attachment],
    /// Ports of the host.
    pub ports: &'a [Mapping],
    /// Bytes a second that the pod may send by each network, and be sent.
    pub bandwidth: Option<u64>,
    /// A process that was born in the pod's namespace; without one a namespace is made.
    pub born: Option<i32>,
}

/// A pod's network.
pub struct Attached {
    /// Its namespace.
    pub namespace: Namespace,
    /// The text of `/etc/resolv.conf`, if a network says something about names.
    pub resolv_conf: Option<String>,
    /// The host's address as the pod sees it: the gateway of the network that ports are forwarded to.
    pub host: Option<IpAddr>,
    /// What carries the connections that rules of the kernel cannot.
    pub relay: Option<Relay>,
    /// Lines for stderr.
    pub notes: Vec<String>,
}

/// Makes the pod's namespace and attaches it. What fails leaves nothing: networks that were attached already are detached again.
pub fn attach(request: &Request<'_>) -> Result<Attached> {
    match try_attach(request) {
        // An address or a port may be held by a pod that died without giving it back.
        Err(failure) if reclaim::reclaim(request) > 0 => try_attach(request).map_err(|_| failure),
        other => other,
    }
}

fn try_attach(request: &Request<'_>) -> Result<Attached> {
    let &Request { directory, attachments, .. } = request;
    let netns = namespace::random_name()?;
    let runtime = Runtime { netns: Some(netns.clone()), ..request.runtime.clone() };
    let mut lease = Lease::begin(directory, &netns, attachments)?;
    let namespace = request.born.map_or_else(|| namespace::create(&netns), |pid| namespace::adopt(&netns, pid));
    let attached = namespace.and_then(|namespace| perform(request, &runtime, namespace, &mut lease));
    if attached.is_err() {
        lease.networks.truncate(lease.begun);
        for failure in detach::give_back(directory, &runtime, &lease, |_| {}) {
            eprintln!("networking: {failure}");
        }
    }
    attached
}

fn perform(request: &Request<'_>, runtime: &Runtime, namespace: Namespace, lease: &mut Lease) -> Result<Attached> {
    let &Request { directory, attachments, ports, bandwidth, .. } = request;
    let mut attached = Attached { namespace, resolv_conf: None, host: None, relay: None, notes: Vec::new() };
    let target = target(attachments);
    let mut answers = Vec::with_capacity(attachments.len());
    for (index, attachment) in attachments.iter().enumerate() {
        let network = &attachment.network;
        lease.begun = index + 1;
        let mut capabilities = Capabilities::new();
        if target == Some(index) && !ports.is_empty() && has_capability(network, ports::CAPABILITY) {
            capabilities.insert(ports::CAPABILITY.to_owned(), ports::to_json(ports));
        }
        if let Some(limit) = bandwidth.filter(|_| has_capability(network, bandwidth::CAPABILITY)) {
            capabilities.insert(bandwidth::CAPABILITY.to_owned(), bandwidth::to_json(limit));
        }
        if !capabilities.is_empty() {
            lease.networks[index].capabilities.clone_from(&capabilities);
            lease.record(directory)?;
        }
        let registry = Registry::open(network, false)?;
        if let Some(registry) = &registry {
            registry.note(&runtime.uuid, &attachment.ifname, directory)?;
        }
        let (answer, path) = runtime.add(attachment, &capabilities)?;
        drop(registry);
        let held = &mut lease.networks[index];
        held.result = Some(answer.to_json(NEWEST));
        held.plugin_path = path.to_string_lossy().into_owned();
        runtime.check(attachment, &capabilities, &answer)?;
        if !answer.dns.is_empty() {
            match attached.resolv_conf {
                None => attached.resolv_conf = Some(dns::resolv_conf(&network.name, &answer.dns)),
                Some(_) => attached.notes.push(format!(
                    "Warning: network {} plugin specified DNS configuration, but DNS already supplied",
                    network.name
                )),
            }
        }
        if let Some(limit) = bandwidth {
            attached.notes.extend(slow_down(request, runtime, attachment, limit, &answer, lease)?);
        }
        answers.push(answer);
    }
    attached.host = target.and_then(|index| gateway(&answers[index]));
    if !ports.is_empty() {
        let index = target.ok_or_else(|| Failure::new("no networks found"))?;
        attached.relay = forward(request, runtime, &attachments[index], &answers[index], lease)?;
    }
    lease.record(directory)?;
    lease.publish(directory)?;
    Ok(attached)
}

/// The network that ports are forwarded to: the first that masquerades, else the last.
fn target(attachments: &[Attachment]) -> Option<usize> {
    attachments
        .iter()
        .position(|attachment| attachment.network.masquerades())
        .or_else(|| attachments.len().checked_sub(1))
}

fn gateway(answer: &Answer) -> Option<IpAddr> {
    let gateways = || answer.ips.iter().filter_map(|ip| ip.gateway);
    gateways().find(IpAddr::is_ipv4).or_else(|| gateways().next())
}

/// Offers the pod's ports on the host. The sockets come first: by them the kernel says whether a port is free, and keeps it so.
fn forward(
    request: &Request<'_>,
    runtime: &Runtime,
    attachment: &Attachment,
    answer: &Answer,
    lease: &mut Lease,
) -> Result<Option<Relay>> {
    let outer = |failure: Failure| failure.of("cannot forward ports");
    let relay = Relay::open(request.ports, answer).map_err(outer)?;
    if has_capability(&attachment.network, ports::CAPABILITY) {
        return Ok(Some(relay));
    }
    let conf = ports::plugin(&attachment.network.name, request.ports, answer);
    let added = add_own(request, runtime, Own { ifname: attachment.ifname.clone(), conf }, lease)?;
    added.map_err(|error| outer(Failure::new(error.to_string())))?;
    Ok(Some(relay))
}

/// Limits what goes by an attachment, unless its network does so itself; answers what is to be told.
fn slow_down(
    request: &Request<'_>,
    runtime: &Runtime,
    attachment: &Attachment,
    limit: u64,
    answer: &Answer,
    lease: &mut Lease,
) -> Result<Option<String>> {
    let Attachment { network, ifname, .. } = attachment;
    if has_capability(network, bandwidth::CAPABILITY) {
        return Ok(None);
    }
    let name = &network.name;
    if bandwidth::is_limited(network) {
        return Ok(Some(format!("Warning: network {name} has its own limit, resource/network-bandwidth is left out")));
    }
    let conf = bandwidth::plugin(name, limit, answer);
    match add_own(request, runtime, Own { ifname: ifname.clone(), conf }, lease)? {
        Ok(()) => Ok(None),
        Err(error) if error.code == code::UNSUPPORTED => {
            Ok(Some(format!("Warning: network {name}: {error}: resource/network-bandwidth is left out")))
        }
        Err(error) => Err(Failure::new(error.to_string()).of(format!("cannot limit network \"{name}\""))),
    }
}

/// Calls a plugin of ours, which is recorded before.
fn add_own(
    request: &Request<'_>,
    runtime: &Runtime,
    own: Own,
    lease: &mut Lease,
) -> Result<std::result::Result<(), CniError>> {
    lease.own.push(own.clone());
    lease.record(request.directory)?;
    Ok(call_own(runtime, Verb::Add, &own))
}

/// Calls a plugin of ours beside those of the networks.
pub(super) fn call_own(runtime: &Runtime, verb: Verb, Own { ifname, conf }: &Own) -> std::result::Result<(), CniError> {
    let call = Call {
        verb,
        container_id: runtime.uuid.clone(),
        netns: runtime.netns.clone(),
        ifname: ifname.clone(),
        args: String::new(),
        path: runtime.search.directories(),
        conf: conf.clone(),
    };
    let kind = kind_of(conf);
    crate::plugins::call(kind, &call).unwrap_or_else(|| Err(exec::not_found(kind, &call.path))).map(drop)
}
