//! A directory tree whose content is hostile: every path is resolved inside of it (openat2(2), RESOLVE_IN_ROOT), so that neither
//! `..` nor a link, made earlier or changed meanwhile, leads outside.

use crate::{Context, Failure, Result};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// As many links as the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// What a path is to be when it has to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Make {
    /// A directory, mode 0755.
    Directory,
    /// An empty file, mode 0644.
    File,
}

/// The root of a tree.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<OwnedFd> for Root {
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl Root {
    /// Opens the tree at a path that is trusted.
    pub fn open_at(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .context(|| format!("open {}", path.display()))
            .map(Self::from)
    }

    /// Opens a path of the tree.
    pub fn open(&self, path: impl AsRef<Path>, flags: OFlags) -> Result<OwnedFd> {
        let path = path.as_ref();
        self.resolve(path, flags).context(|| format!("open {}", path.display()))
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> std::result::Result<OwnedFd, Errno> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let mut tries = 0;
        loop {
            let result =
                rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT);
            tries += 1;
            match result {
                // A rename somewhere raced with a "..": the kernel could not tell that we stayed inside.
                Err(Errno::AGAIN) if tries < 64 => {}
                other => return other,
            }
        }
    }

    /// Whether anything, be it a dangling link, is at a path.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.resolve(path.as_ref(), OFlags::PATH | OFlags::NOFOLLOW).is_ok()
    }

    /// Reads a regular file of at most `max` bytes; none when it is absent.
    pub fn read(&self, path: impl AsRef<Path>, max: u64) -> Result<Option<Vec<u8>>> {
        let path = path.as_ref();
        // Non-blocking, so that a fifo in its place does not hold us.
        let fd = match self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(Failure::system(format!("open {}", path.display()), error)),
        };
        read_bounded(fd, path, max).map(Some)
    }

    /// A descriptor (O_PATH) of what is at a path, which is made, with the directories above it, when nothing is there. Links are
    /// followed inside the tree; the target of a dangling one is made.
    pub fn ensure(&self, path: impl AsRef<Path>, make: Make) -> Result<OwnedFd> {
        let path = path.as_ref();
        match self.resolve(path, OFlags::PATH) {
            Ok(fd) => Ok(fd),
            Err(Errno::NOENT) => self.create(path, make),
            Err(error) => Err(Failure::system(format!("open {}", path.display()), error)),
        }
    }

    fn create(&self, path: &Path, make: Make) -> Result<OwnedFd> {
        let failed = |error: Errno| Failure::system(format!("create {}", path.display()), error);
        let mut pending: VecDeque<Vec<u8>> = components(path.as_os_str().as_encoded_bytes());
        let mut done: Vec<Vec<u8>> = Vec::new();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == b".." {
                done.pop();
                continue;
            }
            // Each step starts at the root again: whatever is renamed meanwhile, the kernel keeps us inside.
            let parent = self.resolve(&join(&done), OFlags::PATH | OFlags::DIRECTORY).map_err(failed)?;
            match rustix::fs::openat(
                &parent,
                &name[..],
                OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                Mode::empty(),
            ) {
                Ok(fd) if is_link(&fd) => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(failed(Errno::LOOP));
                    }
                    let target = rustix::fs::readlinkat(&fd, "", Vec::new()).map_err(failed)?.into_bytes();
                    if target.first() == Some(&b'/') {
                        done.clear();
                    }
                    for part in components(&target).into_iter().rev() {
                        pending.push_front(part);
                    }
                }
                Ok(_) => done.push(name),
                Err(Errno::NOENT) => {
                    let last = pending.is_empty();
                    let made = if last && make == Make::File {
                        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                        rustix::fs::openat(&parent, &name[..], flags, Mode::from_raw_mode(0o644)).map(drop)
                    } else {
                        rustix::fs::mkdirat(&parent, &name[..], Mode::from_raw_mode(0o755))
                    };
                    match made {
                        Ok(()) | Err(Errno::EXIST) => done.push(name),
                        Err(error) => return Err(failed(error)),
                    }
                }
                Err(error) => return Err(failed(error)),
            }
        }
        self.resolve(&join(&done), OFlags::PATH).map_err(failed)
    }

    /// Writes a file whole or not at all: beside its place, then renamed over whatever is there. Its directory is made if absent.
    pub fn write(&self, path: &str, content: &[u8], mode: u32) -> Result<()> {
        let (directory, name) =
            path.trim_start_matches('/').rsplit_once('/').unwrap_or((".", path.trim_start_matches('/')));
        let directory = self.ensure(directory, Make::Directory)?;
        write_in(&directory, name, content, mode).context(|| format!("write {path}"))
    }
}

/// Writes a file of a directory that is trusted, whole or not at all.
pub fn write_in(directory: impl AsFd, name: &str, content: &[u8], mode: u32) -> std::io::Result<()> {
    let directory = directory.as_fd();
    let temporary = format!(".{name}.{}", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(directory, &temporary, flags, Mode::from_raw_mode(mode))?;
    let mut file = File::from(fd);
    file.write_all(content)?;
    drop(file);
    rustix::fs::renameat(directory, &temporary, directory, name)?;
    Ok(())
}

/// Reads a regular file, refusing anything else and anything larger than `max`.
pub fn read_bounded(fd: OwnedFd, path: &Path, max: u64) -> Result<Vec<u8>> {
    let stat = rustix::fs::fstat(&fd).context(|| format!("stat {}", path.display()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(Failure::new(format!("{} is not a regular file", path.display())));
    }
    let mut content = Vec::new();
    File::from(fd).take(max + 1).read_to_end(&mut content).context(|| format!("read {}", path.display()))?;
    if content.len() as u64 > max {
        return Err(Failure::new(format!("{} is larger than {max} bytes", path.display())));
    }
    Ok(content)
}

/// Whether an O_PATH descriptor is a directory's.
pub fn is_directory(fd: impl AsFd) -> bool {
    rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}

fn is_link(fd: &OwnedFd) -> bool {
    rustix::fs::statat(fd, "", AtFlags::EMPTY_PATH)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

fn components(path: &[u8]) -> VecDeque<Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|part| !part.is_empty() && part != b".").map(<[u8]>::to_vec).collect()
}

fn join(parts: &[Vec<u8>]) -> std::path::PathBuf {
    use std::os::unix::ffi::OsStringExt;
    std::ffi::OsString::from_vec(parts.join(&b'/')).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn scratch(name: &str) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("rkt-tree-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("root")).unwrap();
        path
    }

    #[test]
    fn a_missing_path_is_made_inside_the_root_through_links_that_point_out_of_it() {
        let base = scratch("links");
        symlink("/host", base.join("root/dev")).unwrap();
        symlink("../../../up", base.join("root/climb")).unwrap();
        let root = Root::open_at(base.join("root")).unwrap();

        root.ensure("/dev/pts", Make::Directory).unwrap();
        root.ensure("climb/file", Make::File).unwrap();
        root.ensure("../../../beside", Make::Directory).unwrap();

        assert!(base.join("root/host/pts").is_dir());
        assert!(base.join("root/up/file").is_file());
        assert!(base.join("root/beside").is_dir());
        assert_eq!(std::fs::read_dir(&base).unwrap().count(), 1);
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn a_circle_of_links_ends() {
        let base = scratch("circle");
        symlink("b", base.join("root/a")).unwrap();
        symlink("a", base.join("root/b")).unwrap();
        let root = Root::open_at(base.join("root")).unwrap();

        assert!(root.ensure("a/x", Make::Directory).is_err());
        std::fs::remove_dir_all(base).unwrap();
    }

    #[test]
    fn reading_refuses_what_is_too_large_or_no_file_and_answers_none_for_what_is_absent() {
        let base = scratch("read");
        std::fs::write(base.join("root/file"), "12345").unwrap();
        std::fs::write(base.join("secret"), "s").unwrap();
        symlink(base.join("secret"), base.join("root/out")).unwrap();
        let root = Root::open_at(base.join("root")).unwrap();

        assert_eq!(root.read("file", 5).unwrap().unwrap(), b"12345");
        assert!(root.read("file", 4).is_err());
        assert!(root.read(".", 4).is_err());
        assert!(root.read("out", 4).unwrap().is_none());
        std::fs::remove_dir_all(base).unwrap();
    }
}
