//! What this process may give to files: owners, devices, attributes that only the host's root may set (chown(2), mknod(2), xattr(7)).

use crate::layer::Flavor;
use std::sync::OnceLock;

/// Of this process, which keeps them from its start to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privileges {
    root: bool,
    /// How many owners there are, from 0 on: in a user namespace not all.
    owners: u32,
}

impl Privileges {
    /// Those of this process.
    pub fn own() -> Self {
        static OWN: OnceLock<Privileges> = OnceLock::new();
        *OWN.get_or_init(|| {
            let read = |file: &str| std::fs::read_to_string(file).map_or(u32::MAX, |map| owners(&map));
            Self {
                root: rustix::process::geteuid().is_root(),
                owners: read("/proc/self/uid_map").min(read("/proc/self/gid_map")),
            }
        })
    }

    /// Whether nothing of the host is kept from it by a user namespace.
    fn of_host(self) -> bool {
        self.root && self.owners == u32::MAX
    }

    /// The owner that a file gets: none for who may give nothing away, root in place of those whom the user namespace has not.
    pub fn owner(self, (uid, gid): (u32, u32)) -> Option<(u32, u32)> {
        let known = |id: u32| if id < self.owners { id } else { 0 };
        self.root.then(|| (known(uid), known(gid)))
    }

    /// Whether a device cannot be made, and has to be left out: pods have the ones of their own /dev.
    pub fn lacks_devices(self) -> bool {
        self.root && !self.of_host()
    }

    /// The attributes by which overlays mark what they hide.
    pub fn flavor(self) -> Flavor {
        if self.of_host() { Flavor::Trusted } else { Flavor::User }
    }
}

/// How many ids a map (user_namespaces(7)) has from 0 on without a gap.
fn owners(map: &str) -> u32 {
    let mut ranges: Vec<(u64, u64)> = map
        .lines()
        .filter_map(|line| {
            let mut fields = line.split_whitespace().map(str::parse::<u64>);
            Some((fields.next()?.ok()?, fields.nth(1)?.ok()?))
        })
        .collect();
    ranges.sort_unstable();
    let end = ranges.iter().fold(0, |end, &(first, count)| if first <= end { end.max(first + count) } else { end });
    u32::try_from(end).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_that_a_user_namespace_lacks_become_root() {
        let few = Privileges { root: true, owners: 10 };

        assert_eq!(few.owner((9, 10)), Some((9, 0)));
        assert!(few.lacks_devices());
        assert_eq!(few.flavor(), Flavor::User);
        assert_eq!(Privileges { root: false, owners: u32::MAX }.owner((0, 0)), None);
        let host = Privileges { root: true, owners: u32::MAX };
        assert_eq!((host.owner((5, 70_000)), host.flavor()), (Some((5, 70_000)), Flavor::Trusted));
    }

    #[test]
    fn owners_are_counted_to_the_first_gap() {
        assert_eq!(owners("         0          0 4294967295\n"), u32::MAX);
        assert_eq!(owners("1 100000 65536\n0 1000 1\n"), 65537);
        assert_eq!(owners("0 1000 1\n5 1 1\n"), 1);
    }
}
