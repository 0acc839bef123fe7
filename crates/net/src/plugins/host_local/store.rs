//! Reservations on disk, in the format of the CNI reference plugin: `DIR/NETWORK/IP` holds `ID\r\nIFNAME`, `last_reserved_ip.N` the
//! address that was given last of range set N, `lock` is locked while anything changes. Older plugins wrote the ID alone.

use rustix::fs::{FlockOperation, flock};
use sandbox::{Context, Result};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where reservations lie if the configuration does not say.
pub const DATA_DIRECTORY: &str = "/var/lib/cni/networks";

/// Who holds an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The pod's UUID; empty if a power cut lost it.
    pub container_id: String,
    /// The link; none in files of older plugins.
    pub ifname: Option<String>,
}

impl Owner {
    fn parse(text: &str) -> Self {
        let mut lines = text.trim().lines().map(str::trim);
        let container_id = lines.next().unwrap_or_default().to_owned();
        Self { container_id, ifname: lines.next().map(str::to_owned) }
    }

    /// Whether it means this attachment.
    pub fn is(&self, container_id: &str, ifname: &str) -> bool {
        self.container_id == container_id && self.ifname.as_deref().is_none_or(|own| own == ifname)
    }
}

/// The reservations of one network, locked.
#[derive(Debug)]
pub struct Store {
    directory: PathBuf,
    _lock: File,
}

impl Store {
    /// Opens and locks the reservations of a network, which are made if there are none.
    pub fn open(data: &Path, network: &str) -> Result<Self> {
        let directory = data.join(network);
        fs::create_dir_all(&directory).context(|| format!("failed to create \"{}\"", directory.display()))?;
        Self::lock(directory)
    }

    /// The same; none if the network has no reservations.
    pub fn open_existing(data: &Path, network: &str) -> Result<Option<Self>> {
        let directory = data.join(network);
        if directory.is_dir() { Self::lock(directory).map(Some) } else { Ok(None) }
    }

    fn lock(directory: PathBuf) -> Result<Self> {
        let path = directory.join("lock");
        let what = || format!("failed to lock \"{}\"", path.display());
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .context(what)?;
        flock(&lock, FlockOperation::LockExclusive).context(what)?;
        Ok(Self { directory, _lock: lock })
    }

    /// Every reservation.
    pub fn reservations(&self) -> Result<HashMap<IpAddr, Owner>> {
        let what = || format!("failed to read \"{}\"", self.directory.display());
        let mut all = HashMap::new();
        for entry in fs::read_dir(&self.directory).context(what)? {
            let entry = entry.context(what)?;
            let Some(address) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let text = fs::read(entry.path()).context(|| format!("failed to read \"{}\"", entry.path().display()))?;
            all.insert(address, Owner::parse(&String::from_utf8_lossy(&text)));
        }
        Ok(all)
    }

    /// The file of an address.
    pub fn file(&self, address: IpAddr) -> PathBuf {
        self.directory.join(address.to_string())
    }

    /// Reserves an address that nobody has.
    pub fn reserve(&self, address: IpAddr, container_id: &str, ifname: &str) -> Result<()> {
        let path = self.file(address);
        let what = || format!("failed to write \"{}\"", path.display());
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path).context(what)?;
        file.write_all(format!("{container_id}\r\n{ifname}").as_bytes()).context(what)
    }

    /// Gives an address back.
    pub fn release(&self, address: IpAddr) -> Result<()> {
        let path = self.file(address);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result.context(|| format!("failed to remove \"{}\"", path.display())),
        }
    }

    /// The address that was given last of a range set.
    pub fn last(&self, set: usize) -> Option<IpAddr> {
        let text = fs::read_to_string(self.directory.join(format!("last_reserved_ip.{set}"))).ok()?;
        text.trim().parse().ok()
    }

    /// Records the address that was given last of a range set.
    pub fn set_last(&self, set: usize, address: IpAddr) -> Result<()> {
        let path = self.directory.join(format!("last_reserved_ip.{set}"));
        fs::write(&path, address.to_string()).context(|| format!("failed to write \"{}\"", path.display()))
    }
}
