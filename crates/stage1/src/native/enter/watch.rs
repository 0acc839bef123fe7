//! The process that the caller of `enter` waits for: it carries the terminal and signals to the command, stops when the command
//! stops and the other way round, and ends as the command ends.

use super::super::init::word;
use super::super::terminal::{Relay, write_all};
use super::{COMMAND, FAILURE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use sandbox::channel::{Channel, Received};
use sandbox::seccomp::listener::{Listener, Refused};
use sandbox::spawn::LISTENER;
use sandbox::sys::{self, Child, Ended, Fork};
use sandbox::{Context, Failure, Result};
use std::os::fd::{AsFd, OwnedFd};

/// Signals that this process takes itself.
pub const HANDLED: [i32; 7] =
    [libc::SIGCHLD, libc::SIGWINCH, libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGTSTP];

/// Carries the terminal until the command has ended; answers its status, or ends this process by the same signal.
pub fn watch(helper: &Child, channel: &Channel, signals: &OwnedFd) -> Result<i32> {
    let mut relay: Option<Relay> = None;
    let mut command: Option<OwnedFd> = None;
    let mut listener: Option<Listener> = None;
    let mut listening = true;
    loop {
        let stdin = rustix::stdio::stdin();
        let mut fds = vec![
            PollFd::new(signals, PollFlags::IN),
            entry(listening.then_some(channel), signals),
            entry(command.as_ref(), signals),
            entry(listener.as_ref(), signals),
        ];
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
        if let (Some(active), [_, _, _, _, input, output]) = (&mut relay, &ready[..]) {
            active.pump(*input, *output);
        }
        pass_signals(signals, command.as_ref(), relay.as_mut());
        if !ready[1].is_empty() {
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
                Received::Word(LISTENER, Some(descriptor)) => listener = Some(Listener::from(descriptor)),
                Received::Word(..) | Received::Text(..) => {}
                // The command has been executed, or the process that joins has failed, and has said why.
                Received::Closed if command.is_some() => listening = false,
                Received::Closed => {
                    return sys::wait_for(helper.pid)
                        .map(|status| Ended::of(status).code())
                        .context(|| "wait for the command");
                }
            }
        }
        if !ready[3].is_empty()
            && let Some(refused) = refuse(&mut listener, ready[3])
        {
            // Where the terminal is raw a new line does not begin at its left end. In one piece: the command may write there, too.
            let line = format!("Error: {refused}{}", if relay.is_some() { "\r\n" } else { "\n" });
            write_all(rustix::stdio::stderr(), line.as_bytes());
        }
        if !ready[2].is_empty()
            && let Some(pidfd) = &command
        {
            if let Some(relay) = relay {
                relay.finish();
            }
            if let Some(listener) = listener {
                go_on(&listener);
            }
            return wait_like(pidfd);
        }
    }
}

/// What to wait for: poll(2) tells of a hang-up whatever it is asked for, so that something else stands in the place of what is not there.
fn entry<'a>(fd: Option<&'a impl AsFd>, absent: &'a OwnedFd) -> PollFd<'a> {
    match fd {
        Some(fd) => PollFd::new(fd, PollFlags::IN),
        None => PollFd::new(absent, PollFlags::empty()),
    }
}

/// Does what poll(2) said of the listener: ends the next process whose call waits, or gives it up when no process has the filter any more.
fn refuse(listener: &mut Option<Listener>, ready: PollFlags) -> Option<Refused> {
    if ready.contains(PollFlags::IN) {
        return listener.as_ref()?.refuse();
    }
    *listener = None;
    None
}

/// Goes on listening in a process of its own, for as long as processes have the filter that the command left behind: without a listener
/// their calls would only fail.
fn go_on(listener: &Listener) {
    let ready = |patience| {
        let mut fds = [PollFd::new(listener, PollFlags::IN)];
        poll(&mut fds, patience).map_or(PollFlags::empty(), |_| fds[0].revents())
    };
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    if ready(Some(&now)).contains(PollFlags::HUP) || !matches!(sys::fork(0), Ok(Fork::Child)) {
        return;
    }
    let _ = rustix::process::setsid();
    sys::SignalSet::of(&[]).block();
    // Nobody waits for this process, and nothing of the caller's may wait for its end.
    let nowhere = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let Ok(nowhere) = nowhere else { sys::exit_now(FAILURE) };
    for number in 0..3 {
        let _ = sys::install(nowhere.as_fd(), number);
    }
    loop {
        match ready(None) {
            events if events.contains(PollFlags::HUP) => sys::exit_now(0),
            events if events.contains(PollFlags::IN) => drop(listener.refuse()),
            _ => {}
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
