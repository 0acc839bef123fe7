//! `become`: this process turns into another program, with what rkt's caller gave it and nothing of Node.

use crate::failure::NativeFailure;
use crate::namespace;
use launcher::{Inherited, Undo, sys};
use napi_derive::napi;
use sandbox::idmap::IdMap;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::os::fd::RawFd;

/// One overlay of the pod.
#[napi(object, object_to_js = false)]
pub struct OverlayMount {
    /// Highest layer first.
    pub lowers: Vec<String>,
    /// Absent, with `work`, for a read-only view.
    pub upper: Option<String>,
    /// Empty, on the file system of `upper`.
    pub work: Option<String>,
    /// A directory below the root, perhaps inside an overlay mounted before.
    pub target: String,
    /// The SELinux context of all files in it.
    pub context: Option<String>,
}

/// A user namespace's range: 0 and up inside are `base` and up outside.
#[napi(object, object_to_js = false)]
#[derive(Clone, Copy)]
pub struct IdRange {
    /// What 0 is outside.
    pub base: u32,
    /// How many ids there are.
    pub count: u32,
}

impl From<IdRange> for IdMap {
    fn from(IdRange { base, count }: IdRange) -> Self {
        Self { base, count }
    }
}

/// What is mounted in a namespace of the pod's own.
#[napi(object, object_to_js = false)]
pub struct PodMounts {
    /// Bound on itself and made private.
    pub root: String,
    /// Mounted in their order.
    pub overlays: Vec<OverlayMount>,
    /// Whose ids the lower layers are shown with; the upper ones have them.
    pub ids: Option<IdRange>,
}

/// As in contract.ts.
#[napi(object, object_to_js = false)]
pub struct BecomeRequest {
    /// The program.
    pub path: String,
    /// Its arguments, its name first.
    pub argv: Vec<String>,
    /// Its environment.
    pub env: BTreeMap<String, String>,
    /// Its working directory, resolved after the mounts are there.
    pub cwd: String,
    /// What stays open beside 0–2 and activated sockets.
    pub keep_fds: Vec<i32>,
    /// Nothing: the namespace stays the caller's.
    pub mounts: Option<PodMounts>,
    /// Nothing: what Node changed is set to the usual.
    pub launch: Option<String>,
}

/// execve(2) with everything before it. Returns only when it failed; then the process is fit to report that and end.
#[napi(catch_unwind, js_name = "become")]
pub fn become_program(request: BecomeRequest) -> NativeFailure {
    match prepare(&request) {
        Err(failure) => failure,
        Ok(program) => program.start(&request),
    }
}

/// The request, checked as far as that can be done without changing anything.
struct Program {
    path: CString,
    argv: Vec<CString>,
    environment: Vec<CString>,
    open: Vec<RawFd>,
    record: Option<Inherited>,
}

fn prepare(request: &BecomeRequest) -> Result<Program, NativeFailure> {
    if rustix::thread::gettid() != rustix::process::getpid() {
        return Err(NativeFailure::new(
            "RKT_NOT_MAIN_THREAD",
            format!("cannot become {} on a worker thread", request.path),
        ));
    }
    let text = |text: &str| {
        CString::new(text).map_err(|_| NativeFailure::new("RKT_EXEC_FAILED", format!("{text:?} contains a zero byte")))
    };
    if let Some(name) = request.env.keys().find(|name| name.is_empty() || name.contains('=')) {
        return Err(NativeFailure::new("RKT_EXEC_FAILED", format!("{name:?} is no name of a variable")));
    }
    let record = match &request.launch {
        None => None,
        Some(launch) => Some(
            Inherited::parse(launch).map_err(|error| NativeFailure::new("RKT_LAUNCH_INVALID", error.to_string()))?,
        ),
    };
    let pairs = request.env.iter().map(|(name, value)| text(&format!("{name}={value}")));
    let kept = request.keep_fds.iter().copied();
    Ok(Program {
        path: text(&request.path)?,
        argv: request.argv.iter().map(|argument| text(argument)).collect::<Result<_, _>>()?,
        environment: pairs.collect::<Result<_, _>>()?,
        open: kept.chain(listen_fds(&request.env, record.as_ref())).collect(),
        record,
    })
}

/// Activated sockets go on to the program whose environment says so; a number that was not open at the start is one of ours.
fn listen_fds(environment: &BTreeMap<String, String>, record: Option<&Inherited>) -> Vec<RawFd> {
    let number = |name: &str| environment.get(name).and_then(|value| value.parse::<RawFd>().ok());
    if number("LISTEN_PID") != i32::try_from(std::process::id()).ok() {
        return Vec::new();
    }
    let end = 3 + number("LISTEN_FDS").unwrap_or(0).clamp(0, 1024);
    match record {
        Some(record) => record.listen.iter().copied().filter(|fd| *fd < end).collect(),
        None => (3..end).collect(),
    }
}

impl Program {
    fn start(&self, request: &BecomeRequest) -> NativeFailure {
        let entered = request.mounts.as_ref().map_or(Ok(()), namespace::enter);
        let failure = match entered.and_then(|()| self.hand_over(request)) {
            Err(failure) => failure,
            Ok(_undo) => {
                let error = sys::execute(&self.path, &self.argv, &self.environment);
                NativeFailure::io("RKT_EXEC_FAILED", format!("cannot execute {}", request.path), &error)
            }
        };
        let _ = sys::close_on_exec_from(3); // a child that reports for us must not inherit the pod's lock
        failure
    }

    /// Signals, limits, umask, descriptors, directory. What the process needs to go on comes back when the answer is dropped.
    fn hand_over(&self, request: &BecomeRequest) -> Result<Undo, NativeFailure> {
        let io = |what: String, error: &std::io::Error| NativeFailure::io("RKT_EXEC_FAILED", what, error);
        std::env::set_current_dir(&request.cwd)
            .map_err(|error| io(format!("cannot change to {}", request.cwd), &error))?;
        sys::close_on_exec_from(3).map_err(|error| io("cannot mark descriptors close-on-exec".to_owned(), &error))?;
        for fd in &self.open {
            sys::set_close_on_exec(*fd, false)
                .map_err(|error| io(format!("cannot keep descriptor {fd} open"), &error))?;
        }
        let restored = self.record.as_ref().map_or_else(launcher::restore_defaults, launcher::restore);
        restored.map_err(|error| NativeFailure::io("RKT_RESTORE_FAILED", error.to_string(), &error.source))
    }
}
