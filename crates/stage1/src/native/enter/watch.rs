//! The process that the caller of `enter` waits for: it carries the terminal and signals to the command, stops when the command
//! stops and the other way round, and ends as the command ends.

use super::super::init::word;
use super::super::terminal::Relay;
use super::{COMMAND, FAILURE};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use sandbox::channel::{Channel, Received};
use sandbox::sys::{self, Child, Ended};
use sandbox::{Context, Failure, Result};
use std::os::fd::{AsFd, OwnedFd};

/// Signals that this process takes itself.
pub const HANDLED: [i32; 7] =
    [libc::SIGCHLD, libc::SIGWINCH, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGTSTP];

/// Carries the terminal until the command has ended; answers its status, or ends this process by the same signal.
pub fn watch(helper: &Child, channel: &Channel, signals: &OwnedFd) -> Result<i32> {
    let mut relay: Option<Relay> = None;
    let mut command: Option<OwnedFd> = None;
    loop {
        // What comes first: the words of the process that joins, in their order, and its end if it fails.
        let listening = command.is_none();
        let stdin = rustix::stdio::stdin();
        let awaited = command.as_ref().map_or(channel.as_fd(), AsFd::as_fd);
        let mut fds = vec![PollFd::new(&awaited, PollFlags::IN), PollFd::new(signals, PollFlags::IN)];
        let leader = relay.as_ref().map(Relay::leader);
        if let (Some(relay), Some(leader)) = (&relay, &leader) {
            fds.push(PollFd::new(&stdin, relay.input_events()));
            fds.push(PollFd::new(leader, relay.leader_events()));
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(Failure::system("wait for the command", error)),
        }
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        drop(leader);
        if let (Some(active), [_, _, input, output]) = (&mut relay, &ready[..]) {
            active.pump(*input, *output);
        }
        pass_signals(signals, command.as_ref(), relay.as_mut());
        if ready[0].is_empty() {
            continue;
        }
        if listening {
            match channel.receive().context(|| "listen to the pod")? {
                Received::Word(word::TERMINAL, Some(leader)) => {
                    relay = Some(Relay::begin(leader, false).context(|| "begin with the terminal")?);
                }
                Received::Word(COMMAND, Some(pidfd)) => {
                    // A stop that came before we knew whose it was.
                    if has_stopped(&pidfd) {
                        suspend(libc::SIGSTOP, &pidfd, relay.as_mut());
                    }
                    command = Some(pidfd);
                }
                Received::Word(..) | Received::Text(..) => {}
                // The process that joins has failed, and has said why.
                Received::Closed => {
                    return sys::wait_for(helper.pid)
                        .map(|status| Ended::of(status).code())
                        .context(|| "wait for the command");
                }
            }
        } else if let Some(pidfd) = &command {
            if let Some(relay) = relay {
                relay.finish();
            }
            return wait_like(pidfd);
        }
    }
}

fn pass_signals(signals: &OwnedFd, command: Option<&OwnedFd>, mut relay: Option<&mut Relay>) {
    while let Some(received) = sys::read_signal(signals.as_fd()) {
        match (received.signal, command) {
            (libc::SIGWINCH, _) => {
                if let Some(relay) = &relay {
                    relay.resize();
                }
            }
            (libc::SIGCHLD, Some(command)) if has_stopped(command) => {
                suspend(libc::SIGSTOP, command, relay.as_deref_mut());
            }
            (libc::SIGCHLD, _) => {}
            (libc::SIGTSTP, Some(command)) => {
                // Stronger than what we got: the command leads a session of its own, where the kernel drops a TSTP.
                let _ = sys::signal_group(command.as_fd(), libc::SIGSTOP);
                suspend(libc::SIGTSTP, command, relay.as_deref_mut());
            }
            (libc::SIGTSTP, None) => sys::stop_by(libc::SIGTSTP),
            // Ended meanwhile is fine.
            (signal, Some(command)) => drop(sys::signal(command.as_fd(), signal)),
            (_, None) => {}
        }
    }
}

/// Whether the command was stopped since this was asked last.
fn has_stopped(command: &OwnedFd) -> bool {
    let options = WaitIdOptions::STOPPED | WaitIdOptions::NOHANG;
    waitid(WaitId::PidFd(command.as_fd()), options).is_ok_and(|status| status.is_some())
}

/// Stops this process, with the caller's terminal as it was before; once it is continued, so is the command.
fn suspend(signal: i32, command: &OwnedFd, relay: Option<&mut Relay>) {
    match relay {
        Some(relay) => relay.pause(|| sys::stop_by(signal)),
        None => sys::stop_by(signal),
    }
    let _ = sys::signal_group(command.as_fd(), libc::SIGCONT);
}

/// The status of the command that has ended; ends this process by the same signal when one ended the command.
fn wait_like(pidfd: &OwnedFd) -> Result<i32> {
    let ended = waitid(WaitId::PidFd(pidfd.as_fd()), WaitIdOptions::EXITED).context(|| "wait for the command")?;
    let ended = ended.ok_or_else(|| Failure::new("the command has no status"))?;
    if let Some(signal) = ended.terminating_signal() {
        sys::die_by(signal);
        return Ok(128 + signal);
    }
    Ok(ended.exit_status().unwrap_or(FAILURE))
}
