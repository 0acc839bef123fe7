//! The entrypoints `app/add`, `app/start`, `app/stop` and `app/rm` (stage1-abi §2.5, §4.11): they plan an app on the host, where the
//! pod directory is, and pid 1 of the pod does what is to be done inside.

mod record;

use super::control::{SOCKET, Start, word};
use super::decide::{Facts, decide};
use super::handed;
use super::outside::AppOutside;
use super::run::make_app_cgroups;
use super::supervisor::Supervisor;
use crate::abi::options::Words;
use crate::abi::pod::{self, Pod};
use crate::abi::volumes;
use record::Record;
pub use record::write as write_record;
use rustix::net::SocketType;
use sandbox::cgroup;
use sandbox::channel::{Channel, Received};
use sandbox::plan::Plan;
use sandbox::{Context, Failure, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The status for an app that does not run, as the reference has it.
const NOT_RUNNING: i32 = 5;

/// How long what an app left behind may resist.
const CGROUP_PATIENCE: Duration = Duration::from_secs(2);

/// Looks whether an app could be started.
pub fn add(arguments: &[String]) -> i32 {
    report("app-add", name(arguments).and_then(|app| plan(&Supervisor::find()?, &app, 0).map(|_| 0)))
}

/// Starts an app; one that runs is left alone.
pub fn start(arguments: &[String]) -> i32 {
    report("app-start", name(arguments).and_then(|app| start_app(&app)))
}

/// Stops an app, and waits for its end.
pub fn stop(arguments: &[String]) -> i32 {
    let stopped = name(arguments).and_then(|app| match ask(&Supervisor::find()?, word::STOP, &app)?.answer()? {
        Answer::NotRunning => Ok(NOT_RUNNING),
        Answer::Done | Answer::Text(_) | Answer::Descriptor(_) => Ok(0),
    });
    report("app-stop", stopped)
}

/// Forgets an app that does not run.
pub fn remove(arguments: &[String]) -> i32 {
    let removed = name(arguments).and_then(|app| {
        ask(&Supervisor::find()?, word::REMOVE, &app)?.answer()?;
        let cgroups = Record::read(Path::new("."))?.cgroups_of(&app);
        cgroup::remove(&cgroups, CGROUP_PATIENCE).map(|()| 0)
    });
    report("app-rm", removed)
}

fn report(entrypoint: &str, result: Result<i32>) -> i32 {
    result.unwrap_or_else(|failure| crate::report(entrypoint, &failure))
}

fn name(arguments: &[String]) -> Result<String> {
    let mut app = String::new();
    let mut words = Words::new(arguments);
    words.options(|name, value| {
        match name {
            "app" => app = value.text()?,
            "debug" => drop(value.switch()?),
            "uuid" => drop(value.text()?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    pod::check_app_name(&app)?;
    Ok(app)
}

/// What pid 1 answered.
pub enum Answer {
    Done,
    Text(String),
    Descriptor(OwnedFd),
    NotRunning,
}

/// A request that waits for its answer.
pub struct Asked(Channel);

impl Asked {
    /// Waits for it.
    pub fn answer(self) -> Result<Answer> {
        match self.0.receive().context(|| "ask the supervisor")? {
            Received::Word(word::DONE, None) => Ok(Answer::Done),
            Received::Word(word::DONE, Some(fd)) => Ok(Answer::Descriptor(fd)),
            Received::Text(word::DONE, text) => Ok(Answer::Text(text)),
            Received::Word(word::NOT_RUNNING, _) => Ok(Answer::NotRunning),
            Received::Text(word::FAILED, reason) => Err(Failure::new(reason)),
            _ => Err(Failure::new("the pod has ended")),
        }
    }
}

fn connect(supervisor: &Supervisor) -> Result<Channel> {
    let socket = supervisor.connect(SOCKET, SocketType::SEQPACKET)?.ok_or_else(|| Failure::new("immutable pod"))?;
    // What follows waits for its answer.
    rustix::io::ioctl_fionbio(&socket, false).context(|| "ask the supervisor")?;
    Ok(Channel::from(socket))
}

/// Asks something about an app.
pub fn ask(supervisor: &Supervisor, word: u8, app: &str) -> Result<Asked> {
    let channel = connect(supervisor)?;
    channel.send_text(word, app).context(|| "ask the supervisor")?;
    Ok(Asked(channel))
}

/// The plan of one app, in a pod that runs.
fn plan(supervisor: &Supervisor, app: &str, number: usize) -> Result<(Pod, Plan)> {
    let directory = Path::new(".").canonicalize().context(|| "find the pod")?;
    let record = Record::read(&directory)?;
    let stage1 = PathBuf::from(format!("/proc/{}/root", supervisor.pid));
    let pod = Pod::load_app(&directory, stage1, app)?;
    let facts = Facts { first_number: number, terminal: false, sockets: Vec::new(), ..record.facts()? };
    let mut plan = decide(&pod, &record.options()?, &facts)?;
    super::network::share(&pod, &record.options()?, record.metadata_url(), &mut plan)?;
    Ok((pod, plan))
}

fn start_app(app: &str) -> Result<i32> {
    let supervisor = Supervisor::find()?;
    let Answer::Text(number) = ask(&supervisor, word::NUMBER, app)?.answer()? else {
        return Err(Failure::new("the supervisor has no number for the app"));
    };
    let number = number.parse().map_err(|_| Failure::new("the supervisor has no number for the app"))?;
    let (pod, plan) = plan(&supervisor, app, number)?;
    for warning in &plan.warnings {
        eprintln!("app-start: warning: {warning}");
    }
    volumes::create_empty(&pod, &plan.volumes, None)?;
    let mut plan = plan;
    if let Err(failure) = make_app_cgroups(&plan) {
        if let Some(value) = plan.apps.iter().flat_map(|app| &app.cgroup_values).find(|one| one.controller != "devices")
        {
            return Err(failure.of(format!("cannot set {}", value.file)));
        }
        plan.cgroups.hierarchies.clear();
    }
    let outside = AppOutside::take(&plan, &pod.directory, 0, None, None)?;
    let Some(planned) = plan.apps.pop() else { return Err(Failure::new("there is no plan for the app")) };
    let path = format!("rkt/env/{app}");
    let environment = plan.files.into_iter().find(|file| file.path == path).map(|file| file.content);
    let cgroups = outside.cgroups.descriptors();
    let (logs, plain, journal) = outside.log.descriptors();
    let start = Start {
        number,
        app: planned,
        environment: environment.unwrap_or_default(),
        cgroups: cgroups.iter().map(|(_, unified)| *unified).collect(),
        plain: plain.is_some(),
        journal: journal.is_some(),
        taken: outside.taken.iter().map(Option::is_some).collect(),
    };
    let text = handed::hand_over(&start).context(|| "tell the supervisor")?;
    let channel = connect(&supervisor)?;
    let trees = outside.taken.iter().flatten().map(AsFd::as_fd);
    let descriptors = std::iter::once(text.as_fd())
        .chain(cgroups.iter().map(|(fd, _)| *fd))
        .chain(std::iter::once(logs))
        .chain(plain)
        .chain(journal)
        .chain(trees);
    for fd in descriptors {
        channel.send(word::DESCRIPTOR, Some(fd)).context(|| "tell the supervisor")?;
    }
    channel.send_text(word::START, app).context(|| "tell the supervisor")?;
    Asked(channel).answer().map_err(|failure| failure.of(format!("\"{app}\" failed to start")))?;
    Ok(0)
}
