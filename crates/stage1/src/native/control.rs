//! What entrypoints on the host and pid 1 of a mutable pod say to each other: a connection a request, over a socket below the root of
//! stage1 that no app sees.

use sandbox::plan::App;
use serde::{Deserialize, Serialize};

/// Below the root of stage1.
pub const SOCKET: &str = "rkt/control";

/// The file of the pod directory that says what the pod was started with, so that apps can be planned later.
pub const RECORD: &str = "mutable.json";

/// Words of requests, each with the name of an app as its text, and of answers.
pub mod word {
    /// Here is a descriptor that the request needs.
    pub const DESCRIPTOR: u8 = b'f';
    /// Which number has the app, or would it get?
    pub const NUMBER: u8 = b'n';
    /// The app shall run. Its first descriptor holds a [`super::Start`].
    pub const START: u8 = b's';
    /// The app shall end.
    pub const STOP: u8 = b't';
    /// The app shall be forgotten.
    pub const REMOVE: u8 = b'r';
    /// Where is the app? The answer has its mount namespace.
    pub const ENTER: u8 = b'e';
    /// Done; with a text or a descriptor where one was asked for.
    pub const DONE: u8 = b'.';
    /// There is no such app, or it does not run.
    pub const NOT_RUNNING: u8 = b'-';
    /// It cannot be done, for this reason.
    pub const FAILED: u8 = b'!';
}

/// How an app is started. The descriptors behind this one are, in this order: its cgroups, the directory of logs, the plain log, the
/// journal, its mounts.
#[derive(Debug, Deserialize, Serialize)]
pub struct Start {
    pub number: usize,
    pub app: App,
    /// The file `rkt/env/APP`.
    pub environment: String,
    /// One a cgroup: whether it is of version 2.
    pub cgroups: Vec<bool>,
    pub plain: bool,
    pub journal: bool,
    /// One a mount of the app: whether its tree comes along.
    pub taken: Vec<bool>,
}
