//! /proc/self/mountinfo, as far as something is decided by it.

use crate::{Context, Failure, Result};
use rustix::fs::{AtFlags, CWD, StatxFlags, statx};
use std::path::Path;

/// Whether the mount that holds a path is shared, so that what is mounted below it propagates.
pub fn is_shared(path: &Path) -> Result<bool> {
    let failed = || format!("find the mount of {}", path.display());
    let id = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).context(failed)?.stx_mnt_id;
    let text = std::fs::read_to_string("/proc/self/mountinfo").context(|| "read /proc/self/mountinfo")?;
    shared(&text, id).ok_or_else(|| Failure::new(failed()))
}

/// The type of the file system that holds a path, none when it cannot be found.
pub fn filesystem(path: &Path) -> Option<String> {
    let id = statx(CWD, path, AtFlags::empty(), StatxFlags::MNT_ID).ok()?.stx_mnt_id;
    kind(&std::fs::read_to_string("/proc/self/mountinfo").ok()?, id)
}

fn kind(mountinfo: &str, id: u64) -> Option<String> {
    let id = id.to_string();
    let line = mountinfo.lines().find(|line| line.split(' ').next() == Some(&id))?;
    line.split(" - ").nth(1)?.split(' ').next().map(str::to_owned)
}

/// None when there is no mount of this id.
fn shared(mountinfo: &str, id: u64) -> Option<bool> {
    let id = id.to_string();
    let line = mountinfo.lines().find(|line| line.split(' ').next() == Some(&id))?;
    // Optional fields end with a lone hyphen (proc_pid_mountinfo(5)).
    Some(line.split(' ').skip(6).take_while(|field| *field != "-").any(|field| field.starts_with("shared:")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_mount_of_a_peer_group_is_shared() {
        let text =
            "21 1 0:1 / / rw shared:7 master:3 - ext4 shared:x rw\n22 21 0:2 / /a rw master:7 - tmpfs shared:9 rw\n";

        assert_eq!(shared(text, 21), Some(true));
        assert_eq!(shared(text, 22), Some(false));
        assert_eq!(shared(text, 2), None);
        assert_eq!(kind(text, 22).as_deref(), Some("tmpfs"));
    }
}
