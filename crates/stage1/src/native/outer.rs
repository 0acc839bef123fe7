//! The process outside of the pod: what the init system or the shell sees. It passes signals on, proxies a terminal, tells the init
//! system of readiness, and ends as the pod ends.

use super::init::word;
use super::state::wait_ended;
use super::terminal::{Relay, Wish};
use rustix::event::{PollFd, PollFlags, poll};
use sandbox::channel::{Channel, Received};
use sandbox::sys::{self, Child, Ended};
use sandbox::{Context, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How the pod ended, for the process outside to end alike.
pub enum End {
    Status(i32),
    Signal(i32),
}

/// Watches over a running pod until it has ended.
pub fn watch(child: &Child, channel: &Channel, signals: &OwnedFd) -> Result<End> {
    let mut relay: Option<Relay> = None;
    let mut listening = true;
    loop {
        let stdin = rustix::stdio::stdin();
        let mut fds = vec![
            PollFd::new(&child.pidfd, PollFlags::IN),
            PollFd::new(signals, PollFlags::IN),
            // poll(2) tells of a hang-up whatever it is asked for: a channel that is closed must not wake us for ever.
            if listening { PollFd::new(channel, PollFlags::IN) } else { PollFd::new(&child.pidfd, PollFlags::IN) },
        ];
        if let Some(relay) = &relay {
            fds.push(PollFd::new(&stdin, relay.input_events()));
        }
        let leader = relay.as_ref().map(|relay| relay.leader());
        if let (Some(relay), Some(leader)) = (&relay, &leader) {
            fds.push(PollFd::new(leader, relay.leader_events()));
        }
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(sandbox::Failure::system("wait for the pod", error)),
        }
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        drop(leader);
        if let (Some(active), [_, _, _, input, output]) = (&mut relay, &ready[..])
            && active.pump(*input, *output) == Wish::End
        {
            let _ = rustix::process::pidfd_send_signal(&child.pidfd, rustix::process::Signal::KILL);
            wait_ended(&child.pidfd, Duration::from_secs(10));
            return Ok(End::Status(1));
        }
        if listening && !ready[2].is_empty() {
            listening = handle_word(channel, &mut relay)?;
        }
        if !ready[1].is_empty() {
            pass_signals(child, signals, relay.as_mut());
        }
        if !ready[0].is_empty() {
            if let Some(relay) = relay {
                relay.finish();
            }
            let status = sys::wait_for(child.pid).context(|| "wait for the pod")?;
            return Ok(match Ended::of(status) {
                Ended::Exited(status) => End::Status(status),
                Ended::Killed(signal) => End::Signal(signal),
            });
        }
    }
}

/// Answers whether more words may come.
fn handle_word(channel: &Channel, relay: &mut Option<Relay>) -> Result<bool> {
    match channel.receive().context(|| "listen to the pod")? {
        Received::Word(word::READY, _) => notify("READY=1"),
        Received::Word(word::STOPPING, _) => notify("STOPPING=1"),
        Received::Word(word::TERMINAL, Some(leader)) => {
            *relay = Some(Relay::begin(leader, true).context(|| "begin with the terminal")?);
        }
        Received::Text(word::STATUS, text) => notify(&format!("STATUS={text}")),
        Received::Word(..) | Received::Text(..) => {}
        // Pid 1 ends; its descriptor tells how.
        Received::Closed => return Ok(false),
    }
    Ok(true)
}

fn pass_signals(child: &Child, signals: &OwnedFd, mut relay: Option<&mut Relay>) {
    while let Some(received) = sys::read_signal(signals.as_fd()) {
        match (received.signal, &mut relay) {
            (libc::SIGWINCH, Some(relay)) => relay.resize(),
            // The pod goes on; the terminal is the shell's until this process is continued.
            (libc::SIGTSTP, Some(relay)) => relay.pause(|| sys::stop_by(libc::SIGTSTP)),
            (libc::SIGTSTP, None) => sys::stop_by(libc::SIGTSTP),
            (libc::SIGCHLD | libc::SIGWINCH, _) => {}
            // Ended meanwhile is fine: its end is what the loop waits for.
            (signal, _) => drop(sys::kill(child.pid, signal)),
        }
    }
}

/// Tells the init system that started us (sd_notify(3)). Nobody listening is not our failure.
fn notify(state: &str) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let address = match path.as_encoded_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&path),
    };
    if let (Ok(address), Ok(socket)) = (address, UnixDatagram::unbound()) {
        let _ = socket.send_to_addr(state.as_bytes(), &address);
    }
}
