//! The last steps of a process that becomes an app, a handler or an entered command.

use crate::inherited::Inherited;
use crate::plan::{Exec, User};
use crate::{Context, Failure, Result};
use crate::{caps, sys};
use rustix::fs::{Gid, Uid};
use std::ffi::{CStr, CString};
use std::io;

/// The status of an app that could not be executed.
pub const EXEC_FAILED: i32 = 203;

/// What a process is given before it executes.
pub struct Persona<'a> {
    /// Its ids.
    pub user: &'a User,
    /// Its capabilities; none leaves what the caller of rkt has.
    pub capabilities: Option<&'a [String]>,
    /// Whether it may never gain privileges.
    pub no_new_privileges: bool,
    /// Its directory.
    pub working_directory: &'a str,
    /// Signals and umask of the caller.
    pub inherited: &'a Inherited,
}

impl Persona<'_> {
    /// Gives this process the persona. What needs privileges comes first, what takes them last.
    pub fn assume(&self) -> Result<()> {
        if let Some(names) = self.capabilities {
            caps::bound(names)?;
        }
        let groups: Vec<Gid> = self.user.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
        rustix::thread::set_thread_groups(&groups).context(|| "set supplementary groups")?;
        let (uid, gid) = (Uid::from_raw(self.user.uid), Gid::from_raw(self.user.gid));
        rustix::thread::set_thread_res_gid(gid, gid, gid).context(|| format!("become gid {}", self.user.gid))?;
        rustix::thread::set_thread_res_uid(uid, uid, uid).context(|| format!("become uid {}", self.user.uid))?;
        // By its own user: a directory that this one may not enter is an error, not a leak.
        rustix::process::chdir(self.working_directory).context(|| format!("chdir {}", self.working_directory))?;
        if let Some(names) = self.capabilities {
            caps::set(names)?;
        }
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true).context(|| "set no_new_privs")?;
        }
        self.inherited.restore();
        sys::close_on_exec_from(3).context(|| "close descriptors")
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
