//! `bandwidth`: how much a pod sends and is sent.

use super::Outcome;
use super::common::{self, Pod};
use super::host_local::valid_attachments;
use crate::cni::{Answer, Call, CniError, Conf, Interface, Verb, code};
use crate::netlink::rt::{Link, LinkChange, NewLink, Rate, Rtnl};
use crate::rules::Tag;

/// Performs a verb. An ADD answers the result that it was given, with the link that it made.
pub fn call(call: &Call) -> Outcome {
    match call.verb {
        Verb::Add => add(call).map(Some),
        Verb::Del => {
            let mut host = Rtnl::open()?;
            if let Some(link) = host.find_link(&shaper(call))? {
                host.remove_link(link.index)?;
            }
            Ok(None)
        }
        Verb::Check => check(call).map(|()| None),
        Verb::Gc => gc(call).map(|()| None),
        Verb::Status | Verb::Version => Ok(None),
    }
}

/// Limits in both directions, as seen from the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    /// What the pod is sent.
    ingress: Option<Rate>,
    /// What the pod sends.
    egress: Option<Rate>,
}

impl Limits {
    /// Of the configuration itself, else of the runtime.
    fn of(call: &Call) -> Result<Self, CniError> {
        let own = Self::parse(call.conf())?;
        if own.ingress.or(own.egress).is_some() {
            return Ok(own);
        }
        Self::parse(call.conf().object("runtimeConfig")?.object("bandwidth")?)
    }

    fn parse(conf: Conf<'_>) -> Result<Self, CniError> {
        Ok(Self { ingress: Self::direction(conf, "ingress")?, egress: Self::direction(conf, "egress")? })
    }

    fn direction(conf: Conf<'_>, name: &str) -> Result<Option<Rate>, CniError> {
        let (rate, burst) = (format!("{name}Rate"), format!("{name}Burst"));
        match (conf.number(&rate)?.unwrap_or(0), conf.number(&burst)?.unwrap_or(0)) {
            (0, 0) => Ok(None),
            (0, _) | (_, 0) => {
                Err(CniError::configuration(format!("{rate} and {burst} must both be set to non-zero values")))
            }
            (rate, bits) => match u32::try_from(bits / 8) {
                Ok(burst) => Ok(Some(Rate { rate: rate / 8, burst })),
                Err(_) => Err(CniError::configuration(format!("{burst} cannot be more than 4GB"))),
            },
        }
    }
}

fn add(call: &Call) -> Result<Answer, CniError> {
    let mut answer = common::required_prev_result(call)?;
    let limits = Limits::of(call)?;
    if limits.ingress.or(limits.egress).is_none() {
        return Ok(answer);
    }
    let mut host = Rtnl::open()?;
    let link = host_end(call, &mut host)?;
    let mut limit = || -> Result<(), CniError> {
        if let Some(rate) = limits.ingress {
            host.limit(link.index, rate)?;
        }
        if let Some(rate) = limits.egress {
            let name = shaper(call);
            let new = NewLink { kind: "ifb", name: &name, mtu: Some(link.mtu), ..NewLink::default() };
            host.add_link(&new, |_| {})?;
            let shaper = host.link(&name)?;
            let alias = Tag::of(call);
            host.change_link(
                shaper.index,
                &LinkChange { up: Some(true), alias: Some(alias.text()), ..LinkChange::default() },
            )?;
            host.limit(shaper.index, rate)?;
            host.redirect(link.index, shaper.index)?;
            answer.interfaces.push(Interface { name, mac: shaper.mac, ..Interface::default() });
        }
        Ok(())
    };
    match limit() {
        Ok(()) => Ok(answer),
        Err(error) => {
            let _ = super::call("bandwidth", &call.with_verb(Verb::Del)); // the first error is the one to tell
            Err(error)
        }
    }
}

/// The host's end of the pod's veth.
fn host_end(call: &Call, host: &mut Rtnl) -> Result<Link, CniError> {
    let mut pod = Pod::open(call)?;
    let link = pod.rtnl.find_link(&call.ifname)?.filter(|link| link.kind == "veth");
    let end = link.and_then(|link| link.lower).map(|index| host.link_at(index)).transpose()?.flatten();
    end.filter(|end| end.kind == "veth").ok_or_else(|| {
        let message = format!("\"{}\" is no veth, and only those can be limited", call.ifname);
        CniError::new(code::UNSUPPORTED, message)
    })
}

/// The name of the link that holds back what the pod sends.
fn shaper(call: &Call) -> String {
    let name = Tag::of(call).chain("bwp").replace('-', "");
    name[..15].to_owned()
}

fn check(call: &Call) -> Result<(), CniError> {
    let limits = Limits::of(call)?;
    let mut host = Rtnl::open()?;
    let link = host_end(call, &mut host)?;
    if limits.ingress.is_some() && !host.has_queue(link.index, "tbf")? {
        return Err(CniError::internal(format!("the limit of what \"{}\" is sent is missing", call.ifname)));
    }
    let shaper = host.find_link(&shaper(call))?;
    let limited = match shaper {
        Some(shaper) => host.has_queue(shaper.index, "tbf")?,
        None => false,
    };
    if limits.egress.is_some() && !limited {
        return Err(CniError::internal(format!("the limit of what \"{}\" sends is missing", call.ifname)));
    }
    Ok(())
}

fn gc(call: &Call) -> Result<(), CniError> {
    let valid = valid_attachments(call.conf())?;
    let mut host = Rtnl::open()?;
    for link in host.links()?.into_iter().filter(|link| link.kind == "ifb") {
        if Tag::is_stale(&link.alias, call.network(), &valid) {
            host.remove_link(link.index)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rates_are_bits_and_come_with_bursts() {
        let parse = |value| Limits::parse(Conf::of(&value)).map_err(|error| error.msg);

        let both = parse(json!({"ingressRate": 8000, "ingressBurst": 80000})).unwrap();
        assert_eq!(both, Limits { ingress: Some(Rate { rate: 1000, burst: 10000 }), egress: None });
        assert_eq!(
            parse(json!({"egressRate": 8})).unwrap_err(),
            "egressRate and egressBurst must both be set to non-zero values"
        );
        assert_eq!(
            parse(json!({"egressRate": 8, "egressBurst": 34_359_738_368_u64})).unwrap_err(),
            "egressBurst cannot be more than 4GB"
        );
    }
}
