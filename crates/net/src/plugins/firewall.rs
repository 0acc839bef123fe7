//! `firewall`: a pod's traffic gets through this host's rules, and bridges can be kept apart.

use super::Outcome;
use super::common::{self, Pod};
use super::host_local::valid_attachments;
use crate::Prefix;
use crate::cni::{Answer, Call, CniError, Verb, code};
use crate::netlink::rt::{Port, Rtnl};
use crate::rules::ingress::Policy;
use crate::rules::{Rules, Tag};

/// Performs a verb. An ADD answers the result that it was given.
pub fn call(call: &Call) -> Outcome {
    match call.verb {
        Verb::Add => add(call).map(Some),
        Verb::Del => {
            let (tag, mut rules) = (Tag::of(call), Rules::open()?);
            let ingress = rules.remove_ingress(&tag);
            rules.remove_admission(&tag)?;
            ingress?;
            Ok(None)
        }
        Verb::Check => check(call).map(|()| None),
        Verb::Gc => {
            let valid = valid_attachments(call.conf())?;
            let mut rules = Rules::open()?;
            rules.collect_ingress(call.network(), &valid)?;
            rules.collect_admissions(call.network(), &valid)?;
            Ok(None)
        }
        Verb::Status => policy(call).map(|_| None),
        Verb::Version => Ok(None),
    }
}

/// What the configuration says of traffic from other bridges; none if all of it may come.
fn policy(call: &Call) -> Result<Option<Policy>, CniError> {
    match call.conf().text("ingressPolicy")?.unwrap_or_default() {
        "" | "open" => Ok(None),
        "same-bridge" => Ok(Some(Policy::SameBridge)),
        "isolated" => Ok(Some(Policy::Isolated)),
        other => Err(CniError::new(code::UNSUPPORTED, format!("unknown ingress policy: \"{other}\""))),
    }
}

fn addresses(call: &Call, answer: &Answer) -> Vec<Prefix> {
    let sandbox = Pod::sandbox(call);
    let of_pod = |index: Option<usize>| {
        index.and_then(|index| answer.interfaces.get(index)).is_none_or(|interface| interface.sandbox == sandbox)
    };
    answer.ips.iter().filter(|ip| of_pod(ip.interface)).map(|ip| ip.address).collect()
}

fn add(call: &Call) -> Result<Answer, CniError> {
    let answer = common::required_prev_result(call)?;
    let addresses = addresses(call, &answer);
    let (tag, mut rules) = (Tag::of(call), Rules::open()?);
    if let Some(policy) = policy(call)? {
        let bridge = bridge(&answer)?;
        rules.restrict_ingress(&tag, &bridge, policy, &addresses)?;
        if policy == Policy::Isolated {
            isolate_port(&answer)?;
        }
    }
    rules.admit(&tag, &addresses)?;
    Ok(answer)
}

/// The bridge that the pod is on: the first link of the result.
fn bridge(answer: &Answer) -> Result<String, CniError> {
    let first = answer.interfaces.first().filter(|first| first.sandbox.is_empty());
    let link = first.map(|first| Rtnl::open()?.find_link(&first.name)).transpose()?.flatten();
    link.filter(|link| link.kind == "bridge")
        .map(|link| link.name)
        .ok_or_else(|| CniError::configuration("an ingress policy needs a bridge as first interface of prevResult"))
}

/// Frames between ports of a bridge need not pass any rule of IP.
fn isolate_port(answer: &Answer) -> Result<(), CniError> {
    let mut host = Rtnl::open()?;
    for interface in answer.interfaces.iter().skip(1).filter(|interface| interface.sandbox.is_empty()) {
        if let Some(link) = host.find_link(&interface.name)?.filter(|link| link.master.is_some()) {
            host.change_port(link.index, Port { isolated: Some(true), ..Port::default() })?;
        }
    }
    Ok(())
}

fn check(call: &Call) -> Result<(), CniError> {
    let answer = common::required_prev_result(call)?;
    let addresses = addresses(call, &answer);
    if policy(call)?.is_some() && !Rules::open()?.has_ingress(&Tag::of(call), &addresses)? {
        return Err(CniError::internal(format!("the ingress policy of network \"{}\" is missing", call.network())));
    }
    match Rules::open()?.not_admitted(&Tag::of(call), &addresses)? {
        None => Ok(()),
        Some(chain) => Err(CniError::internal(format!(
            "{chain} does not let the traffic of network \"{}\" through",
            call.network()
        ))),
    }
}
