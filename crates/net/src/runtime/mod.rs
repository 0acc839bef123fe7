//! The networks of one pod: which ones, attached in order, undone when one fails, given back when the pod ends, whoever notices.
//!
//! Rests on the plugins, ours ([`crate::plugins`]) and other people's ([`exec`]). Knows a pod as a directory and a UUID; nothing of
//! apps, images or manifests. Every function here wants a process with one thread whose working directory is the pod's.

pub mod attach;
pub mod bandwidth;
pub mod chain;
pub mod conf;
pub mod detach;
pub mod dns;
pub mod exec;
pub mod holder;
pub mod lease;
pub mod links;
pub mod namespace;
pub mod ports;
pub mod reclaim;
pub mod registry;
pub mod relay;
pub mod select;
pub mod user_mode;

/// The version of the protocol that results are recorded in.
const NEWEST: &str = "1.1.0";
