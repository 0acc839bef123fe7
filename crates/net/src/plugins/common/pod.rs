//! The pod's side of an attachment.

use super::sysctl;
use crate::Prefix;
use crate::cni::{Answer, Call, CniError, code};
use crate::netlink::rt::{NewAddress, RouteSpec, Rtnl, scope};
use crate::ns::Namespace;
use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A pod's network namespace and a socket in it.
#[derive(Debug)]
pub struct Pod {
    /// The namespace.
    pub namespace: Namespace,
    /// For its links, addresses and routes.
    pub rtnl: Rtnl,
}

impl Pod {
    /// The pod of a call; an error if there is none, or if it is the caller's own namespace.
    pub fn open(call: &Call) -> Result<Self, CniError> {
        let wrong = |failure: sandbox::Failure| CniError::new(code::NAMESPACE, failure.to_string());
        let Some(path) = &call.netns else {
            return Err(CniError::new(code::ENVIRONMENT, "required env variables [CNI_NETNS] missing"));
        };
        let namespace = Namespace::open(path).map_err(wrong)?;
        let own = namespace.is(&Namespace::current().map_err(wrong)?).map_err(wrong)?;
        if own && !matches!(std::env::var("CNI_NETNS_OVERRIDE").as_deref(), Ok("1" | "true" | "True" | "TRUE")) {
            let message = format!("plugin's netns and netns from CNI_NETNS should not be the same: {}", path.display());
            return Err(CniError::new(code::NAMESPACE, message));
        }
        let rtnl = Rtnl::within(&namespace).map_err(wrong)?;
        Ok(Self { namespace, rtnl })
    }

    /// The pod of a DEL; none if its namespace is not known or gone.
    pub fn find(call: &Call) -> Option<Self> {
        let namespace = Namespace::open(call.netns.as_ref()?).ok()?;
        if namespace.is(&Namespace::current().ok()?).ok()? {
            return None;
        }
        let rtnl = Rtnl::within(&namespace).ok()?;
        Some(Self { namespace, rtnl })
    }

    /// `CNI_NETNS` as results name it.
    pub fn sandbox(call: &Call) -> String {
        call.netns.as_ref().map(|path| path.display().to_string()).unwrap_or_default()
    }

    /// Refuses a link name that is taken in the pod.
    pub fn want_free(&mut self, ifname: &str) -> Result<(), CniError> {
        match self.rtnl.find_link(ifname)? {
            None => Ok(()),
            Some(_) => Err(CniError::internal(format!("interface name \"{ifname}\" is already used in the pod"))),
        }
    }

    /// Removes a link of the pod; one that is gone is removed.
    pub fn remove_link(&mut self, ifname: &str) -> Result<(), CniError> {
        match self.rtnl.find_link(ifname)? {
            None => Ok(()),
            Some(link) => Ok(self.rtnl.remove_link(link.index)?),
        }
    }

    /// Lets a link of the pod have addresses of IPv6, and keep them when it goes down.
    pub fn allow_v6(&self, ifname: &str, answer: &Answer) -> Result<(), CniError> {
        if !answer.ips.iter().any(|ip| ip.address.is_v6()) {
            return Ok(());
        }
        let set = || {
            sysctl::set_if_there("ipv6/conf/lo/disable_ipv6", "0")?;
            sysctl::set_if_there(&format!("ipv6/conf/{ifname}/disable_ipv6"), "0")?;
            sysctl::set_if_there(&format!("ipv6/conf/{ifname}/keep_addr_on_down"), "1")
        };
        Ok(self.namespace.within(set)??)
    }

    /// Gives a link of the pod its addresses, sets nothing else. Waits for IPv6 if duplicates are looked for.
    pub fn add_addresses(&mut self, link: u32, answer: &Answer, how: NewAddress) -> Result<(), CniError> {
        for ip in &answer.ips {
            self.rtnl.add_address(link, ip.address, how)?;
        }
        let deadline = Instant::now() + Duration::from_secs(5);
        while how.detect_duplicates && answer.ips.iter().any(|ip| ip.address.is_v6()) {
            let addresses = self.rtnl.addresses(link)?;
            if let Some(address) = addresses.iter().find(|address| address.is_duplicate()) {
                return Err(CniError::internal(format!(
                    "{} is used by another host of the link",
                    address.prefix.address
                )));
            }
            if !addresses.iter().any(|address| address.is_tentative()) {
                break;
            }
            if Instant::now() > deadline {
                return Err(CniError::internal("the pod's link still has tentative addresses after 5 seconds"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Adds the routes of a result out of a link of the pod; those without a gateway go through the first of their family.
    pub fn add_routes(&mut self, link: u32, answer: &Answer) -> Result<(), CniError> {
        for route in &answer.routes {
            let v6 = route.dst.is_v6();
            let default = answer.ips.iter().filter(|ip| ip.address.is_v6() == v6).find_map(|ip| ip.gateway);
            let on_link = route.scope == Some(scope::LINK);
            let gateway = route.gw.or(default).filter(|_| !on_link || route.gw.is_some());
            let plain = gateway.map_or_else(
                || RouteSpec::on_link(route.dst, link),
                |gateway| RouteSpec::via(route.dst, link, gateway),
            );
            self.rtnl.add_route(&RouteSpec {
                scope: route.scope.unwrap_or(plain.scope),
                table: route.table,
                priority: route.priority,
                mtu: route.mtu,
                advmss: route.advmss,
                ..plain
            })?;
        }
        Ok(())
    }

    /// CHECK: the link of the pod is up and has what a result says.
    pub fn check(&mut self, call: &Call, answer: &Answer) -> Result<(), CniError> {
        let ifname = &call.ifname;
        let missing = |what: String| CniError::internal(format!("{what} of network \"{}\" is missing", call.network()));
        let link = self.rtnl.find_link(ifname)?.ok_or_else(|| missing(format!("interface \"{ifname}\"")))?;
        if !link.is_up() {
            return Err(CniError::internal(format!(
                "interface \"{ifname}\" of network \"{}\" is down",
                call.network()
            )));
        }
        let sandbox = Self::sandbox(call);
        let wanted =
            answer.interfaces.iter().find(|interface| interface.sandbox == sandbox && interface.name == *ifname);
        if let Some(wanted) = wanted.filter(|wanted| !wanted.mac.is_empty() && wanted.mac.to_lowercase() != link.mac) {
            let message = format!("interface \"{ifname}\" has hardware address {}, not {}", link.mac, wanted.mac);
            return Err(CniError::internal(message));
        }
        let own = |index: Option<usize>| {
            index.and_then(|index| answer.interfaces.get(index)).is_none_or(|interface| interface.name == *ifname)
        };
        let have: Vec<Prefix> = self.rtnl.addresses(link.index)?.iter().map(|address| address.prefix).collect();
        for ip in answer.ips.iter().filter(|ip| own(ip.interface)) {
            if !have.contains(&ip.address) {
                return Err(missing(format!("address {}", ip.address)));
            }
        }
        let mut tables = HashMap::new();
        for route in &answer.routes {
            let v6 = route.dst.is_v6();
            if let std::collections::hash_map::Entry::Vacant(entry) = tables.entry(v6) {
                entry.insert(self.rtnl.routes(v6)?);
            }
            let gateway_fits = |have: Option<IpAddr>| route.gw.is_none_or(|gw| have == Some(gw));
            if !tables[&v6].iter().any(|have| have.dst.network() == route.dst.network() && gateway_fits(have.gateway)) {
                return Err(missing(format!("route {}", route.dst)));
            }
        }
        Ok(())
    }
}
