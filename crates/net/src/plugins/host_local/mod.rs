//! `host-local`: addresses out of ranges of this host, reserved in files that the CNI reference plugin reads and writes too.

mod range;
mod store;

pub use store::{DATA_DIRECTORY, Owner};

use super::Outcome;
use crate::Prefix;
use crate::cni::{Answer, Args, Call, CniError, Conf, Dns, Ip, Route, Verb, code};
use range::{Range, RangeSet, range_sets};
use serde_json::Value;
use std::collections::HashMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use store::Store;

/// Performs a verb.
pub fn call(call: &Call) -> Outcome {
    match call.verb {
        Verb::Add => add(call).map(Some),
        Verb::Del => release_where(call, |owner| owner.is(&call.container_id, &call.ifname)).map(|_| None),
        Verb::Check => check(call).map(|()| None),
        Verb::Gc => {
            let valid = valid_attachments(call.conf())?;
            release_where(call, |owner| !valid.iter().any(|(id, ifname)| owner.is(id, ifname))).map(|_| None)
        }
        Verb::Status => status(call).map(|()| None),
        Verb::Version => Ok(None),
    }
}

/// Gives back every address of a network whose holder is gone, and answers them. `alive` is asked of a reservation's file and its
/// holder while nobody else can change it, and must not call a plugin. Without `data` the reservations lie in [`DATA_DIRECTORY`].
///
/// For a runtime that lost track of a pod: a power cut between ADD and DEL leaves a reservation that nobody else removes.
pub fn reclaim(
    data: Option<&Path>,
    network: &str,
    alive: &dyn Fn(&Path, &Owner) -> bool,
) -> Result<Vec<(IpAddr, Owner)>, CniError> {
    let Some(store) = Store::open_existing(data.unwrap_or(Path::new(DATA_DIRECTORY)), network)? else {
        return Ok(Vec::new());
    };
    let mut gone = store.reservations()?.into_iter().collect::<Vec<_>>();
    gone.retain(|(address, owner)| !alive(&store.file(*address), owner));
    gone.sort_by_key(|(address, _)| *address);
    for (address, _) in &gone {
        store.release(*address)?;
    }
    Ok(gone)
}

/// The attachments of a GC's configuration that stay: container id and link name.
pub fn valid_attachments(conf: Conf<'_>) -> Result<Vec<(String, String)>, CniError> {
    let key = "cni.dev/valid-attachments";
    // An earlier text of the specification, and the reference library still, name it so.
    let list = if conf.get(key).is_some() { conf.list(key)? } else { conf.list("cni.dev/attachments")? };
    let text = |value: &Value, key: &str| Conf::of(value).text(key).map(|text| text.unwrap_or_default().to_owned());
    list.iter().map(|value| Ok((text(value, "containerID")?, text(value, "ifname")?))).collect()
}

fn data_directory(call: &Call) -> Result<PathBuf, CniError> {
    let configured = call.conf().object("ipam")?.text("dataDir")?.filter(|text| !text.is_empty());
    Ok(PathBuf::from(configured.unwrap_or(DATA_DIRECTORY)))
}

/// The network's name, which becomes a directory's.
fn network(call: &Call) -> Result<&str, CniError> {
    match call.network() {
        "" => Err(CniError::configuration("missing network name")),
        name if name == "." || name == ".." || name.contains('/') => {
            Err(CniError::configuration(format!("invalid network name \"{name}\"")))
        }
        name => Ok(name),
    }
}

fn add(call: &Call) -> Result<Answer, CniError> {
    let sets = range_sets(call)?;
    let requested = requested(call)?;
    let ipam = call.conf().object("ipam")?;
    let routes = ipam.list("routes")?.iter().map(Route::from_json).collect::<Result<Vec<_>, _>>()?;
    let dns = ipam.text("resolvConf")?.map_or_else(|| Ok(Dns::default()), |path| resolv_conf(Path::new(path)))?;
    let choices = assign(&requested, &sets, network(call)?)?;

    let store = Store::open(&data_directory(call)?, network(call)?)?;
    let taken = store.reservations()?;
    let mut ips: Vec<Ip> = Vec::new();
    for (index, set) in sets.iter().enumerate() {
        let found =
            choose(set, choices.get(&index).copied(), store.last(index), &taken, call).and_then(|(address, range)| {
                store.reserve(address, &call.container_id, &call.ifname)?;
                ips.push(Ip {
                    address: Prefix { address, length: range.subnet.length },
                    gateway: Some(range.gateway),
                    interface: None,
                });
                Ok(store.set_last(index, address)?)
            });
        if let Err(error) = found {
            for ip in ips {
                store.release(ip.address.address)?;
            }
            return Err(error);
        }
    }
    Ok(Answer { ips, routes, dns, ..Answer::default() })
}

/// The address to give out of a set.
fn choose<'a>(
    set: &'a RangeSet,
    requested: Option<IpAddr>,
    last: Option<IpAddr>,
    taken: &HashMap<IpAddr, Owner>,
    call: &Call,
) -> Result<(IpAddr, &'a Range), CniError> {
    let own = taken
        .iter()
        .find(|(address, owner)| owner.is(&call.container_id, &call.ifname) && set.range_of(**address).is_some());
    if let Some((address, _)) = own {
        return Err(CniError::internal(format!(
            "{address} has been allocated to {}, duplicate allocation is not allowed",
            call.container_id
        )));
    }
    let network = call.network();
    if let Some(address) = requested {
        let range = set.range_of(address).filter(|range| range.gateway != address);
        return match (range, taken.get(&address)) {
            (Some(range), None) => Ok((address, range)),
            (_, Some(owner)) if !owner.container_id.is_empty() => Err(CniError {
                details: format!("{} has it", owner.container_id),
                ..CniError::internal(format!(
                    "requested IP address \"{address}\" is not available in network: {network}"
                ))
            }),
            _ => Err(CniError::internal(format!(
                "requested IP address \"{address}\" is not available in network: {network}"
            ))),
        };
    }
    set.after(last).find(|(address, _)| !taken.contains_key(address)).ok_or_else(|| {
        CniError::new(code::LATER, format!("no IP addresses available in network: {network}; all of {set} are taken"))
    })
}

/// Which requested address is for which set. Each must fit one, and no two the same.
fn assign(requested: &[IpAddr], sets: &[RangeSet], network: &str) -> Result<HashMap<usize, IpAddr>, CniError> {
    let mut choices = HashMap::new();
    for address in requested {
        let mut fits =
            sets.iter().enumerate().filter(|(_, set)| set.range_of(*address).is_some()).map(|(index, _)| index);
        match fits.find(|index| !choices.contains_key(index)) {
            Some(index) => choices.insert(index, *address),
            None => {
                let message = format!("requested IP address \"{address}\" is not available in network: {network}");
                return Err(CniError::internal(message));
            }
        };
    }
    Ok(choices)
}

/// The addresses that `CNI_ARGS`, `args.cni.ips` and `runtimeConfig.ips` ask for.
fn requested(call: &Call) -> Result<Vec<IpAddr>, CniError> {
    let args = Args::parse(&call.args, super::ARGS)?;
    let mut texts: Vec<&str> = args.get("IP").map(|text| text.split(',').collect()).unwrap_or_default();
    texts.extend(call.conf().object("args")?.object("cni")?.texts("ips")?);
    texts.extend(call.conf().object("runtimeConfig")?.texts("ips")?);
    let mut addresses: Vec<IpAddr> = Vec::new();
    for text in texts.into_iter().map(str::trim).filter(|text| !text.is_empty()) {
        let address = text.split_once('/').map_or(text, |(address, _)| address);
        let address = address
            .parse()
            .map_err(|_| CniError::new(code::ENVIRONMENT, format!("invalid IP address requested: {text}")))?;
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

fn release_where(call: &Call, is_gone: impl Fn(&Owner) -> bool) -> Result<Vec<(IpAddr, Owner)>, CniError> {
    reclaim(Some(&data_directory(call)?), network(call)?, &|_, owner| !is_gone(owner))
}

fn check(call: &Call) -> Result<(), CniError> {
    let store = Store::open_existing(&data_directory(call)?, network(call)?)?;
    let taken = store.map(|store| store.reservations()).transpose()?.unwrap_or_default();
    if taken.values().any(|owner| owner.is(&call.container_id, &call.ifname)) {
        return Ok(());
    }
    Err(CniError::internal(format!("host-local: failed to find address added by container {}", call.container_id)))
}

/// An ADD would be served if every set has a free address.
fn status(call: &Call) -> Result<(), CniError> {
    let sets = range_sets(call)?;
    let store = Store::open_existing(&data_directory(call)?, network(call)?)?;
    let taken = store.map(|store| store.reservations()).transpose()?.unwrap_or_default();
    match sets.iter().find(|set| set.after(None).all(|(address, _)| taken.contains_key(&address))) {
        None => Ok(()),
        Some(set) => Err(CniError::new(code::UNAVAILABLE, format!("all addresses of {set} are taken"))),
    }
}

/// resolv.conf(5) as a result has it.
fn resolv_conf(path: &Path) -> Result<Dns, CniError> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CniError::new(code::IO, format!("failed to read \"{}\": {error}", path.display())))?;
    let mut dns = Dns::default();
    for line in text.lines() {
        let mut words = line.split_whitespace().map(str::to_owned);
        match words.next().as_deref() {
            Some("nameserver") => dns.nameservers.extend(words.next()),
            Some("domain") => dns.domain = words.next().unwrap_or_default(),
            Some("search") => dns.search.extend(words),
            Some("options") => dns.options.extend(words),
            _ => {}
        }
    }
    Ok(dns)
}

#[cfg(test)]
mod tests;
