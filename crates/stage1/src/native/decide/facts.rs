//! What the decisions rest on beside arguments and manifests: facts of the host, of the kernel and of this process.

use super::sockets;
use sandbox::cgroup::{self, Hierarchy};
use sandbox::idmap::{self, IdMap};
use sandbox::lsm::Modules;
use std::path::{Path, PathBuf};

/// What a plan depends on and neither arguments nor manifests say.
pub struct Facts {
    pub hierarchies: Vec<Hierarchy>,
    /// Others were left out, since an ordinary user may make nothing there.
    pub undelegated: bool,
    /// The host has /dev/net/tun.
    pub tun: bool,
    /// The ids there are, when this process is in a user namespace that has not all of them.
    pub ids: Option<IdMap>,
    /// Whether this process may change its network, and so attach pods to it.
    pub owns_network: bool,
    /// Standard input is a terminal.
    pub terminal: bool,
    /// `TERM` of the caller.
    pub term: String,
    /// The number of the first app that is planned; more than none for one that joins a running pod.
    pub first_number: usize,
    /// Sockets that the caller handed over.
    pub sockets: Vec<sockets::Handed>,
    /// The lowest that the kernel lets us give to an app (proc_pid_oom_score_adj(5)).
    pub least_oom_score_adj: i32,
    /// A random UUID, for the pod's own /proc/sys/kernel/random/boot_id.
    pub boot_id: String,
    /// The SELinux contexts that stage0 gave the pod: of its processes and of its files.
    pub process_context: Option<String>,
    pub file_context: Option<String>,
    /// Security modules of this kernel.
    pub modules: Modules,
    /// The numbers of the host's block devices, `MAJOR:MINOR`; read only for a pod whose use of them is limited.
    pub block_devices: fn() -> Vec<String>,
}

impl Facts {
    /// The facts of this host and this process.
    pub fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let mut hierarchies = cgroup::discover(&text("/proc/self/cgroup"), &text("/proc/self/mountinfo"), |path| {
            std::fs::read_to_string(path).unwrap_or_default()
        });
        let (ids, found) = (idmap::own(), hierarchies.len());
        hierarchies.retain(|hierarchy| ids.is_none() || hierarchy.is_delegated());
        Self {
            undelegated: hierarchies.len() < found,
            hierarchies,
            tun: Path::new("/dev/net/tun").exists(),
            ids,
            owns_network: ids.is_none() || idmap::owns_network(),
            terminal: rustix::termios::isatty(rustix::stdio::stdin()),
            term: std::env::var("TERM").unwrap_or_else(|_| "vt100".to_owned()),
            first_number: 0,
            sockets: sockets::handed(),
            least_oom_score_adj: least_oom_score_adj(),
            boot_id: random_uuid(),
            process_context: given("RKT_SELINUX_CONTEXT"),
            file_context: given("RKT_SELINUX_MOUNT_CONTEXT"),
            modules: Modules::read(),
            block_devices,
        }
    }
}

/// A variable of the environment that says something.
fn given(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

fn least_oom_score_adj() -> i32 {
    let may_lower = rustix::thread::capabilities(None)
        .is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::SYS_RESOURCE));
    let own = std::fs::read_to_string("/proc/self/oom_score_adj").ok().and_then(|text| text.trim().parse().ok());
    if may_lower { -1000 } else { own.unwrap_or_default() }
}

/// A random UUID (RFC 9562, version 4).
fn random_uuid() -> String {
    let mut bytes = [0_u8; 16];
    // Sixteen bytes come whole or not at all; what is not random is still of its form.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..])
}

/// The block devices that hold anything, in order.
fn block_devices() -> Vec<String> {
    let read = |path: PathBuf| std::fs::read_to_string(path).map(|text| text.trim().to_owned()).ok();
    let entries = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let numbers = entries.filter(|entry| read(entry.path().join("size")).is_some_and(|size| size != "0"));
    let mut numbers: Vec<String> = numbers.filter_map(|entry| read(entry.path().join("dev"))).collect();
    numbers.sort();
    numbers
}
