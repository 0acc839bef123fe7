//! What a pod holds of the host's network, as its directory records it: written before anything is taken, gone when all is given back.

use super::chain::Capabilities;
use super::conf::Network;
use super::select::Attachment;
use crate::Prefix;
use crate::cni::Answer;
use rustix::fs::{FlockOperation, Mode, OFlags};
use sandbox::tree::{read_bounded, write_in};
use sandbox::{Context, Failure, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Copies of configurations, and the record of what is held.
const COPIES: &str = "net";
const RECORD: &str = "lease.json";
/// Where other programs find the name of the pod's network namespace.
const NETNS: &str = "netns";
/// Where other programs find the pod's networks.
const NET_INFO: &str = "net-info.json";
const MAX_FILE: u64 = 4 << 20;

/// The record.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The name of the network namespace.
    pub netns: Option<PathBuf>,
    /// In the order of attachment.
    pub networks: Vec<Held>,
    /// Plugins of ours that were called beside those of the networks, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub own: Vec<Own>,
    /// How many of the networks this process has begun to attach.
    #[serde(skip)]
    pub begun: usize,
}

/// A call of a plugin of ours.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Own {
    /// The interface in the pod.
    pub ifname: String,
    /// The plugin's configuration.
    pub conf: Value,
}

/// An attachment that was begun.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Held {
    /// The network's name.
    pub net_name: String,
    /// The copy of its configuration, relative to the pod directory.
    pub net_conf: String,
    /// The interface in the pod.
    pub if_name: String,
    /// `CNI_ARGS`.
    pub args: String,
    /// Values of capabilities.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// The result of the ADD, once there is one, and the version that it is written in.
    #[serde(default)]
    pub result: Option<Value>,
    /// The first plugin's path.
    #[serde(default)]
    pub plugin_path: String,
}

/// One line of `net-info.json`.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
struct NetInfo {
    net_name: String,
    net_conf: String,
    plugin_path: String,
    if_name: String,
    ip: String,
    args: String,
    mask: String,
}

impl Held {
    /// The attachment of the pod in `directory`; none if the copy of its configuration is gone.
    pub fn attachment(&self, directory: &Path) -> Result<Option<Attachment>> {
        let name = Path::new(&self.net_conf).file_name().unwrap_or_default();
        let copy = directory.join(COPIES).join(name);
        if !copy.exists() {
            return Ok(None);
        }
        let network = Network::load(&copy)?;
        Ok(Some(Attachment { network, ifname: self.if_name.clone(), args: self.args.clone() }))
    }

    /// What the ADD answered.
    pub fn answer(&self) -> Option<Answer> {
        self.result.as_ref().and_then(|value| Answer::from_json(value, super::NEWEST).ok())
    }
}

impl Lease {
    /// Records what is going to be taken, with copies of the configurations, before it is.
    pub fn begin(directory: &Path, netns: &Path, attachments: &[Attachment]) -> Result<Self> {
        let copies = make_directory(directory)?;
        let mut lease = Self { netns: Some(netns.to_owned()), ..Self::default() };
        for attachment in attachments {
            let Attachment { network, ifname, args } = attachment;
            let taken = |name: &str| lease.networks.iter().any(|held| held.net_conf == format!("{COPIES}/{name}"));
            // Two directories may have files of one name.
            let file = if taken(&network.file) { format!("{ifname}-{}", network.file) } else { network.file.clone() };
            write(&copies, &file, &network.text, 0o644)?;
            lease.networks.push(Held {
                net_name: network.name.clone(),
                net_conf: format!("{COPIES}/{file}"),
                if_name: ifname.clone(),
                args: args.clone(),
                capabilities: Map::new(),
                result: None,
                plugin_path: String::new(),
            });
        }
        lease.record(directory)?;
        write(directory, NETNS, netns.as_os_str().as_encoded_bytes(), 0o644)?;
        Ok(lease)
    }

    /// Writes the record as it is now.
    pub fn record(&self, directory: &Path) -> Result<()> {
        let text = serde_json::to_string(self).map_err(|error| Failure::new(format!("encode {RECORD}: {error}")))?;
        write(&directory.join(COPIES), RECORD, text.as_bytes(), 0o600)
    }

    /// The record of the pod in `directory`; none if it holds nothing any more, or never did.
    pub fn load(directory: &Path) -> Result<Option<Self>> {
        parse(&directory.join(COPIES).join(RECORD))
    }

    /// What a pod had whose record is gone: by `net-info.json` and `netns`, which stay until the pod is collected.
    pub fn remembered(directory: &Path) -> Result<Option<Self>> {
        let netns = read(&directory.join(NETNS))?;
        let netns = netns.map(|bytes| PathBuf::from(String::from_utf8_lossy(&bytes).trim()));
        let known: Option<Option<Vec<NetInfo>>> =
            parse(&directory.join(NET_INFO)).map_err(|failure| failure.of("failed loading networking state"))?;
        if netns.is_none() && known.is_none() {
            return Ok(None);
        }
        let held = |info: NetInfo| Held {
            net_name: info.net_name,
            net_conf: info.net_conf,
            if_name: info.if_name,
            args: info.args,
            capabilities: Map::new(),
            result: None,
            plugin_path: info.plugin_path,
        };
        // What no plugin made has no configuration, and went with its process.
        let made = known.flatten().unwrap_or_default().into_iter().filter(|info| !info.net_conf.is_empty());
        let networks = made.map(held).collect();
        Ok(Some(Self { netns, networks, ..Self::default() }))
    }

    /// Says that all is given back.
    pub fn end(directory: &Path) -> Result<()> {
        let path = directory.join(COPIES).join(RECORD);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Failure::system(format!("remove {}", path.display()), error))
            }
            _ => Ok(()),
        }
    }

    /// Tells other programs of the networks: `net-info.json` (docs/networking.md).
    pub fn publish(&self, directory: &Path) -> Result<()> {
        publish(directory, &self.networks.iter().map(NetInfo::of).collect::<Vec<_>>())
    }
}

fn publish(directory: &Path, infos: &[NetInfo]) -> Result<()> {
    let text = if infos.is_empty() { "null".to_owned() } else { serde_json::to_string(infos).unwrap_or_default() };
    write(directory, NET_INFO, format!("{text}\n").as_bytes(), 0o644)
}

/// Tells other programs of a network that no plugin made: nothing is to be given back for it.
pub fn publish_one(directory: &Path, name: &str, program: &Path, ifname: &str, address: Prefix) -> Result<()> {
    let info = NetInfo {
        net_name: name.to_owned(),
        net_conf: String::new(),
        plugin_path: program.to_string_lossy().into_owned(),
        if_name: ifname.to_owned(),
        ip: address.address.to_string(),
        args: String::new(),
        mask: address.mask().to_string(),
    };
    publish(directory, &[info])
}

/// The directory of copies and records.
pub fn make_directory(directory: &Path) -> Result<PathBuf> {
    let copies = directory.join(COPIES);
    match std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o755).create(&copies) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Failure::system(format!("mkdir {}", copies.display()), error))
        }
        _ => Ok(copies),
    }
}

impl NetInfo {
    fn of(held: &Held) -> Self {
        let ips = held.answer().unwrap_or_default().ips;
        let address = ips.iter().find(|ip| !ip.address.is_v6()).or_else(|| ips.first()).map(|ip| ip.address);
        Self {
            net_name: held.net_name.clone(),
            net_conf: held.net_conf.clone(),
            plugin_path: held.plugin_path.clone(),
            if_name: held.if_name.clone(),
            ip: address.map_or_else(String::new, |address| address.address.to_string()),
            args: held.args.clone(),
            mask: address.map_or_else(String::new, |address| address.mask().to_string()),
        }
    }
}

/// Keeps others from giving back what this process gives back. None if somebody does it now.
pub fn hold(directory: &Path) -> Result<Option<OwnedFd>> {
    let path = directory.join(COPIES);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&path, flags, Mode::empty()).context(|| format!("open {}", path.display()))?;
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(fd)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(Failure::system(format!("lock {}", path.display()), error)),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(fd) => read_bounded(fd, path, MAX_FILE).map(Some),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(error) => Err(Failure::system(format!("open {}", path.display()), error)),
    }
}

fn parse<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = read(path)? else { return Ok(None) };
    let value = serde_json::from_slice(&bytes);
    value.map(Some).map_err(|error| Failure::new(format!("parse {}: {error}", path.display())))
}

fn write(directory: &Path, name: &str, content: &[u8], mode: u32) -> Result<()> {
    let failed = || format!("write {}", directory.join(name).display());
    let directory = File::open(directory).context(failed)?;
    write_in(directory, name, content, mode).context(failed)
}
