//! Links that stand on a link of the host: what macvlan and ipvlan share.

use super::{Pod, ipam};
use crate::cni::{Answer, Call, CniError, Dns, Interface, Verb};
use crate::netlink::Message;
use crate::netlink::rt::{Link, LinkChange, NewAddress, NewLink, Rtnl};
use std::os::fd::AsFd;

/// A kind of link, and what the kernel calls it.
pub struct Child<'a> {
    /// `macvlan` or `ipvlan`.
    pub kind: &'a str,
    /// Hardware address; random, or the master's, if absent.
    pub mac: Option<[u8; 6]>,
    /// The master is a link of the pod.
    pub master_in_pod: bool,
    /// The master's name; the link of the default route if absent.
    pub master: Option<&'a str>,
}

/// The link that others shall stand on.
pub fn master(call: &Call, child: &Child<'_>) -> Result<Link, CniError> {
    let mut rtnl = if child.master_in_pod { Pod::open(call)?.rtnl } else { Rtnl::open()? };
    if let Some(name) = child.master {
        return rtnl
            .find_link(name)?
            .ok_or_else(|| CniError::configuration(format!("master link \"{name}\" not found")));
    }
    for v6 in [false, true] {
        let mut defaults = rtnl.routes(v6)?;
        defaults.retain(|route| route.dst.length == 0 && route.table == 254);
        defaults.sort_by_key(|route| route.priority);
        for link in defaults.iter().filter_map(|route| route.link) {
            if let Some(link) = rtnl.link_at(link)? {
                return Ok(link);
            }
        }
    }
    Err(CniError::configuration("\"master\" is missing, and there is no default route to tell which link it is"))
}

/// Makes the link in the pod and gives it the addresses of address management, if the configuration has any; `ready` is called when
/// the link is there but down. `given` are addresses that an earlier plugin got.
pub fn add(
    call: &Call,
    child: &Child<'_>,
    given: Option<&Answer>,
    data: &dyn Fn(&mut Message),
    ready: &dyn Fn() -> sandbox::Result<()>,
) -> Result<Answer, CniError> {
    let lower = master(call, child)?;
    let mtu = call.conf().number32("mtu")?.filter(|mtu| *mtu > 0);
    if let Some(mtu) = mtu.filter(|mtu| *mtu > lower.mtu) {
        return Err(CniError::configuration(format!("invalid MTU {mtu}, must be [0, master MTU({})]", lower.mtu)));
    }
    let mut pod = Pod::open(call)?;
    pod.want_free(&call.ifname)?;
    let namespace = (!child.master_in_pod).then_some(pod.namespace.as_fd());
    let new = NewLink {
        kind: child.kind,
        name: &call.ifname,
        mtu: mtu.or(Some(lower.mtu)),
        mac: child.mac,
        lower: Some(lower.index),
        namespace,
        ..NewLink::default()
    };
    if child.master_in_pod {
        pod.rtnl.add_link(&new, data)?
    } else {
        Rtnl::open()?.add_link(&new, data)?
    }
    let mut attach = || -> Result<Answer, CniError> {
        let link = pod.rtnl.link(&call.ifname)?;
        pod.namespace.within(ready)??;
        let mut answer = match given {
            Some(given) => given.clone(),
            None if ipam::is_wanted(call)? => {
                // A DHCP server answers a link that is up only.
                pod.rtnl.change_link(link.index, &LinkChange { up: Some(true), ..LinkChange::default() })?;
                ipam::add(call)?
            }
            None => Answer::default(),
        };
        pod.allow_v6(&call.ifname, &answer)?;
        pod.rtnl.change_link(link.index, &LinkChange { up: Some(true), ..LinkChange::default() })?;
        answer.interfaces =
            vec![Interface { name: link.name, mac: link.mac, sandbox: Pod::sandbox(call), ..Interface::default() }];
        answer.ips.iter_mut().for_each(|ip| ip.interface = Some(0));
        pod.add_addresses(link.index, &answer, NewAddress::default())?;
        pod.add_routes(link.index, &answer)?;
        answer.dns = Dns::from_conf(call.conf().object("dns")?)?;
        Ok(answer)
    };
    attach().inspect_err(|_| {
        let _ = del(call); // the first error is the one to tell
    })
}

/// Gives the addresses back and removes the link; what is gone is removed.
pub fn del(call: &Call) -> Result<(), CniError> {
    let released = ipam::release(call);
    let unlinked = Pod::find(call).map_or(Ok(()), |mut pod| pod.remove_link(&call.ifname));
    super::both(released, unlinked)
}

/// CHECK, GC and STATUS, which no kind has anything of its own for.
pub fn other(call: &Call, child: &Child<'_>) -> Result<(), CniError> {
    ipam::forward(call, call.verb)?;
    match call.verb {
        Verb::Status => master(call, child).map(drop),
        Verb::Check => {
            let answer = super::required_prev_result(call)?;
            let mut pod = Pod::open(call)?;
            pod.check(call, &answer)?;
            match pod.rtnl.link(&call.ifname)?.kind {
                kind if kind == child.kind => Ok(()),
                kind => {
                    Err(CniError::internal(format!("\"{}\" is a link of type {kind}, not {}", call.ifname, child.kind)))
                }
            }
        }
        _ => Ok(()),
    }
}
