//! The entrypoint `stop`.

use super::{PGID, PID};
use crate::abi::options::parse_stop;
use crate::abi::pod::{is_locked, read_number};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open, pidfd_send_signal};
use sandbox::{Context, Failure, Result};
use std::path::Path;

/// Stops the pod of the current directory.
pub fn stop(arguments: &[String]) -> i32 {
    match stop_pod(arguments) {
        Ok(()) => 0,
        Err(failure) => crate::report("stop", &failure),
    }
}

fn stop_pod(arguments: &[String]) -> Result<()> {
    let (_, force) = parse_stop(arguments)?;
    let directory = Path::new(".");
    let signal = if force { Signal::KILL } else { Signal::TERM };
    let number = |name: &str| -> Result<Pid> {
        let number = read_number(&directory.join(name)).map_err(|failure| failure.of("error reading pid"))?;
        Pid::from_raw(number).ok_or_else(|| Failure::new("error reading pid"))
    };
    let pid = number(PID)?;
    let opened = pidfd_open(pid, PidfdFlags::empty());
    // Opened before: as long as somebody of the pod holds its lock its numbers belong to it.
    if !is_locked(directory) {
        return Err(Failure::new("the pod is not running"));
    }
    match opened {
        Ok(pidfd) => {
            pidfd_send_signal(pidfd, signal).context(|| format!("unable to terminate process {}", pid.as_raw_nonzero()))
        }
        Err(rustix::io::Errno::SRCH) => {
            let group = number(PGID)?;
            kill_process_group(group, signal)
                .context(|| format!("unable to terminate process group {}", group.as_raw_nonzero()))
        }
        Err(error) => {
            Err(Failure::system(format!("unable to create process {} instance", pid.as_raw_nonzero()), error))
        }
    }
}
