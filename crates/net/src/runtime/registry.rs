//! Which pods are attached to a network on the whole host, whatever their data directories: GC needs to be told of all of them
//! (CNI specification 1.1.0, section 3). Kept only for networks that GC is called for; a reboot empties it, as it does the host.

use super::conf::Network;
use super::reclaim::is_dead;
use rustix::fs::{FlockOperation, Mode, OFlags};
use sandbox::{Context, Result};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// What others may see of rkt's.
const SHARED: &str = "/run/rkt";
const DIRECTORY: &str = "/run/rkt/networks";

/// Whether GC is called for the network.
pub fn concerns(network: &Network) -> bool {
    network.speaks("1.1.0") && !network.disable_gc
}

/// Held while an attachment is made or undone (shared), or while GC runs (exclusive).
pub struct Registry {
    directory: PathBuf,
    _lock: OwnedFd,
}

/// Makes a directory below `/run/rkt` that nobody else can open: who could, could lock it, and hold up every pod.
fn make_private(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(SHARED)?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

impl Registry {
    /// The network's register, waited for; none if GC is never called for the network.
    pub fn open(network: &Network, exclusive: bool) -> Result<Option<Self>> {
        if !concerns(network) {
            return Ok(None);
        }
        let directory = Path::new(DIRECTORY).join(&network.name);
        make_private(&directory).context(|| format!("mkdir {}", directory.display()))?;
        let failed = || format!("lock {}", directory.display());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let lock = rustix::fs::open(&directory, flags, Mode::empty()).context(failed)?;
        let operation = if exclusive { FlockOperation::LockExclusive } else { FlockOperation::LockShared };
        rustix::fs::flock(&lock, operation).context(failed)?;
        Ok(Some(Self { directory, _lock: lock }))
    }

    fn entry(&self, uuid: &str, ifname: &str) -> PathBuf {
        self.directory.join(format!("{uuid}.{ifname}"))
    }

    /// Notes an attachment of the pod in that directory.
    pub fn note(&self, uuid: &str, ifname: &str, pod: &Path) -> Result<()> {
        let entry = self.entry(uuid, ifname);
        self.forget(uuid, ifname);
        std::os::unix::fs::symlink(pod, &entry).context(|| format!("link {}", entry.display()))
    }

    /// Forgets an attachment.
    pub fn forget(&self, uuid: &str, ifname: &str) {
        // Not there is what we want; anything else costs a look at a dead pod.
        let _ = std::fs::remove_file(self.entry(uuid, ifname));
    }

    /// The attachments of pods that run: container and interface.
    pub fn valid(&self) -> Vec<(String, String)> {
        let mut valid = Vec::new();
        for entry in std::fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
            let (Ok(pod), Some((uuid, ifname))) = (std::fs::read_link(entry.path()), name.split_once('.')) else {
                continue;
            };
            if !pod.is_dir() || is_dead(&pod) {
                let _ = std::fs::remove_file(entry.path());
                continue;
            }
            valid.push((uuid.to_owned(), ifname.to_owned()));
        }
        valid.sort();
        valid
    }
}
