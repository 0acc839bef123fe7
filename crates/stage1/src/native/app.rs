//! One app's process, from the fork of pid 1 to the exec: its own mount namespace, its root, its handlers, its persona.

use rustix::fs::{AtFlags, Mode};
use sandbox::cgroup::Entry;
use sandbox::channel::Channel;
use sandbox::inherited::Inherited;
use sandbox::plan::{App, Exec, User};
use sandbox::seccomp::{self, SystemCalls};
use sandbox::spawn::{Command, EXEC_FAILED, Filter, Persona};
use sandbox::sys::{self, Ended, Fork};
use sandbox::tree::{Make, Root};
use sandbox::{Context, Failure, Result, lookup, mounts};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Standard streams of a process that is to be.
pub struct Streams<'a> {
    pub stdin: BorrowedFd<'a>,
    pub stdout: BorrowedFd<'a>,
    pub stderr: BorrowedFd<'a>,
    /// Becomes the controlling terminal.
    pub terminal: Option<BorrowedFd<'a>>,
}

/// What pid 1 hands to the process of an app.
pub struct Launch<'a> {
    pub app: &'a App,
    /// One a mount of the app: the host's trees, taken while they could be seen.
    pub taken: Vec<Option<OwnedFd>>,
    pub streams: Streams<'a>,
    /// Given to the main process as descriptors from 3 on.
    pub sockets: &'a [OwnedFd],
    /// The app's cgroups; the process was born in that of version 2.
    pub cgroups: &'a Entry,
    pub inherited: &'a Inherited,
    /// Told why there is no app: [`Report`]. Closed by the exec.
    pub report: OwnedFd,
    /// Gets the listener of the filter of system calls. Closed by the exec.
    pub listener: Option<Channel>,
    /// Closed on the other side when pid 1 has got hold of this process's namespaces: both ends of a pipe.
    pub gate: (OwnedFd, OwnedFd),
}

/// The first byte of what a process that became no app tells pid 1; a text follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// The pod cannot be as its plan says.
    Setup = b's' as isize,
    /// The file cannot be executed.
    Exec = b'e' as isize,
}

/// Becomes the app. Never returns: the process ends with the app's status, that of a failed handler, or our own.
pub fn become_app(launch: Launch<'_>) -> ! {
    // Not among the numbers that sockets get.
    let report = sys::duplicate_from(launch.report.as_fd(), 3 + launch.sockets.len() as i32);
    let mut report = File::from(match report {
        Ok(report) => report,
        Err(_) => sys::exit_now(crate::FAILURE),
    });
    let status = match start(launch) {
        Ok(Outcome::HandlerFailed(status)) => status,
        Ok(Outcome::NotExecuted(reason)) => {
            let _ = write!(report, "{}{reason}", char::from(Report::Exec as u8));
            EXEC_FAILED
        }
        Err(failure) => {
            let _ = write!(report, "{}{failure}", char::from(Report::Setup as u8));
            crate::FAILURE
        }
    };
    sys::exit_now(status)
}

enum Outcome {
    HandlerFailed(i32),
    NotExecuted(String),
}

fn start(launch: Launch<'_>) -> Result<Outcome> {
    let Launch { app, taken, streams, sockets, cgroups, inherited, report: _report, listener, gate } = launch;
    let (gate, gate_keeper) = gate;
    drop(gate_keeper);
    new_session(&streams)?;
    // Opened here: descriptors of pid 1 mean mounts of its mount namespace, of which this process has a copy.
    let stage1 = Root::open_at("/")?;
    let root = mounts::attach_root(&app.root, false)?;
    for (mount, taken) in app.mounts.iter().zip(taken) {
        mounts::perform(&root, &stage1, mount, taken)?;
    }
    for (path, mode) in &app.directories {
        make_directory(&root, path, *mode)?;
    }
    mounts::enter_root(&root)?;
    // After the devices were made: the cgroup forbids to make others.
    cgroups.join()?;
    new_cgroup_namespace()?;
    if app.read_only_root {
        sys::mount_setattr(root.as_fd(), libc::MOUNT_ATTR_RDONLY, 0, 0, false).context(|| "make the root read-only")?;
    }
    if let Some(score) = app.oom_score_adj {
        std::fs::write("/proc/self/oom_score_adj", score.to_string())
            .context(|| format!("set oom_score_adj to {score}"))?;
    }
    // A process that ends takes its namespaces with it before pid 1 could have seen them.
    rustix::io::read(&gate, &mut [0]).context(|| "wait for pid 1")?;
    for handler in &app.pre_start {
        match run_handler(app, handler, listener.as_ref(), inherited)? {
            0 => {}
            status => return Ok(Outcome::HandlerFailed(status)),
        }
    }
    let command = Command::new(&app.exec, &environment(app))?;
    if let Some(reason) = app.system_calls.as_ref().and_then(|calls| diagnose_ahead(&app.exec.file, calls)) {
        return Ok(Outcome::NotExecuted(reason));
    }
    let end = 3 + sockets.len() as i32;
    // Not among the numbers that sockets get, as they are now.
    let listener = listener.map(|listener| listener.above(end)).transpose().context(|| "keep the channel")?;
    let descriptors = place_sockets(sockets)?;
    Persona { descriptors, ..persona(app, &app.user, listener.as_ref(), inherited) }.assume()?;
    let error = command.execute();
    Ok(Outcome::NotExecuted(why_not(&app.exec.file, &error)))
}

/// Why a file cannot be executed, where the filter would not let us look afterwards.
fn diagnose_ahead(file: &str, calls: &SystemCalls) -> Option<String> {
    let looks = ["openat2", "openat", "read", "write", "fstat", "statx"];
    if looks.into_iter().all(|name| calls.outcome(name) == seccomp::Outcome::Allow) {
        return None;
    }
    Root::open_at("/").ok().and_then(|root| lookup::diagnose(&root, file))
}

/// The environment of the main process: that of the app, and what tells it of its sockets (sd_listen_fds(3)).
fn environment(app: &App) -> Vec<(String, String)> {
    let mut all = app.environment.clone();
    if !app.sockets.is_empty() {
        let names: Vec<&str> = app.sockets.iter().map(|socket| socket.name.as_str()).collect();
        all.push(("LISTEN_FDS".to_owned(), names.len().to_string()));
        all.push(("LISTEN_PID".to_owned(), std::process::id().to_string()));
        all.push(("LISTEN_FDNAMES".to_owned(), names.join(":")));
    }
    all
}

/// Gives this process the sockets as descriptors from 3 on; answers how many. What else has those numbers is not used any more.
fn place_sockets(sockets: &[OwnedFd]) -> Result<u32> {
    let failed = || "give the app its sockets";
    let end = 3 + sockets.len() as i32;
    // Out of the way first: one may have the number that another gets.
    let apart =
        sockets.iter().map(|socket| sys::duplicate_from(socket.as_fd(), end)).collect::<std::io::Result<Vec<_>>>();
    for (number, socket) in (3..).zip(apart.context(failed)?) {
        sys::install(socket.as_fd(), number).context(failed)?;
    }
    Ok(sockets.len() as u32)
}

/// Why the kernel refused a file, in the words of the reference.
pub fn why_not(file: &str, error: &std::io::Error) -> String {
    let diagnosis = Root::open_at("/").ok().and_then(|root| lookup::diagnose(&root, file));
    diagnosis.unwrap_or_else(|| format!("Unable to execute \"{file}\": {}", sandbox::failure::describe(error)))
}

/// The app's privileges with the ids of `user`. `listener` gets the filter's, if it is to have one.
pub fn persona<'a>(
    app: &'a App,
    user: &'a User,
    listener: Option<&'a Channel>,
    inherited: &'a Inherited,
) -> Persona<'a> {
    Persona {
        user,
        capabilities: app.capabilities.as_deref(),
        labels: &app.labels,
        filter: app.system_calls.as_ref().map(|system_calls| Filter { system_calls, listener }),
        no_new_privileges: app.no_new_privileges,
        working_directory: &app.working_directory,
        inherited,
        descriptors: 0,
    }
}

/// Makes the cgroup of this process the root of what it sees of cgroups. Each process of an app does so itself, in its place: where the
/// hierarchy is mounted with `nsdelegate`, as systemd does, the kernel lets nobody move or fork out of such a root.
pub fn new_cgroup_namespace() -> Result<()> {
    sys::unshare(libc::CLONE_NEWCGROUP).context(|| "unshare the cgroup namespace")
}

/// A session of its own with these standard streams.
pub fn new_session(streams: &Streams<'_>) -> Result<()> {
    rustix::process::setsid().context(|| "begin a session")?;
    if let Some(terminal) = streams.terminal {
        rustix::process::ioctl_tiocsctty(terminal).context(|| "take the terminal")?;
    }
    for (fd, number) in [(streams.stdin, 0), (streams.stdout, 1), (streams.stderr, 2)] {
        sys::install(fd, number).context(|| "set standard streams")?;
    }
    Ok(())
}

fn make_directory(root: &Root, path: &str, mode: u32) -> Result<()> {
    if root.exists(path) {
        return Ok(());
    }
    let directory = root.ensure(path, Make::Directory)?;
    rustix::fs::chmodat(&directory, ".", Mode::from_raw_mode(mode), AtFlags::empty())
        .context(|| format!("chmod {path}"))
}

/// Root, with the app's group of root alone.
const ROOT: User = User { uid: 0, gid: 0, groups: Vec::new() };

/// Runs a handler of the app, as root, in this process's namespaces and root; answers its status.
fn run_handler(app: &App, handler: &Exec, listener: Option<&Channel>, inherited: &Inherited) -> Result<i32> {
    match sys::fork(0).context(|| "fork")? {
        Fork::Child => become_handler(app, handler, listener, inherited),
        Fork::Parent(child) => {
            sys::wait_for(child.pid).map(|status| Ended::of(status).code()).context(|| "wait for a handler")
        }
    }
}

/// Becomes a handler of the app; `listener` as for [`persona`]. Never returns.
pub fn become_handler(app: &App, handler: &Exec, listener: Option<&Channel>, inherited: &Inherited) -> ! {
    let started = Command::new(handler, &app.environment)
        .and_then(|command| persona(app, &ROOT, listener, inherited).assume().map(|()| command))
        .map(|command| Failure::new(why_not(&handler.file, &command.execute())));
    let failure = started.unwrap_or_else(|failure| failure);
    // Goes where the handler's own messages would go.
    eprintln!("Error: {failure}");
    sys::exit_now(EXEC_FAILED)
}
