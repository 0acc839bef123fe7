//! `flannel`: the network that flannel's daemon gave to this host, made by another plugin.

use super::Outcome;
use crate::cni::exec::delegate;
use crate::cni::{Call, CniError, Conf, Verb, code};
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const SUBNET_FILE: &str = "/run/flannel/subnet.env";
const DATA_DIRECTORY: &str = "/var/lib/cni/flannel";

/// Performs a verb by the delegate.
pub fn call(call: &Call) -> Outcome {
    match call.verb {
        Verb::Add => {
            let conf = render(call)?;
            save(call, &conf)?;
            delegated(call, conf)
        }
        Verb::Del => match load(call)? {
            None => Ok(None),
            Some(conf) => {
                delegated(call, conf)?;
                forget(call)?;
                Ok(None)
            }
        },
        Verb::Check => {
            let file = path(call)?;
            let missing = || CniError::internal(format!("{} is missing", file.display()));
            let conf = load(call)?.ok_or_else(missing)?;
            delegated(call, conf)
        }
        Verb::Status | Verb::Gc => delegated(call, render(call)?),
        Verb::Version => Ok(None),
    }
}

/// The delegate's call: with its configuration, and what the runtime wrote into ours.
fn delegated(call: &Call, mut conf: Value) -> Outcome {
    for key in ["prevResult", "cni.dev/valid-attachments", "cni.dev/attachments"] {
        if let Some(value) = call.conf().get(key) {
            conf[key] = value.clone();
        }
    }
    let kind = conf["type"].as_str().unwrap_or_default().to_owned();
    delegate(&kind, &Call { conf, ..call.clone() })
}

/// What the daemon wrote.
#[derive(Debug, PartialEq, Eq)]
struct Subnet {
    networks: Vec<String>,
    subnets: Vec<String>,
    mtu: u32,
    masquerades: bool,
}

impl Subnet {
    fn parse(text: &str, file: &str) -> Result<Self, CniError> {
        let values: HashMap<&str, &str> = text
            .lines()
            .filter_map(|line| line.trim().split_once('='))
            .map(|(key, value)| (key.trim(), value.trim().trim_matches('"')))
            .collect();
        let list = |key: &str| {
            let value = values.get(key).copied().unwrap_or_default();
            value.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let networks = [list("FLANNEL_NETWORK"), list("FLANNEL_IPV6_NETWORK")].concat();
        let subnets = [list("FLANNEL_SUBNET"), list("FLANNEL_IPV6_SUBNET")].concat();
        let mut missing = Vec::new();
        if networks.is_empty() {
            missing.push("FLANNEL_NETWORK");
        }
        if subnets.is_empty() {
            missing.push("FLANNEL_SUBNET");
        }
        missing.extend(["FLANNEL_MTU", "FLANNEL_IPMASQ"].into_iter().filter(|key| !values.contains_key(key)));
        if !missing.is_empty() {
            return Err(CniError::configuration(format!("{file} is missing {}", missing.join(", "))));
        }
        let wrong = |key: &str| CniError::configuration(format!("{file}: {key}={} cannot be read", values[key]));
        for network in networks.iter().chain(&subnets) {
            network.parse::<crate::Prefix>().map_err(|reason| CniError::configuration(format!("{file}: {reason}")))?;
        }
        Ok(Self {
            networks,
            subnets,
            mtu: values["FLANNEL_MTU"].parse().map_err(|_| wrong("FLANNEL_MTU"))?,
            masquerades: values["FLANNEL_IPMASQ"].parse().map_err(|_| wrong("FLANNEL_IPMASQ"))?,
        })
    }
}

/// The delegate's configuration.
fn render(call: &Call) -> Result<Value, CniError> {
    let conf = call.conf();
    let file = conf.text("subnetFile")?.filter(|file| !file.is_empty()).unwrap_or(SUBNET_FILE);
    let text = fs::read_to_string(file).map_err(|error| {
        CniError::new(code::IO, format!("failed to read {file}, which flannel's daemon writes: {error}"))
    })?;
    let subnet = Subnet::parse(&text, file)?;
    let given = conf.object("delegate")?;
    if given.get("type").is_some_and(|kind| !kind.is_string()) {
        return Err(CniError::configuration("'delegate' dictionary, if present, must have (string) 'type' field"));
    }
    for key in ["name", "ipam"] {
        if given.get(key).is_some() {
            let message = format!("'delegate' dictionary must not have '{key}' field, it'll be set by flannel");
            return Err(CniError::configuration(message));
        }
    }
    let mut delegate = given.value().as_object().cloned().unwrap_or_else(Map::new);
    let mut default = |key: &str, value: Value| {
        if given.get(key).is_none() {
            delegate.insert(key.to_owned(), value);
        }
    };
    default("type", json!("bridge"));
    default("ipMasq", json!(!subnet.masquerades));
    default("mtu", json!(subnet.mtu));
    if given.text("type")?.unwrap_or("bridge") == "bridge" {
        default("isGateway", json!(true));
    }
    delegate.insert("name".to_owned(), json!(call.network()));
    delegate.insert("ipam".to_owned(), ipam(conf.object("ipam")?, &subnet)?);
    for key in ["cniVersion", "runtimeConfig", "args"] {
        if let Some(value) = conf.get(key) {
            delegate.insert(key.to_owned(), value.clone());
        }
    }
    Ok(Value::Object(delegate))
}

fn ipam(base: Conf<'_>, subnet: &Subnet) -> Result<Value, CniError> {
    let mut ipam = base.value().as_object().cloned().unwrap_or_else(Map::new);
    if base.get("type").is_none() {
        ipam.insert("type".to_owned(), json!("host-local"));
    }
    let ranges: Vec<Value> = subnet.subnets.iter().map(|subnet| json!([{"subnet": network(subnet)}])).collect();
    ipam.insert("ranges".to_owned(), json!(ranges));
    let mut routes = base.list("routes")?.to_vec();
    routes.extend(subnet.networks.iter().map(|network| json!({"dst": network})));
    ipam.insert("routes".to_owned(), json!(routes));
    Ok(Value::Object(ipam))
}

/// The daemon writes the host's own address with its network's length.
fn network(subnet: &str) -> String {
    subnet.parse::<crate::Prefix>().map_or_else(|_| subnet.to_owned(), |prefix| prefix.network().to_string())
}

fn path(call: &Call) -> Result<PathBuf, CniError> {
    let directory = call.conf().text("dataDir")?.filter(|text| !text.is_empty()).unwrap_or(DATA_DIRECTORY);
    Ok(Path::new(directory).join(&call.container_id))
}

fn save(call: &Call, conf: &Value) -> Result<(), CniError> {
    let path = path(call)?;
    let failed = |error| CniError::new(code::IO, format!("failed to write {}: {error}", path.display()));
    fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).map_err(failed)?;
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path).map_err(failed)?;
    file.write_all(conf.to_string().as_bytes()).map_err(failed)
}

fn load(call: &Call) -> Result<Option<Value>, CniError> {
    let path = path(call)?;
    let failed =
        |error: &dyn std::fmt::Display| CniError::new(code::IO, format!("failed to read {}: {error}", path.display()));
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(|error| failed(&error)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&error)),
    }
}

fn forget(call: &Call) -> Result<(), CniError> {
    let path = path(call)?;
    fs::remove_file(&path)
        .map_err(|error| CniError::new(code::IO, format!("failed to remove {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Subnet, String> {
        Subnet::parse(text, "subnet.env").map_err(|error| error.msg)
    }

    #[test]
    fn the_daemons_file_is_read_and_what_is_missing_is_named() {
        let text = "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.72.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\nFLANNEL_IPV6_NETWORK=fd05::/48\nFLANNEL_IPV6_SUBNET=fd05:0:0:1::1/64\n";

        let subnet = parse(text).unwrap();

        assert_eq!(subnet.networks, ["10.5.0.0/16", "fd05::/48"]);
        assert_eq!((subnet.mtu, subnet.masquerades), (1450, true));
        assert_eq!(
            parse("FLANNEL_MTU=1450\n").unwrap_err(),
            "subnet.env is missing FLANNEL_NETWORK, FLANNEL_SUBNET, FLANNEL_IPMASQ"
        );
        assert_eq!(parse(&text.replace("1450", "x")).unwrap_err(), "subnet.env: FLANNEL_MTU=x cannot be read");
        assert_eq!(parse(&text.replace("72.1/24", "72.1")).unwrap_err(), "subnet.env: invalid CIDR address: 10.5.72.1");
    }
}
