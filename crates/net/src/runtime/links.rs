//! The links of a pod that has ended. To have the kernel remove one, and wait for it, takes longer than all else that is done then; it
//! removes them by itself, a moment later, with the namespace that they lead into.

use super::chain::Runtime;
use super::conf::{Network, kind_of};
use super::exec::{Plugin, Search};
use super::lease::{Held, Lease};
use crate::cni::Conf;
use crate::netlink::rt::{Link, Rtnl};
use crate::ns::Namespace;
use crate::rules::Tag;
use sandbox::{Context, Result};
use serde_json::Value;
use std::path::Path;

/// The plugin whose link nobody misses: a bridge would still know it as a port, and a link of the host may have one child only.
const FIRST: [&str; 1] = ["ptp"];
/// Plugins that undo what they did without a look at the pod.
const CHAINED: [&str; 4] = ["bandwidth", "firewall", "portmap", "tuning"];
/// Those that manage addresses so.
const MANAGERS: [&str; 2] = ["host-local", "static"];

/// Whether the links of a pod whose processes are gone can be left to the kernel. They have no address any more then, so that nothing
/// speaks by them should somebody else keep the namespace.
pub fn leave(directory: &Path, runtime: &Runtime, lease: &Lease) -> bool {
    let ours = |held: &Held| {
        let attachment = held.attachment(directory).ok().flatten();
        attachment.is_some_and(|attachment| is_ours(&attachment.network, &runtime.search))
    };
    let Some(netns) = &lease.netns else { return false };
    // What fails here is done by the plugins.
    lease.networks.iter().all(ours) && silence(netns, &lease.networks).unwrap_or(false)
}

fn is_ours(network: &Network, search: &Search) -> bool {
    let built_in =
        |kind: &str, kinds: &[&str]| kinds.contains(&kind) && matches!(search.find(kind), Ok(Plugin::Builtin(_)));
    let managed = |plugin: &Value| match Conf::of(plugin).object("ipam").and_then(|ipam| ipam.text("type")) {
        Ok(Some(kind)) => built_in(kind, &MANAGERS),
        _ => false,
    };
    network.plugins.split_first().is_some_and(|(first, chained)| {
        built_in(kind_of(first), &FIRST)
            && managed(first)
            && chained.iter().all(|plugin| built_in(kind_of(plugin), &CHAINED))
    })
}

fn silence(netns: &Path, networks: &[Held]) -> Result<bool> {
    let namespace = Namespace::open(netns)?;
    if namespace.within(has_connections)?? {
        return Ok(false);
    }
    let mut pod = Rtnl::within(&namespace)?;
    for held in networks {
        if let Some(link) = pod.find_link(&held.if_name)? {
            let addresses = pod.addresses(link.index)?;
            addresses.iter().try_for_each(|address| pod.remove_address(link.index, address.prefix))?;
        }
    }
    Ok(true)
}

/// Whether connections outlive the processes that made them: until both sides have closed them the kernel keeps their namespace.
fn has_connections() -> Result<bool> {
    for (file, protocol) in [("sockstat", "TCP:"), ("sockstat6", "TCP6:")] {
        let path = Path::new("/proc/thread-self/net").join(file);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue, // a kernel without IPv6
            other => other.context(|| format!("read {}", path.display()))?,
        };
        let line = text.lines().find_map(|line| line.strip_prefix(protocol)).unwrap_or_default();
        if !line.trim_start().starts_with("inuse 0") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Removes what somebody who keeps the namespace of a pod has kept of its links on the host.
pub fn remove_rest(runtime: &Runtime, networks: &[Held]) -> Result<()> {
    let mut host = Rtnl::open()?;
    let tags: Vec<Tag> = networks.iter().map(|held| Tag::new(&held.net_name, &runtime.uuid, &held.if_name)).collect();
    let is_of_pod = |link: &Link| link.kind == "veth" && tags.iter().any(|tag| tag.text() == link.alias);
    let rest: Vec<Link> = host.links()?.into_iter().filter(is_of_pod).collect();
    rest.iter().try_for_each(|link| host.remove_link(link.index))
}
