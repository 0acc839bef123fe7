//! The networks of pods: the CNI protocol as types, and the plugins that rkt ships, callable in-process ([`plugins::call`]) or as
//! programs of their own ([`program`]).
//!
//! Rests on the kernel alone: links, addresses and routes by rtnetlink ([`netlink`]), rules by nfnetlink ([`nft`]). Knows nothing of
//! pods, images, manifests or the command line. Configurations come from the administrator and are believed; results of other
//! people's plugins and anything a pod can write are not.

pub mod address;
pub mod cni;
pub mod netlink;
pub mod nft;
pub mod ns;
pub mod plugins;
pub mod program;
pub mod rules;
pub mod runtime;
mod sys;

pub use address::Prefix;
pub use cni::{Answer, Call, CniError, Verb};
