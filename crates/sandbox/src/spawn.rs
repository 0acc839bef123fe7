//! The last steps of a process that becomes an app, a handler or an entered command.

use crate::channel::Channel;
use crate::inherited::Inherited;
use crate::lsm::Labels;
use crate::plan::{Exec, User};
use crate::seccomp::SystemCalls;
use crate::{Context, Failure, Result};
use crate::{caps, sys, users};
use rustix::fs::{Gid, Uid};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::AsFd;

/// The status of an app that could not be executed.
pub const EXEC_FAILED: i32 = 203;

/// A filter of system calls, and who is told of those that it withholds.
#[derive(Clone, Copy)]
pub struct Filter<'a> {
    /// What becomes of each call.
    pub system_calls: &'a SystemCalls,
    /// Gets the descriptor that tells of them; with none the kernel ends the process and tells nobody which call it was.
    pub listener: Option<&'a Channel>,
}

/// What a process is given before it executes.
pub struct Persona<'a> {
    /// Its ids.
    pub user: &'a User,
    /// Its capabilities; none leaves what the caller of rkt has.
    pub capabilities: Option<&'a [String]>,
    /// What security modules label it with.
    pub labels: &'a Labels,
    /// What becomes of its system calls; none filters nothing.
    pub filter: Option<Filter<'a>>,
    /// Whether it may never gain privileges.
    pub no_new_privileges: bool,
    /// Its directory.
    pub working_directory: &'a str,
    /// Signals and umask of the caller.
    pub inherited: &'a Inherited,
    /// How many descriptors from 3 on it is given.
    pub descriptors: u32,
}

/// How a process says that its filter has a listener, which comes along.
pub const LISTENER: u8 = b'l';

/// The calls that hand a listener over.
const HANDOVER: [&str; 2] = ["sendmsg", "seccomp"];

impl Filter<'_> {
    fn install(self) -> Result<()> {
        let Some(channel) = self.listener else { return self.system_calls.install() };
        // A filter that withholds these comes in two parts: one that lets them through and has the listener, and one that does not.
        let (first, second) = self.system_calls.split(&HANDOVER);
        let Some(listener) = first.install_listened()? else {
            return second.map_or(Ok(()), |second| second.install());
        };
        channel.send(LISTENER, Some(listener.as_fd())).context(|| "tell of the filter of system calls")?;
        // The exec closes it; we may not be allowed to.
        std::mem::forget(listener);
        second.map_or(Ok(()), |second| second.install())
    }
}

impl Persona<'_> {
    /// Gives this process the persona. What needs privileges comes first, what takes them last.
    pub fn assume(&self) -> Result<()> {
        self.labels.at_exec()?;
        if let Some(names) = self.capabilities {
            caps::bound(names)?;
        }
        let groups: Vec<Gid> = self.user.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
        users::set_groups(&groups)?;
        let (uid, gid) = (Uid::from_raw(self.user.uid), Gid::from_raw(self.user.gid));
        rustix::thread::set_thread_res_gid(gid, gid, gid).context(|| format!("become gid {}", self.user.gid))?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).context(|| format!("become uid {}", self.user.uid))?;
        // By its own user: a directory that this one may not enter is an error, not a leak.
        rustix::process::chdir(self.working_directory).context(|| format!("chdir {}", self.working_directory))?;
        if let Some(names) = self.capabilities {
            // A filter is for those who administer, or who never gain privileges. The exec takes what the bounding set lacks.
            let administers = self.filter.is_some() && !self.no_new_privileges;
            caps::set(names, if administers { &["CAP_SYS_ADMIN"] } else { &[] })?;
        }
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true).context(|| "set no_new_privs")?;
        }
        self.inherited.restore();
        sys::close_on_exec_from(3 + self.descriptors).context(|| "close descriptors")?;
        // Last of all: what comes after is filtered, and that is the exec alone.
        self.filter.map_or(Ok(()), Filter::install)
    }
}

/// A command ready to be executed, with all memory that needs allocated.
pub struct Command {
    file: CString,
    argv: Vec<CString>,
    environment: Vec<CString>,
}

impl Command {
    /// A zero byte in any word is refused.
    pub fn new(exec: &Exec, environment: &[(String, String)]) -> Result<Self> {
        let text = |text: String| {
            CString::new(text).map_err(|_| Failure::new("a command or its environment holds a zero byte"))
        };
        Ok(Self {
            file: text(exec.file.clone())?,
            argv: exec.argv.iter().cloned().map(text).collect::<Result<_>>()?,
            environment: environment
                .iter()
                .map(|(name, value)| text(format!("{name}={value}")))
                .collect::<Result<_>>()?,
        })
    }

    /// Becomes the command; returns only when it cannot.
    pub fn execute(&self) -> io::Error {
        sys::execve(&self.file, &self.argv, &self.environment)
    }

    /// Becomes the command; a bare name is searched in `path` as execvp(3) does. Returns only when it cannot.
    pub fn execute_in(&self, path: &str) -> io::Error {
        if self.file.as_bytes().contains(&b'/') {
            return self.execute();
        }
        let mut result = io::Error::from_raw_os_error(libc::ENOENT);
        for directory in path.split(':') {
            let directory = if directory.is_empty() { "." } else { directory };
            let candidate = [directory.as_bytes(), b"/", self.file.as_bytes(), b"\0"].concat();
            let Ok(candidate) = CStr::from_bytes_with_nul(&candidate) else { continue };
            let error = sys::execve(candidate, &self.argv, &self.environment);
            if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) {
                result = error;
            }
        }
        result
    }
}
