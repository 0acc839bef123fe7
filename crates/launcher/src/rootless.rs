//! A user namespace for an ordinary user (user_namespaces(7)): its root is the user, its other ids are those that the administrator
//! gave to the user (subuid(5)), by the helpers that may write such maps (newuidmap(1)).

use crate::install::{Problem, reason};
use launcher::sys;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where distributions have the helpers.
const HELPERS: [&str; 3] = ["/usr/bin", "/bin", "/usr/local/bin"];

/// What a kernel or an administrator may have switched off.
const HINT: &str = "pods of an ordinary user need one. Ask your administrator for \"sysctl user.max_user_namespaces=15000\", and, where \
    the system has them, \"kernel.unprivileged_userns_clone=1\" and \"kernel.apparmor_restrict_unprivileged_userns=0\"; or run rkt as root";

/// First id and number of a range.
type Range = (u32, u32);

/// Puts this process, which has one thread, into a user namespace of its own, as its root, and into a mount namespace where that root
/// may mount; what the host mounts is still seen there.
pub fn enter() -> Result<(), Problem> {
    let (user, group) = (sys::effective_user(), sys::effective_group());
    // Where the caller ignored it, nobody could wait for a child. The record has what the caller had.
    sys::set_ignored(libc::SIGCHLD, false).map_err(|error| refused(&error))?;
    match given(user) {
        Some(given) => with_ranges(user, group, &given),
        None => alone(user, group),
    }
}

/// What the administrator gave, and the programs that can use it.
struct Given {
    users: Vec<Range>,
    groups: Vec<Range>,
    helpers: [PathBuf; 2],
}

/// None when nothing was given; then the user is the only one of the namespace.
fn given(user: u32) -> Option<Given> {
    let name = name_of(user);
    let ranges = |file: &str| ranges(&fs::read_to_string(file).unwrap_or_default(), user, name.as_deref());
    let (users, groups) = (ranges("/etc/subuid"), ranges("/etc/subgid"));
    if users.is_empty() || groups.is_empty() {
        return None;
    }
    match (helper("newuidmap"), helper("newgidmap")) {
        (Some(users_helper), Some(groups_helper)) => {
            Some(Given { users, groups, helpers: [users_helper, groups_helper] })
        }
        _ => {
            let _ = writeln!(
                io::stderr(),
                "rkt: newuidmap and newgidmap are not installed, so pods have no other id than yours; install them to use those of \
                 /etc/subuid (Debian: apt-get install uidmap)"
            );
            None
        }
    }
}

fn helper(name: &str) -> Option<PathBuf> {
    HELPERS.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists())
}

/// Without the C library's look-up, which a static program has not; a name that another service keeps is taken from the environment,
/// and believed by nobody but who wrote it: the helpers look for themselves.
fn name_of(user: u32) -> Option<String> {
    let text = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(user)).then(|| name.to_owned())
    });
    found.or_else(|| std::env::var("USER").ok())
}

/// The ranges of a file like /etc/subuid that belong to a user, by name or number.
fn ranges(text: &str, user: u32, name: Option<&str>) -> Vec<Range> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let owner = fields.next()?;
            if Some(owner) != name && owner.parse() != Ok(user) {
                return None;
            }
            let range = (fields.next()?.trim().parse().ok()?, fields.next()?.trim().parse().ok()?);
            (range.1 > 0).then_some(range)
        })
        .collect()
}

/// The arguments of a helper: 0 is the user, 1 and up are the ranges.
fn map_words(id: u32, ranges: &[Range]) -> Vec<String> {
    let mut words = vec!["0".to_owned(), id.to_string(), "1".to_owned()];
    let mut inside: u32 = 1;
    for &(first, count) in ranges {
        let Some(next) = inside.checked_add(count) else { break };
        words.extend([inside.to_string(), first.to_string(), count.to_string()]);
        inside = next;
    }
    words
}

fn refused(error: &io::Error) -> Problem {
    Problem::new(format!("cannot make a user namespace: {}; {HINT}", reason(error)))
}

/// One id. The kernel lets everybody map that, if groups cannot be changed then: a group may be there to keep its members out.
fn alone(user: u32, group: u32) -> Result<(), Problem> {
    sys::unshare_users().map_err(|error| refused(&error))?;
    for (file, text) in
        [("setgroups", "deny".to_owned()), ("uid_map", format!("0 {user} 1")), ("gid_map", format!("0 {group} 1"))]
    {
        fs::write(format!("/proc/self/{file}"), text).map_err(|error| refused(&error))?;
    }
    Ok(())
}

/// Helpers have to stay outside: a child that was there before calls them.
fn with_ranges(user: u32, group: u32, given: &Given) -> Result<(), Problem> {
    let target = std::process::id().to_string();
    let helper = sys::Outsider::start(|| {
        let maps =
            [(&given.helpers[0], map_words(user, &given.users)), (&given.helpers[1], map_words(group, &given.groups))];
        maps.iter().all(|(helper, words)| {
            let called = Command::new(helper).arg(&target).args(words).env_clear().status();
            called.is_ok_and(|status| status.success())
        })
    })
    .map_err(|error| refused(&error))?;
    sys::unshare_users().map_err(|error| refused(&error))?;
    if helper.finish().map_err(|error| refused(&error))? {
        return Ok(());
    }
    Err(Problem::new(
        "newuidmap or newgidmap refused the ids of /etc/subuid and /etc/subgid (what it said is above); both programs have to be \
         set-user-id root and the lines of these files to be right (\"man 5 subuid\")",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBUID: &str = "root:500000:10\nann:100000:65536\n1001:165536:10\nann:300000:5\nbob:1:1\nann:9:0\nann:x:1\n";

    #[test]
    fn ranges_belong_to_a_user_by_name_or_number() {
        assert_eq!(ranges(SUBUID, 1000, Some("ann")), [(100_000, 65536), (300_000, 5)]);
        assert_eq!(ranges(SUBUID, 1001, Some("eve")), [(165_536, 10)]);
        assert_eq!(ranges(SUBUID, 1002, None), []);
    }

    #[test]
    fn root_is_the_user_and_the_ranges_follow_without_a_gap() {
        assert_eq!(
            map_words(1000, &[(100_000, 65536), (300_000, 5)]).join(" "),
            "0 1000 1 1 100000 65536 65537 300000 5"
        );
        assert_eq!(map_words(1000, &[(5, u32::MAX)]).join(" "), "0 1000 1");
    }
}
