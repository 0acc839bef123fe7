//! The flavor without isolation (stage1-abi §6): one app, chrooted, with all privileges of the host. No supervisor: the process of
//! `run` becomes the app. System call filters, capabilities, limits and read-only roots have no effect.

mod enter;
mod mounts;
mod run;
mod stop;

pub use enter::enter;
pub use run::run;
pub use stop::stop;

/// The app's process.
const PID: &str = "pid";

/// Its process group, for when it has ended and left others.
const PGID: &str = "pgid";
