//! How much a tree holds.

use std::{collections::HashSet, ffi::CString, os::fd::OwnedFd, path::Path};

use rustix::fs::{self, AtFlags, FileType, Stat};

use super::{below, names, open_child, open_root};
use crate::{
    error::{Error, io_error},
    tree::TreeError,
    writer::TreeStats,
};

/// Deeper than any tree of ours: paths that the kernel takes whole have at most 2,048 components.
pub const MAX_DEPTH: usize = 2048;

/// A directory that is being counted: its path, descriptor, and the names in it that are still to come.
type Level = (String, OwnedFd, std::vec::IntoIter<CString>);

/// Counts a tree: entries below `dir`, and the sizes of all including `dir`, files with several names once.
///
/// # Errors
/// What cannot be read, named.
pub fn tree_stats(dir: &Path) -> Result<TreeStats, Error> {
    let label = dir.display().to_string();
    let failed = |label: &str| format!("cannot read {label}");
    let root = open_root(dir)?;
    let mut sums = Sums::default();
    sums.add(&fs::fstat(&root).map_err(io_error(|| failed(&label)))?);
    let children = names(&root).map_err(io_error(|| failed(&label)))?;
    let mut stack: Vec<Level> = vec![(label, root, children.into_iter())];
    while let Some((label, fd, children)) = stack.last_mut() {
        let Some(name) = children.next() else {
            stack.pop();
            continue;
        };
        let path = below(label, &name);
        let stat = fs::statat(&*fd, &name, AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(|| failed(&path)))?;
        sums.stats.entries += 1;
        sums.add(&stat);
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let child = open_child(&*fd, &name).map_err(io_error(|| failed(&path)))?;
            let children = names(&child).map_err(io_error(|| failed(&path)))?;
            if stack.len() >= MAX_DEPTH {
                return Err(TreeError::TooDeep { at: path, limit: MAX_DEPTH }.into());
            }
            stack.push((path, child, children.into_iter()));
        }
    }
    Ok(sums.stats)
}

#[derive(Default)]
struct Sums {
    stats: TreeStats,
    linked: HashSet<(u64, u64)>,
}

impl Sums {
    fn add(&mut self, stat: &Stat) {
        let once = FileType::from_raw_mode(stat.st_mode) == FileType::Directory
            || stat.st_nlink < 2
            || self.linked.insert((stat.st_dev, stat.st_ino));
        if once {
            self.stats.bytes = self.stats.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
        }
    }
}
