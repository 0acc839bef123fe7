//! The decisions of the default flavor: from arguments, manifests and facts of the host to a plan. It changes nothing.

use crate::abi::environment;
use crate::abi::isolators::{self, Limits};
use crate::abi::options::{FileMode, RunOptions};
use crate::abi::pod::{Pod, PodApp};
use crate::abi::volumes::{self, Volumes};
use sandbox::cgroup::{self, Hierarchy};
use sandbox::plan::{
    Allow, App, CgroupPlace, CgroupValue, Cgroups, Exec, File, Lifecycle, Mount, Namespaces, Network, Plan, Share,
    Source, Stdio, User,
};
use sandbox::tree::Root;
use sandbox::{Failure, Result, lookup, users};
use std::path::Path;

/// What a plan depends on and neither arguments nor manifests say.
pub struct Facts {
    pub hierarchies: Vec<Hierarchy>,
    /// The host has /dev/net/tun.
    pub tun: bool,
    /// Standard input is a terminal.
    pub terminal: bool,
    /// `TERM` of the caller.
    pub term: String,
}

impl Facts {
    /// The facts of this host and this process.
    pub fn read() -> Self {
        let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let hierarchies = cgroup::discover(&text("/proc/self/cgroup"), &text("/proc/self/mountinfo"), |path| {
            std::fs::read_to_string(path).unwrap_or_default()
        });
        Self {
            hierarchies,
            tun: Path::new("/dev/net/tun").exists(),
            terminal: rustix::termios::isatty(rustix::stdio::stdin()),
            term: std::env::var("TERM").unwrap_or_else(|_| "vt100".to_owned()),
        }
    }
}

/// Read-only inside each app, unless the option `paths` waives it. /sys and /proc/sys are read-only as a whole.
const READ_ONLY: [&str; 6] = ["/proc/sys", "/proc/bus", "/proc/acpi", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger"];

/// Hidden from apps, unless the option `paths` waives it.
const HIDDEN: [&str; 11] = [
    "/sys/firmware",
    "/sys/fs",
    "/sys/hypervisor",
    "/sys/module",
    "/sys/power",
    "/proc/config.gz",
    "/proc/kallsyms",
    "/proc/sched_debug",
    "/proc/kcore",
    "/proc/kmem",
    "/proc/mem",
];

/// Devices that an app may make and open: type and numbers, rights.
const DEVICES: [(&str, &str); 9] = [
    ("c 1:3", "rwm"),
    ("c 1:5", "rwm"),
    ("c 1:7", "rwm"),
    ("c 1:8", "rwm"),
    ("c 1:9", "rwm"),
    ("c 5:0", "rwm"),
    ("c 5:2", "rw"),
    ("c 136:*", "rw"),
    ("c 10:200", "rw"),
];

const FALLBACK: &str = "etc/hosts-fallback";
const STAGE0_HOSTS: &str = "etc/rkt-hosts";
const STAGE0_RESOLV: &str = "etc/rkt-resolv.conf";
const MAX_FILE: u64 = 1 << 20;

/// The plan of a pod.
pub fn decide(pod: &Pod, options: &RunOptions, facts: &Facts) -> Result<Plan> {
    refuse_what_is_missing(pod, options)?;
    let mut warnings = Vec::new();
    let namespaces = Namespaces { ipc: ipc(&options.ipc)?, network: network(&options.networks, &mut warnings)? };
    let hostname = if options.hostname.is_empty() { format!("rkt-{}", options.uuid) } else { options.hostname.clone() };
    let stage1 = Root::open_at(pod.stage1())?;
    let cgroups = cgroups(pod, &options.uuid, &facts.hierarchies);
    let Volumes { mounts, empty, warnings: mut volume_warnings } = volumes::of_pod(pod)?;
    let mut files = vec![
        file("etc/hostname", hostname.clone(), 0o644),
        file("etc/machine-id", format!("{}\n", options.uuid.replace('-', "")), 0o644),
    ];
    files.extend(hosts_file(&stage1, options.hosts, &hostname)?);
    let mut apps = Vec::with_capacity(pod.apps.len());
    for (app, volumes) in pod.apps.iter().zip(mounts) {
        let planned = plan_app(pod, app, volumes, options, facts, &stage1, &namespaces, &cgroups, &mut warnings)?;
        files.push(file(&format!("rkt/env/{}", app.name()), environment::encode(&planned.environment), 0o644));
        apps.push(planned);
    }
    warnings.append(&mut volume_warnings);
    Ok(Plan {
        uuid: options.uuid.clone(),
        hostname,
        namespaces,
        cgroups,
        files,
        volumes: empty,
        mounts: pod_mounts(options.disable_paths, facts.tun),
        apps,
        lifecycle: Lifecycle { grace_seconds: 10 },
        warnings,
    })
}

fn refuse_what_is_missing(pod: &Pod, options: &RunOptions) -> Result<()> {
    if !options.private_users.is_empty() {
        return Err(Failure::new("--private-users is not available in this flavor yet"));
    }
    if options.mutable {
        return Err(Failure::new("stage1 does not support mutable pods"));
    }
    if options.interactive && pod.apps.len() > 1 {
        return Err(Failure::new("interactive option only supports pods with one app"));
    }
    Ok(())
}

fn ipc(text: &str) -> Result<Share> {
    match text {
        "" | "auto" | "private" => Ok(Share::Private),
        "parent" => Ok(Share::Parent),
        other => Err(Failure::new(format!("unknown value for --ipc parameter: {other}"))),
    }
}

fn network(names: &[String], warnings: &mut Vec<String>) -> Result<Network> {
    // Arguments of a network stand behind a colon.
    let names: Vec<&str> = names.iter().map(|name| name.split(':').next().unwrap_or_default()).collect();
    if names.contains(&"host") {
        return Ok(Network::Host);
    }
    let unknown: Vec<&str> =
        names.iter().copied().filter(|name| !["none", "default", "default-restricted"].contains(name)).collect();
    if !unknown.is_empty() {
        return Err(Failure::new(format!("failed to setup network: networks not found: {}", unknown.join(", "))));
    }
    if !names.contains(&"none") {
        warnings.push("contained networks are not available yet, using --net=none".to_owned());
    }
    Ok(Network::Loopback)
}

fn file(path: &str, content: String, mode: u32) -> File {
    File { path: path.to_owned(), content, mode }
}

/// The hosts file that apps get, with the pod's name added to it.
fn hosts_file(stage1: &Root, mode: FileMode, hostname: &str) -> Result<Option<File>> {
    let path = match mode {
        FileMode::Default => FALLBACK,
        FileMode::Stage0 => STAGE0_HOSTS,
        FileMode::Host | FileMode::Nothing => return Ok(None),
    };
    let text = stage1.read(path, MAX_FILE)?.unwrap_or_default();
    Ok(Some(file(path, add_host(&String::from_utf8_lossy(&text), hostname), 0o644)))
}

/// Appends the name to the first line of 127.0.0.1, or adds one.
fn add_host(text: &str, name: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    match lines.iter_mut().find(|line| line.starts_with("127.0.0.1")) {
        // A pod that is started again has it already.
        Some(line) if line.split_whitespace().any(|word| word == name) => {}
        Some(line) => {
            line.push(' ');
            line.push_str(name);
        }
        None => lines.push(format!("127.0.0.1\t{name}")),
    }
    lines.join("\n") + "\n"
}

fn cgroups(pod: &Pod, uuid: &str, hierarchies: &[Hierarchy]) -> Cgroups {
    let scope = cgroup::scope_name(uuid);
    let mut cgroups = Cgroups::default();
    for hierarchy in hierarchies {
        let directory = hierarchy.own.join(&scope);
        let slice = directory.join("system.slice");
        if hierarchy.unified {
            let controllers: Vec<String> = hierarchy.controllers.iter().map(|name| format!("+{name}")).collect();
            if !controllers.is_empty() {
                let text = controllers.join(" ");
                for level in [&hierarchy.own, &directory, &slice] {
                    cgroups.delegate.push((level.join("cgroup.subtree_control"), text.clone()));
                }
                // Only the root may have both processes and controllers below it.
                cgroups.vacate = (hierarchy.path != "/").then(|| directory.join("supervisor"));
            }
        }
        cgroups.hierarchies.push(CgroupPlace {
            controllers: hierarchy.controllers.clone(),
            unified: hierarchy.unified,
            // Version 2 allows no processes beside cgroups that controllers are passed down to.
            supervisor: if hierarchy.unified && !hierarchy.controllers.is_empty() {
                directory.join("init.scope")
            } else {
                directory.clone()
            },
            pod: directory,
            apps: pod.apps.iter().map(|app| slice.join(format!("{}.service", app.name()))).collect(),
        });
    }
    let has = |name: &'static str| move |one: &&Hierarchy| one.controllers.iter().any(|known| known == name);
    let leading = hierarchies.iter().find(has("name=systemd")).or_else(|| hierarchies.iter().find(has("cpu")));
    let leading = leading.or_else(|| hierarchies.iter().find(|one| one.unified));
    cgroups.subcgroup = leading.map(|hierarchy| format!("{}/{scope}", hierarchy.path.trim_end_matches('/')));
    cgroups
}

fn mount(target: &str, source: Source) -> Mount {
    Mount { target: target.to_owned(), source, read_only: false, recursive: false, make_target: true }
}

fn filesystem(target: &str, kind: &'static str, options: &[(&'static str, &'static str)], allow: Allow) -> Mount {
    mount(target, Source::Filesystem { kind, options: options.to_vec(), allow })
}

/// What pid 1 sees, and what apps get copies of.
fn pod_mounts(unprotected: bool, tun: bool) -> Vec<Mount> {
    let mut mounts = vec![
        filesystem("/proc", "proc", &[], Allow::Data),
        Mount { read_only: !unprotected, ..filesystem("/sys", "sysfs", &[], Allow::Data) },
        mount("/dev", Source::Devices { tun }),
        filesystem("/dev/pts", "devpts", &[("gid", "5"), ("mode", "0620"), ("ptmxmode", "0666")], Allow::Devices),
        filesystem("/dev/shm", "tmpfs", &[("mode", "01777")], Allow::Executables),
        filesystem("/dev/mqueue", "mqueue", &[], Allow::Data),
    ];
    if unprotected {
        return mounts;
    }
    let existing =
        |target: &str, source: Source| Mount { make_target: false, read_only: true, ..mount(target, source) };
    mounts.extend(READ_ONLY.iter().map(|path| existing(path, Source::Itself)));
    mounts.extend(HIDDEN.iter().map(|path| existing(path, Source::Masked)));
    mounts
}

/// What every app has, before its volumes.
fn base_mounts(app: &Root, options: &RunOptions, stage1: &Root, tun: bool) -> Vec<Mount> {
    let copy = |path: &str| Mount { recursive: true, ..mount(path, Source::Stage1(path.to_owned())) };
    let mut mounts = vec![copy("/proc"), copy("/sys"), mount("/dev", Source::Devices { tun })];
    mounts.extend(["/dev/pts", "/dev/shm", "/dev/mqueue"].map(copy));
    // The first terminal of the pod is its console.
    mounts.push(mount("/dev/console", Source::Stage1("/dev/pts/0".to_owned())));
    let of_stage1 = |target: &str, path: &str| mount(target, Source::Stage1(format!("/{path}")));
    let of_host = |path: &str| Mount { read_only: true, ..mount(path, Source::Host(path.into())) };
    match options.resolv_conf {
        FileMode::Host if Path::new("/etc/resolv.conf").exists() => mounts.push(of_host("/etc/resolv.conf")),
        FileMode::Stage0 if stage1.exists(STAGE0_RESOLV) => mounts.push(of_stage1("/etc/resolv.conf", STAGE0_RESOLV)),
        _ => {}
    }
    match options.hosts {
        FileMode::Host => mounts.push(of_host("/etc/hosts")),
        FileMode::Stage0 => mounts.push(of_stage1("/etc/hosts", STAGE0_HOSTS)),
        FileMode::Default if !app.exists("etc/hosts") => mounts.push(of_stage1("/etc/hosts", FALLBACK)),
        FileMode::Default | FileMode::Nothing => {}
    }
    mounts.push(Mount { read_only: true, ..of_stage1("/etc/hostname", "proc/sys/kernel/hostname") });
    mounts
}

#[expect(clippy::too_many_arguments, reason = "every one is an input of its own, and there is one caller")]
fn plan_app(
    pod: &Pod,
    app: &PodApp,
    volumes: Vec<Mount>,
    options: &RunOptions,
    facts: &Facts,
    stage1: &Root,
    namespaces: &Namespaces,
    cgroups: &Cgroups,
    warnings: &mut Vec<String>,
) -> Result<App> {
    let root = Root::open_at(pod.stage1().join(app.root().trim_start_matches('/')))?;
    let stdio = match (options.interactive, facts.terminal) {
        (false, _) => Stdio::Log,
        (true, true) => Stdio::Terminal,
        (true, false) => Stdio::Stream,
    };
    let mut extra = vec![("AC_APP_NAME", app.name().to_owned())];
    if !options.metadata_token.is_empty() && namespaces.network == Network::Host {
        extra.push(("AC_METADATA_URL", format!("http://127.0.0.1:18112/{}", options.metadata_token)));
    }
    let mut environment = environment::of_app(&app.app, &extra);
    if stdio == Stdio::Terminal && environment::value(&environment, "TERM").is_none() {
        environment.push(("TERM".to_owned(), facts.term.clone()));
    }
    for name in isolators::unknown(&app.app) {
        warnings.push(format!("app \"{}\": isolator \"{name}\" is not known and has no effect", app.name()));
    }
    if !options.disable_seccomp && isolators::filters_system_calls(&app.app) {
        let name = app.name();
        warnings.push(format!("app \"{name}\": its seccomp isolator has no effect, system calls are not filtered yet"));
    }
    let working_directory = if app.app.working_directory.is_empty() { "/" } else { &app.app.working_directory };
    let command = |words: &[String]| command(app, &root, words, working_directory);
    let handlers = |name: &str| -> Result<Vec<Exec>> {
        app.app
            .event_handlers
            .iter()
            .filter(|handler| handler.name == name)
            .map(|handler| command(&handler.exec))
            .collect()
    };
    if let Some(other) =
        app.app.event_handlers.iter().find(|handler| !["pre-start", "post-stop"].contains(&handler.name.as_str()))
    {
        return Err(Failure::new(format!("unrecognized eventHandler: {}", other.name)));
    }
    let cgroup_values = cgroup_values(&isolators::limits(&app.app)?, &volumes, options, cgroups, warnings);
    let mut mounts = base_mounts(&root, options, stage1, facts.tun);
    mounts.extend(volumes);
    Ok(App {
        name: app.name().to_owned(),
        root: app.root(),
        mounts,
        directories: vec![("/tmp".to_owned(), 0o1777), ("/run".to_owned(), 0o755)],
        read_only_root: app.runtime.read_only_root,
        exec: command(&app.app.exec)?,
        pre_start: handlers("pre-start")?,
        post_stop: handlers("post-stop")?,
        environment,
        working_directory: working_directory.to_owned(),
        user: user(app, &root)?,
        capabilities: if options.disable_capabilities { None } else { Some(isolators::capabilities(&app.app)?) },
        no_new_privileges: isolators::no_new_privileges(&app.app),
        oom_score_adj: isolators::oom_score_adj(&app.app),
        cgroup_values,
        stdio,
    })
}

/// The sentence under which the reference reports what is wrong with an app's user, group or command.
fn immutable(cause: Failure) -> Failure {
    cause.of("cannot initialize immutable environment")
}

fn command(app: &PodApp, root: &Root, words: &[String], working_directory: &str) -> Result<Exec> {
    let Some(name) = words.first().filter(|name| !name.is_empty()) else {
        return Err(immutable(Failure::new(format!(
            "image \"{}\" has an empty \"exec\" (try --exec=BINARY)",
            app.image.name
        ))));
    };
    let path =
        app.app.environment.iter().find(|variable| variable.name == "PATH").map(|variable| variable.value.as_str());
    let file = lookup::find(root, name, working_directory, path).map_err(immutable)?;
    let mut argv = words.to_vec();
    argv[0].clone_from(&file);
    Ok(Exec { file, argv })
}

/// The ids of an app.
pub fn user(app: &PodApp, root: &Root) -> Result<User> {
    let uid = users::resolve_user(root, &app.app.user).map_err(immutable)?;
    let docker_like = app.image.is_docker()
        && app.image.app.as_ref().is_some_and(|image| image.user == image.group && image.group == app.app.group);
    let gid = match users::resolve_group(root, &app.app.group) {
        // Docker has users without a group of their name.
        Err(_) if docker_like => uid,
        other => other.map_err(immutable)?,
    };
    let mut groups = vec![gid];
    for &number in &app.app.supplementary_gids {
        groups.push(u32::try_from(number).map_err(|_| immutable(Failure::new("Invalid uid or gid")))?);
    }
    Ok(User { uid, gid, groups })
}

fn cgroup_values(
    limits: &Limits,
    volumes: &[Mount],
    options: &RunOptions,
    cgroups: &Cgroups,
    warnings: &mut Vec<String>,
) -> Vec<CgroupValue> {
    let mut values = Vec::new();
    let mut add = |controller: &str, file: &str, text: String| {
        values.push(CgroupValue { controller: controller.to_owned(), file: file.to_owned(), text });
    };
    // Whether the controller is there, and whether in version 2.
    let version_2 = |controller: &str| {
        let place = cgroups.hierarchies.iter().find(|place| place.controllers.iter().any(|name| name == controller));
        place.map(|place| place.unified)
    };
    let mut skipped = |name: &str| {
        warnings.push(format!("resource/{name} isolator set but support disabled in the kernel, skipping"))
    };
    if let Some(bytes) = limits.memory {
        match version_2("memory") {
            Some(true) => add("memory", "memory.max", bytes.to_string()),
            Some(false) => add("memory", "memory.limit_in_bytes", bytes.to_string()),
            None => skipped("memory"),
        }
    }
    if let Some(millis) = limits.cpu {
        // Of a period of 100 ms.
        let quota = millis * 100;
        match version_2("cpu") {
            Some(true) => add("cpu", "cpu.max", format!("{quota} 100000")),
            Some(false) => add("cpu", "cpu.cfs_quota_us", quota.to_string()),
            None => skipped("cpu"),
        }
    }
    if let Some(shares) = limits.cpu_shares {
        match version_2("cpu") {
            // The kernel's own mapping of 2..262144 to 1..10000.
            Some(true) => add("cpu", "cpu.weight", (1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142).to_string()),
            Some(false) => add("cpu", "cpu.shares", shares.to_string()),
            None => skipped("cpu"),
        }
    }
    // Version 2 has no device controller; its place is taken by a BPF program, which this version does not have yet.
    if !options.disable_paths && version_2("devices") == Some(false) {
        add("devices", "devices.deny", "a".to_owned());
        for (device, rights) in DEVICES {
            add("devices", "devices.allow", format!("{device} {rights}"));
        }
        for text in volumes.iter().filter_map(device_of) {
            add("devices", "devices.allow", text);
        }
    }
    values
}

/// The rule for a volume that is a device node.
fn device_of(mount: &Mount) -> Option<String> {
    use rustix::fs::FileType;
    let Source::Host(path) = &mount.source else { return None };
    let stat = rustix::fs::stat(path).ok()?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        _ => return None,
    };
    let rights = if mount.read_only { "r" } else { "rw" };
    Some(format!("{kind} {}:{} {rights}", rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)))
}

#[cfg(test)]
mod tests;
