//! Ranges of ids: user namespaces whose ids are a range of the host's (user_namespaces(7)), and mounts that show files so.

use crate::{Context, Failure, Result, sys};
use serde::Serialize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// The ids of a pod: 0 and up inside are `base` and up outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct IdMap {
    /// What 0 is outside.
    pub base: u32,
    /// How many there are.
    pub count: u32,
}

impl IdMap {
    /// Reads `SHIFT:COUNT`; `0:0` is no range.
    pub fn parse(text: &str) -> Result<Option<Self>> {
        let malformed = || Failure::new(format!("\"{text}\" is not a range of ids SHIFT:COUNT"));
        let (base, count) = text.split_once(':').ok_or_else(malformed)?;
        let map = Self { base: base.parse().map_err(|_| malformed())?, count: count.parse().map_err(|_| malformed())? };
        if map.count == 0 {
            return if map.base == 0 { Ok(None) } else { Err(malformed()) };
        }
        // The last number is none: the kernel takes it for "leave it".
        if u64::from(map.base) + u64::from(map.count) > u64::from(u32::MAX) {
            return Err(Failure::new(format!("the range of ids {text} does not fit into 32 bits")));
        }
        Ok(Some(map))
    }

    /// The id outside of one inside.
    pub fn outside(&self, id: u32) -> Option<u32> {
        (id < self.count).then(|| self.base + id)
    }

    /// The id inside of one outside.
    pub fn inside(&self, id: u32) -> Option<u32> {
        id.checked_sub(self.base).filter(|&id| id < self.count)
    }

    /// Gives the user namespace that a process was born in its ids.
    pub fn apply(&self, pid: i32) -> Result<()> {
        let text = format!("0 {} {}\n", self.base, self.count);
        for file in ["gid_map", "uid_map"] {
            let path = format!("/proc/{pid}/{file}");
            std::fs::write(&path, &text).context(|| format!("write \"{}\" to {path}", text.trim_end()))?;
        }
        Ok(())
    }

    /// A user namespace of these ids, which lives as long as its descriptor.
    ///
    /// It takes a process to make one, which does nothing but wait for its end: sound in a process with threads.
    pub fn namespace(&self) -> Result<OwnedFd> {
        let (child, alive) = sys::fork_idle(libc::CLONE_NEWUSER as u64).context(|| "make a user namespace")?;
        let path = format!("/proc/{}/ns/user", child.pid);
        let made = self.apply(child.pid).and_then(|()| {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
            rustix::fs::open(&path, flags, rustix::fs::Mode::empty()).context(|| format!("open {path}"))
        });
        drop(alive);
        sys::wait_for(child.pid).context(|| "wait for a process of ours")?;
        made
    }
}

/// Shows the files of a detached mount, and of those that came along with it, with the ids of a user namespace. `path` is for the
/// message.
pub fn map_mount(mount: &OwnedFd, users: BorrowedFd<'_>, recursive: bool, path: &Path) -> Result<()> {
    sys::mount_idmap(mount.as_fd(), users, recursive).map_err(|error| {
        let kind = crate::mountinfo::filesystem(path).unwrap_or_else(|| "its file system".to_owned());
        let below = if recursive { ", or one that is mounted below it," } else { "" };
        Failure::system(
            format!("{} cannot be shown with other ids: {kind}{below} cannot be id-mapped", path.display()),
            error,
        )
    })
}

/// The ids that this process's user namespace has, from 0 on and as they are; none when it has all there are, as the first one of a
/// machine has.
pub fn own() -> Option<IdMap> {
    let read = |file: &str| std::fs::read_to_string(file).ok().and_then(|text| first_ids(&text));
    let counts = [read("/proc/self/uid_map")?, read("/proc/self/gid_map")?];
    let count = *counts.iter().min()?;
    (count < u32::MAX).then_some(IdMap { base: 0, count })
}

/// Whether the network namespace of this process belongs to its user namespace, or to one below: who is root there may change it.
pub fn owns_network() -> bool {
    let owner = || -> Result<(u64, u64)> {
        let network = std::fs::File::open("/proc/self/ns/net").context(|| "open /proc/self/ns/net")?;
        let owner = sys::owner_of_namespace(network.as_fd()).context(|| "find the owner of the network namespace")?;
        let stat = rustix::fs::fstat(&owner).context(|| "stat a user namespace")?;
        Ok((stat.st_dev, stat.st_ino))
    };
    let own = rustix::fs::stat("/proc/self/ns/user").map(|stat| (stat.st_dev, stat.st_ino)).ok();
    owner().ok().is_some_and(|owner| Some(owner) == own)
}

/// How many ids there are from 0 on without a gap; none for what is no map.
fn first_ids(map: &str) -> Option<u32> {
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for line in map.lines() {
        let fields: Vec<u64> = line.split_whitespace().map(str::parse).collect::<std::result::Result<_, _>>().ok()?;
        ranges.push((*fields.first()?, *fields.get(2)?));
    }
    ranges.sort_unstable();
    let end = ranges.iter().fold(0, |end, &(first, count)| if first <= end { end.max(first + count) } else { end });
    u32::try_from(end).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_read_and_has_to_fit() {
        assert_eq!(IdMap::parse("1234567168:65536").unwrap(), Some(IdMap { base: 1_234_567_168, count: 65536 }));
        assert_eq!(IdMap::parse("0:0").unwrap(), None);
        for text in ["", "1", "1:", ":1", "a:b", "-1:5", "1:0", "1:2:3", "4294967296:1"] {
            assert!(IdMap::parse(text).is_err(), "{text}");
        }
        let refusal = IdMap::parse("4294901760:65536").unwrap_err().to_string();
        assert_eq!(refusal, "the range of ids 4294901760:65536 does not fit into 32 bits");
    }

    #[test]
    fn ids_outside_of_the_range_are_none() {
        let map = IdMap { base: 100, count: 10 };

        assert_eq!((map.outside(0), map.outside(9), map.outside(10)), (Some(100), Some(109), None));
        assert_eq!((map.inside(99), map.inside(100), map.inside(109), map.inside(110)), (None, Some(0), Some(9), None));
    }

    #[test]
    fn the_ids_of_a_namespace_are_counted_from_0_to_the_first_gap() {
        assert_eq!(first_ids("         0          0 4294967295\n"), Some(u32::MAX));
        assert_eq!(first_ids("0 1000 1\n1 100000 65536\n"), Some(65537));
        assert_eq!(first_ids("1 100000 65536\n0 1000 1\n70000 1 1\n"), Some(65537));
        assert_eq!(first_ids("0 1000 1\n"), Some(1));
        assert_eq!(first_ids("5 1000 1\n"), Some(0));
        assert_eq!(first_ids("x\n"), None);
    }
}
