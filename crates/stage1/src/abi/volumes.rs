//! Which volume an app gets where (stage1-abi §3.11).

use super::manifest::Volume;
use super::pod::{Pod, PodApp};
use rustix::fs::OFlags;
use sandbox::idmap::IdMap;
use sandbox::plan::{EmptyVolume, Mount, Propagation, Source};
use sandbox::tree::{Root, is_directory};
use sandbox::{Failure, Result};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// The mounts of all apps, in the order of the apps, the empty volumes behind them, and warnings.
#[derive(Debug, Default)]
pub struct Volumes {
    pub mounts: Vec<Vec<Mount>>,
    pub empty: Vec<EmptyVolume>,
    pub warnings: Vec<String>,
    ids: Option<IdMap>,
    id_mapped: bool,
}

/// Computes the mounts of every app of a pod that has these ids, shown with them when `id_mapped`. What cannot be is refused here,
/// before anything starts.
pub fn of_pod(pod: &Pod, ids: Option<IdMap>, id_mapped: bool) -> Result<Volumes> {
    let mut volumes = Volumes { ids, id_mapped, ..Volumes::default() };
    for app in &pod.apps {
        let mounts = volumes.of_app(pod, app).and_then(|mounts| check_targets(pod, app, mounts));
        let mounts = mounts.map_err(|failure| failure.of(format!("app \"{}\"", app.name())))?;
        volumes.mounts.push(mounts);
    }
    Ok(volumes)
}

impl Volumes {
    fn of_app(&mut self, pod: &Pod, app: &PodApp) -> Result<Vec<Mount>> {
        let by_name = |name: &str| pod.volumes.iter().find(|volume| volume.name == name);
        let mut mounts: Vec<Mount> = Vec::new();
        for mount in &app.runtime.mounts {
            let volume = mount.app_volume.as_ref().or_else(|| by_name(&mount.volume));
            let volume = volume.ok_or_else(|| Failure::new(format!("could not find volume {}", mount.volume)))?;
            let point = app.app.mount_points.iter().find(|point| point.name == mount.volume);
            let read_only = volume.read_only.unwrap_or_else(|| point.is_some_and(|point| point.read_only));
            mounts.push(self.mount(pod, volume, &mount.path, read_only, None)?);
        }
        for point in &app.app.mount_points {
            if mounts.iter().any(|mount| same_path(&mount.target, &point.path)) {
                continue;
            }
            let mount = match by_name(&point.name) {
                Some(volume) => {
                    self.mount(pod, volume, &point.path, volume.read_only.unwrap_or(point.read_only), None)?
                }
                None => self.implicit(pod, app, &point.name, &point.path, point.read_only)?,
            };
            mounts.push(mount);
        }
        Ok(mounts)
    }

    fn implicit(&mut self, pod: &Pod, app: &PodApp, point: &str, path: &str, read_only: bool) -> Result<Mount> {
        self.warnings.push(format!(
            "no volume specified for mount point \"{point}\", implicitly creating an \"empty\" volume. This volume will be removed \
             when the pod is garbage-collected."
        ));
        let volume = Volume { name: format!("{}-{point}", app.name()), kind: "empty".to_owned(), ..Volume::default() };
        let mut copy_from = None;
        if app.image.is_docker() {
            self.warnings.push(format!(
                "Docker converted image, initializing implicit volume with data contained at the mount point \"{point}\"."
            ));
            copy_from = Some((app.root(), path.to_owned()));
        }
        self.mount(pod, &volume, path, read_only, copy_from)
    }

    fn mount(
        &mut self,
        pod: &Pod,
        volume: &Volume,
        path: &str,
        read_only: bool,
        copy: Option<(String, String)>,
    ) -> Result<Mount> {
        if path.split('/').all(|part| part.is_empty() || part == ".") {
            return Err(Failure::new(format!("volume \"{}\" cannot be mounted on \"{path}\"", volume.name)));
        }
        let mut id_mapped = false;
        let source = match volume.kind.as_str() {
            "host" => {
                let source = std::fs::metadata(&volume.source)
                    .map_err(|error| Failure::system(format!("stat {}", volume.source), error))
                    .map_err(|failure| failure.of(format!("volume \"{}\"", volume.name)))?;
                // A device has no content that belongs to somebody, and its file system cannot be id-mapped.
                let kind = source.file_type();
                id_mapped = self.id_mapped && !kind.is_char_device() && !kind.is_block_device();
                volume.source.clone().into()
            }
            "empty" => {
                self.empty(volume, copy)?;
                pod.directory.join("sharedVolumes").join(&volume.name)
            }
            other => return Err(Failure::new(format!("Volume {} has invalid kind {other}", volume.name))),
        };
        Ok(Mount {
            target: path.to_owned(),
            source: Source::Host(source),
            read_only,
            recursive: volume.recursive.unwrap_or(true),
            make_target: true,
            id_mapped,
            propagation: self.propagation(volume)?,
        })
    }

    fn propagation(&self, volume: &Volume) -> Result<Propagation> {
        let propagation = propagation(volume)?.unwrap_or_default();
        if propagation == Propagation::Shared && self.ids.is_some() {
            let reason = "propagation=shared is not for pods with a user namespace, which must not mount on the host";
            return Err(Failure::new(reason).of(format!("volume \"{}\"", volume.name)));
        }
        Ok(propagation)
    }

    fn empty(&mut self, volume: &Volume, copy_from: Option<(String, String)>) -> Result<()> {
        if volume.name.is_empty() || volume.name.contains('/') || volume.name == ".." || volume.name == "." {
            return Err(Failure::new(format!("\"{}\" is not a valid volume name", volume.name)));
        }
        if self.empty.iter().any(|known| known.name == volume.name) {
            return Ok(());
        }
        let mode = volume.mode.as_deref().unwrap_or("0755");
        let mode = u32::from_str_radix(mode, 8).ok().filter(|&mode| mode <= 0o7777);
        let mode = mode.ok_or_else(|| Failure::new(format!("volume \"{}\" has an invalid mode", volume.name)))?;
        let (uid, gid) = (volume.uid.unwrap_or(0), volume.gid.unwrap_or(0));
        for (field, id) in [("uid", uid), ("gid", gid)] {
            if self.ids.is_some_and(|ids| ids.outside(id).is_none()) {
                let reason = format!("{field} {id} is not among the ids of the pod's user namespace");
                return Err(Failure::new(reason).of(format!("volume \"{}\"", volume.name)));
            }
        }
        self.empty.push(EmptyVolume { name: volume.name.clone(), mode, uid, gid, copy_from });
        Ok(())
    }
}

/// Refuses a directory that would be mounted on something else, or the other way round. What lies below another volume is not known yet.
fn check_targets(pod: &Pod, app: &PodApp, mounts: Vec<Mount>) -> Result<Vec<Mount>> {
    let root = Root::open_at(pod.stage1().join(app.root().trim_start_matches('/')))?;
    for mount in &mounts {
        let below = |other: &Mount| {
            !same_path(&mount.target, &other.target) && Path::new(&mount.target).starts_with(Path::new(&other.target))
        };
        let Source::Host(source) = &mount.source else { continue };
        let Ok(target) = root.open(&mount.target, OFlags::PATH) else { continue };
        // An empty volume is not there yet, and will be a directory.
        let source = source.metadata().is_ok_and(|source| !source.is_dir());
        let reason = match (source, is_directory(&target)) {
            (true, true) => "the target is a directory while the source is not",
            (false, false) => "the source is a directory while the target is not",
            _ => continue,
        };
        if !mounts.iter().any(below) {
            return Err(Failure::new(reason).of(format!("mount {}", mount.target)));
        }
    }
    Ok(mounts)
}

/// The propagation that a volume asks for, our own extension of appc: a field `propagation` that others ignore.
pub fn propagation(volume: &Volume) -> Result<Option<Propagation>> {
    let Some(name) = &volume.propagation else { return Ok(None) };
    let failed = |reason: String| Failure::new(reason).of(format!("volume \"{}\"", volume.name));
    let propagation = Propagation::parse(name).ok_or_else(|| failed(format!("unknown propagation \"{name}\"")))?;
    if volume.kind != "host" {
        return Err(failed("propagation is for host volumes only".to_owned()));
    }
    if propagation == Propagation::Shared && !sandbox::mountinfo::is_shared(Path::new(&volume.source))? {
        return Err(failed(format!(
            "{0} does not lie on a shared mount, so nothing can propagate from the pod (try: mount --bind {0} {0} && mount \
             --make-shared {0})",
            volume.source
        )));
    }
    Ok(Some(propagation))
}

/// Whether two texts mean the same path, slashes apart.
fn same_path(one: &str, other: &str) -> bool {
    let parts =
        |path: &str| -> Vec<String> { path.split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect() };
    parts(one) == parts(other)
}

/// Makes the directories of empty volumes below `sharedVolumes`; one that exists already is left as it is.
/// Owners are ids of the pod.
pub fn create_empty(pod: &Pod, volumes: &[EmptyVolume], ids: Option<IdMap>) -> Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown};
    if volumes.is_empty() {
        return Ok(());
    }
    let shared = pod.directory.join("sharedVolumes");
    let failed = |volume: &EmptyVolume, error| Failure::system(format!("create volume \"{}\"", volume.name), error);
    match std::fs::DirBuilder::new().mode(0o755).create(&shared) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::system(format!("mkdir {}", shared.display()), error));
        }
        _ => {}
    }
    for volume in volumes {
        let path = shared.join(&volume.name);
        match std::fs::create_dir(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(failed(volume, error)),
        }
        let outside = |id: u32| ids.map_or(Some(id), |ids| ids.outside(id));
        chown(&path, outside(volume.uid), outside(volume.gid)).map_err(|error| failed(volume, error))?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(volume.mode))
            .map_err(|error| failed(volume, error))?;
        if let Some((root, from)) = &volume.copy_from {
            let root = Root::from(Root::open_at(pod.stage1())?.open(root, rustix::fs::OFlags::PATH)?);
            sandbox::copy::copy_content(&root, from, &path)
                .map_err(|failure| failure.of(format!("volume \"{}\"", volume.name)))?;
        }
    }
    Ok(())
}
