//! Signals: dispositions, sets of them, receiving and sending.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Whether a signal is ignored in this process.
pub fn is_ignored(signal: i32) -> bool {
    // SAFETY: sigaction is a plain structure for which all zeroes is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: only reads the disposition, into a structure of ours.
    let result = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) };
    result == 0 && action.sa_sigaction == libc::SIG_IGN
}

/// Sets a signal to be ignored, or to its default action.
pub fn set_ignored(signal: i32, ignored: bool) {
    // SAFETY: sigaction is a plain structure for which all zeroes is a value.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = if ignored { libc::SIG_IGN } else { libc::SIG_DFL };
    // SAFETY: installs no handler. Signals that cannot be changed (KILL, STOP, the C library's own) answer an error that says so.
    unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
}

/// A set of signals.
#[derive(Clone, Copy)]
pub struct SignalSet(libc::sigset_t);

impl SignalSet {
    /// The set of these signals.
    pub fn of(signals: &[i32]) -> Self {
        // SAFETY: sigset_t is plain memory; sigemptyset initialises it.
        let mut set: libc::sigset_t = unsafe { std::mem::zeroed() };
        // SAFETY: the set is ours.
        unsafe { libc::sigemptyset(&raw mut set) };
        for &signal in signals {
            // SAFETY: the set is ours and initialised; a number that is no signal answers an error and changes nothing.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        Self(set)
    }

    /// Makes this the mask of blocked signals; answers the one before.
    pub fn block(&self) -> Self {
        let mut before = Self::of(&[]);
        // SAFETY: both sets are initialised and ours.
        unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const self.0, &raw mut before.0) };
        before
    }

    /// A descriptor (close-on-exec, non-blocking) that tells of these signals, which must be blocked: signalfd(2).
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const self.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
        check(i64::from(fd))?;
        // SAFETY: the kernel has just made it, nobody else owns it.
        Ok(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// The mask of the process as it is.
    pub fn current() -> Self {
        let mut set = Self::of(&[]);
        // SAFETY: reads the mask into a set of ours.
        unsafe { libc::sigprocmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut set.0) };
        set
    }
}

/// A signal read from a [`SignalSet::descriptor`].
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Its number.
    pub signal: i32,
    /// The sender's pid in our pid namespace, 0 for one outside of it and for the kernel.
    pub sender: u32,
}

/// The next signal that waits, or none.
pub fn read_signal(descriptor: BorrowedFd<'_>) -> Option<Received> {
    // SAFETY: signalfd_siginfo is plain memory for which all zeroes is a value.
    let mut info: libc::signalfd_siginfo = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::signalfd_siginfo>();
    // SAFETY: reads at most the size of the structure into it.
    let got = unsafe { libc::read(descriptor.as_raw_fd(), (&raw mut info).cast(), size) };
    (got == size as isize).then_some(Received { signal: info.ssi_signo as i32, sender: info.ssi_pid })
}

/// Sends a signal to a process, a group (negative) or everything (-1): kill(2).
pub fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: no pointer is passed.
    check(i64::from(unsafe { libc::kill(pid, signal) })).map(drop)
}

/// Sends a signal to the process that a descriptor means: pidfd_send_signal(2).
pub fn signal(process: BorrowedFd<'_>, signal: i32) -> io::Result<()> {
    send_by_descriptor(process, signal, 0)
}

/// Sends a signal to the process group that the process leads; where the kernel cannot (before 6.9), to the process alone.
pub fn signal_group(process: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    const PIDFD_SIGNAL_PROCESS_GROUP: u32 = 4;
    match send_by_descriptor(process, number, PIDFD_SIGNAL_PROCESS_GROUP) {
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => signal(process, number),
        other => other,
    }
}

fn send_by_descriptor(process: BorrowedFd<'_>, signal: i32, flags: u32) -> io::Result<()> {
    let no_information = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: a null pointer asks the kernel to fill the information in.
    let result =
        unsafe { libc::syscall(libc::SYS_pidfd_send_signal, process.as_raw_fd(), signal, no_information, flags) };
    check(result).map(drop)
}

/// Stops this process by a signal, as its default action is, until it is continued. The signal must be blocked.
pub fn stop_by(signal: i32) {
    // SAFETY: no pointer is passed. Waits for this thread while the signal is blocked.
    unsafe { libc::raise(signal) };
    let mask = SignalSet::current();
    let mut open = mask;
    // SAFETY: the set is ours and initialised.
    unsafe { libc::sigdelset(&raw mut open.0, signal) };
    open.block();
    mask.block();
}

/// Ends this process by a signal, as a child of it ended; returns when the signal does not end a process.
pub fn die_by(signal: i32) {
    set_ignored(signal, false);
    SignalSet::of(&[]).block();
    // SAFETY: no pointer is passed.
    unsafe { libc::raise(signal) };
}
