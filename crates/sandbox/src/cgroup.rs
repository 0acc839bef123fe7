//! Cgroups of a pod, version 1, 2 and both at once. Where they are is decided from two texts of /proc; the directories are recorded
//! before they are made, so that what a crash leaves can be removed.

use crate::plan::CgroupPlace;
use crate::sys;
use crate::{Context, Failure, Result};
use rustix::fs::{Mode, OFlags};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Controllers of version 1 in whose hierarchies a pod gets a cgroup.
const WANTED: [&str; 8] = ["memory", "cpu", "cpuacct", "pids", "freezer", "devices", "blkio", "name=systemd"];

/// Controllers of version 2 that a pod's cgroups get.
const WANTED_UNIFIED: [&str; 4] = ["cpu", "io", "memory", "pids"];

/// One mounted hierarchy.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Hierarchy {
    /// Its controllers, `name=systemd` for the named one; of version 2 those that our own cgroup may pass down.
    pub controllers: Vec<String>,
    /// Whether it is the unified one.
    pub unified: bool,
    /// The directory of our own cgroup.
    pub own: PathBuf,
    /// The path of our own cgroup, as /proc/self/cgroup says it.
    pub path: String,
    /// Whether it is the unified one and others than this process are in our own cgroup, which then cannot pass controllers down: but
    /// the cgroup above it can, and does.
    pub shared: bool,
}

impl Hierarchy {
    /// Whether this process may make cgroups below its own, and move itself there.
    pub fn is_delegated(&self) -> bool {
        use rustix::fs::{Access, access};
        access(&self.own, Access::WRITE_OK).is_ok() && access(self.own.join("cgroup.procs"), Access::WRITE_OK).is_ok()
    }
}

/// The hierarchies that a pod uses, out of the texts of /proc/self/cgroup and /proc/self/mountinfo. `read` reads a file of
/// a cgroup.
pub fn discover(cgroup: &str, mountinfo: &str, read: impl Fn(&Path) -> String) -> Vec<Hierarchy> {
    let mounts: Vec<CgroupMount> = mountinfo.lines().filter_map(CgroupMount::parse).collect();
    let mut found = Vec::new();
    for line in cgroup.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next()) else { continue };
        // A path that begins like this is outside of our cgroup namespace.
        if path.starts_with("/..") {
            continue;
        }
        let unified = number == "0" && names.is_empty();
        let controllers: Vec<String> = names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if !unified && !controllers.iter().any(|name| WANTED.contains(&name.as_str())) {
            continue;
        }
        let place = mounts.iter().filter(|mount| mount.unified == unified).find_map(|mount| {
            let serves = unified || controllers.iter().all(|name| mount.options.contains(name));
            serves.then(|| mount.directory(path)).flatten()
        });
        let Some(own) = place else { continue };
        let controllers = if unified {
            let available = read(&own.join("cgroup.controllers"));
            available.split_whitespace().filter(|name| WANTED_UNIFIED.contains(name)).map(str::to_owned).collect()
        } else {
            controllers
        };
        let others =
            |text: String| text.lines().filter_map(|line| line.parse().ok()).any(|pid: u32| pid != std::process::id());
        let above = |own: &Path| own.parent().map(|above| read(&above.join("cgroup.controllers"))).unwrap_or_default();
        let shared = unified && path != "/" && !above(&own).is_empty() && others(read(&own.join("cgroup.procs")));
        found.push(Hierarchy { controllers, unified, own, path: path.to_owned(), shared });
    }
    found
}

struct CgroupMount {
    root: String,
    point: String,
    options: Vec<String>,
    unified: bool,
}

impl CgroupMount {
    /// Reads one line of mountinfo (proc_pid_mountinfo(5)), none when it is no cgroup's.
    fn parse(line: &str) -> Option<Self> {
        let (left, right) = line.split_once(" - ")?;
        let left: Vec<&str> = left.split(' ').collect();
        let mut right = right.split(' ');
        let unified = match right.next()? {
            "cgroup" => false,
            "cgroup2" => true,
            _ => return None,
        };
        let options = right.nth(1)?.split(',').map(str::to_owned).collect();
        Some(Self { root: unescape(left.get(3)?), point: unescape(left.get(4)?), options, unified })
    }

    /// Where the cgroup `path` can be seen through this mount.
    fn directory(&self, path: &str) -> Option<PathBuf> {
        let below = if self.root == "/" { path } else { path.strip_prefix(self.root.as_str())? };
        if !below.is_empty() && !below.starts_with('/') {
            return None;
        }
        Some(Path::new(&self.point).join(below.trim_start_matches('/')))
    }
}

/// Octal escapes of mountinfo.
fn unescape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'\\')
            .then(|| bytes.get(at + 1..at + 4))
            .flatten()
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| u8::from_str_radix(digits, 8).ok());
        out.push(escaped.unwrap_or(bytes[at]));
        at += if escaped.is_some() { 4 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The name of a pod's cgroup: that of its machine, escaped as a unit's.
pub fn scope_name(uuid: &str) -> String {
    format!("machine-rkt\\x2d{}.scope", uuid.replace('-', "\\x2d"))
}

/// Makes the directories of a pod. The first hierarchy that refuses is answered as a failure; others are made all the same.
pub fn create(places: &[CgroupPlace]) -> Result<()> {
    let mut failure = None;
    for place in places {
        // Apps may come later.
        let slice = place.pod.join("system.slice");
        for directory in [&place.supervisor, &slice].into_iter().chain(&place.apps) {
            if let Err(error) = std::fs::create_dir_all(directory) {
                failure.get_or_insert(Failure::system(format!("mkdir {}", directory.display()), error));
            }
        }
    }
    failure.map_or(Ok(()), Err)
}

/// A process's way into its cgroups, opened while they can be seen.
///
/// Moving a process through `cgroup.procs` waits for a grace period of the whole system, which costs more than all the rest of
/// starting a pod. A process of one thread that moves itself through `tasks` (version 1) waits for nothing, nor does one that is
/// born in its cgroup (version 2).
#[derive(Debug, Default)]
pub struct Entry {
    tasks: Vec<OwnedFd>,
    unified: Option<OwnedFd>,
}

impl Entry {
    /// Opens the cgroups at these directories; the flag tells which is of version 2.
    pub fn open<'a>(directories: impl IntoIterator<Item = (&'a Path, bool)>) -> Result<Self> {
        let mut entry = Self::default();
        for (directory, unified) in directories {
            let (path, flags) = if unified {
                (directory.to_owned(), OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC)
            } else {
                (directory.join("tasks"), OFlags::RDWR | OFlags::CLOEXEC)
            };
            let fd = rustix::fs::open(&path, flags, Mode::empty()).context(|| format!("open {}", path.display()))?;
            if unified {
                entry.unified = Some(fd);
            } else {
                entry.tasks.push(fd);
            }
        }
        Ok(entry)
    }

    /// The descriptors, each with whether it is of version 2: what [`Entry::received`] makes the same of.
    pub fn descriptors(&self) -> Vec<(BorrowedFd<'_>, bool)> {
        let tasks = self.tasks.iter().map(|fd| (fd.as_fd(), false));
        tasks.chain(self.unified.iter().map(|fd| (fd.as_fd(), true))).collect()
    }

    /// Out of descriptors that came from another process.
    pub fn received(descriptors: impl IntoIterator<Item = (OwnedFd, bool)>) -> Self {
        let mut entry = Self::default();
        for (fd, unified) in descriptors {
            if unified {
                entry.unified = Some(fd);
            } else {
                entry.tasks.push(fd);
            }
        }
        entry
    }

    /// Where a process has to be born ([`sys::fork_into`]).
    pub fn birthplace(&self) -> Option<BorrowedFd<'_>> {
        self.unified.as_ref().map(AsFd::as_fd)
    }

    /// Moves this process, which has one thread, into the cgroups of version 1.
    pub fn join(&self) -> Result<()> {
        self.tasks.iter().try_for_each(|tasks| rustix::io::write(tasks, b"0").map(drop)).context(|| "enter a cgroup")
    }

    /// Moves this process into the cgroup of version 2, for one that cannot have its children born there.
    pub fn move_in(&self) -> Result<()> {
        let Some(directory) = &self.unified else { return Ok(()) };
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(directory, "cgroup.procs", flags, Mode::empty())
            .and_then(|procs| rustix::io::write(&procs, b"0").map(drop))
            .context(|| "enter a cgroup")
    }

    /// The processes in the cgroup, as this pid namespace numbers them, at least the first of them.
    pub fn processes(&self) -> Vec<i32> {
        let mut buffer = vec![0; 4096];
        let count = match (&self.unified, self.tasks.first()) {
            (_, Some(tasks)) => rustix::io::pread(tasks, &mut buffer, 0),
            (Some(directory), None) => {
                rustix::fs::openat(directory, "cgroup.procs", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
                    .and_then(|procs| rustix::io::read(&procs, &mut buffer))
            }
            (None, None) => return Vec::new(),
        };
        let text = String::from_utf8_lossy(&buffer[..count.unwrap_or(0)]);
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

/// Writes one value of a cgroup file.
pub fn write_value(file: &Path, text: &str) -> Result<()> {
    std::fs::write(file, text).context(|| format!("write {text:?} to {}", file.display()))
}

/// Ends whatever runs in these cgroups and below, and removes them, deepest first. What is absent is removed.
pub fn remove(directories: &[PathBuf], patience: Duration) -> Result<()> {
    let until = Instant::now() + patience;
    loop {
        let mut left = None;
        for directory in directories {
            if let Err(error) = remove_tree(directory) {
                left = Some(Failure::system(format!("remove {}", directory.display()), error));
            }
        }
        let Some(failure) = left else { return Ok(()) };
        if Instant::now() >= until {
            return Err(failure);
        }
        for directory in directories {
            kill_all(directory);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let directories = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

fn remove_tree(directory: &Path) -> io::Result<()> {
    // Most have none below, and then one call does.
    match std::fs::remove_dir(directory) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(_) => {}
    }
    for child in children(directory) {
        remove_tree(&child)?;
    }
    match std::fs::remove_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn kill_all(directory: &Path) {
    // Version 2 ends all at once, also what forks meanwhile.
    if std::fs::write(directory.join("cgroup.kill"), "1").is_ok() {
        return;
    }
    for child in children(directory) {
        kill_all(&child);
    }
    let own = std::process::id() as i32;
    let text = std::fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
    // A process of another pid namespace is listed as 0, which kill(2) would take for our own group.
    for pid in text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|&pid| pid > 1 && pid != own) {
        // Gone already is what we want.
        let _ = sys::kill(pid, libc::SIGKILL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTINFO: &str = "\
25 20 0:22 / /proc rw - proc proc rw
31 30 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 30 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:28 /user /sys/fs/cgroup/sys\\040temd rw,relatime - cgroup cgroup rw,xattr,name=systemd
34 30 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
35 30 0:30 / /sys/fs/cgroup/net_cls rw,relatime - cgroup cgroup rw,net_cls
";

    #[test]
    fn each_hierarchy_is_found_where_our_own_cgroup_can_be_seen() {
        let cgroup = "9:name=systemd:/user/1\n4:memory:/some/where\n3:net_cls:/\n2:cpuset:/\n1:cpu,cpuacct:/\n0::/\n";

        let found = discover(cgroup, MOUNTINFO, |_| "hugetlb io\n".to_owned());

        let places: Vec<_> = found.iter().map(|one| (one.controllers.join(","), one.own.to_str().unwrap())).collect();
        assert_eq!(
            places,
            [
                ("name=systemd".to_owned(), "/sys/fs/cgroup/sys temd/1"),
                ("memory".to_owned(), "/sys/fs/cgroup/memory/some/where"),
                ("cpu,cpuacct".to_owned(), "/sys/fs/cgroup/cpu,cpuacct/"),
                ("io".to_owned(), "/sys/fs/cgroup/unified/"),
            ]
        );
    }

    #[test]
    fn a_cgroup_of_version_2_is_shared_when_others_are_in_it_and_the_one_above_is_seen() {
        let shared = |procs: String, above: &'static str| {
            let read = move |path: &Path| match path.to_str() {
                Some("/sys/fs/cgroup/unified/a/b/cgroup.procs") => procs.clone(),
                Some("/sys/fs/cgroup/unified/a/cgroup.controllers") => above.to_owned(),
                _ => String::new(),
            };
            discover("0::/a/b\n", MOUNTINFO, read)[0].shared
        };
        let own = std::process::id();

        assert!(shared(format!("{own}\n{}\n", own + 1), "memory\n"));
        assert!(!shared(format!("{own}\n"), "memory\n"));
        assert!(!shared(format!("{own}\n{}\n", own + 1), ""));
    }

    #[test]
    fn a_cgroup_that_no_mount_shows_is_left_out() {
        assert_eq!(discover("9:name=systemd:/elsewhere\n0::/../up\n", MOUNTINFO, |_| String::new()), []);
        assert_eq!(discover("9:name=systemd:/users\n", MOUNTINFO, |_| String::new()), []);
        assert_eq!(discover("nonsense\n:\n", "nonsense - cgroup\n", |_| String::new()), []);
    }

    #[test]
    fn the_scope_is_named_as_documented() {
        assert_eq!(scope_name("581e7ced-3854"), "machine-rkt\\x2d581e7ced\\x2d3854.scope");
    }
}
