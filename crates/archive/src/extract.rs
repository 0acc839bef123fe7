//! One image on disk as it is, verified on the way.

use std::path::Path;

use rustix::fs::{self, Mode, OFlags};

use crate::{
    error::{Error, io_error},
    layout::{LayoutError, dead_end, read_manifest},
    names::{Dead, Kind as NodeKind, Node, below_rootfs, clean, show},
    render::{open_empty, read_blob},
    tar::{Kind, Reader},
    writer::{TreeStats, Writer},
};

/// Unpacks a blob into `target`, an empty directory that is made when it is missing: `manifest` and `rootfs`, or with
/// `rootfs_only` what lies in `rootfs`.
///
/// # Errors
/// As rendering; the target then holds whatever was written.
pub fn extract(blob: &Path, sha512: &str, target: &Path, rootfs_only: bool) -> Result<TreeStats, Error> {
    let failed = || format!("cannot extract into {}", target.display());
    match fs::mkdir(target, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(io_error(failed)(error)),
    }
    let target = open_empty(target)?;
    let root = if rootfs_only {
        target.try_clone().map_err(io_error(failed))?
    } else {
        fs::mkdirat(&target, "rootfs", Mode::RWXU).map_err(io_error(failed))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root = fs::openat(&target, "rootfs", flags, Mode::empty()).map_err(io_error(failed))?;
        fs::fchmod(&root, Mode::from_raw_mode(0o755)).map_err(io_error(failed))?;
        root
    };
    let mut writer = Writer::new(root, None);
    let manifest = read_blob(blob, sha512, |chunks| {
        let mut reader = Reader::new(chunks);
        let mut manifest = None;
        while let Some(entry) = reader.next_entry()? {
            let shown = || show(&entry.path).into_owned();
            let path =
                clean(&entry.path).map_err(|why| LayoutError::Escape { entry: shown(), why: why.to_string() })?;
            if path == b"manifest" && !rootfs_only {
                manifest = Some(read_manifest(&mut reader, &entry)?);
            }
            let Some(inside) = below_rootfs(&path) else { continue };
            if inside.is_empty() {
                if entry.kind == Kind::Directory {
                    writer.set_root(&entry)?;
                }
                continue;
            }
            let at = writer.names().locate(inside, 0).map_err(|dead: Dead| dead_end(&shown(), dead))?;
            match at.node {
                None => writer.create(&at, &entry, 0, &mut reader)?,
                Some(Node { kind: NodeKind::Implied, .. }) if entry.kind == Kind::Directory => {
                    writer.create(&at, &entry, 0, &mut reader)?
                }
                Some(_) => return Err(LayoutError::Duplicate { entry: shown() }.into()),
            }
        }
        reader.finish(false)?;
        Ok(manifest)
    })?;
    let mut stats = writer.finish()?;
    if let Some(manifest) = manifest {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
        let mut file = std::fs::File::from(
            fs::openat(&target, "manifest", flags, Mode::from_raw_mode(0o644)).map_err(io_error(failed))?,
        );
        std::io::Write::write_all(&mut file, &manifest).map_err(io_error(failed))?;
        fs::fchmod(&file, Mode::from_raw_mode(0o644)).map_err(io_error(failed))?;
        stats.entries += 1;
        stats.bytes += manifest.len() as u64;
    }
    if !rootfs_only {
        let own = fs::fstat(&target).map_err(io_error(failed))?.st_size;
        stats.entries += 1; // rootfs itself
        stats.bytes += u64::try_from(own).unwrap_or(0);
    }
    Ok(stats)
}
