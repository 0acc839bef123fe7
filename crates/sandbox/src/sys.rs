//! Thin, safe faces of the system calls that rustix lacks or offers only as unsafe. The crate's only unsafe code.

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

#[repr(C)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns_fd: u64,
}

fn check(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
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

/// unshare(2).
pub fn unshare(flags: i32) -> io::Result<()> {
    // SAFETY: no pointer is passed; the process has one thread.
    check(i64::from(unsafe { libc::unshare(flags) })).map(drop)
}

/// mount_setattr(2) on the mount that `mount` refers to.
pub fn mount_setattr(mount: BorrowedFd<'_>, set: u64, clear: u64, propagation: u64, recursive: bool) -> io::Result<()> {
    set_attributes(mount, &MountAttributes { set, clear, propagation, userns_fd: 0 }, recursive)
}

/// Shows the files of a mount with the ids of a user namespace (mount_setattr(2), MOUNT_ATTR_IDMAP).
pub fn mount_idmap(mount: BorrowedFd<'_>, users: BorrowedFd<'_>, recursive: bool) -> io::Result<()> {
    let userns_fd = users.as_raw_fd() as u64;
    let attributes = MountAttributes { set: libc::MOUNT_ATTR_IDMAP, clear: 0, propagation: 0, userns_fd };
    set_attributes(mount, &attributes, recursive)
}

fn set_attributes(mount: BorrowedFd<'_>, attributes: &MountAttributes, recursive: bool) -> io::Result<()> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a constant string, the structure outlives the call and its size is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attributes),
            size_of::<MountAttributes>(),
        )
    };
    check(result).map(drop)
}

/// Marks every descriptor from `first` on close-on-exec (close_range(2)).
pub fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: no pointer is passed, and no descriptor is closed now.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) }).map(drop)
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

/// A descriptor of the user namespace that a namespace belongs to (ioctl_nsfs(2)); refused for one that is not below ours.
pub fn owner_of_namespace(namespace: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    const NS_GET_USERNS: libc::c_ulong = 0xb701;
    // SAFETY: the request takes no argument.
    let fd = check(i64::from(unsafe { libc::ioctl(namespace.as_raw_fd(), NS_GET_USERNS) }))?;
    // SAFETY: the kernel has just made it, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// Brings the loopback interface of this network namespace up.
pub fn loopback_up() -> io::Result<()> {
    // SAFETY: no pointer is passed.
    let fd = check(i64::from(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }))?;
    // SAFETY: the kernel has just made it, nobody else owns it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd as i32) };
    // SAFETY: ifreq is plain memory for which all zeroes is a value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    // SAFETY: SIOCGIFFLAGS writes the flags into the structure.
    check(i64::from(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS, &raw mut request) }))?;
    // SAFETY: the flags are the member that the call above wrote.
    unsafe { request.ifr_ifru.ifru_flags |= libc::IFF_UP as i16 };
    // SAFETY: SIOCSIFFLAGS reads name and flags.
    check(i64::from(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS, &raw const request) })).map(drop)
}

/// Takes a descriptor number that was handed to this process, by its environment or by a constant of a protocol, as ours.
pub fn adopt(number: i32) -> Option<OwnedFd> {
    // SAFETY: F_GETFD only asks whether the number is open.
    if number < 0 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open, and by the protocol it belongs to this process; each is adopted once.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Looks at a descriptor by a number that was handed to this process; none when it is not open.
pub fn with_borrowed<T>(number: i32, look: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
    // SAFETY: F_GETFD only asks whether the number is open.
    if number < 0 || unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return None;
    }
    // SAFETY: it is open, and the one thread of this process is in `look` as long as it is borrowed.
    Some(look(unsafe { BorrowedFd::borrow_raw(number) }))
}

/// Duplicates a descriptor to a number not below `least`, close-on-exec.
pub fn duplicate_from(fd: BorrowedFd<'_>, least: i32) -> io::Result<OwnedFd> {
    // SAFETY: no pointer is passed.
    let number = check(i64::from(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) }))?;
    // SAFETY: the kernel has just made it, nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(number as i32) })
}

/// Makes `fd` the descriptor `number`, inherited across exec. `number` is one that nobody owns here, as 0, 1 and 2 are, or whose owner
/// is not used any more: a process that is about to execute has others.
pub fn install(fd: BorrowedFd<'_>, number: i32) -> io::Result<()> {
    if fd.as_raw_fd() == number {
        // SAFETY: clears close-on-exec; dup2 on itself would not.
        return check(i64::from(unsafe { libc::fcntl(number, libc::F_SETFD, 0) })).map(drop);
    }
    // SAFETY: replaces a descriptor that nobody uses through an owner any more.
    check(i64::from(unsafe { libc::dup2(fd.as_raw_fd(), number) })).map(drop)
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

/// The C library's text for an error number, in its own language.
pub fn error_text(number: i32) -> String {
    let mut buffer = [0 as libc::c_char; 256];
    // SAFETY: writes at most the length of the buffer and ends it with a zero byte.
    let result = unsafe { libc::strerror_r(number, buffer.as_mut_ptr(), buffer.len()) };
    if result != 0 {
        return format!("error {number}");
    }
    // SAFETY: the call above ended the text within the buffer.
    unsafe { CStr::from_ptr(buffer.as_ptr()) }.to_string_lossy().into_owned()
}

/// Filters the system calls of this process, for ever (seccomp(2)); with `listen` the descriptor that tells of notifications.
pub fn seccomp(program: &[crate::seccomp::Instruction], listen: bool) -> io::Result<Option<OwnedFd>> {
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: *const crate::seccomp::Instruction,
    }
    let length = u16::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let program = Program { length, instructions: program.as_ptr() };
    let flags = if listen { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
    // SAFETY: the program has the layout of sock_fprog (an Instruction that of sock_filter), its length is that of the slice, and the
    // kernel copies both before it returns.
    let result = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    let number = check(result)?;
    // SAFETY: the kernel has just made it, nobody else owns it.
    Ok(listen.then(|| unsafe { OwnedFd::from_raw_fd(number as i32) }))
}

/// A system call that its filter tells of, and that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Notification {
    /// Which one, for the answer.
    pub id: u64,
    /// The thread, in our pid namespace; 0 for one outside of it.
    pub thread: i32,
    /// `AUDIT_ARCH_*`.
    pub architecture: u32,
    /// The call.
    pub number: u32,
}

/// The next notification of a listener (seccomp_unotify(2)), none when its thread is gone meanwhile.
pub fn receive_notification(listener: BorrowedFd<'_>) -> io::Result<Option<Notification>> {
    // SAFETY: seccomp_notif is plain memory for which all zeroes is a value, and the one that the kernel asks for.
    let mut notification: libc::seccomp_notif = unsafe { std::mem::zeroed() };
    // SAFETY: writes one seccomp_notif, whose size the request says.
    let result = unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_RECV, &raw mut notification) };
    match check(i64::from(result)) {
        Ok(_) => Ok(Some(Notification {
            id: notification.id,
            thread: notification.pid as i32,
            architecture: notification.data.arch,
            number: notification.data.nr as u32,
        })),
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the thread of a notification still waits for its answer.
pub fn is_waiting(listener: BorrowedFd<'_>, notification: Notification) -> bool {
    // SAFETY: reads a u64 of ours.
    unsafe { libc::ioctl(listener.as_raw_fd(), NOTIF_ID_VALID, &raw const notification.id) == 0 }
}

const NOTIF_RECV: libc::Ioctl = 0xc050_2100;
const NOTIF_ID_VALID: libc::Ioctl = 0x4008_2102;

/// The part of `union bpf_attr` that loads a program, up to its log.
#[repr(C)]
#[derive(Default)]
struct LoadProgram {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The part of `union bpf_attr` that attaches a program.
#[repr(C)]
struct AttachProgram {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

/// Has a program decide upon the devices of a cgroup of version 2, beside those of cgroups above it (bpf(2)).
pub fn attach_device_program(cgroup: &OwnedFd, instructions: &[crate::devices::Instruction]) -> io::Result<()> {
    const PROG_LOAD: libc::c_int = 5;
    const PROG_ATTACH: libc::c_int = 8;
    const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
    const CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    let load = LoadProgram {
        kind: PROG_TYPE_CGROUP_DEVICE,
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..LoadProgram::default()
    };
    // SAFETY: instructions (of the layout of bpf_insn), their count and the C string outlive the call, whose size is given; the kernel
    // copies them, and verifies the program.
    let number = check(unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<LoadProgram>()) })?;
    // SAFETY: the kernel has just made it, nobody else owns it.
    let program = unsafe { OwnedFd::from_raw_fd(number as i32) };
    let attach = AttachProgram {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        attach_type: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: both descriptors are open, and the size of what is read is given.
    check(unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attach, size_of::<AttachProgram>()) }).map(drop)
}
