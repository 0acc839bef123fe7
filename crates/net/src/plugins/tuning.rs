//! `tuning`: kernel parameters of the pod's network, and properties of its link.

use super::Outcome;
use super::common::{self, Pod, links, sysctl};
use crate::cni::{Answer, Args, Call, CniError, Conf, Verb, code};
use crate::netlink::rt::{Link, LinkChange};
use regex_lite::Regex;
use serde_json::{Value, json};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Patterns of the parameters that may be set, one a line; without the file all of the network's may.
const ALLOWED: &str = "/etc/cni/tuning/allowlist.conf";
const DATA_DIRECTORY: &str = "/run/cni/tuning";

/// Performs a verb. An ADD answers the result that it was given, with the link's new hardware address.
pub fn call(call: &Call) -> Outcome {
    match call.verb {
        Verb::Add => add(call).map(Some),
        Verb::Del => del(call).map(|()| None),
        Verb::Check => check(call).map(|()| None),
        Verb::Status => Wanted::of(call).map(|_| None),
        Verb::Gc | Verb::Version => Ok(None),
    }
}

/// What the configuration asks for.
struct Wanted {
    /// Paths below `/proc/sys/net` and values.
    parameters: Vec<(String, String)>,
    mac: Option<[u8; 6]>,
    mtu: Option<u32>,
    promisc: Option<bool>,
    allmulti: Option<bool>,
    txqlen: Option<u32>,
}

impl Wanted {
    fn of(call: &Call) -> Result<Self, CniError> {
        Args::parse(&call.args, super::ARGS)?;
        let conf = call.conf();
        let over = conf.object("args")?.object("cni")?;
        let mut parameters = Vec::new();
        for (key, value) in conf.object("sysctl")?.entries().chain(over.object("sysctl")?.entries()) {
            let value = value.as_str().ok_or_else(|| {
                CniError::new(code::DECODING, format!("failed to load netconf: sysctl \"{key}\" is not a string"))
            })?;
            // A STATUS is of no link.
            let ifname = if call.ifname.is_empty() { "IFNAME" } else { &call.ifname };
            parameters.push((parameter(key, ifname)?, value.to_owned()));
        }
        allow(conf.object("sysctl")?.entries().chain(over.object("sysctl")?.entries()).map(|(key, _)| key))?;
        let number =
            |key: &str| Ok::<_, CniError>(over.number32(key)?.or(conf.number32(key)?).filter(|number| *number > 0));
        let on = |key: &str| Ok::<_, CniError>(over.optional_flag(key)?.or(conf.optional_flag(key)?).filter(|on| *on));
        Ok(Self {
            parameters,
            mac: links::requested_mac(call)?,
            mtu: number("mtu")?,
            promisc: on("promisc")?,
            allmulti: conf.optional_flag("allmulti")?.or(over.optional_flag("allmulti")?),
            txqlen: number("txQLen")?,
        })
    }

    fn changes_link(&self) -> bool {
        self.mac.is_some() || self.mtu.or(self.txqlen).is_some() || self.promisc.or(self.allmulti).is_some()
    }
}

/// The path below `/proc/sys/net` of a parameter. Parts are separated by dots or by slashes: by what comes first, so that a link's
/// name may hold the other. Nothing outside the network's parameters can be named.
fn parameter(key: &str, ifname: &str) -> Result<String, CniError> {
    let key = key.replace("IFNAME", ifname);
    let by_slashes = key.find(['.', '/']).is_some_and(|at| key[at..].starts_with('/'));
    let swap = |letter| match letter {
        '.' => '/',
        '/' => '.',
        letter => letter,
    };
    let path: String = if by_slashes { key.clone() } else { key.chars().map(swap).collect() };
    let inside = path
        .strip_prefix("net/")
        .filter(|rest| rest.split('/').all(|part| !part.is_empty() && part != "." && part != ".."));
    let refused = || CniError::configuration(format!("invalid net sysctl key: \"{key}\""));
    inside.map(str::to_owned).ok_or_else(refused)
}

fn allow<'a>(keys: impl Iterator<Item = &'a str>) -> Result<(), CniError> {
    let text = match fs::read_to_string(ALLOWED) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CniError::new(code::IO, format!("failed to read {ALLOWED}: {error}"))),
    };
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let patterns = lines
        .map(|line| {
            Regex::new(line).map_err(|error| CniError::configuration(format!("{ALLOWED}: \"{line}\": {error}")))
        })
        .collect::<Result<Vec<_>, _>>()?;
    for key in keys {
        if !patterns.iter().any(|pattern| pattern.is_match(key)) {
            return Err(CniError::configuration(format!("sysctl {key} is not allowed by {ALLOWED}")));
        }
    }
    Ok(())
}

fn add(call: &Call) -> Result<Answer, CniError> {
    let mut answer = common::required_prev_result(call)?;
    let wanted = Wanted::of(call)?;
    let mut pod = Pod::open(call)?;
    if wanted.changes_link() {
        let link = pod.rtnl.link(&call.ifname)?;
        record(call, &wanted, &link)?;
        let change = LinkChange {
            mtu: wanted.mtu,
            promisc: wanted.promisc,
            allmulti: wanted.allmulti,
            txqlen: wanted.txqlen,
            ..LinkChange::default()
        };
        pod.rtnl.change_link(link.index, &change)?;
        if wanted.mac.is_some() {
            set_mac(&mut pod, &link, wanted.mac)?;
            let new = pod.rtnl.link(&call.ifname)?.mac;
            let sandbox = Pod::sandbox(call);
            let own = answer.interfaces.iter_mut().filter(|own| own.sandbox == sandbox && own.name == call.ifname);
            own.for_each(|own| own.mac.clone_from(&new));
        }
    }
    let set = || wanted.parameters.iter().try_for_each(|(path, value)| sysctl::set(path, value));
    pod.namespace.within(set)??;
    Ok(answer)
}

/// Not every driver changes the address of a link that is up. Routes of a link go when it goes down, so that is the second choice.
fn set_mac(pod: &mut Pod, link: &Link, mac: Option<[u8; 6]>) -> Result<(), CniError> {
    let change = LinkChange { mac, ..LinkChange::default() };
    match pod.rtnl.change_link(link.index, &change) {
        Err(failure) if failure.errno() == Some(libc::EBUSY) => {}
        result => return Ok(result?),
    }
    pod.rtnl.change_link(link.index, &LinkChange { up: Some(false), ..LinkChange::default() })?;
    let changed = pod.rtnl.change_link(link.index, &change);
    pod.rtnl.change_link(link.index, &LinkChange { up: Some(true), ..LinkChange::default() })?;
    Ok(changed?)
}

fn backup(call: &Call) -> Result<PathBuf, CniError> {
    let directory = call.conf().text("dataDir")?.filter(|text| !text.is_empty()).unwrap_or(DATA_DIRECTORY);
    Ok(Path::new(directory).join(format!("{}_{}.json", call.container_id, call.ifname)))
}

/// Records what is about to change, so that a DEL can undo it for a link that outlives the pod.
fn record(call: &Call, wanted: &Wanted, link: &Link) -> Result<(), CniError> {
    let mut state = json!({});
    if wanted.mac.is_some() {
        state["mac"] = json!(link.mac);
    }
    if wanted.mtu.is_some() {
        state["mtu"] = json!(link.mtu);
    }
    if wanted.promisc.is_some() {
        state["promisc"] = json!(link.promiscuity > 0);
    }
    if wanted.allmulti.is_some() {
        state["allmulti"] = json!(link.flags & libc::IFF_ALLMULTI as u32 != 0);
    }
    if wanted.txqlen.is_some() {
        state["txQLen"] = json!(link.txqlen);
    }
    let path = backup(call)?;
    let failed = |error| CniError::new(code::IO, format!("failed to write {}: {error}", path.display()));
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
    fs::write(&path, state.to_string()).map_err(failed)
}

fn del(call: &Call) -> Result<(), CniError> {
    let path = backup(call)?;
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CniError::new(code::IO, format!("failed to read {}: {error}", path.display()))),
    };
    if let (Some(mut pod), Ok(state)) = (Pod::find(call), serde_json::from_str::<Value>(&text)) {
        restore(call, &mut pod, Conf::of(&state))?;
    }
    fs::remove_file(&path)
        .map_err(|error| CniError::new(code::IO, format!("failed to remove {}: {error}", path.display())))
}

fn restore(call: &Call, pod: &mut Pod, state: Conf<'_>) -> Result<(), CniError> {
    let Some(link) = pod.rtnl.find_link(&call.ifname)? else { return Ok(()) };
    let change = LinkChange {
        mtu: state.number32("mtu")?,
        promisc: state.optional_flag("promisc")?,
        allmulti: state.optional_flag("allmulti")?,
        txqlen: state.number32("txQLen")?,
        ..LinkChange::default()
    };
    pod.rtnl.change_link(link.index, &change)?;
    match state.text("mac")?.and_then(links::parse_mac) {
        Some(mac) => set_mac(pod, &link, Some(mac)),
        None => Ok(()),
    }
}

fn check(call: &Call) -> Result<(), CniError> {
    let wanted = Wanted::of(call)?;
    let mut pod = Pod::open(call)?;
    let link = pod.rtnl.link(&call.ifname)?;
    let differs =
        |what: &str| Err(CniError::internal(format!("tuning: {what} of \"{}\" is not as it was set", call.ifname)));
    if wanted.mac.is_some_and(|mac| links::parse_mac(&link.mac) != Some(mac)) {
        return differs("the hardware address");
    }
    if wanted.mtu.is_some_and(|mtu| mtu != link.mtu) {
        return differs("the MTU");
    }
    if wanted.txqlen.is_some_and(|length| length != link.txqlen) {
        return differs("the transmit queue's length");
    }
    if wanted.promisc.is_some() && link.promiscuity == 0 {
        return differs("promiscuous mode");
    }
    for (path, value) in &wanted.parameters {
        let is = pod.namespace.within(|| sysctl::get(path))??;
        if is.split_whitespace().ne(value.split_whitespace()) {
            return Err(CniError::internal(format!("tuning: sysctl net/{path} is \"{is}\", not \"{value}\"")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_of_the_network_whatever_separates_their_parts() {
        let path = |key: &str| parameter(key, "eth0.5").map_err(|error| error.msg);

        assert_eq!(path("net.core.somaxconn").unwrap(), "core/somaxconn");
        assert_eq!(path("net/ipv4/conf/IFNAME/arp_filter").unwrap(), "ipv4/conf/eth0.5/arp_filter");
        assert_eq!(path("net.ipv4.conf.eth0/5.arp_filter").unwrap(), "ipv4/conf/eth0.5/arp_filter");
        for key in
            ["kernel.hostname", "net/../kernel/hostname", "/net/core/x", "net", "net/", "net//core", "net/./core", ""]
        {
            assert_eq!(path(key).unwrap_err(), format!("invalid net sysctl key: \"{key}\""));
        }
    }
}
