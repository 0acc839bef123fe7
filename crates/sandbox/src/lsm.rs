//! Labels of security modules: SELinux contexts and AppArmor profiles, which a process takes on at its next exec.

use crate::{Context, Failure, Result};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use rustix::io::Errno;
use serde::Serialize;
use std::path::Path;

/// What the processes of an app are labelled with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct Labels {
    /// SELinux: `user:role:type:level`.
    pub selinux: Option<String>,
    /// The name of an AppArmor profile.
    pub apparmor: Option<String>,
}

/// PROC_SUPER_MAGIC of linux/magic.h.
const PROC: i64 = 0x9fa0;

impl Labels {
    /// Has this process take on the labels when it executes the next program. /proc is where this process has its root.
    pub fn at_exec(&self) -> Result<()> {
        if let Some(context) = &self.selinux {
            write_attribute(&["exec"], context).map_err(|failure| failure.of(format!("take on {context}")))?;
        }
        if let Some(profile) = &self.apparmor {
            // Before Linux 5.8 the modules had one file together.
            write_attribute(&["apparmor/exec", "exec"], &format!("exec {profile}"))
                .map_err(|failure| failure.of(format!("take on the AppArmor profile {profile}")))?;
        }
        Ok(())
    }
}

/// Writes to the first of these files below /proc/thread-self/attr that exists.
///
/// A process that may mount could have laid something over /proc, and the label would be lost: what is written to is the kernel's own.
fn write_attribute(names: &[&str], text: &str) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let proc = rustix::fs::open("/proc", flags, Mode::empty()).context(|| "open /proc")?;
    if rustix::fs::fstatfs(&proc).context(|| "stat /proc")?.f_type != PROC {
        return Err(Failure::new("/proc is not the kernel's"));
    }
    let mut missing = Errno::NOENT;
    for name in names {
        let path = format!("thread-self/attr/{name}");
        match openat2(&proc, &path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::NO_XDEV) {
            Ok(file) => return rustix::io::write(file, text.as_bytes()).map(drop).context(|| format!("write {path}")),
            Err(error) => missing = error,
        }
    }
    Err(Failure::system("open /proc/thread-self/attr", missing))
}

/// Which modules label processes here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modules {
    /// SELinux is enabled.
    pub selinux: bool,
    /// AppArmor is enabled.
    pub apparmor: bool,
}

impl Modules {
    /// Those of this kernel.
    pub fn read() -> Self {
        let enabled = std::fs::read_to_string("/sys/module/apparmor/parameters/enabled");
        Self {
            selinux: Path::new("/sys/fs/selinux/enforce").exists(),
            apparmor: enabled.is_ok_and(|text| text.trim() == "Y"),
        }
    }
}

/// Whether AppArmor has a profile of this name loaded; none where the list cannot be read.
pub fn has_profile(name: &str) -> Option<bool> {
    if name == "unconfined" {
        return Some(true);
    }
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(CWD, "/sys/kernel/security/apparmor/profiles", flags, Mode::empty()).ok()?;
    let text = crate::tree::read_bounded(file, Path::new("/sys/kernel/security/apparmor/profiles"), 4 << 20).ok()?;
    Some(lists(&String::from_utf8_lossy(&text), name))
}

/// Lines are `NAME (MODE)`; a name may hold blanks.
fn lists(profiles: &str, name: &str) -> bool {
    profiles.lines().any(|line| line.rsplit_once(" (").map_or(line, |(known, _)| known) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_found_by_its_whole_name() {
        let text = "docker-default (enforce)\n/usr/bin/man (complain)\nwith blank (enforce)\n";

        for (name, known) in [("docker-default", true), ("docker", false), ("with blank", true), ("/usr/bin/man", true)]
        {
            assert_eq!(lists(text, name), known, "{name}");
        }
    }

    #[test]
    fn without_labels_nothing_is_written_and_a_label_that_no_module_takes_is_a_failure() {
        Labels::default().at_exec().unwrap();
        if Modules::read() == Modules::default() {
            let labels = Labels { selinux: Some("u:r:t:s0".to_owned()), apparmor: None };
            assert!(labels.at_exec().unwrap_err().to_string().starts_with("take on u:r:t:s0: "));
        }
    }
}
