//! Ports of a pod that the host offers.

use super::NEWEST;
use crate::cni::Answer;
use sandbox::{Failure, Result};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};

/// The built-in plugin that forwards ports.
pub const PLUGIN: &str = "portmap";

/// The capability that a network's own plugin declares when it forwards ports.
pub const CAPABILITY: &str = "portMappings";

/// How many ports a range may have: as many as there are.
const MAX_COUNT: u32 = 65_535;

/// A port of an app, or a range of them, and where the host offers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The only address of the host that offers it; the unspecified one is all.
    pub host_ip: IpAddr,
    /// The first port of the host.
    pub host_port: u16,
    /// The first port of the pod.
    pub pod_port: u16,
    /// How many.
    pub count: u16,
}

/// A port of an app's manifest.
#[derive(Clone, Debug)]
pub struct AppPort {
    /// Its name.
    pub name: String,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The first port.
    pub port: u16,
    /// How many; 0 is 1.
    pub count: u32,
}

/// A port that the host is asked to offer.
#[derive(Clone, Debug)]
pub struct Exposed {
    /// The name of an app's port.
    pub name: String,
    /// The first port of the host.
    pub host_port: u16,
    /// One address of the host, or all.
    pub host_ip: Option<IpAddr>,
    /// The pod's port where no app has one of that name yet (mutable pods).
    pub pod_port: Option<AppPort>,
}

/// Finds the apps' port of each that the host is to offer. No two may want the same.
pub fn match_ports(exposed: &[Exposed], apps: &[AppPort]) -> Result<Vec<Mapping>> {
    let mut mappings: Vec<Mapping> = Vec::with_capacity(exposed.len());
    for wanted in exposed {
        let name = &wanted.name;
        let found: Vec<&AppPort> = match &wanted.pod_port {
            Some(port) => vec![port],
            None => apps.iter().filter(|port| port.name == *name).collect(),
        };
        let port = match found[..] {
            [port] => port,
            [] => return Err(Failure::new(format!("port name \"{name}\" could not be found in any apps"))),
            _ => return Err(Failure::new(format!("port name \"{name}\" defined multiple apps"))),
        };
        let mapping = Mapping {
            protocol: port.protocol.to_ascii_lowercase(),
            host_ip: wanted.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            host_port: wanted.host_port,
            pod_port: port.port,
            count: port.count.clamp(1, MAX_COUNT) as u16,
        };
        if !["tcp", "udp", "sctp"].contains(&mapping.protocol.as_str()) {
            return Err(Failure::new(format!("port \"{name}\": unrecognized protocol: {}", mapping.protocol)));
        }
        let last = u32::from(mapping.count) - 1;
        if u32::from(mapping.host_port).max(u32::from(mapping.pod_port)) + last > u32::from(u16::MAX)
            || mapping.host_port == 0
            || mapping.pod_port == 0
        {
            let Mapping { count, host_port, .. } = mapping;
            return Err(Failure::new(format!("port \"{name}\": there are no {count} ports from {host_port} on")));
        }
        if let Some(other) = mappings.iter().find(|other| other.overlaps(&mapping)) {
            return Err(Failure::new(format!(
                "port {} already mapped to pod port {}",
                mapping.place(),
                other.pod_port
            )));
        }
        mappings.push(mapping);
    }
    Ok(mappings)
}

impl Mapping {
    /// The place on the host, in words: `tcp-0.0.0.0:8080`.
    pub fn place(&self) -> String {
        format!("{}-{}:{}", self.protocol, self.host_ip, self.host_port)
    }

    /// Each port of the range: the host's and the pod's.
    pub fn each(&self) -> impl Iterator<Item = (u16, u16)> + use<> {
        let (host, pod) = (self.host_port, self.pod_port);
        (0..self.count).map(move |offset| (host + offset, pod + offset))
    }

    fn overlaps(&self, other: &Self) -> bool {
        let ends = |one: &Self| (u32::from(one.host_port), u32::from(one.host_port) + u32::from(one.count));
        let ((start, end), (other_start, other_end)) = (ends(self), ends(other));
        let address = self.host_ip == other.host_ip || self.host_ip.is_unspecified() || other.host_ip.is_unspecified();
        self.protocol == other.protocol && address && start < other_end && other_start < end
    }
}

/// The mappings as plugins take them (CNI conventions, portMappings).
pub fn to_json(mappings: &[Mapping]) -> Value {
    let each = |mapping: &Mapping| {
        let Mapping { protocol, host_ip, .. } = mapping.clone();
        mapping.each().map(move |(host, pod)| {
            let mut value = json!({"hostPort": host, "containerPort": pod, "protocol": protocol});
            if !host_ip.is_unspecified() {
                value["hostIP"] = Value::from(host_ip.to_string());
            }
            value
        })
    };
    mappings.iter().flat_map(each).collect()
}

/// The configuration of the plugin that forwards the ports to an attachment.
pub fn plugin(network: &str, mappings: &[Mapping], answer: &Answer) -> Value {
    json!({
        "cniVersion": NEWEST,
        "name": network,
        "type": PLUGIN,
        "capabilities": {CAPABILITY: true},
        "runtimeConfig": {CAPABILITY: to_json(mappings)},
        "prevResult": answer.to_json(NEWEST),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(name: &str, protocol: &str, port: u16, count: u32) -> AppPort {
        AppPort { name: name.to_owned(), protocol: protocol.to_owned(), port, count }
    }

    fn exposed(name: &str, host_ip: Option<&str>, host_port: u16) -> Exposed {
        Exposed { name: name.to_owned(), host_port, host_ip: host_ip.map(|ip| ip.parse().unwrap()), pod_port: None }
    }

    #[test]
    fn ports_find_their_apps_and_ranges_are_whole() {
        let apps = [port("http", "tcp", 80, 0), port("range", "UDP", 5000, 3)];

        let found =
            match_ports(&[exposed("http", Some("10.0.0.1"), 8080), exposed("range", None, 6000)], &apps).unwrap();

        assert_eq!(found[0].place(), "tcp-10.0.0.1:8080");
        assert_eq!(found[1].each().collect::<Vec<_>>(), [(6000, 5000), (6001, 5001), (6002, 5002)]);
        let json = to_json(&found);
        assert_eq!(json[0], json!({"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "10.0.0.1"}));
        assert_eq!(json.as_array().unwrap().len(), 4);
    }

    #[test]
    fn what_does_not_match_is_refused_in_the_documented_words() {
        let apps = [
            port("http", "tcp", 80, 1),
            port("twice", "tcp", 1, 1),
            port("twice", "tcp", 2, 1),
            port("many", "tcp", 81, 9),
        ];
        let refused = |wanted: &[Exposed]| match_ports(wanted, &apps).unwrap_err().to_string();

        assert_eq!(refused(&[exposed("no", None, 1)]), "port name \"no\" could not be found in any apps");
        assert_eq!(refused(&[exposed("twice", None, 1)]), "port name \"twice\" defined multiple apps");
        assert_eq!(
            refused(&[exposed("http", Some("10.0.0.1"), 88), exposed("many", None, 80)]),
            "port tcp-0.0.0.0:80 already mapped to pod port 80"
        );
        assert_eq!(refused(&[exposed("many", None, 65530)]), "port \"many\": there are no 9 ports from 65530 on");
        assert!(
            match_ports(&[exposed("http", Some("10.0.0.1"), 88), exposed("many", Some("10.0.0.2"), 80)], &apps).is_ok()
        );
    }
}
