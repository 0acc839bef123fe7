//! `dhcp`: addresses from a server of the link. A daemon keeps the leases; the plugin asks it over a socket, in the protocol of the CNI
//! reference plugin, so that either may be the other project's.

mod daemon;
mod gob;
mod lease;
mod packet;
mod rpc;
mod wire;

pub use daemon::main as daemon;

use super::Outcome;
use crate::cni::{Call, CniError, Verb, code};
use std::path::{Path, PathBuf};

/// Where the daemon listens.
pub const SOCKET: &str = "/run/cni/dhcp.sock";

/// Performs a verb by the daemon.
pub fn call(call: &Call) -> Outcome {
    let configured = call.conf().object("ipam")?.text("daemonSocketPath")?.filter(|path| !path.is_empty());
    let socket = PathBuf::from(configured.unwrap_or(SOCKET));
    match call.verb {
        Verb::Add => rpc::ask(&socket, "DHCP.Allocate", call).map(Some),
        // Leases end with the daemon that keeps them.
        Verb::Del if rpc::greet(&socket).is_err() => Ok(None),
        Verb::Del => rpc::ask(&socket, "DHCP.Release", call).map(|_| None),
        Verb::Check => rpc::ask(&socket, "DHCP.Allocate", call).map(|_| None),
        Verb::Status => status(&socket).map(|()| None),
        Verb::Gc | Verb::Version => Ok(None),
    }
}

fn status(socket: &Path) -> Result<(), CniError> {
    let silent =
        |error| CniError::new(code::UNAVAILABLE, format!("no DHCP daemon answers at {}: {error}", socket.display()));
    rpc::greet(socket).map(drop).map_err(silent)
}
