//! From the choice of networks to a namespace that is attached to them, or to nothing at all.

use super::chain::{Capabilities, Runtime, has_capability};
use super::detach;
use super::lease::Lease;
use super::ports::{self, Mapping};
use super::reclaim;
use super::registry::Registry;
use super::relay::Relay;
use super::select::Attachment;
use super::{NEWEST, dns, namespace};
use crate::cni::{Answer, Call, Verb};
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
    let &Request { directory, attachments, ports, .. } = request;
    let mut attached = Attached { namespace, resolv_conf: None, host: None, relay: None, notes: Vec::new() };
    let target = target(attachments);
    let mut answers = Vec::with_capacity(attachments.len());
    for (index, attachment) in attachments.iter().enumerate() {
        let network = &attachment.network;
        lease.begun = index + 1;
        let mut capabilities = Capabilities::new();
        if target == Some(index) && !ports.is_empty() && has_capability(network, ports::CAPABILITY) {
            capabilities.insert(ports::CAPABILITY.to_owned(), ports::to_json(ports));
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
    lease.ports = Some(serde_json::json!({"ifname": attachment.ifname, "conf": conf}));
    lease.record(request.directory)?;
    let call = ports_call(runtime, Verb::Add, &attachment.ifname, conf);
    match crate::plugins::call(ports::PLUGIN, &call) {
        Some(Ok(_)) => Ok(Some(relay)),
        Some(Err(error)) => Err(outer(Failure::new(error.to_string()))),
        None => Err(outer(Failure::new("this build forwards no ports"))),
    }
}

/// A call of the plugin that forwards ports.
pub(super) fn ports_call(runtime: &Runtime, verb: Verb, ifname: &str, conf: serde_json::Value) -> Call {
    Call {
        verb,
        container_id: runtime.uuid.clone(),
        netns: runtime.netns.clone(),
        ifname: ifname.to_owned(),
        args: String::new(),
        path: runtime.search.directories(),
        conf,
    }
}
