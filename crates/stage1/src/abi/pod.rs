//! The pod directory: the manifests in it, and the few files by which entrypoints find each other.

use super::manifest::{App, ExposedPort, ImageManifest, Isolator, Pair, PodManifest, RuntimeApp, Volume};
use rustix::fs::{Mode, OFlags};
use sandbox::tree::{Root, read_bounded};
use sandbox::{Context, Failure, Result};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// Larger manifests are refused.
const MAX_MANIFEST: u64 = 16 << 20;

/// An app with everything that is known of it.
#[derive(Debug)]
pub struct PodApp {
    pub runtime: RuntimeApp,
    /// The pod's app section, or the image's.
    pub app: App,
    pub image: ImageManifest,
}

impl PodApp {
    pub fn name(&self) -> &str {
        &self.runtime.name
    }

    /// Its root, below the root of stage1.
    pub fn root(&self) -> String {
        format!("/opt/stage2/{}/rootfs", self.name())
    }
}

/// A pod as its directory describes it.
#[derive(Debug)]
pub struct Pod {
    pub directory: PathBuf,
    stage1: PathBuf,
    pub apps: Vec<PodApp>,
    pub volumes: Vec<Volume>,
    pub ports: Vec<ExposedPort>,
    /// Those of the pod, not of an app.
    pub isolators: Vec<Isolator>,
    pub annotations: Vec<Pair>,
}

impl Pod {
    /// The root of stage1.
    pub fn stage1(&self) -> PathBuf {
        self.stage1.clone()
    }

    /// Loads the pod of `directory` with the manifests of its images (stage1-abi §3.2).
    pub fn load(directory: &Path) -> Result<Self> {
        let stage1 = directory.join("stage1/rootfs");
        let root = Root::open_at(&stage1)?;
        Self::of(directory, stage1, load_manifest(directory)?, &root, "opt/stage2")
    }

    /// One app of a running pod whose stage1 is seen at `stage1`. What the pod can write is not believed: the manifest of the image
    /// is stage0's copy.
    pub fn load_app(directory: &Path, stage1: PathBuf, app: &str) -> Result<Self> {
        let mut manifest = load_manifest(directory)?;
        manifest.apps.retain(|one| one.name == app);
        // Ports were given away when the pod began.
        manifest.ports = Vec::new();
        if manifest.apps.is_empty() {
            return Err(Failure::new(format!("nonexistent app \"{app}\"")));
        }
        Self::of(directory, stage1, manifest, &Root::open_at(directory)?, "appsinfo")
    }

    fn of(directory: &Path, stage1: PathBuf, mut manifest: PodManifest, images: &Root, below: &str) -> Result<Self> {
        let mut names = HashSet::new();
        if let Some(double) = manifest.volumes.iter().find(|volume| !names.insert(volume.name.as_str())) {
            return Err(Failure::new(format!("duplicate volume name \"{}\"", double.name)));
        }
        let mut apps: Vec<PodApp> = Vec::with_capacity(manifest.apps.len());
        for mut runtime in std::mem::take(&mut manifest.apps) {
            check_app_name(&runtime.name)?;
            if apps.iter().any(|known| known.name() == runtime.name) {
                return Err(Failure::new(format!("got multiple definitions for app: {}", runtime.name)));
            }
            let path = format!("{below}/{}/manifest", runtime.name);
            let bytes = images
                .read(&path, MAX_MANIFEST)?
                .ok_or_else(|| Failure::new(format!("no image manifest at {path}")))?;
            let image: ImageManifest = serde_json::from_slice(&bytes).context(|| format!("parse {path}"))?;
            let app = runtime.app.take().or_else(|| image.app.clone());
            let app = app.ok_or_else(|| Failure::new(format!("app \"{}\" has no app section", runtime.name)))?;
            apps.push(PodApp { runtime, app, image });
        }
        let PodManifest { volumes, ports, isolators, annotations, .. } = manifest;
        Ok(Self { directory: directory.to_owned(), stage1, apps, volumes, ports, isolators, annotations })
    }
}

/// The pod manifest alone.
pub fn load_manifest(directory: &Path) -> Result<PodManifest> {
    let path = directory.join("pod");
    let bytes = read_file(&path, MAX_MANIFEST)?;
    serde_json::from_slice(&bytes).context(|| format!("parse {}", path.display()))
}

/// An app's name becomes part of paths.
pub fn check_app_name(name: &str) -> Result<()> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.is_empty() && name.bytes().all(legal) {
        return Ok(());
    }
    Err(Failure::new(format!("\"{name}\" is not a valid app name")))
}

/// Reads a regular file of the pod directory, not through a link.
pub fn read_file(path: &Path, max: u64) -> Result<Vec<u8>> {
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
        .context(|| format!("open {}", path.display()))?;
    read_bounded(fd, path, max)
}

/// Reads a file that holds a decimal number.
pub fn read_number(path: &Path) -> Result<i32> {
    let bytes = read_file(path, 64)?;
    let number = std::str::from_utf8(&bytes).ok().and_then(|text| text.trim().parse::<i32>().ok());
    number.filter(|&number| number > 0).ok_or_else(|| Failure::new(format!("{} holds no pid", path.display())))
}

/// Writes a file of the pod directory whole or not at all.
pub fn write_file(directory: &Path, name: &str, content: &[u8], mode: u32) -> Result<()> {
    let failed = || format!("write {}", directory.join(name).display());
    let fd = rustix::fs::open(directory, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .context(failed)?;
    sandbox::tree::write_in(fd, name, content, mode).context(failed)
}

/// The lock of the pod, by its descriptor's number in the environment.
pub fn lock_descriptor() -> Result<std::os::fd::OwnedFd> {
    let number = std::env::var("RKT_LOCK_FD").ok().and_then(|text| text.parse().ok());
    number.and_then(sandbox::sys::adopt).ok_or_else(|| Failure::new("failed to get rkt lock fd"))
}

/// Whether somebody holds the lock of the pod.
pub fn is_locked(directory: &Path) -> bool {
    use rustix::fs::FlockOperation::NonBlockingLockShared;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(fd) = rustix::fs::open(directory, flags, Mode::empty()) else { return false };
    rustix::fs::flock(fd, NonBlockingLockShared).is_err()
}
