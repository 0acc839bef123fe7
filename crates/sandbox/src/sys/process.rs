//! Processes: their birth, their end, and what they are while they run.

use super::check;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// A pid of a child, and the descriptor that means this process and no other.
#[derive(Debug)]
pub struct Child {
    /// In the pid namespace of the caller.
    pub pid: i32,
    /// Close-on-exec.
    pub pidfd: OwnedFd,
}

/// Which side of a fork returns.
#[derive(Debug)]
pub enum Fork {
    /// The new process.
    Child,
    /// The caller.
    Parent(Child),
}

#[repr(C)]
#[derive(Default)]
struct CloneArguments {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// clone3(2) without a new stack: a fork, with the namespaces that `flags` names.
///
/// Sound only in a process with one thread, which every process of this program is.
pub fn fork(flags: u64) -> io::Result<Fork> {
    fork_into(flags, None)
}

/// [`fork`] into a cgroup of version 2, by a descriptor of its directory. Unlike moving there afterwards it waits for nobody.
pub fn fork_into(flags: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Fork> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let mut pidfd: libc::c_int = -1;
    let parent = flags & libc::CLONE_PARENT as u64 != 0;
    let arguments = CloneArguments {
        flags: flags | libc::CLONE_PIDFD as u64 | cgroup.map_or(0, |_| CLONE_INTO_CGROUP),
        pidfd: std::ptr::from_mut(&mut pidfd) as u64,
        // With CLONE_PARENT the exit signal is the one of the caller and must not be given.
        exit_signal: if parent { 0 } else { libc::SIGCHLD as u64 },
        cgroup: cgroup.map_or(0, |cgroup| cgroup.as_raw_fd() as u64),
        ..CloneArguments::default()
    };
    // SAFETY: the arguments outlive the call and their size is given; no memory is shared with the child (no CLONE_VM), which runs
    // on a copy of this stack, and there is no other thread whose locks it could find taken.
    let pid = check(unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<CloneArguments>()) })?;
    if pid == 0 {
        return Ok(Fork::Child);
    }
    // SAFETY: the kernel stored a new descriptor there, which nobody else owns.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    Ok(Fork::Parent(Child { pid: pid as i32, pidfd }))
}

/// [`fork`]s a process that does nothing but wait until the descriptor in the answer is closed, and end. Its end is to be waited for.
///
/// Sound in a process with threads too: the child makes two system calls and touches no memory that another thread could have locked.
pub fn fork_idle(flags: u64) -> io::Result<(Child, OwnedFd)> {
    let (gate, keeper) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    match fork(flags)? {
        Fork::Parent(child) => Ok((child, keeper)),
        Fork::Child => {
            let mut byte = 0u8;
            // SAFETY: closes the child's own copy, whose owner never runs again in this process; reads one byte into memory of
            // this stack; ends the process.
            unsafe {
                libc::close(keeper.as_raw_fd());
                libc::read(gate.as_raw_fd(), (&raw mut byte).cast(), 1);
                libc::_exit(0)
            }
        }
    }
}

/// execve(2). Returns only when it failed.
pub fn execve(path: &CStr, arguments: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (arguments, environment) = (pointers(arguments), pointers(environment));
    // SAFETY: both arrays end with a null pointer and point to C strings that outlive the call.
    unsafe { libc::execve(path.as_ptr(), arguments.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// Ends this process without running destructors or exit handlers: what a forked child must do.
pub fn exit_now(status: i32) -> ! {
    // SAFETY: _exit has no conditions.
    unsafe { libc::_exit(status) }
}

/// Reaps one child that has ended, if there is one: its pid and its raw wait status.
pub fn reap() -> Option<(i32, i32)> {
    let mut status = 0;
    // SAFETY: writes into an integer of ours.
    let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WNOHANG | libc::__WALL) };
    (pid > 0).then_some((pid, status))
}

/// Waits for the end of one child: its raw wait status.
pub fn wait_for(pid: i32) -> io::Result<i32> {
    let mut status = 0;
    loop {
        // SAFETY: writes into an integer of ours.
        let got = unsafe { libc::waitpid(pid, &raw mut status, 0) };
        if got == pid {
            return Ok(status);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// How a process ended, by its raw wait status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Killed(i32),
}

impl Ended {
    /// Reads a raw wait status.
    pub fn of(status: i32) -> Self {
        if libc::WIFSIGNALED(status) {
            Self::Killed(libc::WTERMSIG(status))
        } else {
            Self::Exited(libc::WEXITSTATUS(status))
        }
    }

    /// The status as shells say it: 128 and the signal's number for a process that one ended.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(status) => status,
            Self::Killed(signal) => 128 + signal,
        }
    }
}

/// Names this process for ps(1) and its like, at most 15 bytes.
pub fn set_name(name: &CStr) {
    // SAFETY: the kernel copies at most 16 bytes of a C string.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr(), 0, 0, 0) };
}

/// Whether other processes with the same user may look into this one (prctl(2), PR_SET_DUMPABLE).
pub fn set_dumpable(dumpable: bool) {
    // SAFETY: no pointer is passed.
    unsafe { libc::prctl(libc::PR_SET_DUMPABLE, libc::c_ulong::from(dumpable), 0, 0, 0) };
}
