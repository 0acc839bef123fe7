//! A plugin that is a program: run as the specification says (section 3), for so long and no longer.

use super::{Call, CniError, code};
use crate::sys;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{PidfdFlags, Signal, pidfd_open};
use serde_json::Value;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A plugin that prints more is not listened to.
const MAX_OUTPUT: usize = 1 << 20;

/// How often a program that is just being written is tried again.
const BUSY_TRIES: u32 = 5;

/// Runs a plugin to its end; answers what it printed. `input` is its stdin, the working directory is the caller's.
pub fn run(program: &Path, call: &Call, input: &[u8], patience: Duration) -> Result<Vec<u8>, CniError> {
    let failed = |what: &str, error: io::Error| {
        let cause = sandbox::failure::describe(&error);
        CniError::new(code::IO, format!("{what} {}: {cause}", program.display()))
    };
    let mut child = start(program, call).map_err(|error| failed("cannot execute", error))?;
    let talk = talk(&mut child, input, patience);
    if !matches!(talk, Ok(Talk { ended: true, .. })) {
        // With what it has started.
        if let Some(group) = rustix::process::Pid::from_raw(child.id() as i32) {
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
    let status = child.wait().map_err(|error| failed("cannot wait for", error))?;
    let talk = talk.map_err(|error| failed("cannot talk to", error))?;
    if !talk.ended {
        let why = if talk.output.len() > MAX_OUTPUT {
            format!("it printed more than {MAX_OUTPUT} bytes")
        } else {
            format!("it did not end within {} seconds", patience.as_secs())
        };
        return Err(CniError::internal(format!("{why} and was killed")));
    }
    if status.success() {
        return Ok(talk.output);
    }
    Err(diagnosis(&talk.output, &status.to_string()))
}

/// What a plugin that failed has said.
fn diagnosis(output: &[u8], status: &str) -> CniError {
    let said = serde_json::from_slice::<Value>(output).ok();
    if let Some(error) = said.as_ref().and_then(CniError::from_json) {
        return error;
    }
    if let Some(msg) = said.as_ref().and_then(|value| value.get("msg")).and_then(Value::as_str) {
        return CniError::internal(msg);
    }
    let text = String::from_utf8_lossy(output);
    CniError::internal(format!(
        "netplugin failed but error parsing its diagnostic message {:?}: {status}",
        text.trim_end()
    ))
}

fn start(program: &Path, call: &Call) -> io::Result<Child> {
    let mut command = Command::new(program);
    let path = call.path.iter().map(|path| path.as_os_str()).collect::<Vec<_>>().join(&OsString::from(":"));
    command
        .env("CNI_COMMAND", call.verb.word())
        .env("CNI_CONTAINERID", &call.container_id)
        .env("CNI_NETNS", call.netns.as_deref().unwrap_or(Path::new("")))
        .env("CNI_ARGS", &call.args)
        .env("CNI_IFNAME", &call.ifname)
        .env("CNI_PATH", path)
        // Plugins of the protocol's first days ask for it.
        .env("CNI_VERSION", "0.1.0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .process_group(0);
    sys::end_with_us(&mut command);
    for _ in 1..BUSY_TRIES {
        match command.spawn() {
            Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) => std::thread::sleep(Duration::from_millis(200)),
            other => return other,
        }
    }
    command.spawn()
}

struct Talk {
    output: Vec<u8>,
    /// The program has ended by itself.
    ended: bool,
}

/// Feeds the program and listens to it until it ends or patience does.
fn talk(child: &mut Child, input: &[u8], patience: Duration) -> io::Result<Talk> {
    let until = Instant::now() + patience;
    let pid = rustix::process::Pid::from_raw(child.id() as i32).ok_or(io::ErrorKind::InvalidInput)?;
    let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
    let mut stdin = child.stdin.take();
    let mut stdout = child.stdout.take();
    for pipe in stdin.iter().map(std::os::fd::AsFd::as_fd).chain(stdout.iter().map(std::os::fd::AsFd::as_fd)) {
        rustix::io::ioctl_fionbio(pipe, true)?;
    }
    let mut talk = Talk { output: Vec::new(), ended: false };
    let mut rest = input;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let ready = wait(&pidfd, stdin.as_ref(), stdout.as_ref(), left)?;
        let Some([ended, writable, readable]) = ready else { return Ok(talk) };
        if writable {
            let open = feed(stdin.as_mut(), &mut rest)?;
            if !open {
                stdin = None;
            }
        }
        if (readable || ended) && !listen(stdout.as_mut(), &mut talk.output)? {
            stdout = None;
        }
        if talk.output.len() > MAX_OUTPUT {
            return Ok(talk);
        }
        if ended {
            // What it started may keep the pipe open for long; what it said itself is there.
            talk.ended = true;
            return Ok(talk);
        }
    }
}

/// Which of the three has something; none when the time is over.
fn wait(
    pidfd: &OwnedFd,
    stdin: Option<&std::process::ChildStdin>,
    stdout: Option<&std::process::ChildStdout>,
    left: Duration,
) -> io::Result<Option<[bool; 3]>> {
    let mut fds = vec![PollFd::new(pidfd, PollFlags::IN)];
    fds.extend(stdin.map(|pipe| PollFd::new(pipe, PollFlags::OUT)));
    fds.extend(stdout.map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    let timeout = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    match poll(&mut fds, Some(&timeout)) {
        Ok(0) => return Ok(None),
        Ok(_) => {}
        Err(rustix::io::Errno::INTR) => return Ok(Some([false; 3])),
        Err(error) => return Err(error.into()),
    }
    let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
    let ended = ready.next().unwrap_or(false);
    let writable = stdin.is_some() && ready.next().unwrap_or(false);
    let readable = stdout.is_some() && ready.next().unwrap_or(false);
    Ok(Some([ended, writable, readable]))
}

/// Writes as much as the pipe takes; false when there is nothing more to write, or nobody who reads.
fn feed(stdin: Option<&mut std::process::ChildStdin>, rest: &mut &[u8]) -> io::Result<bool> {
    let Some(stdin) = stdin else { return Ok(false) };
    while !rest.is_empty() {
        match stdin.write(rest) {
            Ok(written) => *rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It knows already what to do.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// Reads what is there; false at the end.
fn listen(stdout: Option<&mut std::process::ChildStdout>, output: &mut Vec<u8>) -> io::Result<bool> {
    let Some(stdout) = stdout else { return Ok(false) };
    let mut buffer = [0; 8192];
    loop {
        match stdout.read(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(got) => output.extend_from_slice(&buffer[..got]),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if output.len() > MAX_OUTPUT {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests;
