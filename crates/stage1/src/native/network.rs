//! The pod's network, for as long as the pod runs: made as the plan says, given back at the end by this process, else by `gc`.

use super::decide::surroundings;
use super::handed;
use super::outside::Outside;
use super::users;
use crate::abi::options::{FileMode, RunOptions};
use net::ns::Namespace;
use net::runtime::attach::{self, Attached, Request};
use net::runtime::chain::{Runtime, administrators};
use net::runtime::conf;
use net::runtime::exec::Search;
use net::runtime::ports::Mapping;
use net::runtime::select::Attachment;
use net::runtime::{detach, relay::Relay, user_mode::Carrier};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sandbox::plan::{File, Network, Plan};
use sandbox::sys::{self, Child, Fork};
use sandbox::tree::Root;
use sandbox::{Context, Failure, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a flavor's own plugins lie as programs, below its root.
const PLUGINS: &str = "usr/lib/rkt/plugins/net";
/// The resolver's configuration in stage1's root, and in apps.
const RESOLV_CONF: (&str, &str) = ("etc/rkt-resolv.conf", "/etc/resolv.conf");
/// The port of the metadata service.
const METADATA_PORT: u16 = 18112;
/// How long one call of another program's plugin may take, and the variable that says otherwise.
const PATIENCE: (&str, Duration) = ("RKT_CNI_TIMEOUT", Duration::from_secs(60));

/// The network of a running pod.
pub struct Networking {
    directory: PathBuf,
    runtime: Runtime,
    /// None: the host's network.
    wanted: Option<Wanted>,
    /// Once it is there.
    namespace: Option<Namespace>,
    relay: Option<Child>,
    carrier: Option<Carrier>,
    metadata_url: Option<String>,
}

/// What the pod is to be attached to.
struct Wanted {
    attachments: Vec<Attachment>,
    ports: Vec<Mapping>,
    bandwidth: Option<u64>,
    /// Apps get name servers from the networks.
    resolv_conf: bool,
    metadata_token: Option<String>,
}

/// While it lives, this process is in the pod's network namespace.
pub struct Inside(Namespace);

impl Drop for Inside {
    fn drop(&mut self) {
        if move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network)).is_err() {
            // Nothing may go on in the wrong namespace.
            std::process::abort();
        }
    }
}

/// How plugins are called for a pod; `flavor` is the root of this flavor's files, absolute or relative to the pod directory.
pub fn runtime(uuid: &str, local_config: &str, flavor: &Path) -> Runtime {
    let seconds = std::env::var(PATIENCE.0).ok().and_then(|text| text.parse().ok());
    Runtime {
        uuid: uuid.to_owned(),
        netns: None,
        search: Search { own: administrators(Path::new(local_config)), flavor: flavor.join(PLUGINS) },
        patience: seconds.map_or(PATIENCE.1, Duration::from_secs),
    }
}

/// The root of the files that this program lies among.
pub fn own_root() -> Result<PathBuf> {
    let program = std::fs::read_link("/proc/self/exe").context(|| "read /proc/self/exe")?;
    Ok(program.parent().unwrap_or(Path::new("/")).to_owned())
}

/// Attaches the pod as its plan says. What becomes known by that is added to the plan. A pod with a user namespace has to be born
/// first, since its network namespace belongs to that: see [`Networking::attach_born`].
pub fn set_up(directory: &Path, plan: &mut Plan, options: &RunOptions) -> Result<Networking> {
    let runtime = runtime(&plan.uuid, &options.local_config, Path::new("stage1/rootfs"));
    let mut networking = Networking {
        directory: directory.to_owned(),
        runtime,
        wanted: None,
        namespace: None,
        relay: None,
        carrier: None,
        metadata_url: None,
    };
    if plan.namespaces.network != Network::Contained {
        return Ok(networking);
    }
    networking.wanted = Some(Wanted {
        attachments: plan.networks.iter().map(attachment).collect::<Result<_>>().map_err(failed)?,
        ports: plan.ports.iter().map(mapping).collect(),
        bandwidth: plan.bandwidth,
        resolv_conf: options.resolv_conf == FileMode::Default,
        metadata_token: Some(options.metadata_token.clone()).filter(|token| !token.is_empty()),
    });
    if plan.namespaces.users.is_none() {
        networking.attach(None)?.apply(plan, None);
    }
    Ok(networking)
}

fn failed(failure: Failure) -> Failure {
    failure.of("failed to setup network")
}

fn attachment(planned: &sandbox::plan::NetworkAttachment) -> Result<Attachment> {
    let network = conf::Network::parse(&planned.file, planned.text.clone().into_bytes())?;
    Ok(Attachment { network, ifname: planned.interface.clone(), args: planned.arguments.clone() })
}

fn mapping(port: &sandbox::plan::Port) -> Mapping {
    Mapping {
        protocol: port.protocol.clone(),
        host_ip: port.host_ip,
        host_port: port.host_port,
        pod_port: port.pod_port,
        count: port.count,
    }
}

/// Carries connections in a process of its own, which ends with this one.
fn start(relay: Relay) -> Result<Child> {
    let parent = rustix::process::getpid();
    match sys::fork(0).context(|| "start the relay of ports")? {
        Fork::Child => {
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
            // The end of a parent that ended before this line is told to nobody, and the ports would be taken for ever.
            if rustix::process::getppid() != Some(parent) {
                sys::exit_now(0);
            }
            sys::set_name(c"rkt-ports");
            relay.run();
            sys::exit_now(0)
        }
        Fork::Parent(child) => Ok(child),
    }
}

/// Gives an app that joins a running pod what came of the networks: the resolver's configuration, and where the metadata service is.
pub fn share(
    pod: &crate::abi::pod::Pod,
    options: &RunOptions,
    metadata_url: Option<String>,
    plan: &mut Plan,
) -> Result<()> {
    Additions { resolv_conf: None, metadata_url }.apply(plan, None);
    if options.resolv_conf != FileMode::Default || !Root::open_at(pod.stage1())?.exists(RESOLV_CONF.0) {
        return Ok(());
    }
    for app in &mut plan.apps {
        let place = app.mounts.iter().position(|mount| mount.target == "/etc/hostname").unwrap_or(0);
        app.mounts.insert(place, surroundings::of_stage1(RESOLV_CONF.1, RESOLV_CONF.0));
    }
    Ok(())
}

/// What is known of a pod only when it is attached.
#[derive(Debug, Default, serde::Deserialize, serde::Serialize)]
pub struct Additions {
    resolv_conf: Option<String>,
    metadata_url: Option<String>,
}

impl Additions {
    /// Reads what [`Networking::attach_born`] handed over.
    pub fn read(fd: OwnedFd) -> Result<Self> {
        handed::take(fd).context(|| "learn of the pod's network")
    }

    /// Adds it to the plan, and to what was taken from outside by then.
    pub fn apply(self, plan: &mut Plan, mut outside: Option<&mut Outside>) {
        for (index, app) in plan.apps.iter_mut().enumerate() {
            if self.resolv_conf.is_some() {
                // Volumes of the user come after it, and win.
                let place = app.mounts.iter().position(|mount| mount.target == "/etc/hostname").unwrap_or(0);
                app.mounts.insert(place, surroundings::of_stage1(RESOLV_CONF.1, RESOLV_CONF.0));
                if let Some(outside) = &mut outside {
                    outside.apps[index].taken.insert(place, None);
                }
            }
            if let Some(url) = &self.metadata_url {
                app.environment.push(("AC_METADATA_URL".to_owned(), url.clone()));
                let path = format!("rkt/env/{}", app.name);
                if let Some(file) = plan.files.iter_mut().find(|file| file.path == path) {
                    file.content = crate::abi::environment::encode(&app.environment);
                }
            }
        }
        if let Some(text) = self.resolv_conf {
            plan.files.push(File { path: RESOLV_CONF.0.to_owned(), content: text, mode: 0o644 });
        }
    }
}

impl Networking {
    /// The namespaces that a pod with a user namespace is born in, beside that.
    pub fn clone_flags(&self) -> i32 {
        if self.wanted.is_some() { libc::CLONE_NEWNET } else { 0 }
    }

    /// Attaches a pod that was born with its network namespace. What becomes known by that is added to the plan, written to the pod's
    /// files, and answered for pid 1, which has its own copy of the plan.
    pub fn attach_born(&mut self, pid: i32, plan: &mut Plan) -> Result<Option<OwnedFd>> {
        if self.wanted.is_none() {
            return Ok(None);
        }
        let additions = self.attach(Some(pid))?;
        let handed = handed::hand_over(&additions).context(|| "tell of the pod's network")?;
        additions.apply(plan, None);
        let stage1 = Root::open_at(self.directory.join("stage1/rootfs"))?;
        for file in &plan.files {
            stage1.write(&file.path, file.content.as_bytes(), file.mode)?;
        }
        if let Some(ids) = plan.namespaces.users {
            users::give_files(&stage1, plan, ids)?;
        }
        Ok(Some(handed))
    }

    /// Connects the pod of an ordinary user, which was born with its network namespace, if it is to have more than a loopback.
    pub fn carry(&mut self, pid: i32, plan: &Plan) -> Result<()> {
        if let Some(program) = &plan.carrier {
            let ports: Vec<Mapping> = plan.ports.iter().map(mapping).collect();
            let carrier = Carrier::start(program, pid, &self.directory, &ports, self.runtime.patience);
            self.carrier = Some(carrier.map_err(failed)?);
        }
        Ok(())
    }

    fn attach(&mut self, born: Option<i32>) -> Result<Additions> {
        let Some(wanted) = &self.wanted else { return Ok(Additions::default()) };
        let request = Request {
            directory: &self.directory,
            runtime: self.runtime.clone(),
            attachments: &wanted.attachments,
            ports: &wanted.ports,
            bandwidth: wanted.bandwidth,
            born,
        };
        let Attached { namespace, resolv_conf, host, relay, notes } = attach::attach(&request).map_err(failed)?;
        for note in notes {
            eprintln!("networking: {note}");
        }
        let resolv_conf = resolv_conf.filter(|_| wanted.resolv_conf);
        let url = |(host, token)| format!("http://{host}:{METADATA_PORT}/{token}");
        let metadata_url = host.zip(wanted.metadata_token.as_ref()).map(url);
        self.namespace = Some(namespace);
        self.metadata_url.clone_from(&metadata_url);
        match relay.map(start).transpose() {
            Ok(relay) => self.relay = relay,
            Err(failure) => {
                self.give_back();
                return Err(failed(failure));
            }
        }
        Ok(Additions { resolv_conf, metadata_url })
    }

    /// Where the pod's apps find the metadata service, once it is attached.
    pub fn metadata_url(&self) -> Option<&str> {
        self.metadata_url.as_deref()
    }

    /// Enters the pod's network namespace, where what is forked is born; none when that is the host's.
    pub fn enter(&self) -> Result<Option<Inside>> {
        let Some(namespace) = &self.namespace else { return Ok(None) };
        let home = Namespace::current()?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .context(|| "enter the pod's network namespace")?;
        Ok(Some(Inside(home)))
    }

    /// Gives everything back. What cannot be is said, and left for `gc`.
    pub fn end(mut self) {
        if let Some(carrier) = self.carrier.take() {
            carrier.stop();
        }
        if let Some(relay) = self.relay.take() {
            let _ = sys::kill(relay.pid, libc::SIGKILL);
            let _ = sys::wait_for(relay.pid);
        }
        self.namespace = None;
        self.give_back();
    }

    fn give_back(&self) {
        if self.wanted.is_none() {
            return;
        }
        let failures = match detach::release(&self.directory, &self.runtime) {
            Ok((_, failures)) => failures,
            Err(failure) => vec![failure],
        };
        for failure in failures {
            eprintln!("networking: {failure}");
        }
    }
}
