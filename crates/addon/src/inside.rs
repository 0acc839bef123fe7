//! What is done inside of a running pod: in its mount namespace, by a thread of its own that ends right after. The pod is hostile: every
//! path is resolved below the root of its stage1 through no link, and its /proc is not asked.

use crate::beneath;
use crate::exec::OverlayMount;
use crate::failure::{NativeFailure, Outcome, outcome};
use crate::overlay::{Layers, mount_detached};
use crate::sys;
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use rustix::fs::{AtFlags, Mode, OFlags, mkdirat, openat, renameat, unlinkat};
use rustix::io::Errno;
use rustix::mount::{MoveMountFlags, UnmountFlags, move_mount, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

const CODE: &str = "RKT_POD_INSIDE";

/// Below the root of stage1: where apps lie.
const STAGE2: &str = "opt/stage2";
const STATUS: &str = "rkt/status";

/// A pod that runs, as the host sees it.
#[napi(object)]
pub struct RunningPod {
    /// Of its pid 1.
    pub pid: i32,
    /// The root of its stage1, no link in it.
    pub stage1: String,
}

/// Makes the place of an app in a running pod, with the manifest of its image and, if it has one, the overlay that is its root.
#[napi(catch_unwind)]
pub fn add_app_inside(pod: RunningPod, app: String, manifest: Buffer, overlay: Option<OverlayMount>) -> Outcome<bool> {
    outcome(try_add(&pod, &app, &manifest, overlay.as_ref()).map(|()| true))
}

fn try_add(pod: &RunningPod, app: &str, manifest: &[u8], overlay: Option<&OverlayMount>) -> Result<(), NativeFailure> {
    check_name(app)?;
    // Its directories are the host's.
    let mount = overlay.map(|overlay| {
        let writable = overlay.upper.as_deref().zip(overlay.work.as_deref());
        let writable = writable.map(|(upper, work)| (Path::new(upper), Path::new(work)));
        let lowers = overlay.lowers.iter().map(Path::new).collect();
        let layers = Layers { lowers, writable, context: overlay.context.as_deref() };
        mount_detached(&layers).map_err(|error| {
            NativeFailure::new("RKT_OVERLAY_FAILED", format!("cannot mount the overlay of app \"{app}\""))
                .with_errno(error.errno.raw_os_error())
                .with_cause(error.reason())
        })
    });
    let mount = mount.transpose()?;
    inside(pod, |root| {
        // A pod that began without apps may have no place for them yet.
        make_directory(root, "opt")?;
        make_directory(&beneath::locate(root, Path::new("opt"), OFlags::DIRECTORY)?, "stage2")?;
        let stage2 = beneath::locate(root, Path::new(STAGE2), OFlags::DIRECTORY)?;
        make_directory(&stage2, app)?;
        let place = beneath::locate(&stage2, Path::new(app), OFlags::DIRECTORY)?;
        make_directory(&place, "rootfs")?;
        write_anew(&place, "manifest", manifest)?;
        let Some(mount) = &mount else { return Ok(()) };
        let target = beneath::locate(&place, Path::new("rootfs"), OFlags::DIRECTORY)?;
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        move_mount(mount, "", &target, "", flags)
    })
    .map_err(|errno| failed(&format!("cannot make the place of app \"{app}\" in the pod"), errno))
}

/// Takes the place of an app out of a running pod, as far as it is there: what is mounted at its root, and what surrounds that.
#[napi(catch_unwind)]
pub fn remove_app_inside(pod: RunningPod, app: String) -> Outcome<bool> {
    outcome(try_remove(&pod, &app).map(|()| true))
}

fn try_remove(pod: &RunningPod, app: &str) -> Result<(), NativeFailure> {
    check_name(app)?;
    inside(pod, |root| {
        let stage2 = beneath::locate(root, Path::new(STAGE2), OFlags::DIRECTORY);
        let place = stage2.as_ref().map_err(|errno| *errno).and_then(|stage2| {
            let place = beneath::locate(stage2, Path::new(app), OFlags::DIRECTORY)?;
            Ok((stage2, place))
        });
        let (stage2, place) = match place {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        // As often as something lies there.
        for _ in 0..64 {
            let Ok(target) = beneath::locate(&place, Path::new("rootfs"), OFlags::DIRECTORY) else { break };
            // By the working directory, which is this thread's own: a path could lead elsewhere meanwhile.
            rustix::process::fchdir(&target)?;
            let unmounted = unmount(".", UnmountFlags::DETACH);
            rustix::process::fchdir(root)?;
            match unmounted {
                Ok(()) => {}
                Err(Errno::INVAL) => break,
                Err(errno) => return Err(errno),
            }
        }
        if let Ok(directory) = beneath::locate(root, Path::new(STATUS), OFlags::DIRECTORY) {
            for moment in ["created", "started"] {
                remove(&directory, &mark(app, moment), AtFlags::empty())?;
                remove(&directory, &earlier(app, moment), AtFlags::empty())?;
            }
        }
        remove(&place, "manifest", AtFlags::empty())?;
        match remove(&place, "rootfs", AtFlags::REMOVEDIR) {
            // A copy instead of an overlay; it is removed by its own path on the host.
            Err(Errno::NOTEMPTY) => return Ok(()),
            other => other?,
        }
        remove(stage2, app, AtFlags::REMOVEDIR)
    })
    .map_err(|errno| failed(&format!("cannot take app \"{app}\" out of the pod"), errno))
}

/// Marks a moment in the life of an app by an empty file `rkt/status/APP-MOMENT`, made anew. The one before is kept until the next.
#[napi(catch_unwind)]
pub fn mark_app_inside(pod: RunningPod, app: String, moment: String) -> Outcome<bool> {
    at_status(&pod, &app, &moment, "mark", |directory| {
        match renameat(directory, mark(&app, &moment), directory, earlier(&app, &moment)) {
            Ok(()) => {}
            Err(Errno::NOENT) => remove(directory, &earlier(&app, &moment), AtFlags::empty())?,
            Err(errno) => return Err(errno),
        }
        write_anew(directory, &mark(&app, &moment), b"")
    })
}

/// Takes back the last mark: the one before it counts again, if there was one.
#[napi(catch_unwind)]
pub fn unmark_app_inside(pod: RunningPod, app: String, moment: String) -> Outcome<bool> {
    at_status(&pod, &app, &moment, "take back the mark", |directory| {
        match renameat(directory, earlier(&app, &moment), directory, mark(&app, &moment)) {
            Err(Errno::NOENT) => remove(directory, &mark(&app, &moment), AtFlags::empty()),
            result => result,
        }
    })
}

fn mark(app: &str, moment: &str) -> String {
    format!("{app}-{moment}")
}

/// No app has a name with a dot.
fn earlier(app: &str, moment: &str) -> String {
    format!("{app}-{moment}.earlier")
}

/// Does it where the statuses of apps are.
fn at_status(
    pod: &RunningPod,
    app: &str,
    moment: &str,
    what: &str,
    act: impl FnOnce(&OwnedFd) -> Result<(), Errno> + Send,
) -> Outcome<bool> {
    let attempt = || {
        check_name(app)?;
        check_name(moment)?;
        inside(pod, |root| act(&beneath::locate(root, Path::new(STATUS), OFlags::DIRECTORY)?))
            .map_err(|errno| failed(&format!("cannot {what} that app \"{app}\" was {moment}"), errno))
    };
    outcome(attempt().map(|()| true))
}

fn check_name(name: &str) -> Result<(), NativeFailure> {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.is_empty() && name.bytes().all(legal) {
        return Ok(());
    }
    Err(NativeFailure::new(CODE, format!("{name:?} is no name of an app")))
}

/// Does it in the mount namespace of a pod; `root` is that of its stage1 there.
fn inside<T: Send>(pod: &RunningPod, act: impl FnOnce(&OwnedFd) -> Result<T, Errno> + Send) -> Result<T, Errno> {
    let namespace =
        openat(rustix::fs::CWD, format!("/proc/{}/ns/mnt", pod.pid), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            sys::unshare_directories()?;
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
            let root = beneath::open_root(Path::new("/"))?;
            // A flavor that has made stage1's root its own has nothing at the path that it has on the host.
            match beneath::locate(&root, Path::new(&pod.stage1), OFlags::DIRECTORY) {
                Err(Errno::NOENT) => act(&root),
                stage1 => act(&stage1?),
            }
        });
        thread.join().unwrap_or(Err(Errno::IO))
    })
}

fn make_directory(parent: &OwnedFd, name: &str) -> Result<(), Errno> {
    match mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

fn write_anew(directory: &OwnedFd, name: &str, content: &[u8]) -> Result<(), Errno> {
    remove(directory, name, AtFlags::empty())?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::from_raw_mode(0o644))?;
    File::from(file).write_all(content).map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
}

fn remove(directory: &OwnedFd, name: &str, flags: AtFlags) -> Result<(), Errno> {
    match unlinkat(directory, name, flags) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

fn failed(what: &str, errno: Errno) -> NativeFailure {
    NativeFailure::system(CODE, what, errno)
}
