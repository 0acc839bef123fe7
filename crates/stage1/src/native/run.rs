//! The entrypoints `run` and `plan`: from the pod directory to a running pod.

use super::console::Console;
use super::decide::{Facts, decide};
use super::init::{self, PASSED_SIGNALS, STOP_SIGNALS, Setup, word};
use super::machined::Machine;
use super::network::{self, Networking};
use super::outside::Outside;
use super::{mutable, outer, state, users};
use crate::abi::options::{FileMode, RunOptions};
use crate::abi::pod::{self, Pod};
use crate::abi::volumes;
use sandbox::cgroup::Entry;
use sandbox::channel::Channel;
use sandbox::inherited::Inherited;
use sandbox::plan::{CgroupPlace, CgroupValue, Cgroups, Network, Plan, Share};
use sandbox::sys::{self, Fork};
use sandbox::tree::Root;
use sandbox::{Context, Failure, Result, cgroup, devices};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long leftovers may resist the removal of their cgroups at the end of a pod.
const CGROUP_PATIENCE: Duration = Duration::from_millis(500);

/// Runs the pod of the current directory; answers its status.
pub fn run(arguments: &[String], inherited: &Inherited) -> i32 {
    match run_pod(arguments, inherited) {
        Ok(outer::End::Status(status)) => status,
        Ok(outer::End::Signal(signal)) => {
            sys::die_by(signal);
            128 + signal
        }
        Err(failure) => crate::report("stage1", &failure),
    }
}

/// Prints the plan for the same arguments and inputs, and performs nothing.
pub fn print_plan(arguments: &[String]) -> i32 {
    let plan = RunOptions::parse(arguments, true).and_then(|options| {
        let pod = Pod::load(&current_directory()?)?;
        encode(&decide(&pod, &options, &Facts::read())?)
    });
    match plan {
        Ok(text) => {
            print!("{text}");
            0
        }
        Err(failure) => crate::report("stage1", &failure),
    }
}

fn current_directory() -> Result<PathBuf> {
    std::env::current_dir().context(|| "find the current directory")
}

fn encode(plan: &Plan) -> Result<String> {
    serde_json::to_string_pretty(plan).map(|text| text + "\n").context(|| "encode the plan")
}

fn run_pod(arguments: &[String], inherited: &Inherited) -> Result<outer::End> {
    let options = RunOptions::parse(arguments, true)?;
    let directory = current_directory()?;
    // Held to the end by this process and by pid 1; apps get it closed at their exec.
    let lock = pod::lock_descriptor()?;
    rustix::io::fcntl_setfd(&lock, rustix::io::FdFlags::CLOEXEC).context(|| "keep the lock from apps")?;
    let pod = Pod::load(&directory)?;
    let facts = Facts::read();
    let mut plan = decide(&pod, &options, &facts)?;
    let config = runtime_config(&options, facts.process_context.as_deref());
    pod::write_file(&directory, "runtime-config", config.as_bytes(), 0o644)?;
    pod::write_file(&directory, "plan.json", encode(&plan)?.as_bytes(), 0o600)?;
    for note in &plan.notes {
        eprintln!("networking: {note}");
    }
    for warning in &plan.warnings {
        eprintln!("stage1: warning: {warning}");
    }
    volumes::create_empty(&pod, &plan.volumes, plan.namespaces.users)?;
    if let Err(failure) = make_cgroups(&directory, &plan) {
        // Without its cgroups a pod still runs; a limit that somebody asked for is not silently left out.
        let values = plan.apps.iter().flat_map(|app| &app.cgroup_values).chain(&plan.cgroups.values);
        if let Some(value) = values.into_iter().find(|value| value.controller != "devices") {
            return Err(failure.of(format!("cannot set {}", value.file)));
        }
        eprintln!("stage1: warning: the pod runs without cgroups of its own: {failure}");
        remove_cgroups(&directory, &plan);
        plan.cgroups.hierarchies.clear();
    }
    let ended = network::set_up(&directory, &mut plan, &options).and_then(|mut network| {
        let recorded = match options.mutable {
            true => mutable::write_record(&directory, arguments, &facts, network.metadata_url()),
            false => Ok(()),
        };
        let written = recorded.and_then(|()| write_files(&pod, &plan));
        let ended = written.and_then(|()| perform(&directory, &mut plan, &mut network, inherited));
        network.end();
        ended
    });
    remove_cgroups(&directory, &plan);
    ended
}

fn perform(directory: &Path, plan: &mut Plan, network: &mut Networking, inherited: &Inherited) -> Result<outer::End> {
    let console = Console::over(rustix::stdio::stdout()).context(|| "open the console")?;
    let handled = [&[libc::SIGCHLD, libc::SIGWINCH, libc::SIGTSTP][..], &STOP_SIGNALS, &PASSED_SIGNALS].concat();
    sys::SignalSet::of(&handled).block();
    sys::set_ignored(libc::SIGPIPE, true);
    let signals = sys::SignalSet::of(&handled).descriptor().context(|| "watch signals")?;
    let (ours, theirs) = Channel::pair().context(|| "make a channel")?;
    let mut flags = libc::CLONE_NEWPID | libc::CLONE_NEWNS | libc::CLONE_NEWUTS;
    let ids = plan.namespaces.users;
    // What a user namespace's root is to own there, it makes itself.
    if plan.namespaces.ipc == Share::Private && ids.is_none() {
        flags |= libc::CLONE_NEWIPC;
    }
    if plan.namespaces.network == Network::Loopback {
        flags |= libc::CLONE_NEWNET;
    }
    if let Some(ids) = ids {
        flags |= libc::CLONE_NEWUSER | network.clone_flags();
        users::give_cgroups(&plan.cgroups, ids)?;
    }
    inherited.raise_descriptor_limit();
    let outside = Outside::take(plan, directory)?;
    let places = plan.cgroups.hierarchies.iter();
    let cgroups = Entry::open(places.map(|place| (place.supervisor.as_path(), place.unified)))?;
    let inside = network.enter()?;
    let child = match sys::fork_into(flags as u64, cgroups.birthplace()).context(|| "make the pod's namespaces")? {
        Fork::Child => {
            // A parent that ended before this line is noticed by its closed channel.
            let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
            drop((ours, signals));
            sys::exit_now(init::main(Setup { plan, outside, inherited, cgroups: &cgroups, channel: theirs, console }));
        }
        Fork::Parent(child) => child,
    };
    drop((inside, theirs, console, cgroups, outside));
    let tell = |word: u8, more: Option<BorrowedFd<'_>>| match ours.send(word, more) {
        // Pid 1 has failed already, and has said why.
        Err(error) if error.raw_os_error() == Some(libc::EPIPE) => Ok(()),
        other => other.context(|| "start the pod"),
    };
    let begun = ids
        .map_or(Ok(()), |ids| {
            ids.apply(child.pid)?;
            let additions = network.attach_born(child.pid, plan)?;
            tell(word::MAPPED, additions.as_ref().map(AsFd::as_fd))
        })
        .and_then(|()| network.carry(child.pid, plan))
        .and_then(|()| pod::write_file(directory, state::PID, format!("{}\n", child.pid).as_bytes(), 0o644))
        .and_then(|()| tell(word::GO, None));
    if let Err(failure) = begun {
        let _ = sys::kill(child.pid, libc::SIGKILL);
        let _ = sys::wait_for(child.pid);
        return Err(failure);
    }
    let machine = Machine::register(plan, child.pid);
    let ended = outer::watch(&child, &ours, &signals);
    machine.into_iter().for_each(Machine::end);
    ended
}

/// Files of stage1's root, and the directories that the performance writes to.
fn write_files(pod: &Pod, plan: &Plan) -> Result<()> {
    let stage1 = Root::open_at(pod.stage1())?;
    for file in &plan.files {
        stage1.write(&file.path, file.content.as_bytes(), file.mode)?;
    }
    let made = |path: &str| stage1.ensure(path, sandbox::tree::Make::Directory).map(drop);
    ["rkt/status", "rkt/env"].into_iter().try_for_each(made)?;
    if let Some(ids) = plan.namespaces.users {
        users::give_files(&stage1, plan, ids)?;
    }
    let link = pod.directory.join("flavor");
    match std::os::unix::fs::symlink("native", &link) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Failure::system(format!("link {}", link.display()), error));
        }
        _ => {}
    }
    let logs = pod.directory.join("logs");
    match std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o750).create(&logs) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Failure::system(format!("mkdir {}", logs.display()), error))
        }
        _ => Ok(()),
    }
}

fn make_cgroups(directory: &Path, plan: &Plan) -> Result<()> {
    let cgroups = &plan.cgroups;
    if cgroups.hierarchies.is_empty() && cgroups.undelegated {
        return Ok(());
    }
    if cgroups.hierarchies.is_empty() {
        return Err(Failure::new("no cgroup hierarchy is mounted"));
    }
    state::lease_cgroups(directory, cgroups)?;
    cgroup::create(&cgroups.hierarchies)?;
    if let Some(leaf) = &cgroups.vacate {
        std::fs::create_dir_all(leaf).context(|| format!("mkdir {}", leaf.display()))?;
        cgroup::write_value(&leaf.join("cgroup.procs"), "0")?;
    }
    for (file, text) in &cgroups.delegate {
        cgroup::write_value(file, text)?;
    }
    // From the whole to its parts: a part may not be more than the whole.
    write_values(cgroups, |place| Some(place.pod.clone()), &cgroups.values)?;
    write_values(cgroups, |place| place.apps.first()?.parent().map(Path::to_owned), &cgroups.values)?;
    limit_apps(plan)
}

/// Makes the cgroups of apps that join a running pod.
pub fn make_app_cgroups(plan: &Plan) -> Result<()> {
    for directory in plan.cgroups.hierarchies.iter().flat_map(|place| &place.apps) {
        std::fs::create_dir_all(directory).context(|| format!("mkdir {}", directory.display()))?;
    }
    limit_apps(plan)
}

fn limit_apps(plan: &Plan) -> Result<()> {
    for (index, app) in plan.apps.iter().enumerate() {
        write_values(&plan.cgroups, |place| place.apps.get(index).cloned(), &app.cgroup_values)?;
        let unified = plan.cgroups.hierarchies.iter().find(|place| place.unified).map(|place| &place.apps[index]);
        if let Some(directory) = unified.filter(|_| !app.devices.is_empty()) {
            devices::restrict(directory, &app.devices)?;
        }
    }
    Ok(())
}

fn write_values(
    cgroups: &Cgroups,
    directory: impl Fn(&CgroupPlace) -> Option<PathBuf>,
    values: &[CgroupValue],
) -> Result<()> {
    for value in values {
        let place = cgroups.hierarchies.iter().find(|place| place.controllers.contains(&value.controller));
        if let Some(directory) = place.and_then(&directory) {
            cgroup::write_value(&directory.join(&value.file), &value.text)?;
        }
    }
    Ok(())
}

fn remove_cgroups(directory: &Path, plan: &Plan) {
    // What cannot be removed now is removed by gc, which finds the same lease.
    if !move_back(&plan.cgroups) {
        return;
    }
    let _ = state::leased_cgroups(directory, &plan.uuid).and_then(|paths| cgroup::remove(&paths, CGROUP_PATIENCE));
}

/// Leaves the pod's cgroup, if this process had to go there, for its own; false when that cannot be: then the cgroup must stay too.
fn move_back(cgroups: &Cgroups) -> bool {
    if cgroups.vacate.is_none() {
        return true;
    }
    // Controllers that are passed down keep processes out; deepest first.
    let withdrawn =
        cgroups.delegate.iter().rev().all(|(file, text)| cgroup::write_value(file, &text.replace('+', "-")).is_ok());
    let own = cgroups.delegate.first().and_then(|(file, _)| file.parent());
    withdrawn && own.is_some_and(|own| cgroup::write_value(&own.join("cgroup.procs"), "0").is_ok())
}

/// The text of `runtime-config` (stage1-abi §3.1).
fn runtime_config(options: &RunOptions, selinux_context: Option<&str>) -> String {
    #[derive(serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct InsecureOptions {
        disable_paths: bool,
        disable_capabilities: bool,
        disable_seccomp: bool,
    }
    #[derive(serde::Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct RuntimeConfig<'a> {
        #[serde(rename = "MetadataServiceURL")]
        metadata_service_url: &'a str,
        private_users: &'a str,
        #[serde(rename = "MDSToken")]
        mds_token: &'a str,
        hostname: &'a str,
        debug: bool,
        mutable: bool,
        resolv_conf_mode: &'static str,
        etc_hosts_mode: &'static str,
        net_list: serde_json::Map<String, serde_json::Value>,
        interactive: bool,
        insecure_options: InsecureOptions,
        #[serde(rename = "IPCMode")]
        ipc_mode: &'a str,
        /// Ours: commands that are entered get it too.
        #[serde(rename = "SELinuxContext", skip_serializing_if = "Option::is_none")]
        selinux_context: Option<&'a str>,
    }
    let mode = |mode: FileMode| mode.word();
    let config = RuntimeConfig {
        metadata_service_url: "",
        private_users: &options.private_users,
        mds_token: &options.metadata_token,
        hostname: &options.hostname,
        debug: options.debug,
        mutable: options.mutable,
        resolv_conf_mode: mode(options.resolv_conf),
        etc_hosts_mode: mode(options.hosts),
        net_list: serde_json::Map::new(),
        interactive: options.interactive,
        insecure_options: InsecureOptions {
            disable_paths: options.disable_paths,
            disable_capabilities: options.disable_capabilities,
            disable_seccomp: options.disable_seccomp,
        },
        ipc_mode: &options.ipc,
        selinux_context,
    };
    // Strings and booleans always encode.
    serde_json::to_string(&config).unwrap_or_default()
}
