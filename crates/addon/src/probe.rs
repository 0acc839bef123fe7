//! Whether overlays work with upper directories in a certain place, found by making one there.

use crate::failure::NativeFailure;
use crate::overlay::{Layers, mount_detached};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, mkdirat, mknodat, openat, statat, unlinkat};
use rustix::io::Errno;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A directory of the probe's own, removed with what the overlay left in it.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0); // a leftover is only untidy; the next probe takes another name
    }
}

/// File systems that are told apart by name, because the kernel only says EINVAL of them.
const REFUSED: [(u64, &str); 7] = [
    (0x6175_6673, "aufs"),
    (0x2fc1_2fc1, "zfs"),
    (0x794c_7630, "overlayfs"),
    (0x0000_6969, "nfs"),
    (0x0000_f15f, "ecryptfs"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
];

/// None, or the reason in words; an error when the place itself cannot be used.
pub fn overlay_refusal(dir: &Path) -> Result<Option<String>, NativeFailure> {
    let scratch = scratch_in(dir)?;
    let failed = |what: &str, errno| {
        NativeFailure::system("RKT_OVERLAY_PROBE", format!("cannot {what} {}", scratch.0.display()), errno)
    };
    for name in ["lower", "upper", "work"] {
        fs::create_dir(scratch.0.join(name)).map_err(|error| {
            NativeFailure::io("RKT_OVERLAY_PROBE", format!("cannot write {}", scratch.0.display()), &error)
        })?;
    }
    fs::write(scratch.0.join("lower/file"), "").map_err(|error| {
        NativeFailure::io("RKT_OVERLAY_PROBE", format!("cannot write {}", scratch.0.display()), &error)
    })?;
    if !tells_types(&scratch.0).map_err(|errno| failed("list", errno))? {
        return Ok(Some("unsupported filesystem: missing d_type support".to_owned()));
    }
    let (lower, upper, work) = (scratch.0.join("lower"), scratch.0.join("upper"), scratch.0.join("work"));
    let layers = Layers { lowers: vec![&lower], writable: Some((&upper, &work)), context: None };
    let view = match mount_detached(&layers) {
        Ok(view) => view,
        Err(error) if error.errno == Errno::NODEV => {
            return Ok(Some("overlay entry not present in /proc/filesystems".to_owned()));
        }
        Err(error) if error.errno == Errno::PERM || error.errno == Errno::NOSYS => return Ok(Some(error.reason())),
        Err(error) => return Ok(Some(refused_by_name(dir).unwrap_or_else(|| error.reason()))),
    };
    Ok(behaves(&view, &upper).err().map(|(what, errno)| format!("unsupported filesystem: {what}: {}", text(errno))))
}

fn scratch_in(dir: &Path) -> Result<Scratch, NativeFailure> {
    let failed = |errno| NativeFailure::system("RKT_OVERLAY_PROBE", format!("cannot write {}", dir.display()), errno);
    for attempt in 0..100 {
        let path = dir.join(format!(".overlay-{}-{attempt}", std::process::id()));
        match mkdirat(rustix::fs::CWD, &path, Mode::RWXU) {
            Ok(()) => return Ok(Scratch(path)),
            Err(Errno::EXIST) => continue,
            Err(errno) => return Err(failed(errno)),
        }
    }
    Err(failed(Errno::EXIST))
}

/// Overlayfs finds whiteouts by the types that readdir(3) tells.
fn tells_types(dir: &Path) -> Result<bool, Errno> {
    let dir = openat(rustix::fs::CWD, dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    for entry in Dir::new(dir)? {
        if entry?.file_type() == FileType::Unknown {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A deletion leaves a whiteout, a directory made anew hides the old one (an xattr of the upper directory), a file can be written.
fn behaves(view: &OwnedFd, upper: &Path) -> Result<(), (&'static str, Errno)> {
    let root = view.as_fd();
    unlinkat(root, "file", AtFlags::empty()).map_err(|errno| ("cannot delete", errno))?;
    mkdirat(root, "file", Mode::RWXU).map_err(|errno| ("cannot replace", errno))?;
    mknodat(root, "file/new", FileType::RegularFile, Mode::RUSR, 0).map_err(|errno| ("cannot write", errno))?;
    let kept = statat(rustix::fs::CWD, upper.join("file/new"), AtFlags::SYMLINK_NOFOLLOW);
    kept.map(drop).map_err(|errno| ("does not keep changes", errno))
}

fn refused_by_name(dir: &Path) -> Option<String> {
    let kind = rustix::fs::statfs(dir).ok()?.f_type as u64;
    let (_, name) = REFUSED.iter().find(|(magic, _)| *magic == kind)?;
    Some(format!("unsupported filesystem: {name}"))
}

fn text(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
