//! Thin, safe functions over the system calls of this crate.

use libc::c_int;
use std::ffi::{CStr, CString, c_char};
use std::io;
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
