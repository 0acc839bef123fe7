//! The entrypoint `enter` (stage1-abi §4.8): a command in an app's surroundings, with the app's privileges and as its root user.
//!
//! Nothing that an app can write decides what is joined: the mount namespace is a descriptor of pid 1, the environment lies in
//! stage1's root, the rest comes from the pod directory.

mod watch;

use super::app::{Streams, new_cgroup_namespace, new_session, why_not};
use super::control::{RECORD, word as control};
use super::init::{open_terminal, word};
use super::mutable;
use super::state::{self, MOUNT_NAMESPACES};
use super::supervisor::Supervisor;
use super::users::assume_root;
use crate::abi::environment;
use crate::abi::isolators::{self, Privileges, Waived};
use crate::abi::options::Words;
use crate::abi::pod;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType};
use sandbox::cgroup::Entry;
use sandbox::channel::Channel;
use sandbox::inherited::Inherited;
use sandbox::lsm::{Labels, Modules};
use sandbox::plan::{Exec, User};
use sandbox::spawn::{Command, Filter, Persona};
use sandbox::sys::{self, Fork};
use sandbox::tree::read_bounded;
use sandbox::{Context, Failure, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The status of our own failures; small, as documented.
const FAILURE: i32 = 1;

/// The status for an app that is not there, as observed.
const UNKNOWN_APP: i32 = 6;

/// The status for a command that cannot be executed.
const NOT_EXECUTED: i32 = 203;

/// A word of the process that joins: here is the command.
const COMMAND: u8 = b'c';

const MAX_ENVIRONMENT: u64 = 1 << 20;

/// Runs a command in the pod; answers its status.
pub fn enter(arguments: &[String], inherited: &Inherited) -> i32 {
    match Target::find(arguments) {
        Ok(Some(target)) => target.enter(inherited).unwrap_or_else(|failure| fail(&failure)),
        Ok(None) => UNKNOWN_APP,
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> i32 {
    eprintln!("Error: {failure}");
    FAILURE
}

/// What is entered, all of it opened before anything is joined.
struct Target {
    command: Vec<String>,
    pidfd: OwnedFd,
    /// Of the pod, when it is not ours.
    users: Option<OwnedFd>,
    /// Of pid 1, whose terminals nobody else can replace.
    stage1: OwnedFd,
    /// Of the app; none for stage1 itself.
    mounts: Option<OwnedFd>,
    cgroups: Entry,
    environment: Vec<(String, String)>,
    privileges: Privileges,
    labels: Labels,
}

impl Target {
    /// None when the app is unknown, which has been said then.
    fn find(arguments: &[String]) -> Result<Option<Self>> {
        let (mut pid, mut app_name) = (0, String::new());
        let mut words = Words::new(arguments);
        words.options(|name, value| {
            match name {
                "pid" => pid = value.text()?.parse().map_err(|_| Failure::new("option --pid: not a number"))?,
                "appname" | "app" => app_name = value.text()?,
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let command = words.rest().to_vec();
        if command.is_empty() {
            return Err(Failure::new("no command to execute"));
        }
        let app_name =
            if app_name.is_empty() { std::env::var("RKT_STAGE1_ENTERAPP").unwrap_or_default() } else { app_name };
        let number = rustix::process::Pid::from_raw(pid).filter(|_| pid > 0);
        let number = number.ok_or_else(|| Failure::new(format!("Unable to open \"/proc/{pid}/ns\"")))?;
        let pidfd = rustix::process::pidfd_open(number, rustix::process::PidfdFlags::empty())
            .context(|| format!("Unable to open \"/proc/{pid}/ns\""))?;
        if !state::is_namespace_init(pid) {
            return Err(Failure::new(format!("process {pid} is not the first of a pod")));
        }
        let users = state::other_users(pid)?;
        let stage1 = state::open_proc(pid, "ns/mnt")?;
        let mut target = Self {
            command,
            pidfd,
            users,
            stage1,
            mounts: None,
            cgroups: Entry::default(),
            environment: Vec::new(),
            privileges: Privileges { capabilities: None, no_new_privileges: false, system_calls: None },
            labels: Labels::default(),
        };
        Ok(if app_name.is_empty() || target.aim_at(pid, &app_name)? { Some(target) } else { None })
    }

    /// Finds what belongs to an app; false when there is none of this name.
    fn aim_at(&mut self, pid: i32, name: &str) -> Result<bool> {
        let directory = Path::new(".");
        let manifest = pod::load_manifest(directory)?;
        let Some(index) = manifest.apps.iter().position(|app| app.name == name) else {
            eprintln!("Error: Unable to fopen \"/rkt/env/{name}\": No such file or directory");
            return Ok(false);
        };
        self.mounts = Some(if directory.join(RECORD).exists() {
            // Apps come and go there: pid 1 says where this one is.
            match mutable::ask(&Supervisor::find()?, control::ENTER, name)?.answer()? {
                mutable::Answer::Descriptor(namespace) => namespace,
                _ => return Err(Failure::new(format!("app \"{name}\" does not run"))),
            }
        } else {
            state::open_proc(pid, &format!("fd/{}", MOUNT_NAMESPACES + index as i32))?
        });
        let root = rustix::fs::open(
            format!("/proc/{pid}/root"),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .context(|| format!("Unable to open \"/proc/{pid}/root\""))?;
        let path = format!("rkt/env/{name}");
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS;
        let file = rustix::fs::openat2(
            &root,
            &path,
            OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
        .context(|| format!("Unable to fopen \"/{path}\""))?;
        let text = read_bounded(file, Path::new(&path), MAX_ENVIRONMENT)?;
        self.environment = environment::decode(&String::from_utf8_lossy(&text));
        self.read_privileges(&manifest.apps[index].name)?;
        let uuid = directory.canonicalize().context(|| "find the pod")?;
        let uuid = uuid.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let service = format!("system.slice/{name}.service");
        // A pod may run without some of them, or all.
        let leased = state::leased_cgroups(directory, &uuid)?.into_iter().map(|path| path.join(&service));
        let existing: Vec<(PathBuf, bool)> = leased
            .filter(|path| path.exists())
            .map(|path| {
                // Only version 1 has the file.
                let unified = !path.join("tasks").exists();
                (path, unified)
            })
            .collect();
        self.cgroups = Entry::open(existing.iter().map(|(path, unified)| (path.as_path(), *unified)))?;
        Ok(true)
    }

    /// The privileges of the app, from manifests that only the host can write.
    fn read_privileges(&mut self, name: &str) -> Result<()> {
        let config = pod::read_file(Path::new("runtime-config"), MAX_ENVIRONMENT)?;
        let config: serde_json::Value = serde_json::from_slice(&config).context(|| "parse runtime-config")?;
        let manifest = pod::load_manifest(Path::new("."))?;
        let app = manifest.apps.into_iter().find(|app| app.name == name).and_then(|app| app.app);
        let app = match app {
            Some(app) => app,
            // The pod's manifest has no section of its own: the image's counts, in stage0's copy.
            None => {
                let path = format!("appsinfo/{name}/manifest");
                let image = pod::read_file(Path::new(&path), 16 << 20)?;
                let image: crate::abi::manifest::ImageManifest =
                    serde_json::from_slice(&image).context(|| format!("parse {path}"))?;
                image.app.ok_or_else(|| Failure::new(format!("app \"{name}\" has no app section")))?
            }
        };
        let waived = |name: &str| config["InsecureOptions"][name].as_bool().unwrap_or(false);
        let waived = Waived { capabilities: waived("DisableCapabilities"), seccomp: waived("DisableSeccomp") };
        self.privileges = isolators::privileges(&app, waived)?;
        let given = config["SELinuxContext"].as_str();
        self.labels = isolators::labels(&app.isolators, &manifest.isolators, given, Modules::read())?;
        Ok(())
    }

    fn enter(self, inherited: &Inherited) -> Result<i32> {
        let terminal = rustix::termios::isatty(rustix::stdio::stdin());
        sys::SignalSet::of(&watch::HANDLED).block();
        let signals = sys::SignalSet::of(&watch::HANDLED).descriptor().context(|| "watch signals")?;
        let (ours, theirs) = Channel::pair().context(|| "make a channel")?;
        let child = match sys::fork(0).context(|| "fork")? {
            Fork::Child => {
                drop(ours);
                sys::set_dumpable(false);
                self.join(&theirs, terminal, inherited)
            }
            Fork::Parent(child) => child,
        };
        drop(theirs);
        watch::watch(&child, &ours, &signals)
    }

    /// Joins the pod in this process and starts the command in another, which alone is in the pid namespace. Never returns.
    fn join(&self, channel: &Channel, terminal: bool, inherited: &Inherited) -> ! {
        let started = self.join_inner(channel, terminal).and_then(|follower| {
            // A child of our parent, which passes signals on and waits for it; this process is in nobody's way then.
            // Root of another user namespace is born where this process is, which has moved there.
            let birthplace = self.cgroups.birthplace().filter(|_| self.users.is_none());
            match sys::fork_into(libc::CLONE_PARENT as u64, birthplace).context(|| "fork")? {
                Fork::Child => self.execute(channel, follower.as_ref(), inherited),
                Fork::Parent(command) => {
                    channel.send(COMMAND, Some(command.pidfd.as_fd())).context(|| "hand the command over")
                }
            }
        });
        sys::exit_now(started.map_or_else(|failure| fail(&failure), |()| 0))
    }

    fn join_inner(&self, channel: &Channel, terminal: bool) -> Result<Option<OwnedFd>> {
        self.cgroups.join()?;
        let joined = |name: &'static str| move || format!("Unable to enter ns/{name} namespace");
        if let Some(users) = &self.users {
            self.cgroups.move_in()?;
            // First of all: it gives an ordinary user the right to join the others, which belong to it.
            rustix::thread::move_into_link_name_space(users.as_fd(), Some(LinkNameSpaceType::User))
                .context(joined("user"))?;
            assume_root()?;
        }
        let spaces = [
            (ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION, "ipc"),
            (ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME, "uts"),
            (ThreadNameSpaceType::NETWORK, "net"),
            (ThreadNameSpaceType::PROCESS_ID, "pid"),
        ];
        for (space, name) in spaces {
            rustix::thread::move_into_thread_name_spaces(self.pidfd.as_fd(), space).context(joined(name))?;
        }
        let enter_mounts = |mounts: &OwnedFd| {
            rustix::thread::move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))
                .context(joined("mnt"))
        };
        enter_mounts(&self.stage1)?;
        let mut follower = None;
        if terminal {
            let (leader, peer) = open_terminal("/dev/pts/ptmx")?;
            channel.send(word::TERMINAL, Some(leader.as_fd())).context(|| "hand the terminal over")?;
            follower = Some(peer);
        }
        if let Some(mounts) = &self.mounts {
            enter_mounts(mounts)?;
        }
        Ok(follower)
    }

    /// Becomes the command, in the pod. Never returns.
    fn execute(&self, channel: &Channel, follower: Option<&OwnedFd>, inherited: &Inherited) -> ! {
        let status = match self.become_command(channel, follower, inherited) {
            Ok(error) => {
                eprintln!("Error: {error}");
                NOT_EXECUTED
            }
            Err(failure) => fail(&failure),
        };
        sys::exit_now(status)
    }

    fn become_command(&self, channel: &Channel, follower: Option<&OwnedFd>, inherited: &Inherited) -> Result<String> {
        let mut environment = self.environment.clone();
        environment.retain(|(name, _)| name != "TERM");
        environment.push(("TERM".to_owned(), std::env::var("TERM").unwrap_or_else(|_| "vt100".to_owned())));
        let path = environment::value(&environment, "PATH")
            .unwrap_or("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        new_cgroup_namespace()?;
        let name = self.command.first().cloned().unwrap_or_default();
        let command = Command::new(&Exec { file: name.clone(), argv: self.command.clone() }, &environment)?;
        let streams = match follower {
            Some(follower) => {
                let fd = follower.as_fd();
                Streams { stdin: fd, stdout: fd, stderr: fd, terminal: Some(fd) }
            }
            None => Streams {
                stdin: rustix::stdio::stdin(),
                stdout: rustix::stdio::stdout(),
                stderr: rustix::stdio::stderr(),
                terminal: None,
            },
        };
        new_session(&streams)?;
        // As for apps: who administers may want listeners of its own.
        let listener = (!self.privileges.administers()).then_some(channel);
        let persona = Persona {
            user: &User { uid: 0, gid: 0, groups: Vec::new() },
            capabilities: self.privileges.capabilities.as_deref(),
            labels: &self.labels,
            filter: self.privileges.system_calls.as_ref().map(|system_calls| Filter { system_calls, listener }),
            no_new_privileges: self.privileges.no_new_privileges,
            working_directory: "/",
            inherited,
            descriptors: 0,
        };
        persona.assume()?;
        let error = command.execute_in(path);
        let file = if name.contains('/') {
            name
        } else {
            return Ok(format!("Unable to open \"{name}\": No such file or directory"));
        };
        Ok(why_not(&file, &error))
    }
}
