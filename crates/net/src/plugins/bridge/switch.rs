//! The bridge itself: its making, its ports, its addresses.

use super::options::Options;
use crate::Prefix;
use crate::cni::CniError;
use crate::netlink::rt::{Link, LinkChange, NewAddress, NewLink, Port, Rtnl, VlanInfo};
use crate::plugins::common::links::{parse_mac, quiet_v6, random_name};

/// The bridge of a name, set up; made if it is not there.
pub fn ensure(host: &mut Rtnl, options: &Options) -> Result<Link, CniError> {
    let name = options.bridge.as_str();
    if host.find_link(name)?.is_none() {
        let new = NewLink { kind: "bridge", name, mtu: options.mtu, ..NewLink::default() };
        match host.add_link(&new, |_| {}) {
            Err(failure) if failure.errno() != Some(libc::EEXIST) => return Err(failure.into()),
            _ => {} // made, or another pod made it meanwhile
        }
        quiet_v6(name)?;
    }
    let link = host.link(name)?;
    if link.kind != "bridge" {
        return Err(CniError::internal(format!("\"{name}\" already exists but is not a bridge")));
    }
    if options.has_vlans() {
        host.filter_vlans(link.index)?;
    }
    // An address that was set does not change with the ports, and neighbours need not learn it anew.
    let change = LinkChange {
        up: (!link.is_up()).then_some(true),
        promisc: options.promiscuous.then_some(true),
        mac: parse_mac(&link.mac),
        ..LinkChange::default()
    };
    host.change_link(link.index, &change)?;
    Ok(host.link(name)?)
}

/// Makes a link a port of the bridge.
pub fn plug(host: &mut Rtnl, options: &Options, bridge: &Link, link: &Link) -> Result<(), CniError> {
    host.change_link(link.index, &LinkChange { master: Some(bridge.index), ..LinkChange::default() })?;
    if options.hairpin || options.isolated {
        let on = |wanted: bool| wanted.then_some(true);
        host.change_port(link.index, Port { hairpin: on(options.hairpin), isolated: on(options.isolated) })?;
    }
    if !options.has_vlans() {
        return Ok(());
    }
    if !options.keep_default_vlan {
        for vlan in host.vlans(link.index)?.into_iter().filter(|vlan| vlan.flags & VlanInfo::PVID != 0) {
            host.remove_vlan(link.index, VlanInfo { id: vlan.id, flags: 0 })?;
        }
    }
    if let Some(id) = options.vlan {
        host.add_vlan(link.index, VlanInfo { id, flags: VlanInfo::PVID | VlanInfo::UNTAGGED })?;
    }
    for id in &options.trunk {
        host.add_vlan(link.index, VlanInfo { id: *id, flags: 0 })?;
    }
    Ok(())
}

/// The link that has the gateway's addresses: the bridge, or for a VLAN a veth that is a port of it.
pub fn gateway_link(host: &mut Rtnl, options: &Options, bridge: &Link) -> Result<Link, CniError> {
    let Some(id) = options.vlan else { return Ok(bridge.clone()) };
    let name = format!("{}.{id}", bridge.name);
    if let Some(link) = host.find_link(&name)? {
        return Ok(link);
    }
    let port = random_name("veth")?;
    let new = |name| NewLink { name, mtu: options.mtu, ..NewLink::default() };
    match host.add_veth(&new(&port), &new(&name)) {
        Err(failure) if failure.errno() == Some(libc::EEXIST) => return Ok(host.link(&name)?),
        result => result?,
    }
    quiet_v6(&name)?;
    let up = LinkChange { up: Some(true), ..LinkChange::default() };
    let (near, far) = (host.link(&port)?, host.link(&name)?);
    plug(host, &Options { hairpin: false, isolated: false, trunk: Vec::new(), ..options.clone() }, bridge, &near)?;
    host.change_link(near.index, &up)?;
    host.change_link(far.index, &up)?;
    Ok(far)
}

/// Gives a link of this host a gateway's address. Another one of the same family (of IPv6: in the same network) is an error, or with
/// `force` replaced.
pub fn give_address(host: &mut Rtnl, link: &Link, address: Prefix, force: bool) -> Result<(), CniError> {
    const LINK: u8 = 253;
    let others = host.addresses(link.index)?;
    if others.iter().any(|other| other.prefix == address) {
        return Ok(());
    }
    let clashes = |other: &Prefix| {
        other.is_v6() == address.is_v6()
            && (!address.is_v6() || other.contains(address.address) || address.contains(other.address))
    };
    for other in others.iter().filter(|other| other.scope != LINK && clashes(&other.prefix)) {
        if !force {
            let message = format!("\"{}\" already has an IP address different from {address}", link.name);
            return Err(CniError::internal(message));
        }
        host.remove_address(link.index, other.prefix)?;
    }
    match host.add_address(link.index, address, NewAddress::default()) {
        Err(failure) if failure.errno() == Some(libc::EEXIST) => Ok(()), // another pod of the network, at the same time
        result => Ok(result?),
    }
}
