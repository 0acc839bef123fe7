//! Users and groups as an app's own files name them (stage1-abi §3.8). Never the C library's NSS: a static program has none, and the
//! host's users are not the app's.

use crate::idmap::IdMap;
use crate::tree::Root;
use crate::{Context, Failure, Result};
use rustix::fs::{AtFlags, Gid, OFlags};

/// A file of users larger than this is no file of users.
const MAX_FILE: u64 = 16 << 20;

/// Which of the two files, and how its lines look.
#[derive(Clone, Copy)]
enum Kind {
    User,
    Group,
}

impl Kind {
    const fn file(self) -> &'static str {
        match self {
            Self::User => "etc/passwd",
            Self::Group => "etc/group",
        }
    }

    const fn fields(self) -> usize {
        match self {
            Self::User => 7,
            Self::Group => 4,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
        }
    }
}

/// The uid that `user` means in this root: a number, `root`, the owner of an absolute path, or a name of `etc/passwd`. `ids` are
/// those of the pod, when files of the root belong to ids outside of it.
pub fn resolve_user(root: &Root, user: &str, ids: Option<IdMap>) -> Result<u32> {
    resolve(root, user, Kind::User, ids)
}

/// The gid that `group` means in this root, by the same rules over `etc/group`.
pub fn resolve_group(root: &Root, group: &str, ids: Option<IdMap>) -> Result<u32> {
    resolve(root, group, Kind::Group, ids)
}

fn resolve(root: &Root, name: &str, kind: Kind, ids: Option<IdMap>) -> Result<u32> {
    let id = find(root, name, kind, ids)?;
    match ids {
        Some(ids) if ids.outside(id).is_none() => Err(out_of_range(name, kind, id, ids)),
        _ => Ok(id),
    }
}

/// The ids of an ordinary user begin with their own.
fn out_of_range(name: &str, kind: Kind, id: u32, ids: IdMap) -> Failure {
    let next = if ids.base == 0 { " (/etc/subuid and /etc/subgid give a user more)" } else { "" };
    let count = ids.count;
    Failure::new(format!(
        "{} \"{name}\": id {id} is not among the {count} of the pod's user namespace{next}",
        kind.word()
    ))
}

fn find(root: &Root, name: &str, kind: Kind, ids: Option<IdMap>) -> Result<u32> {
    if name == "root" {
        return Ok(0);
    }
    if let Ok(number) = name.parse::<i64>() {
        // The kernel takes -1 for "leave it", so the last number is none.
        return u32::try_from(number)
            .ok()
            .filter(|&id| id != u32::MAX)
            .ok_or_else(|| Failure::new("Invalid uid or gid"));
    }
    if name.starts_with('/') {
        let owner = root
            .open(name, OFlags::PATH | OFlags::NOFOLLOW)
            .and_then(|fd| rustix::fs::statat(&fd, "", AtFlags::EMPTY_PATH).context(|| format!("stat {name}")))
            .map_err(|failure| failure.of(format!("unable to stat file \"{name}\"")))?;
        let id = match kind {
            Kind::User => owner.st_uid,
            Kind::Group => owner.st_gid,
        };
        return ids.map_or(Some(id), |ids| ids.inside(id)).ok_or_else(|| {
            Failure::new(format!("{} \"{name}\": its owner {id} is outside of the pod's user namespace", kind.word()))
        });
    }
    let text = root.read(kind.file(), MAX_FILE)?.unwrap_or_default();
    look_up(&String::from_utf8_lossy(&text), name, kind)?
        .ok_or_else(|| Failure::new(format!("\"{name}\" {} not found", kind.word())))
}

/// The id of `name` in the text of a file of this kind.
fn look_up(text: &str, name: &str, kind: Kind) -> Result<Option<u32>> {
    for line in text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#')) {
        let fields: Vec<&str> = line.split(':').collect();
        if fields.len() != kind.fields() {
            return Err(Failure::new(format!(
                "{}: line \"{line}\" does not have {} fields",
                kind.file(),
                kind.fields()
            )));
        }
        if fields[0] == name {
            let id = fields[2].parse::<u32>();
            return id.map(Some).map_err(|_| Failure::new(format!("{}: \"{}\" is no id", kind.file(), fields[2])));
        }
    }
    Ok(None)
}

/// Gives this process its supplementary groups. In a user namespace that forbids it (user_namespaces(7), /proc/PID/setgroups), because
/// its ids were given by nobody's leave, those of the caller stay.
pub fn set_groups(groups: &[Gid]) -> Result<()> {
    match rustix::thread::set_thread_groups(groups) {
        Err(rustix::io::Errno::PERM) if std::fs::read("/proc/self/setgroups").is_ok_and(|word| word == b"deny\n") => {
            Ok(())
        }
        other => other.context(|| "set supplementary groups"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nredis:x:999:998::/data:/bin/false\n";

    #[test]
    fn a_name_is_found_among_the_apps_own_users() {
        assert_eq!(look_up(PASSWD, "redis", Kind::User).unwrap(), Some(999));
        assert_eq!(look_up("wheel:x:10:a,b\n", "wheel", Kind::Group).unwrap(), Some(10));
        assert_eq!(look_up(PASSWD, "nobody", Kind::User).unwrap(), None);
    }

    #[test]
    fn a_line_with_the_wrong_number_of_fields_is_an_error() {
        assert!(look_up("root:x:0:0\n", "root", Kind::User).is_err());
        assert!(look_up("wheel:x:10:a:b\n", "wheel", Kind::Group).is_err());
    }

    #[test]
    fn numbers_need_no_file_and_negative_ones_are_refused() {
        let root = Root::open_at("/proc/self").unwrap();

        assert_eq!(resolve_user(&root, "1234", None).unwrap(), 1234);
        assert_eq!(resolve_user(&root, "root", None).unwrap(), 0);
        assert_eq!(resolve_user(&root, "-1", None).unwrap_err().to_string(), "Invalid uid or gid");
        assert_eq!(resolve_user(&root, "4294967295", None).unwrap_err().to_string(), "Invalid uid or gid");
        assert_eq!(resolve_group(&root, "ghosts", None).unwrap_err().to_string(), "\"ghosts\" group not found");
    }

    #[test]
    fn an_id_outside_of_the_pods_range_is_refused() {
        let root = Root::open_at("/").unwrap();
        let ids = Some(IdMap { base: 100_000, count: 10 });

        assert_eq!(resolve_user(&root, "9", ids).unwrap(), 9);
        let refusal = "user \"10\": id 10 is not among the 10 of the pod's user namespace";
        assert_eq!(resolve_user(&root, "10", ids).unwrap_err().to_string(), refusal);
        let refusal = "group \"/proc/1\": its owner 0 is outside of the pod's user namespace";
        assert_eq!(resolve_group(&root, "/proc/1", ids).unwrap_err().to_string(), refusal);
    }

    #[test]
    fn a_path_means_its_owner() {
        let root = Root::open_at("/").unwrap();

        assert_eq!(resolve_user(&root, "/proc/1", None).unwrap(), 0);
        assert!(
            resolve_user(&root, "/no/such/file", None)
                .unwrap_err()
                .to_string()
                .starts_with("unable to stat file \"/no/such/file\"")
        );
    }
}
