//! Both ends of the standard streams of apps: what a process is given, and what pid 1 reads. One decision a stream.

use super::super::app::Streams;
use super::super::console::Console;
use super::super::lines::Lines;
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::pipe::{PipeFlags, pipe_with};
use sandbox::plan::{Stdio, User};
use sandbox::{Context, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The names of the output streams, as logs say them.
const NAMES: [&str; 2] = ["stdout", "stderr"];

/// The streams of one process that is to be.
pub struct Opened {
    stdin: OwnedFd,
    outputs: [OwnedFd; 2],
    /// Standard input becomes the controlling terminal.
    terminal: bool,
}

impl Opened {
    /// As the process takes them.
    pub fn streams(&self) -> Streams<'_> {
        let [stdout, stderr] = &self.outputs;
        Streams { stdin: self.stdin.as_fd(), stdout: stdout.as_fd(), stderr: stderr.as_fd(), terminal: self.terminal }
    }
}

/// Opens the streams of an app, and what pid 1 reads of its output. `terminal` is the pod's.
pub fn open(stdio: Stdio, user: &User, terminal: BorrowedFd<'_>) -> Result<(Opened, [Option<Lines>; 2])> {
    if stdio == Stdio::Terminal {
        rustix::fs::fchown(terminal, Some(Uid::from_raw(user.uid)), None).context(|| "hand the terminal to the app")?;
    }
    let stdin = match stdio {
        Stdio::Log => null()?,
        Stdio::Terminal => duplicate(terminal)?,
        Stdio::Stream => duplicate(rustix::stdio::stdin())?,
    };
    let (stdout, from_stdout) = output(stdio, 0, user, terminal)?;
    let (stderr, from_stderr) = output(stdio, 1, user, terminal)?;
    let opened = Opened { stdin, outputs: [stdout, stderr], terminal: stdio == Stdio::Terminal };
    Ok((opened, [from_stdout, from_stderr]))
}

/// The streams of a handler of an app: nothing to read, and one stream of lines where the app has a log.
pub fn open_of_handler(logged: bool) -> Result<(Opened, Option<Lines>)> {
    let root = User { uid: 0, gid: 0, groups: Vec::new() };
    let stdio = if logged { Stdio::Log } else { Stdio::Stream };
    let (stdout, lines) = match stdio {
        Stdio::Log => line_stream(NAMES[0], &root).map(|(lines, writer)| (writer, Some(lines)))?,
        _ => (duplicate(rustix::stdio::stdout())?, None),
    };
    let stderr = duplicate(stdout.as_fd())?;
    Ok((Opened { stdin: null()?, outputs: [stdout, stderr], terminal: false }, lines))
}

fn output(stdio: Stdio, stream: usize, user: &User, terminal: BorrowedFd<'_>) -> Result<(OwnedFd, Option<Lines>)> {
    match stdio {
        Stdio::Log => line_stream(NAMES[stream], user).map(|(lines, writer)| (writer, Some(lines))),
        Stdio::Terminal => duplicate(terminal).map(|fd| (fd, None)),
        Stdio::Stream => {
            let own = if stream == 0 { rustix::stdio::stdout() } else { rustix::stdio::stderr() };
            if !rustix::termios::isatty(own) {
                return duplicate(own).map(|fd| (fd, None));
            }
            // A relay in the place of the caller's terminal.
            let console = Console::over(own).context(|| "open the terminal")?;
            let (reader, writer) = stream_pipe(user)?;
            Ok((writer, Some(Lines::raw(reader, console))))
        }
    }
}

fn null() -> Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).context(|| "open /dev/null")
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    sandbox::sys::duplicate_from(fd, 3).context(|| "duplicate a standard stream")
}

/// A pipe whose end for the app belongs to its user, so that it may open /dev/stdout, and the lines that come out.
fn line_stream(name: &'static str, user: &User) -> Result<(Lines, OwnedFd)> {
    stream_pipe(user).map(|(reader, writer)| (Lines::new(reader, name), writer))
}

fn stream_pipe(user: &User) -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).context(|| "make a pipe")?;
    rustix::io::ioctl_fionbio(&reader, true).context(|| "make a pipe")?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::fs::fchown(&writer, Some(uid), Some(gid)).context(|| "make a pipe")?;
    Ok((reader, writer))
}

/// Both ends of a new terminal of the devpts instance that `multiplexer` belongs to.
pub fn open_terminal(multiplexer: &str) -> Result<(OwnedFd, OwnedFd)> {
    let failed = || "open a terminal";
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let leader = rustix::fs::open(multiplexer, flags, Mode::empty()).context(failed)?;
    rustix::pty::unlockpt(&leader).context(failed)?;
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY | rustix::pty::OpenptFlags::CLOEXEC;
    // Not by its path, which apps could have changed.
    let follower = rustix::pty::ioctl_tiocgptpeer(&leader, flags).context(failed)?;
    Ok((leader, follower))
}
