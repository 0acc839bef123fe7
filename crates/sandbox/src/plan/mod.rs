//! A pod's plan: everything that will be done, as plain data, in the order in which it is done. It can be printed, compared and
//! tested without root; performing it decides nothing.

mod app;
mod cgroups;
mod mounts;
mod network;

pub use app::{App, Exec, PassedSocket, PlainLog, Stdio, Stream, User};
pub use cgroups::{CgroupPlace, CgroupValue, Cgroups};
pub use mounts::{Allow, EmptyVolume, Mount, Propagation, Source};
pub use network::{NetworkAttachment, Port};

use crate::idmap::IdMap;
use serde::Serialize;
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

/// A parameter of the kernel that belongs to a namespace of the pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sysctl {
    /// Below /proc/sys.
    pub path: String,
    /// What is written.
    pub value: String,
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
