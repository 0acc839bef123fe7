//! Thin, safe functions over the system calls of this crate.

use libc::c_int;
use std::ffi::{CStr, CString, c_char};
use std::io::{self, PipeWriter, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;

/// A disposition to put back.
#[derive(Clone, Copy)]
pub struct Disposition(libc::sigaction);

/// Every signal whose disposition can be chosen; 32 and 33 belong to the C library.
pub fn signals() -> impl Iterator<Item = i32> {
    (1..=64).filter(|signal| !matches!(*signal, libc::SIGKILL | libc::SIGSTOP | 32 | 33))
}

fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// F_GETFL.
pub fn status_flags(fd: RawFd) -> io::Result<c_int> {
    // SAFETY: F_GETFL takes no pointer.
    check(unsafe { libc::fcntl(fd, libc::F_GETFL) })
}

/// F_SETFL.
pub fn set_status_flags(fd: RawFd, flags: c_int) -> io::Result<()> {
    // SAFETY: F_SETFL takes no pointer.
    check(unsafe { libc::fcntl(fd, libc::F_SETFL, flags) }).map(drop)
}

/// Sets or clears close-on-exec.
pub fn set_close_on_exec(fd: RawFd, on: bool) -> io::Result<()> {
    // SAFETY: F_SETFD takes no pointer.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, if on { libc::FD_CLOEXEC } else { 0 }) }).map(drop)
}

/// Marks every descriptor from `first` on close-on-exec (close_range(2), Linux 5.11).
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    let flags = libc::CLOSE_RANGE_CLOEXEC as c_int;
    // SAFETY: closes nothing, takes no pointer.
    check(unsafe { libc::close_range(first as libc::c_uint, libc::c_uint::MAX, flags) }).map(drop)
}

/// Opens /dev/null on the lowest free descriptor, which stays open over exec.
pub fn open_null() -> io::Result<RawFd> {
    // SAFETY: the path is a C string.
    check(unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) })
}

/// Soft and hard limit of a resource.
pub fn limit(resource: usize) -> io::Result<(u64, u64)> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is one rlimit.
    check(unsafe { libc::getrlimit(resource as _, &mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

/// Sets soft and hard limit of a resource.
pub fn set_limit(resource: usize, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` is one rlimit.
    check(unsafe { libc::setrlimit(resource as _, &limit) }).map(drop)
}

fn disposition(signal: c_int) -> Option<libc::sigaction> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: only asks; `action` is one sigaction, which is valid when zeroed.
    let result = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: zeroed, and written by the call if that succeeded.
    (result == 0).then(|| unsafe { action.assume_init() })
}

/// Whether the signal is ignored.
pub fn is_ignored(signal: c_int) -> bool {
    disposition(signal).is_some_and(|action| action.sa_sigaction == libc::SIG_IGN)
}

/// Makes the signal ignored, or leaves it to its default; answers what was before.
pub fn set_ignored(signal: c_int, ignored: bool) -> io::Result<Disposition> {
    // SAFETY: a sigaction is valid when zeroed: no flags, an empty mask, the default disposition.
    let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    action.sa_sigaction = if ignored { libc::SIG_IGN } else { libc::SIG_DFL };
    set_disposition(signal, &Disposition(action))
}

/// Puts a disposition in place; answers what was before.
pub fn set_disposition(signal: c_int, Disposition(action): &Disposition) -> io::Result<Disposition> {
    // SAFETY: a sigaction is valid when zeroed.
    let mut before: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: both are one sigaction; a handler in it is one that was installed before.
    check(unsafe { libc::sigaction(signal, action, &mut before) })?;
    Ok(Disposition(before))
}

/// The calling thread's signal mask: bit N-1 is signal N.
pub fn blocked() -> u64 {
    // SAFETY: a sigset_t is valid when zeroed.
    let mut set: libc::sigset_t = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: only asks; `set` is one sigset_t.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, ptr::null(), &mut set) };
    // SAFETY: `set` is initialised, the number is in range.
    (1..=64)
        .filter(|&signal| unsafe { libc::sigismember(&set, signal) } == 1)
        .fold(0, |bits, signal| bits | 1 << (signal - 1))
}

/// Sets the calling thread's signal mask; the C library keeps its own two signals out of it.
pub fn set_blocked(bits: u64) {
    // SAFETY: a sigset_t is valid when zeroed.
    let mut set: libc::sigset_t = unsafe { MaybeUninit::zeroed().assume_init() };
    for signal in (1..=64).filter(|signal| bits & (1 << (signal - 1)) != 0) {
        // SAFETY: `set` is initialised, the number is in range.
        unsafe { libc::sigaddset(&mut set, signal) };
    }
    // SAFETY: `set` is one sigset_t; SIG_SETMASK is a valid operation, so the call cannot fail.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &set, ptr::null_mut()) };
}

/// The umask; only to be called while the process has one thread.
pub fn umask() -> u32 {
    let umask = set_umask(0);
    set_umask(umask);
    umask
}

/// Sets the umask; answers the one before.
pub fn set_umask(umask: u32) -> u32 {
    // SAFETY: takes and gives a number, never fails.
    unsafe { libc::umask(umask as libc::mode_t) as u32 }
}

/// execve(2): returns only its failure.
pub fn execute(path: &CStr, argv: &[CString], environment: &[CString]) -> io::Error {
    let pointers = |texts: &[CString]| -> Vec<*const c_char> {
        texts.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let (argv, environment) = (pointers(argv), pointers(environment));
    // SAFETY: C strings that live until the call returns, both lists closed by a null pointer.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), environment.as_ptr()) };
    io::Error::last_os_error()
}

/// The arguments that the C runtime gave `main`.
///
/// # Safety
/// `argc` and `argv` are those of `main`.
pub unsafe fn arguments(argc: c_int, argv: *const *const c_char) -> Vec<CString> {
    // SAFETY: the runtime promises `argc` C strings.
    (0..argc.max(0) as usize).map(|index| unsafe { CStr::from_ptr(*argv.add(index)) }.to_owned()).collect()
}

/// The effective user.
pub fn effective_user() -> u32 {
    // SAFETY: never fails.
    unsafe { libc::geteuid() }
}

/// The real user.
pub fn real_user() -> u32 {
    // SAFETY: never fails.
    unsafe { libc::getuid() }
}

/// The effective group.
pub fn effective_group() -> u32 {
    // SAFETY: never fails.
    unsafe { libc::getegid() }
}

/// The groups of this process, the effective one among them.
pub fn groups() -> Vec<u32> {
    // SAFETY: with no room the call only counts.
    let count = unsafe { libc::getgroups(0, ptr::null_mut()) };
    let mut groups = vec![0; usize::try_from(count).unwrap_or(0)];
    // SAFETY: there is room for as many as were counted; more are an error, which leaves them alone.
    let got = unsafe { libc::getgroups(count, groups.as_mut_ptr()) };
    groups.truncate(usize::try_from(got).unwrap_or(0));
    groups.push(effective_group());
    groups
}

/// Enters a new user namespace, and a mount namespace that belongs to it; only to be called while the process has one thread.
pub fn unshare_users() -> io::Result<()> {
    // SAFETY: takes no pointer.
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNS) }).map(drop)
}

/// A child that stays in the namespaces that its parent leaves, and does something when it is told to.
pub struct Outsider {
    child: libc::pid_t,
    gate: PipeWriter,
}

impl Outsider {
    /// Starts the child, which waits. Only to be called while the process has one thread.
    pub fn start(act: impl FnOnce() -> bool) -> io::Result<Self> {
        let (mut told, gate) = io::pipe()?;
        // SAFETY: the process has one thread, so the child may do whatever its parent may.
        let child = check(unsafe { libc::fork() })?;
        if child != 0 {
            return Ok(Self { child, gate });
        }
        drop(gate);
        let mut word = [0];
        let asked = told.read(&mut word).is_ok_and(|count| count == 1);
        let status = if asked && act() { 0 } else { 1 };
        // SAFETY: ends the child without what its parent would do at its end.
        unsafe { libc::_exit(status) }
    }

    /// Tells the child, and waits for it: whether it succeeded. Dropped before, it does nothing.
    pub fn finish(mut self) -> io::Result<bool> {
        self.gate.write_all(&[1])?;
        let mut status = 0;
        // SAFETY: `status` is one integer.
        while unsafe { libc::waitpid(self.child, &mut status, 0) } < 0 {
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok(libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0)
    }
}
