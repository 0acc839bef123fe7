//! Where the standard streams of apps lead (stage1-abi §3.3).

use crate::abi::pod::PodApp;
use sandbox::plan::{Stdio, Stream};
use sandbox::{Failure, Result};

/// What a terminal that anybody may attach to understands, when nobody says otherwise.
const ATTACHABLE_TERM: &str = "vt220";

/// The streams of an app: the annotations of the pod's manifest, or the caller's own for all of an interactive pod. `terminal` tells
/// whether the caller's standard input is one.
pub fn of_app(app: &PodApp, interactive: bool, terminal: bool) -> Result<Stdio> {
    let caller = if terminal { Stream::Terminal } else { Stream::Caller };
    if interactive {
        return Ok(Stdio { stdin: caller, stdout: caller, stderr: caller });
    }
    let mode = |name: &str, logged: Stream| match app.runtime.annotation(&format!("coreos.com/rkt/stage2/{name}")) {
        None => Ok(logged),
        Some("null") => Ok(Stream::Null),
        Some("log") if logged == Stream::Log => Ok(Stream::Log),
        Some("stream") => Ok(Stream::Stream),
        Some("tty") => Ok(Stream::Tty),
        Some("interactive") => Ok(caller),
        Some(other) => Err(Failure::new(format!("app \"{}\": invalid {name} mode \"{other}\"", app.name()))),
    };
    Ok(Stdio {
        stdin: mode("stdin", Stream::Null)?,
        stdout: mode("stdout", Stream::Log)?,
        stderr: mode("stderr", Stream::Log)?,
    })
}

/// `TERM` of an app with these streams; `caller` is the caller's.
pub fn term(stdio: Stdio, caller: &str) -> Option<&str> {
    if stdio.has(Stream::Terminal) {
        return Some(caller);
    }
    stdio.has(Stream::Tty).then_some(ATTACHABLE_TERM)
}
