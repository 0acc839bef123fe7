//! The decisions of the default flavor: from arguments, manifests and facts of the host to a plan. It changes nothing.

mod identity;
mod limits;
mod names;
mod networks;
mod places;
mod sockets;
pub mod surroundings;

use crate::abi::environment;
use crate::abi::isolators::{self, Waived};
use crate::abi::options::RunOptions;
use crate::abi::pod::{Pod, PodApp};
use crate::abi::volumes::{self, Volumes};
use sandbox::cgroup::{self, Hierarchy};
use sandbox::idmap::{self, IdMap};
use sandbox::plan::{App, Cgroups, Exec, File, Lifecycle, Mount, Namespaces, Network, Plan, Share, Stdio};
use sandbox::tree::Root;
use sandbox::{Failure, Result};
use std::path::Path;

/// What a plan depends on and neither arguments nor manifests say.
pub struct Facts {
    pub hierarchies: Vec<Hierarchy>,
    /// The host has /dev/net/tun.
    pub tun: bool,
    /// The ids there are, when this process is in a user namespace that has not all of them.
    pub ids: Option<IdMap>,
    /// Standard input is a terminal.
    pub terminal: bool,
    /// `TERM` of the caller.
    pub term: String,
    /// Sockets that the caller handed over.
    pub sockets: Vec<sockets::Handed>,
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
            ids: idmap::own(),
            terminal: rustix::termios::isatty(rustix::stdio::stdin()),
            term: std::env::var("TERM").unwrap_or_else(|_| "vt100".to_owned()),
            sockets: sockets::handed(),
        }
    }
}

/// The plan of a pod.
pub fn decide(pod: &Pod, options: &RunOptions, facts: &Facts) -> Result<Plan> {
    refuse_what_is_missing(pod, options)?;
    let mut warnings = Vec::new();
    let networks = networks::decide(pod, options, &facts.sockets)?;
    let namespaces =
        Namespaces { ipc: ipc(&options.ipc)?, network: networks.network, users: users(&options.private_users)? };
    if namespaces.users.is_some() && facts.ids.is_some() {
        return Err(Failure::new(
            "--private-users: this process is in a user namespace already, which has no range to give away",
        ));
    }
    let ids = namespaces.users.or(facts.ids);
    let hostname = if options.hostname.is_empty() { format!("rkt-{}", options.uuid) } else { options.hostname.clone() };
    let stage1 = Root::open_at(pod.stage1())?;
    let cgroups = places::cgroups(pod, &options.uuid, &facts.hierarchies);
    let Volumes { mounts, empty, warnings: mut volume_warnings, .. } =
        volumes::of_pod(pod, ids, namespaces.users.is_some())?;
    let mut files = vec![
        file("etc/hostname", hostname.clone(), 0o644),
        file("etc/machine-id", format!("{}\n", options.uuid.replace('-', "")), 0o644),
    ];
    files.extend(names::hosts_file(&stage1, options.hosts, &hostname)?);
    let mut apps = Vec::with_capacity(pod.apps.len());
    let context = Context { pod, options, facts, stage1: &stage1, namespaces: &namespaces, ids, cgroups: &cgroups };
    for (number, (app, volumes)) in pod.apps.iter().zip(mounts).enumerate() {
        let mut planned = plan_app(&context, app, number, volumes, &mut warnings)?;
        files.push(file(&format!("rkt/env/{}", app.name()), environment::encode(&planned.environment), 0o644));
        if planned.notifies {
            // Not for commands that are entered: they do not speak for the app.
            planned.environment.push(("NOTIFY_SOCKET".to_owned(), surroundings::NOTIFY.to_owned()));
        }
        apps.push(planned);
    }
    let passed = apps.iter().flat_map(|app: &App| &app.sockets);
    sockets::warn_of_unused(&facts.sockets, passed, &mut warnings);
    warnings.append(&mut volume_warnings);
    Ok(Plan {
        uuid: options.uuid.clone(),
        hostname,
        mounts: surroundings::pod_mounts(options.disable_paths, facts.tun, &namespaces, ids),
        namespaces,
        networks: networks.attachments,
        ports: networks.ports,
        cgroups,
        files,
        volumes: empty,
        apps,
        lifecycle: Lifecycle { grace_seconds: 10 },
        notes: networks.notes,
        warnings,
    })
}

fn refuse_what_is_missing(pod: &Pod, options: &RunOptions) -> Result<()> {
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

fn users(text: &str) -> Result<Option<IdMap>> {
    if text.is_empty() {
        return Ok(None);
    }
    IdMap::parse(text).map_err(|failure| failure.of("--private-users"))
}

fn file(path: &str, content: String, mode: u32) -> File {
    File { path: path.to_owned(), content, mode }
}

/// What the decisions about every app of a pod rest on.
struct Context<'a> {
    pod: &'a Pod,
    options: &'a RunOptions,
    facts: &'a Facts,
    stage1: &'a Root,
    namespaces: &'a Namespaces,
    ids: Option<IdMap>,
    cgroups: &'a Cgroups,
}

fn plan_app(
    context: &Context<'_>,
    app: &PodApp,
    number: usize,
    volumes: Vec<Mount>,
    warnings: &mut Vec<String>,
) -> Result<App> {
    let Context { pod, options, facts, stage1, namespaces, ids, cgroups } = *context;
    let root = Root::open_at(pod.stage1().join(app.root().trim_start_matches('/')))?;
    let stdio = match (options.interactive, facts.terminal) {
        (false, _) => Stdio::Log,
        (true, true) => Stdio::Terminal,
        (true, false) => Stdio::Stream,
    };
    // Both by the specification of executors (appc §10.2).
    let mut extra = vec![("AC_APP_NAME", app.name().to_owned()), ("container", "rkt".to_owned())];
    if !options.metadata_token.is_empty() && namespaces.network == Network::Host {
        extra.push(("AC_METADATA_URL", format!("http://127.0.0.1:18112/{}", options.metadata_token)));
    }
    let mut environment = environment::of_app(&app.app, &extra);
    if stdio == Stdio::Terminal && environment::value(&environment, "TERM").is_none() {
        environment.push(("TERM".to_owned(), facts.term.clone()));
    }
    let working_directory = if app.app.working_directory.is_empty() { "/" } else { &app.app.working_directory };
    let command = |words: &[String]| identity::command(app, &root, words, working_directory);
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
    let waived = Waived { capabilities: options.disable_capabilities, seccomp: options.disable_seccomp };
    let named = |failure: Failure| failure.of(format!("app \"{}\"", app.name()));
    let privileges = isolators::privileges(&app.app, waived).map_err(named)?;
    let user = identity::user(app, &root, ids)?;
    let cgroup_values =
        limits::cgroup_values(&isolators::limits(&app.app).map_err(named)?, &volumes, options, cgroups, warnings);
    let mut mounts = surroundings::base_mounts(&root, options, stage1, facts.tun, ids);
    let (services, notifies) = (surroundings::services(number), app.image.supports_notify());
    mounts.extend(surroundings::service_mounts(&services, notifies));
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
        // Without CAP_SYS_ADMIN a filter can be put upon a process only if it never gains privileges.
        no_new_privileges: privileges.no_new_privileges || (privileges.system_calls.is_some() && user.uid != 0),
        user,
        // A process has one listener at most: who administers may start pods of its own that want theirs.
        names_refusals: privileges.system_calls.is_some() && !privileges.administers(),
        system_calls: privileges.system_calls,
        capabilities: privileges.capabilities,
        oom_score_adj: isolators::oom_score_adj(&app.app),
        cgroup_values,
        stdio,
        services,
        notifies,
        sockets: sockets::of_app(pod, app, &facts.sockets, warnings)?,
    })
}

#[cfg(test)]
mod tests;
