//! Putting back what the caller gave, in the last moments before execve(2).

use crate::record::{Inherited, RESOURCES, Stdio};
use crate::sys::{self, Disposition};
use std::fmt;
use std::io;

/// A part of the state that could not be put back.
#[derive(Debug)]
pub struct RestoreError {
    /// What, in words.
    pub what: String,
    /// Why.
    pub source: io::Error,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot restore {}", self.what)
    }
}

impl std::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// What the process needs back if the exec fails and it goes on: dropping it restores the dispositions, the mask and the umask.
pub struct Undo {
    dispositions: Vec<(i32, Disposition)>,
    blocked: u64,
    umask: Option<u32>,
}

impl Drop for Undo {
    fn drop(&mut self) {
        for (signal, before) in self.dispositions.drain(..) {
            let _ = sys::set_disposition(signal, &before); // it was there before, so it can be there again
        }
        sys::set_blocked(self.blocked);
        if let Some(umask) = self.umask {
            sys::set_umask(umask);
        }
    }
}

/// Gives the process what the record says. A hard limit that was lowered stays lowered without CAP_SYS_RESOURCE; its soft limit is
/// then as near as it can be.
pub fn restore(record: &Inherited) -> Result<Undo, RestoreError> {
    for resource in 0..RESOURCES {
        restore_limit(record, resource)?;
    }
    for (fd, stdio) in (0..).zip(record.stdio) {
        restore_stdio(fd, stdio)?;
    }
    let mut undo = restore_signals(|signal| record.ignores(signal))?;
    sys::set_blocked(record.blocked);
    undo.umask = Some(sys::set_umask(record.umask));
    Ok(undo)
}

/// Without a record: what Node is known to change (ignored signals, non-blocking and close-on-exec stdio) as a shell would give it.
pub fn restore_defaults() -> Result<Undo, RestoreError> {
    for fd in 0..3 {
        restore_stdio(fd, Stdio::Blocking)?;
    }
    restore_signals(|signal| !matches!(signal, libc::SIGPIPE | libc::SIGXFSZ) && sys::is_ignored(signal))
}

fn restore_limit(record: &Inherited, resource: usize) -> Result<(), RestoreError> {
    let failed = |source| RestoreError { what: format!("resource limit {resource}"), source };
    let wanted = record.limits[resource];
    let (soft, hard) = sys::limit(resource).map_err(failed)?;
    if (soft, hard) == (wanted.soft, wanted.hard) {
        return Ok(());
    }
    match sys::set_limit(resource, wanted.soft, wanted.hard) {
        Err(error) if error.raw_os_error() == Some(libc::EPERM) => {
            let hard = hard.min(wanted.hard);
            sys::set_limit(resource, wanted.soft.min(hard), hard).map_err(failed)
        }
        result => result.map_err(failed),
    }
}

/// The launcher opened a closed one on /dev/null, so that no file of ours could take its number: it closes again with the exec.
fn restore_stdio(fd: i32, stdio: Stdio) -> Result<(), RestoreError> {
    let failed = |source| RestoreError { what: format!("descriptor {fd}"), source };
    sys::set_close_on_exec(fd, stdio == Stdio::Closed).map_err(failed)?;
    let flags = sys::status_flags(fd).map_err(failed)?;
    let wanted = if stdio == Stdio::NonBlocking { flags | libc::O_NONBLOCK } else { flags & !libc::O_NONBLOCK };
    if wanted == flags { Ok(()) } else { sys::set_status_flags(fd, wanted).map_err(failed) }
}

/// Handlers are left alone: execve(2) makes them the default.
fn restore_signals(ignore: impl Fn(i32) -> bool) -> Result<Undo, RestoreError> {
    let mut undo = Undo { dispositions: Vec::new(), blocked: sys::blocked(), umask: None };
    for signal in sys::signals() {
        let wanted = ignore(signal);
        if wanted == sys::is_ignored(signal) {
            continue;
        }
        let failed = |source| RestoreError { what: format!("the disposition of signal {signal}"), source };
        undo.dispositions.push((signal, sys::set_ignored(signal, wanted).map_err(failed)?));
    }
    Ok(undo)
}
