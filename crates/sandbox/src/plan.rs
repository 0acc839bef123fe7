//! A pod's plan: everything that will be done, as plain data, in the order in which it is done. It can be printed, compared and
//! tested without root; performing it decides nothing.

use crate::devices::Rule;
use crate::idmap::IdMap;
use crate::lsm::Labels;
use crate::seccomp::SystemCalls;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// The whole of a pod.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// The pod's UUID, lower case, with dashes.
    pub uuid: String,
    /// What uname(2) answers inside.
    pub hostname: String,
    /// Which namespaces are the pod's own.
    pub namespaces: Namespaces,
    /// The networks that the pod is attached to, in order.
    pub networks: Vec<NetworkAttachment>,
    /// The most that goes by each of them in either direction, in bytes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<u64>,
    /// The pod's ports that the host offers.
    pub ports: Vec<Port>,
    /// The program that carries what leaves the pod of an ordinary user, once pid 1 is born.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carrier: Option<PathBuf>,
    /// Cgroup directories and what is written there.
    pub cgroups: Cgroups,
    /// Files written below the root of stage1 before anything is mounted.
    pub files: Vec<File>,
    /// Empty volumes, below `sharedVolumes` of the pod directory.
    pub volumes: Vec<EmptyVolume>,
    /// What is mounted below the root of stage1, where pid 1 lives; apps get copies of these mounts.
    pub mounts: Vec<Mount>,
    /// The SELinux context of the files of new file systems.
    pub file_context: Option<String>,
    /// Parameters of the kernel, set when /proc is there and can still be written to.
    pub sysctls: Vec<Sysctl>,
    /// The apps, in the order in which they start.
    pub apps: Vec<App>,
    /// How the pod ends.
    pub lifecycle: Lifecycle,
    /// What is told of networks, shown before anything starts.
    pub notes: Vec<String>,
    /// Shown before anything starts.
    pub warnings: Vec<String>,
}

/// Namespaces; those of processes, mounts, names and cgroups are always the pod's own.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Namespaces {
    /// System V and POSIX IPC.
    pub ipc: Share,
    /// The network.
    pub network: Network,
    /// A user namespace with ids of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<IdMap>,
}

/// Whether a namespace is shared with the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Share {
    /// The pod's own.
    Private,
    /// The caller's.
    Parent,
}

/// The pod's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// The caller's.
    Host,
    /// Its own, attached to the networks of the plan.
    Contained,
    /// Its own, born with pid 1, which has the loopback interface only: for who may attach it to nothing.
    Loopback,
}

/// A network of the pod.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkAttachment {
    /// The network's name.
    pub name: String,
    /// The base name of the file that configures it.
    pub file: String,
    /// The interface in the pod.
    pub interface: String,
    /// `CNI_ARGS`.
    pub arguments: String,
    /// The configuration.
    pub text: String,
}

/// A port of the pod, or a range of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The address of the host that offers it; the unspecified one is all.
    pub host_ip: IpAddr,
    /// The first port of the host.
    pub host_port: u16,
    /// The first port of the pod.
    pub pod_port: u16,
    /// How many.
    pub count: u16,
}

/// A parameter of the kernel that belongs to a namespace of the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sysctl {
    /// Below /proc/sys.
    pub path: String,
    /// What is written.
    pub value: String,
}

/// The pod's place in each cgroup hierarchy.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cgroups {
    /// What the file `subcgroup` says: the path relative to a controller's mount.
    pub subcgroup: Option<String>,
    /// There are hierarchies in which this user may make nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub undelegated: bool,
    /// One entry a hierarchy.
    pub hierarchies: Vec<CgroupPlace>,
    /// Files of the version 2 hierarchy that pass controllers down, with their content, written before any process enters.
    pub delegate: Vec<(PathBuf, String)>,
    /// Written to the cgroup of the pod, and to the one that holds those of its apps.
    pub values: Vec<CgroupValue>,
    /// The leaf, below our own cgroup, that this process has to move to so that controllers can be passed down (version 2).
    pub vacate: Option<PathBuf>,
}

/// The pod's cgroup of one hierarchy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupPlace {
    /// Whether it is the version 2 hierarchy.
    pub unified: bool,
    /// Its controllers.
    pub controllers: Vec<String>,
    /// The pod's directory.
    pub pod: PathBuf,
    /// Where pid 1 goes: the pod's directory, or a leaf of it in version 2.
    pub supervisor: PathBuf,
    /// Per app, in the order of the apps: the directory.
    pub apps: Vec<PathBuf>,
}

/// A file of stage1's root.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// Relative to the root of stage1.
    pub path: String,
    /// The whole content.
    pub content: String,
    /// Permission bits.
    pub mode: u32,
}

/// An empty volume.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EmptyVolume {
    /// The name, which is also the directory's.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// A directory of an app's root whose content, mode and owner the volume takes over: app and path.
    pub copy_from: Option<(String, String)>,
}

/// One mount.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Below the root, whose links are followed inside of it.
    pub target: String,
    /// What is mounted.
    pub source: Source,
    /// No writing through this mount.
    pub read_only: bool,
    /// Whether the mounts below the source come along.
    pub recursive: bool,
    /// A target that does not exist is made; else such a mount is left out.
    pub make_target: bool,
    /// Shown with the pod's own ids: its files belong inside to whom they belong outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub id_mapped: bool,
    /// How mounts made below the source or below the target are seen on the other side.
    #[serde(default, skip_serializing_if = "Propagation::is_private")]
    pub propagation: Propagation,
}

/// Propagation of mounts between the host and the pod (mount_namespaces(7), Shared subtrees).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Neither side sees what the other mounts.
    #[default]
    Private,
    /// The pod sees what the host mounts.
    Slave,
    /// Each sees what the other mounts.
    Shared,
}

impl Propagation {
    fn is_private(&self) -> bool {
        *self == Self::Private
    }

    /// The propagation of that name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "private" => Some(Self::Private),
            "slave" => Some(Self::Slave),
            "shared" => Some(Self::Shared),
            _ => None,
        }
    }
}

/// Where a mount's content comes from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// A new instance of a file system of the kernel.
    #[serde(skip_deserializing)]
    Filesystem {
        /// Its type.
        #[serde(skip_deserializing)]
        kind: &'static str,
        /// Its options.
        #[serde(skip_deserializing)]
        options: Vec<(&'static str, &'static str)>,
        /// Set-user-id programs, devices and executables that it may hold.
        allow: Allow,
    },
    /// A new tmpfs with the devices and links of the OS specification.
    Devices {
        /// Whether `net/tun` is among them.
        tun: bool,
        /// Mounts of those in the /dev that this process sees: for who may not make devices.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bound: bool,
    },
    /// A path of the host.
    Host(PathBuf),
    /// A path of stage1's root.
    Stage1(String),
    /// The target itself, to change its flags.
    Itself,
    /// Something empty without any permission.
    Masked,
}

/// What a file system may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Allow {
    /// Neither devices nor set-user-id programs nor executables.
    Data,
    /// Executables.
    Executables,
    /// Device nodes.
    Devices,
}

/// One app.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    /// Its name.
    pub name: String,
    /// Its root, below the root of stage1.
    pub root: String,
    /// What is mounted there.
    pub mounts: Vec<Mount>,
    /// Directories that exist and links, made when absent.
    pub directories: Vec<(String, u32)>,
    /// Whether the root itself cannot be written.
    pub read_only_root: bool,
    /// The main process: the file, then the arguments.
    pub exec: Exec,
    /// Run to their end before, as root.
    pub pre_start: Vec<Exec>,
    /// Run after, as root.
    pub post_stop: Vec<Exec>,
    /// The whole environment, in order.
    pub environment: Vec<(String, String)>,
    /// Inside the root.
    pub working_directory: String,
    /// Who the main process is.
    pub user: User,
    /// Bounding set by name; none leaves the caller's.
    pub capabilities: Option<Vec<String>>,
    /// What security modules label its processes with.
    pub labels: Labels,
    /// What becomes of each system call; none filters nothing.
    pub system_calls: Option<SystemCalls>,
    /// Whether pid 1 listens to the filter, to say which call a process was ended for.
    pub names_refusals: bool,
    /// prctl(2), PR_SET_NO_NEW_PRIVS.
    pub no_new_privileges: bool,
    /// Written to /proc/self/oom_score_adj.
    pub oom_score_adj: Option<i32>,
    /// Controller, file and text, written to the app's cgroup before it starts.
    pub cgroup_values: Vec<CgroupValue>,
    /// Devices that it may use, in a cgroup of version 2; where there are none, nothing is restricted there.
    #[serde(skip_deserializing)]
    pub devices: Vec<Rule>,
    /// Where its standard streams lead.
    pub stdio: Stdio,
    /// Where its lines go beside its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain_log: Option<PlainLog>,
    /// Where the supervisor listens to it, below the root of stage1.
    pub services: String,
    /// It tells the supervisor when it is ready (sd_notify(3)).
    pub notifies: bool,
    /// Sockets that it is given, as descriptors from 3 on (sd_listen_fds(3)).
    pub sockets: Vec<PassedSocket>,
}

/// A file of plain lines, for a node's agent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PlainLog {
    /// A directory of the host; none is one of stage1's root.
    pub directory: Option<PathBuf>,
    /// Its name there.
    pub name: String,
}

/// A socket that an app is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PassedSocket {
    /// The name of the port.
    pub name: String,
    /// TCP, or else UDP.
    pub stream: bool,
    /// The number of the port.
    pub port: u16,
    /// The descriptor by which it was handed to rkt; none when the supervisor opens it, in the pod's network.
    pub inherited: Option<i32>,
}

/// A command: `argv` is handed over whole, `file` is what the kernel opens.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exec {
    /// A path inside the app's root, absolute or relative to the working directory.
    pub file: String,
    /// argv, its first word included.
    pub argv: Vec<String>,
}

/// Ids of a process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// All supplementary groups.
    pub groups: Vec<u32>,
}

/// One write to a cgroup file.
#[derive(Debug, Serialize, Deserialize)]
pub struct CgroupValue {
    /// The controller whose hierarchy it is.
    pub controller: String,
    /// The file's name.
    pub file: String,
    /// The text.
    pub text: String,
}

/// An app's standard streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stdio {
    /// Descriptor 0.
    pub stdin: Stream,
    /// Descriptor 1.
    pub stdout: Stream,
    /// Descriptor 2.
    pub stderr: Stream,
}

impl Stdio {
    /// Whether one of the streams leads there.
    pub fn has(&self, stream: Stream) -> bool {
        [self.stdin, self.stdout, self.stderr].contains(&stream)
    }
}

/// Where a standard stream leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Nowhere.
    Null,
    /// To lines of the log and the console.
    Log,
    /// To a terminal of the pod, shown on the caller's.
    Terminal,
    /// To the caller's own stream; one that is a terminal is relayed.
    Caller,
    /// To whoever attaches, by lines.
    Stream,
    /// To a terminal of the app's own, shown to whoever attaches.
    Tty,
}

/// How a pod ends.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Lifecycle {
    /// Seconds between TERM and KILL.
    pub grace_seconds: u32,
    /// Apps come and go while it runs, and their ends do not end it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub mutable: bool,
}
