//! The default flavor: namespaces, cgroups and a supervisor of our own; it needs nothing of the host but a kernel.
//!
//! `decide` computes a plan from the ABI's files and the host's facts; `run` (outside) and `init` (pid 1 of the pod) perform it.
//! Entrypoints on the host trust nothing that a pod can write: they use the pod directory, /proc of pid 1 and its descriptors.

mod app;
mod attach;
mod clock;
mod console;
mod control;
mod dbus;
mod decide;
mod enter;
mod gc;
mod handed;
mod init;
mod journal;
mod lines;
mod log;
mod machined;
mod mutable;
mod network;
mod notify;
mod outer;
mod outside;
mod run;
mod state;
mod stop;
mod supervisor;
mod terminal;
mod users;

pub use attach::attach;
pub use enter::enter;
pub use gc::gc;
pub use mutable::{add, remove, start, stop as stop_app};
pub use run::{print_plan, run};
pub use stop::stop;
