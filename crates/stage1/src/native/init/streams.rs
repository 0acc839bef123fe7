//! Both ends of the standard streams of apps: what a process is given, and what pid 1 keeps. One decision a stream.

use super::super::app::Streams;
use super::super::console::Console;
use super::super::lines::Lines;
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::pipe::{PipeFlags, pipe_with};
use sandbox::plan::{Stdio, Stream, User};
use sandbox::{Context, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// The names of the output streams, as logs say them.
const NAMES: [&str; 2] = ["stdout", "stderr"];

/// The streams of one process that is to be.
pub struct Opened {
    stdin: OwnedFd,
    outputs: [OwnedFd; 2],
    terminal: Option<OwnedFd>,
}

impl Opened {
    /// As the process takes them.
    pub fn streams(&self) -> Streams<'_> {
        let [stdout, stderr] = &self.outputs;
        let terminal = self.terminal.as_ref().map(AsFd::as_fd);
        Streams { stdin: self.stdin.as_fd(), stdout: stdout.as_fd(), stderr: stderr.as_fd(), terminal }
    }
}

/// What pid 1 keeps of the streams of an app.
#[derive(Default)]
pub struct Kept {
    /// What becomes lines of the log, or goes to the caller.
    pub lines: [Option<Lines>; 2],
    /// What others attach to.
    pub ends: Ends,
}

/// Our ends of the streams that others attach to; all are non-blocking.
#[derive(Default)]
pub struct Ends {
    /// Where the app's input is written to.
    pub stdin: Option<OwnedFd>,
    /// Where the app's output is read from.
    pub outputs: [Option<OwnedFd>; 2],
    /// Leader and follower of the app's terminal; the follower keeps the terminal from being hung up.
    pub terminal: Option<(OwnedFd, OwnedFd)>,
}

/// Opens the streams of an app. `terminal` is the pod's.
pub fn open(stdio: Stdio, user: &User, terminal: BorrowedFd<'_>) -> Result<(Opened, Kept)> {
    let mut kept = Kept::default();
    let mut controlling = None;
    if stdio.has(Stream::Terminal) {
        give_terminal(terminal, user)?;
        controlling = Some(duplicate(terminal)?);
    }
    if stdio.has(Stream::Tty) {
        let (leader, follower) = open_terminal("/dev/pts/ptmx")?;
        give_terminal(follower.as_fd(), user)?;
        rustix::io::ioctl_fionbio(&leader, true).context(|| "open a terminal")?;
        // An app has one controlling terminal.
        controlling = controlling.map_or_else(|| duplicate(follower.as_fd()), Ok).map(Some)?;
        kept.ends.terminal = Some((leader, follower));
    }
    let own = |kept: &Kept| match &kept.ends.terminal {
        Some((_, follower)) => duplicate(follower.as_fd()),
        None => null(),
    };
    let stdin = match stdio.stdin {
        Stream::Null | Stream::Log => null()?,
        Stream::Terminal => duplicate(terminal)?,
        Stream::Caller => duplicate(rustix::stdio::stdin())?,
        Stream::Tty => own(&kept)?,
        Stream::Stream => {
            let (reader, writer) = pipe(user)?;
            rustix::io::ioctl_fionbio(&writer, true).context(|| "make a pipe")?;
            kept.ends.stdin = Some(writer);
            reader
        }
    };
    let mut output = |stream: Stream, number: usize| -> Result<OwnedFd> {
        match stream {
            Stream::Null => null(),
            Stream::Terminal => duplicate(terminal),
            Stream::Tty => own(&kept),
            Stream::Log => {
                let (lines, writer) = line_stream(NAMES[number], user)?;
                kept.lines[number] = Some(lines);
                Ok(writer)
            }
            Stream::Stream => {
                let (reader, writer) = read_pipe(user)?;
                kept.ends.outputs[number] = Some(reader);
                Ok(writer)
            }
            Stream::Caller => {
                let own = if number == 0 { rustix::stdio::stdout() } else { rustix::stdio::stderr() };
                if !rustix::termios::isatty(own) {
                    return duplicate(own);
                }
                // A relay in the place of the caller's terminal.
                let console = Console::over(own).context(|| "open the terminal")?;
                let (reader, writer) = read_pipe(user)?;
                kept.lines[number] = Some(Lines::raw(reader, console));
                Ok(writer)
            }
        }
    };
    let outputs = [output(stdio.stdout, 0)?, output(stdio.stderr, 1)?];
    Ok((Opened { stdin, outputs, terminal: controlling }, kept))
}

/// The streams of a handler of an app: nothing to read, and one stream of lines where the app has a log.
pub fn open_of_handler(stdout: Stream) -> Result<(Opened, Option<Lines>)> {
    let root = User { uid: 0, gid: 0, groups: Vec::new() };
    let (stdout, lines) = match stdout {
        Stream::Terminal | Stream::Caller => (duplicate(rustix::stdio::stdout())?, None),
        Stream::Null => (null()?, None),
        // Nobody can attach any more to what has ended.
        Stream::Log | Stream::Stream | Stream::Tty => {
            line_stream(NAMES[0], &root).map(|(lines, writer)| (writer, Some(lines)))?
        }
    };
    let stderr = duplicate(stdout.as_fd())?;
    Ok((Opened { stdin: null()?, outputs: [stdout, stderr], terminal: None }, lines))
}

fn give_terminal(follower: BorrowedFd<'_>, user: &User) -> Result<()> {
    rustix::fs::fchown(follower, Some(Uid::from_raw(user.uid)), None).context(|| "hand the terminal to the app")
}

fn null() -> Result<OwnedFd> {
    rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).context(|| "open /dev/null")
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd> {
    sandbox::sys::duplicate_from(fd, 3).context(|| "duplicate a standard stream")
}

/// The lines that come out of a pipe, and its end for the app.
fn line_stream(name: &'static str, user: &User) -> Result<(Lines, OwnedFd)> {
    read_pipe(user).map(|(reader, writer)| (Lines::new(reader, name), writer))
}

/// A pipe that we read from without ever waiting.
fn read_pipe(user: &User) -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe(user)?;
    rustix::io::ioctl_fionbio(&reader, true).context(|| "make a pipe")?;
    Ok((reader, writer))
}

/// A pipe that belongs to the app's user, so that it may open /dev/stdout.
fn pipe(user: &User) -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).context(|| "make a pipe")?;
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    rustix::fs::fchown(&writer, Some(uid), Some(gid)).context(|| "make a pipe")?;
    Ok((reader, writer))
}

/// Both ends of a new terminal of the devpts instance that `multiplexer` belongs to, as large as the caller's, if it has one: a program
/// may ask for the size before whoever relays the terminal has come to tell it.
pub fn open_terminal(multiplexer: &str) -> Result<(OwnedFd, OwnedFd)> {
    let failed = || "open a terminal";
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let leader = rustix::fs::open(multiplexer, flags, Mode::empty()).context(failed)?;
    rustix::pty::unlockpt(&leader).context(failed)?;
    let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY | rustix::pty::OpenptFlags::CLOEXEC;
    // Not by its path, which apps could have changed.
    let follower = rustix::pty::ioctl_tiocgptpeer(&leader, flags).context(failed)?;
    if let Ok(size) = rustix::termios::tcgetwinsize(rustix::stdio::stdin()) {
        let _ = rustix::termios::tcsetwinsize(&leader, size);
    }
    Ok((leader, follower))
}
