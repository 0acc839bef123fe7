//! What the entrypoints of this flavor leave for each other in the pod directory, and in the descriptors of pid 1.

use crate::abi::pod;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use sandbox::plan::Cgroups;
use sandbox::{Context, Failure, Result};
use std::path::{Path, PathBuf};

/// The pid of the pod's pid 1, on the host.
pub const PID: &str = "pid";

/// The lease of the cgroups: one directory a line, written before the first is made.
const CGROUPS: &str = "cgroups";

/// The same path for every controller, as the reference has it; for other tools.
const SUBCGROUP: &str = "subcgroup";

/// pid 1 holds the mount namespace of its app number N as descriptor MOUNT_NAMESPACES + N. Nobody but pid 1 can put one there: an
/// app cannot forge what `enter` joins.
pub const MOUNT_NAMESPACES: i32 = 200;

/// Records the cgroups of a pod before they exist.
pub fn lease_cgroups(directory: &Path, cgroups: &Cgroups) -> Result<()> {
    let Some(subcgroup) = &cgroups.subcgroup else { return Ok(()) };
    pod::write_file(directory, SUBCGROUP, subcgroup.as_bytes(), 0o644)?;
    let lines: String = cgroups.hierarchies.iter().map(|place| format!("{}\n", place.pod.display())).collect();
    pod::write_file(directory, CGROUPS, lines.as_bytes(), 0o600)
}

/// The cgroup directories of a pod; none when it never had one.
///
/// A line that is no cgroup of this pod is left out: what follows kills and removes.
pub fn leased_cgroups(directory: &Path, uuid: &str) -> Result<Vec<PathBuf>> {
    let text = match pod::read_file(&directory.join(CGROUPS), 64 << 10) {
        Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
        Err(failure) if failure.errno() == Some(libc::ENOENT) => return Ok(Vec::new()),
        Err(failure) => return Err(failure),
    };
    let scope = sandbox::cgroup::scope_name(uuid);
    let ours =
        |path: &PathBuf| path.is_absolute() && path.file_name().is_some_and(|name| name.to_str() == Some(&scope));
    Ok(text.lines().map(PathBuf::from).filter(ours).collect())
}

/// Whether the pid is that of the first process of a pid namespace below ours: a number that the kernel has given to another process
/// meanwhile hardly ever is.
pub fn is_namespace_init(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let pids: Vec<&str> = line.unwrap_or_default().split_whitespace().collect();
    pids.len() > 1 && pids.last() == Some(&"1")
}

/// A descriptor that means pid 1 of the running pod of this directory, and its pid.
pub fn open_pod(directory: &Path) -> Result<(i32, OwnedFd)> {
    let pid = pod::read_number(&directory.join(PID)).map_err(|failure| failure.of("error reading pid"))?;
    let failed = || format!("unable to create process {pid} instance");
    let number = rustix::process::Pid::from_raw(pid).ok_or_else(|| Failure::new(failed()))?;
    let pidfd = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty()).context(failed)?;
    // In this order: while the pod holds its lock the number in the file is not given to another process.
    if !pod::is_locked(directory) || !is_namespace_init(pid) {
        return Err(Failure::new(format!("{}: it is not the pod's", failed())));
    }
    Ok((pid, pidfd))
}

/// Opens a file below /proc of a process, following the kernel's own link there.
pub fn open_proc(pid: i32, name: &str) -> Result<OwnedFd> {
    let path = format!("/proc/{pid}/{name}");
    rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).context(|| format!("open {path}"))
}

/// The user namespace of a process when it is another than ours.
pub fn other_users(pid: i32) -> Result<Option<OwnedFd>> {
    let theirs = open_proc(pid, "ns/user")?;
    let inode =
        |stat: rustix::io::Result<rustix::fs::Stat>| stat.context(|| "stat a user namespace").map(|stat| stat.st_ino);
    let own = inode(rustix::fs::stat("/proc/self/ns/user"))?;
    Ok(if inode(rustix::fs::fstat(&theirs))? == own { None } else { Some(theirs) })
}

/// Waits until a process has ended, at most so long; true when it has.
pub fn wait_ended(pidfd: impl AsFd, patience: std::time::Duration) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let until = std::time::Instant::now() + patience;
    loop {
        let left = until.saturating_duration_since(std::time::Instant::now());
        let timeout =
            Timespec { tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&timeout)) {
            Ok(0) => return false,
            Ok(_) => return true,
            Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
    }
}
