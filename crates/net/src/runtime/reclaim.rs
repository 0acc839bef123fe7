//! What pods held that died without giving it back, found by the next pod that misses it.

use super::attach::Request;
use super::chain::Runtime;
use super::detach;
use crate::cni::Conf;
use crate::plugins::host_local::{self, Owner};
use rustix::fs::{FlockOperation, Mode, OFlags};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where pods are that ran, beside this one's directory.
const DIRECTORIES: [&str; 2] = ["run", "exited-garbage"];

/// Gives back what dead pods of this data directory still hold, and reservations that no pod can have any more. Answers for how many.
pub fn reclaim(request: &Request<'_>) -> usize {
    let pods = request.directory.parent().and_then(Path::parent);
    let Some(pods) = pods.filter(|pods| DIRECTORIES.iter().any(|name| pods.join(name).is_dir())) else { return 0 };
    let mut count = 0;
    for directory in DIRECTORIES.iter().flat_map(|name| entries(&pods.join(name))) {
        let Some(uuid) = directory.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        if uuid == request.runtime.uuid || !is_dead(&directory) {
            continue;
        }
        let runtime = Runtime { uuid, ..request.runtime.clone() };
        if let Ok((true, failures)) = detach::release(&directory, &runtime)
            && failures.is_empty()
        {
            count += 1;
        }
    }
    for network in request.attachments.iter().map(|attachment| &attachment.network) {
        count += network.plugins.iter().map(|plugin| reclaim_addresses(plugin, &network.name, pods)).sum::<usize>();
    }
    count
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
}

/// A pod whose processes are gone holds no lock.
pub(super) fn is_dead(directory: &Path) -> bool {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(fd) = rustix::fs::open(directory, flags, Mode::empty()) else { return false };
    rustix::fs::flock(fd, FlockOperation::NonBlockingLockShared).is_ok()
}

/// Gives back the addresses of a network's host-local that no pod can have any more; answers how many.
fn reclaim_addresses(plugin: &Value, network: &str, pods: &Path) -> usize {
    let Ok(ipam) = Conf::of(plugin).object("ipam") else { return 0 };
    let text = |key: &str| ipam.text(key).ok().flatten().filter(|text| !text.is_empty());
    if text("type") != Some("host-local") {
        return 0;
    }
    let alive = |file: &Path, owner: &Owner| !is_gone(file, &owner.container_id, pods);
    host_local::reclaim(text("dataDir").map(Path::new), network, &alive).map_or(0, |gone| gone.len())
}

/// Whether the pod of a reservation cannot run: its directory is here and nobody holds it, or it is not here and the machine was started
/// since. A record that a power cut kept from the disk is made up for by this.
fn is_gone(file: &Path, uuid: &str, pods: &Path) -> bool {
    if uuid.is_empty() {
        return true; // a power cut kept that from the disk, too
    }
    if !is_uuid(uuid) {
        return false;
    }
    let here: Vec<PathBuf> = ["prepare", "prepared", "run", "exited-garbage", "garbage"]
        .iter()
        .map(|state| pods.join(state).join(uuid))
        .filter(|directory| directory.is_dir())
        .collect();
    if here.is_empty() { is_older_than_boot(file) } else { here.iter().all(|directory| is_dead(directory)) }
}

/// Pods have them; the identities of other people's containers look otherwise.
fn is_uuid(text: &str) -> bool {
    let parts: Vec<usize> = text.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

fn is_older_than_boot(file: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot =
        stat.lines().find_map(|line| line.strip_prefix("btime ")).and_then(|text| text.trim().parse::<i64>().ok());
    // A minute for a clock that was set since.
    match (boot, std::fs::metadata(file)) {
        (Some(boot), Ok(metadata)) => metadata.mtime() < boot - 60,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_reservations_of_dead_pods_are_taken_back() {
        let base = std::env::temp_dir().join(format!("rkt-reclaim-{}", std::process::id()));
        let (pods, network) = (base.join("pods"), base.join("network"));
        let (dead, alive, elsewhere) = (
            "0b2e1d1c-6c0f-4e0e-9a51-2f6f8d9f7a11",
            "0b2e1d1c-6c0f-4e0e-9a51-2f6f8d9f7a12",
            "0b2e1d1c-6c0f-4e0e-9a51-2f6f8d9f7a13",
        );
        std::fs::create_dir_all(&network).unwrap();
        for uuid in [dead, alive] {
            std::fs::create_dir_all(pods.join("run").join(uuid)).unwrap();
        }
        let held = std::fs::File::open(pods.join("run").join(alive)).unwrap();
        rustix::fs::flock(&held, FlockOperation::LockExclusive).unwrap();
        let files = [
            ("10.0.0.2", dead),
            ("10.0.0.3", alive),
            ("10.0.0.4", elsewhere),
            ("10.0.0.5", "c0ffee"),
            ("10.0.0.6", ""),
            ("last_reserved_ip.0", "10.0.0.5"),
        ];
        for (name, id) in files {
            let text = if id.is_empty() { String::new() } else { format!("{id}\r\neth0") };
            std::fs::write(network.join(name), text).unwrap();
        }
        let plugin = serde_json::json!({"type": "ptp", "ipam": {"type": "host-local", "dataDir": base}});

        assert_eq!(reclaim_addresses(&plugin, "network", &pods), 2);

        let left = |name: &str| network.join(name).exists();
        let names: Vec<&str> = files.iter().map(|(name, _)| *name).filter(|name| left(name)).collect();
        assert_eq!(names, ["10.0.0.3", "10.0.0.4", "10.0.0.5", "last_reserved_ip.0"]);
        std::fs::remove_dir_all(&base).unwrap();
    }
}
