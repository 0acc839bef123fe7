//! The decisions of the default flavor: from arguments, manifests and facts of the host to a plan. It changes nothing.

mod bandwidth;
mod devices;
mod facts;
mod identity;
mod limits;
mod logs;
mod names;
mod networks;
mod places;
mod sockets;
mod streams;
pub mod surroundings;
mod sysctl;

use crate::abi::environment;
use crate::abi::isolators::{self, Resources, Waived};
use crate::abi::options::RunOptions;
use crate::abi::pod::{Pod, PodApp};
use crate::abi::volumes::{self, Volumes};
use devices::Devices;
pub use facts::Facts;
use rustix::fs::OFlags;
use sandbox::idmap::IdMap;
use sandbox::plan::{App, Cgroups, Exec, File, Lifecycle, Mount, Namespaces, Network, Plan, Share};
use sandbox::tree::Root;
use sandbox::{Failure, Result};
use std::collections::HashSet;

/// The plan of a pod.
pub fn decide(pod: &Pod, options: &RunOptions, facts: &Facts) -> Result<Plan> {
    refuse_what_is_missing(pod, options)?;
    let mut warnings = Vec::new();
    let networks = networks::decide(pod, options, &facts.sockets, !facts.owns_network)?;
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
    let mut cgroups = places::cgroups(pod, &options.uuid, &facts.hierarchies);
    cgroups.undelegated = facts.undelegated;
    let Volumes { mounts, empty, warnings: mut volume_warnings, .. } =
        volumes::of_pod(pod, ids, namespaces.users.is_some())?;
    let mut files = vec![
        file("etc/hostname", hostname.clone(), 0o644),
        file(surroundings::BOOT_ID, format!("{}\n", facts.boot_id), 0o444),
        file("etc/machine-id", format!("{}\n", options.uuid.replace('-', "")), 0o644),
    ];
    files.extend(names::hosts_file(&stage1, options.hosts, &hostname)?);
    let mut apps = Vec::with_capacity(pod.apps.len());
    for name in isolators::without_effect(&pod.isolators, false) {
        warnings.push(format!("isolator \"{name}\" of the pod has no effect"));
    }
    let sysctls = isolators::sysctls(&pod.isolators)
        .map_or(Ok(Vec::new()), |parameters| sysctl::of_pod(parameters, &namespaces))
        .map_err(|failure| failure.of("pod"))?;
    let bounds = Resources::of(&pod.isolators).map_err(|failure| failure.of("pod"))?;
    let whole = limits::of_the_whole(bounds, &pod.apps, &cgroups);
    let limits::Values { values: pod_values, warnings: mut left_out, .. } =
        limits::values(&whole, &cgroups, facts.block_devices);
    warnings.append(&mut left_out);
    let context = Context {
        pod,
        options,
        facts,
        stage1: &stage1,
        namespaces: &namespaces,
        ids,
        cgroups: &cgroups,
        bounds: &bounds,
    };
    for (number, (app, volumes)) in (facts.first_number..).zip(pod.apps.iter().zip(mounts)) {
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
    // What several apps ask for in vain is said once.
    let mut said = HashSet::new();
    warnings.retain(|warning| said.insert(warning.clone()));
    cgroups.values = pod_values;
    Ok(Plan {
        uuid: options.uuid.clone(),
        hostname,
        mounts: surroundings::pod_mounts(options.disable_paths, facts.tun, &namespaces, ids),
        namespaces,
        bandwidth: bandwidth::of_pod(pod, &bounds, &networks, options.mutable, &mut warnings),
        networks: networks.attachments,
        ports: networks.ports,
        carrier: networks.carrier,
        cgroups,
        files,
        volumes: empty,
        file_context: facts.file_context.clone(),
        sysctls,
        apps,
        lifecycle: Lifecycle { grace_seconds: 10, mutable: options.mutable },
        notes: networks.notes,
        warnings,
    })
}

fn refuse_what_is_missing(pod: &Pod, options: &RunOptions) -> Result<()> {
    if pod.apps.is_empty() && !options.mutable {
        return Err(Failure::new("pod contains zero apps"));
    }
    if options.mutable && !options.private_users.is_empty() {
        return Err(Failure::new("--private-users: a pod whose apps come and go cannot have a user namespace"));
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
    /// What the pod may use as a whole.
    bounds: &'a Resources,
}

fn plan_app(
    context: &Context<'_>,
    app: &PodApp,
    number: usize,
    volumes: Vec<Mount>,
    warnings: &mut Vec<String>,
) -> Result<App> {
    let Context { pod, options, facts, stage1, namespaces, ids, cgroups, bounds } = *context;
    // Inside of stage1's root: the pod may be running already.
    let root = Root::from(stage1.open(app.root(), OFlags::PATH | OFlags::DIRECTORY)?);
    let stdio = streams::of_app(app, options.interactive, facts.terminal)?;
    // Both by the specification of executors (appc §10.2).
    let mut extra = vec![("AC_APP_NAME", app.name().to_owned()), ("container", "rkt".to_owned())];
    if !options.metadata_token.is_empty() && namespaces.network == Network::Host {
        extra.push(("AC_METADATA_URL", format!("http://127.0.0.1:18112/{}", options.metadata_token)));
    }
    let mut environment = environment::of_app(&app.app, &extra);
    if let Some(term) = streams::term(stdio, &facts.term).filter(|_| environment::value(&environment, "TERM").is_none())
    {
        environment.push(("TERM".to_owned(), term.to_owned()));
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
    for name in isolators::without_effect(&app.app.isolators, true) {
        warnings.push(format!("app \"{}\": isolator \"{name}\" has no effect", app.name()));
    }
    let waived = Waived { capabilities: options.disable_capabilities, seccomp: options.disable_seccomp };
    let named = |failure: Failure| failure.of(format!("app \"{}\"", app.name()));
    let privileges = isolators::privileges(&app.app, waived).map_err(named)?;
    let user = identity::user(app, &root, ids)?;
    let oom_score_adj = isolators::oom_score_adj(&app.app).filter(|&score| {
        let possible = score >= facts.least_oom_score_adj;
        if !possible {
            let name = app.name();
            let least = facts.least_oom_score_adj;
            warnings.push(format!(
                "app \"{name}\": oom_score_adj cannot be {score} without CAP_SYS_RESOURCE, it stays {least}"
            ));
        }
        possible
    });
    let resources = Resources::of(&app.app.isolators).map_err(named)?.within(bounds);
    let limits::Values { values: mut cgroup_values, warnings: mut left_out, .. } =
        limits::values(&resources, cgroups, facts.block_devices);
    warnings.append(&mut left_out);
    let restricted = if options.disable_paths || facts.ids.is_some() {
        Devices::default()
    } else {
        devices::of_app(&volumes, cgroups)
    };
    cgroup_values.extend(restricted.values);
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
        labels: isolators::labels(&app.app.isolators, &pod.isolators, facts.process_context.as_deref(), facts.modules)
            .map_err(named)?,
        oom_score_adj,
        cgroup_values,
        devices: restricted.rules,
        stdio,
        plain_log: logs::plain(pod, app)?,
        services,
        notifies,
        sockets: sockets::of_app(pod, app, &facts.sockets, warnings)?,
    })
}

#[cfg(test)]
mod tests;
