//! Network namespaces, entered for a moment. Sound only in a process with one thread.

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sandbox::{Context, Failure, Result};
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// File system of namespaces (linux/magic.h).
const NSFS_MAGIC: rustix::fs::FsWord = 0x6e73_6673;

/// A network namespace, held open.
#[derive(Debug)]
pub struct Namespace {
    file: File,
    path: PathBuf,
}

impl Namespace {
    /// The namespace that a file means.
    pub fn open(path: &Path) -> Result<Self> {
        let what = || format!("failed to open netns \"{}\"", path.display());
        let file = File::open(path).context(what)?;
        // Where a namespace was bound once, a plain file may be left.
        if rustix::fs::fstatfs(&file).context(what)?.f_type != NSFS_MAGIC {
            return Err(Failure::new(format!("\"{}\" is no network namespace", path.display())));
        }
        Ok(Self { file, path: path.to_owned() })
    }

    /// The namespace of the caller.
    pub fn current() -> Result<Self> {
        Self::open(Path::new("/proc/thread-self/ns/net"))
    }

    /// Whether both are one.
    pub fn is(&self, other: &Self) -> Result<bool> {
        let identity = |namespace: &Self| {
            rustix::fs::fstat(&namespace.file).context(|| format!("stat \"{}\"", namespace.path.display()))
        };
        let (one, two) = (identity(self)?, identity(other)?);
        Ok((one.st_dev, one.st_ino) == (two.st_dev, two.st_ino))
    }

    /// Does `work` inside and comes back. Sockets that are opened inside stay of this namespace; `/proc/sys/net` is this
    /// namespace's meanwhile.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> Result<T> {
        let home = Self::current()?;
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
            .context(|| format!("failed to enter netns \"{}\"", self.path.display()))?;
        let result = work();
        if let Err(error) = move_into_link_name_space(home.file.as_fd(), Some(LinkNameSpaceType::Network)) {
            // Going on would change a pod's network for the host's.
            eprintln!("failed to leave netns \"{}\": {error}", self.path.display());
            std::process::abort();
        }
        Ok(result)
    }
}

impl AsFd for Namespace {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}
