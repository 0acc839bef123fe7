//! The entrypoint `stop` (stage1-abi §4.9): returns when the pod is gone.

use super::state;
use crate::abi::options::parse_stop;
use crate::abi::pod::is_locked;
use rustix::process::{Signal, pidfd_send_signal};
use sandbox::{Context, Failure, Result};
use std::path::Path;
use std::time::{Duration, Instant};

/// The grace of a pod, and time for what surrounds it to go.
const PATIENCE: Duration = Duration::from_secs(15);

/// Stops the pod of the current directory.
pub fn stop(arguments: &[String]) -> i32 {
    match stop_pod(arguments) {
        Ok(()) => 0,
        Err(failure) => crate::report("stop", &failure),
    }
}

fn stop_pod(arguments: &[String]) -> Result<()> {
    let (uuid, force) = parse_stop(arguments)?;
    let directory = Path::new(".");
    let (pid, pidfd) = state::open_pod(directory)?;
    let (signal, verb) = if force { (Signal::KILL, "kill") } else { (Signal::TERM, "terminate") };
    match pidfd_send_signal(&pidfd, signal) {
        Err(rustix::io::Errno::SRCH) => {}
        other => other.context(|| format!("unable to {verb} process {pid}"))?,
    }
    let until = Instant::now() + PATIENCE;
    if !state::wait_ended(&pidfd, PATIENCE) {
        return Err(Failure::new(format!("pod \"{uuid}\" did not end within {} seconds", PATIENCE.as_secs())));
    }
    // The process outside ends right after pid 1; with it falls the lock.
    while is_locked(directory) {
        if Instant::now() > until {
            return Err(Failure::new(format!("pod \"{uuid}\" has ended, and somebody still holds its lock")));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
