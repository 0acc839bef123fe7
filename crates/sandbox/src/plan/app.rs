//! An app, from its root to its streams.

use super::{CgroupValue, Mount};
use crate::devices::Rule;
use crate::lsm::Labels;
use crate::seccomp::SystemCalls;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

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
