//! Links, addresses, routes and queues over rtnetlink (rtnetlink(7)).

mod address;
mod bridge;
mod link;
mod queue;
mod route;

pub use address::{Address, NewAddress};
pub use bridge::{Port, VlanInfo};
pub use link::{Link, LinkChange, NewLink};
pub use queue::Rate;
pub use route::{RouteEntry, RouteSpec, scope};

use super::{Protocol, Socket};
use sandbox::Result;

/// A socket for rtnetlink of one network namespace.
#[derive(Debug)]
pub struct Rtnl {
    socket: Socket,
}

impl Rtnl {
    /// Of the caller's network namespace.
    pub fn open() -> Result<Self> {
        Ok(Self { socket: Socket::open(Protocol::Route)? })
    }

    /// Of another network namespace.
    pub fn within(namespace: &crate::ns::Namespace) -> Result<Self> {
        namespace.within(Self::open)?
    }
}
