//! Which networks the pod is attached to, and which of its ports the host offers.

use super::sockets::Handed;
use crate::abi::options::RunOptions;
use crate::abi::pod::Pod;
use net::runtime::conf::Directories;
use net::runtime::ports::{self, AppPort, Exposed};
use net::runtime::select::{Choice, Selection};
use net::runtime::user_mode;
use sandbox::plan::{Network, NetworkAttachment, Port};
use sandbox::{Failure, Result};
use std::path::{Path, PathBuf};

/// Where distributions lay networks down.
const SYSTEM: &str = "/usr/lib/rkt/net.d";

/// Why an ordinary user has no default network.
const MISSING: &str =
    "the default network of an ordinary user needs pasta or slirp4netns, and a /dev/net/tun that the user may open";

/// What was decided.
pub struct Networks {
    pub network: Network,
    pub attachments: Vec<NetworkAttachment>,
    pub ports: Vec<Port>,
    /// For an ordinary user: the program that carries what leaves the pod.
    pub carrier: Option<PathBuf>,
    /// Lines for stderr.
    pub notes: Vec<String>,
}

/// `ordinary`: of a user who may change nothing of the host's network.
pub fn decide(pod: &Pod, options: &RunOptions, handed: &[Handed], ordinary: bool) -> Result<Networks> {
    let failed = |failure: Failure| failure.of("failed to setup network");
    let mut notes = Vec::new();
    let mut carrier = None;
    let attachments = match Choice::parse(&options.networks) {
        Choice::Host => {
            let (attachments, ports) = (Vec::new(), Vec::new());
            return Ok(Networks { network: Network::Host, attachments, ports, carrier: None, notes });
        }
        Choice::Loopback => {
            notes.push("networking namespace with loopback only".to_owned());
            Vec::new()
        }
        Choice::Networks(_) if ordinary && options.networks == ["default"] => {
            carrier = user_mode::find();
            if carrier.is_none() && pod.ports.is_empty() {
                // What is chosen for who chooses nothing.
                notes.push(format!("{MISSING}: the pod has a loopback only (--net=host gives it the host's)"));
            }
            Vec::new()
        }
        Choice::Networks(_) if ordinary => {
            let names = options.networks.join(",");
            return Err(failed(Failure::new(format!(
                "--net={names} needs root; an ordinary user has --net=default, --net=host and --net=none"
            ))));
        }
        Choice::Networks(wanted) => {
            let directories = Directories {
                builtin: pod.stage1().join("etc/rkt/net.d"),
                system: SYSTEM.into(),
                local: Path::new(&options.local_config).join("net.d"),
            };
            let Selection { attachments, notes: told, debug } = wanted.find(&directories).map_err(failed)?;
            let steps = attachments.iter().map(|one| {
                let kinds: Vec<&str> = one.network.kinds().collect();
                format!("loading network {} with type {}", one.network.name, kinds.join(", "))
            });
            if options.debug {
                notes.extend(debug.into_iter().chain(steps));
            }
            notes.extend(told);
            attachments
        }
    };
    let ports = host_ports(pod, handed).map_err(failed)?;
    if attachments.is_empty() && carrier.is_none() && !ports.is_empty() {
        let ordinary = ordinary && options.networks == ["default"];
        return Err(failed(Failure::new(if ordinary { MISSING } else { "no networks found" })));
    }
    let attachments = attachments.into_iter().map(|attachment| NetworkAttachment {
        name: attachment.network.name,
        file: attachment.network.file,
        interface: attachment.ifname,
        arguments: attachment.args,
        text: String::from_utf8_lossy(&attachment.network.text).into_owned(),
    });
    let network = if ordinary { Network::Loopback } else { Network::Contained };
    Ok(Networks { network, attachments: attachments.collect(), ports, carrier, notes })
}

/// Ports whose app is activated by their socket are listened on by number of the host; a socket that was handed over is the app's already.
fn host_ports(pod: &Pod, handed: &[Handed]) -> Result<Vec<Port>> {
    let mut exposed = Vec::new();
    let mut of_apps: Vec<AppPort> = pod.apps.iter().flat_map(|app| &app.app.ports).map(app_port).collect();
    let activated: Vec<_> =
        pod.apps.iter().flat_map(|app| &app.app.ports).filter(|port| port.socket_activated).collect();
    for port in &pod.ports {
        let host_ip = match port.host_ip.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| Failure::new(format!("\"{text}\" is not a valid IP")))?),
        };
        if let Some(socket) = activated.iter().find(|socket| socket.name == port.name) {
            let stream = socket.protocol == "tcp";
            if handed.iter().any(|one| one.stream == stream && one.port == port.host_port) {
                continue;
            }
            if let Some(found) = of_apps.iter_mut().find(|found| found.name == port.name) {
                found.port = port.host_port;
            }
        }
        let pod_port = port.pod_port.as_ref().map(app_port);
        exposed.push(Exposed { name: port.name.clone(), host_port: port.host_port, host_ip, pod_port });
    }
    let port = |mapping: ports::Mapping| Port {
        protocol: mapping.protocol,
        host_ip: mapping.host_ip,
        host_port: mapping.host_port,
        pod_port: mapping.pod_port,
        count: mapping.count,
    };
    Ok(ports::match_ports(&exposed, &of_apps)?.into_iter().map(port).collect())
}

fn app_port(port: &crate::abi::manifest::Port) -> AppPort {
    AppPort { name: port.name.clone(), protocol: port.protocol.clone(), port: port.port, count: port.count }
}
