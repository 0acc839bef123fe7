//! Labels of security modules upon a tree.

use super::names;
use crate::error::{Error, io_error};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags, XattrFlags};
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Gives every file of a tree, the root included, the SELinux context `context` (`security.selinux`, selinux(8)). Links are labelled,
/// never followed.
///
/// # Errors
/// The first file that cannot be labelled, by its path.
pub fn label_tree(root: &Path, context: &str) -> Result<(), Error> {
    set_attribute(root, "security.selinux", format!("{context}\0").as_bytes())
}

fn set_attribute(root: &Path, name: &str, value: &[u8]) -> Result<(), Error> {
    let mut left: Vec<PathBuf> = vec![root.to_owned()];
    while let Some(path) = left.pop() {
        let failed = || format!("cannot label {}", path.display());
        fs::lsetxattr(&path, name, value, XattrFlags::empty()).map_err(io_error(failed))?;
        let stat = fs::statat(fs::CWD, &path, AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(failed))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory: OwnedFd = fs::open(&path, flags, Mode::empty()).map_err(io_error(failed))?;
        let entries: Vec<CString> = names(&directory).map_err(io_error(failed))?;
        left.extend(entries.into_iter().map(|name| {
            use std::os::unix::ffi::OsStrExt;
            path.join(std::ffi::OsStr::from_bytes(name.as_bytes()))
        }));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// By an attribute that needs no module: the kernel of this machine may have none.
    #[test]
    fn every_file_of_a_tree_is_labelled_and_nothing_outside() {
        let base = std::env::temp_dir().join(format!("rkt-label-{}", std::process::id()));
        let tree = base.join("tree");
        std::fs::create_dir_all(tree.join("deep/er")).unwrap();
        std::fs::write(tree.join("deep/er/file"), "").unwrap();
        std::fs::write(base.join("outside"), "").unwrap();
        symlink(base.join("outside"), tree.join("link")).unwrap();

        let set = set_attribute(&tree, "trusted.rkt-label", b"value");

        if set.is_ok() {
            let has = |path: PathBuf| fs::lgetxattr(path, "trusted.rkt-label", &mut [0; 16][..]).is_ok();
            for name in ["", "deep", "deep/er", "deep/er/file", "link"] {
                assert!(has(tree.join(name)), "{name}");
            }
            assert!(!has(base.join("outside")));
        }
        std::fs::remove_dir_all(base).unwrap();
    }
}
