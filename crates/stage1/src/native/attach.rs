//! The entrypoint `attach` (stage1-abi §2.5, §4.12): the caller's standard streams beside those of an app.

mod session;

use super::init::{ENDPOINTS, IOTTYMUX, SIZE_SOCKET};
use super::supervisor::Supervisor;
use crate::abi::options::Words;
use crate::abi::pod;
use rustix::net::SocketType;
use sandbox::{Context, Failure, Result};
use session::{Session, Terminal};
use std::io::Write;

/// The longest file of endpoints.
const MAX_ENDPOINTS: u64 = 64 << 10;

/// Attaches to an app of the pod of the current directory; answers the status.
pub fn attach(arguments: &[String]) -> i32 {
    let caller = rustix::process::getppid();
    let attached = Options::parse(arguments).and_then(|options| {
        let supervisor = Supervisor::find()?;
        match options.action.as_str() {
            "list" => list(&supervisor, &options.app),
            "auto-attach" | "custom-attach" => Session::begin(connect(&supervisor, &options)?, caller)?.run(),
            other => Err(Failure::new(format!("unknown action \"{other}\""))),
        }
    });
    match attached {
        Ok(()) => 0,
        Err(failure) => crate::report("stage1-attach", &failure),
    }
}

/// What the entrypoint is called with.
#[derive(Debug, Default)]
struct Options {
    action: String,
    app: String,
    chosen: Chosen,
}

/// What of an app is attached to.
#[derive(Clone, Copy, Debug, Default)]
struct Chosen {
    tty_in: bool,
    tty_out: bool,
    stdin: bool,
    stdout: bool,
    stderr: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self::default();
        let mut words = Words::new(arguments);
        words.options(|name, value| {
            match name {
                "action" => options.action = value.text()?,
                "app" => options.app = value.text()?,
                "tty-in" => options.chosen.tty_in = value.switch()?,
                "tty-out" => options.chosen.tty_out = value.switch()?,
                "stdin" => options.chosen.stdin = value.switch()?,
                "stdout" => options.chosen.stdout = value.switch()?,
                "stderr" => options.chosen.stderr = value.switch()?,
                "debug" => drop(value.switch()?),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        pod::check_app_name(&options.app)?;
        Ok(options)
    }
}

/// One endpoint, as the supervisor names it.
#[derive(serde::Deserialize)]
struct Target {
    name: String,
}

#[derive(serde::Deserialize)]
struct Endpoints {
    targets: Vec<Target>,
}

fn read_endpoints(supervisor: &Supervisor, app: &str) -> Result<Vec<u8>> {
    let path = format!("{IOTTYMUX}/{app}/{ENDPOINTS}");
    let missing = || Failure::new(format!("app \"{app}\" has no streams to attach to"));
    supervisor.read(&path, MAX_ENDPOINTS)?.ok_or_else(missing)
}

fn list(supervisor: &Supervisor, app: &str) -> Result<()> {
    let bytes = read_endpoints(supervisor, app)?;
    let value: serde_json::Value = serde_json::from_slice(&bytes).context(|| "parse the endpoints")?;
    let mut text = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, formatter);
    serde::Serialize::serialize(&value, &mut serializer).context(|| "encode the endpoints")?;
    let mut stdout = std::io::stdout();
    stdout.write_all(&text).and_then(|()| stdout.flush()).context(|| "write to standard output")
}

/// What a session is made of.
#[derive(Default)]
struct Connected {
    terminal: Option<Terminal>,
    stdin: Option<std::os::fd::OwnedFd>,
    outputs: [Option<std::os::fd::OwnedFd>; 2],
}

fn connect(supervisor: &Supervisor, options: &Options) -> Result<Connected> {
    let app = &options.app;
    let endpoints: Endpoints =
        serde_json::from_slice(&read_endpoints(supervisor, app)?).context(|| "parse the endpoints")?;
    let has = |name: &str| endpoints.targets.iter().any(|target| target.name == name);
    let Chosen { tty_in, tty_out, stdin, stdout, stderr } = if options.action == "auto-attach" {
        let tty = has("tty");
        Chosen { tty_in: tty, tty_out: tty, stdin: has("stdin"), stdout: has("stdout"), stderr: has("stderr") }
    } else {
        options.chosen
    };
    let open = |name: &str, wanted: bool| {
        if !wanted {
            return Ok(None);
        }
        let missing = || Failure::new(format!("app \"{app}\" has no endpoint \"{name}\""));
        if !has(name) {
            return Err(missing());
        }
        supervisor.connect(&format!("{IOTTYMUX}/{app}/sock-{name}"), SocketType::STREAM)?.ok_or_else(missing).map(Some)
    };
    let mut connected = Connected {
        terminal: None,
        outputs: [open("stdout", stdout)?, open("stderr", stderr)?],
        stdin: open("stdin", stdin)?,
    };
    if let Some(socket) = open("tty", tty_in || tty_out)? {
        let sizes = supervisor.connect(&format!("{IOTTYMUX}/{app}/{SIZE_SOCKET}"), SocketType::DGRAM)?;
        connected.terminal = Some(Terminal { socket, sizes, input: tty_in, output: tty_out });
    }
    let nothing = connected.terminal.is_none()
        && connected.stdin.is_none()
        && connected.outputs.iter().all(std::option::Option::is_none);
    if nothing {
        return Err(Failure::new(format!("app \"{app}\" has no streams to attach to")));
    }
    Ok(connected)
}
