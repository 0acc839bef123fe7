//! What pods held that died without giving it back, found by the next pod that misses it.

use super::attach::Request;
use super::chain::Runtime;
use super::{conf::kind_of, detach};
use crate::cni::Conf;
use rustix::fs::{FlockOperation, Mode, OFlags};
use std::path::{Path, PathBuf};

/// Where pods are that ran, beside this one's directory.
const DIRECTORIES: [&str; 2] = ["run", "exited-garbage"];

/// Where host-local keeps its reservations, if a configuration does not say.
const RESERVATIONS: &str = "/var/lib/cni/networks";

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
    for plugin in request.attachments.iter().flat_map(|attachment| &attachment.network.plugins) {
        for directory in reservations(plugin, request) {
            count += entries(&directory).into_iter().filter(|file| reclaim_reservation(file, pods)).count();
        }
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

/// The directories of addresses that a network's host-local has handed out.
fn reservations(plugin: &serde_json::Value, request: &Request<'_>) -> Vec<PathBuf> {
    let Ok(ipam) = Conf::of(plugin).object("ipam") else { return Vec::new() };
    if ipam.text("type").ok().flatten() != Some("host-local") {
        return Vec::new();
    }
    let base = ipam.text("dataDir").ok().flatten().filter(|path| !path.is_empty()).unwrap_or(RESERVATIONS);
    let of_this = |network: &&super::conf::Network| network.kinds().any(|kind| kind == kind_of(plugin));
    let networks = request.attachments.iter().map(|attachment| &attachment.network);
    networks.filter(of_this).map(|network| Path::new(base).join(&network.name)).collect()
}

/// Removes a reservation whose pod cannot run: its directory is here and nobody holds it, or it is not here and the machine was
/// started since. A record that a power cut kept from the disk is made up for by this.
fn reclaim_reservation(file: &Path, pods: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if name.parse::<std::net::IpAddr>().is_err() {
        return false;
    }
    let Ok(text) = std::fs::read_to_string(file) else { return false };
    let uuid = text.lines().next().unwrap_or_default().trim();
    if !is_uuid(uuid) {
        return false;
    }
    let here: Vec<PathBuf> = ["prepare", "prepared", "run", "exited-garbage", "garbage"]
        .iter()
        .map(|state| pods.join(state).join(uuid))
        .filter(|directory| directory.is_dir())
        .collect();
    let dead = if here.is_empty() { is_older_than_boot(file) } else { here.iter().all(|directory| is_dead(directory)) };
    dead && std::fs::remove_file(file).is_ok()
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
            ("last_reserved_ip.0", "10.0.0.5"),
        ];
        for (name, id) in files {
            std::fs::write(network.join(name), format!("{id}\r\neth0")).unwrap();
        }

        let taken: Vec<String> = files
            .iter()
            .filter(|(name, _)| reclaim_reservation(&network.join(name), &pods))
            .map(|(name, _)| (*name).to_owned())
            .collect();

        assert_eq!(taken, ["10.0.0.2"]);
        std::fs::remove_dir_all(&base).unwrap();
    }
}
