//! The plan of a pod as plain data, and the primitives that perform one: mounts by descriptor, cgroups, users, capabilities,
//! look-up of executables, processes.
//!
//! Rests on the kernel alone. Knows nothing of Node, images, manifests or the command line: a flavor decides a [`plan::Plan`] and
//! performs it with what is here. Everything below an app's root is hostile: paths in it are resolved by [`tree::Root`] only, which
//! cannot leave it.

pub mod caps;
pub mod cgroup;
pub mod channel;
pub mod copy;
pub mod datagram;
pub mod devices;
pub mod failure;
pub mod idmap;
pub mod inherited;
pub mod lookup;
pub mod lsm;
pub mod mountinfo;
pub mod mounts;
pub mod plan;
pub mod seccomp;
pub mod spawn;
pub mod sys;
pub mod tree;
pub mod users;

pub use failure::{Context, Failure, Result};
