//! The pod as a machine of systemd-machined (org.freedesktop.machine1(5)): `machinectl` lists it, knows its addresses and ends it.

use super::dbus::{Body, Bus, Method};
use sandbox::idmap;
use sandbox::plan::Plan;
use std::path::Path;
use std::time::Duration;

/// How long machined may hold up the end of a pod.
const PATIENCE: Duration = Duration::from_millis(500);

/// The socket of the system's bus.
const BUS: &str = "/run/dbus/system_bus_socket";

/// The pid namespace that the kernel starts with: its inode is always this one.
const FIRST_PIDS: &str = "pid:[4026531836]";

/// A pod that machined has been told of.
pub struct Machine {
    bus: Bus,
    name: String,
}

impl Machine {
    /// Tells machined of the pod whose pid 1 is `leader`, and does not wait for its answer. None where no machine can be: machined keeps
    /// one for a unit of the system's manager, and ends it by stopping that unit. So the unit has to be a service, which rkt then
    /// is; a user's session or manager is none to stop for a pod.
    pub fn register(plan: &Plan, leader: i32) -> Option<Self> {
        let in_service = plan.cgroups.subcgroup.as_deref().is_some_and(is_in_service);
        if !in_service || idmap::own().is_some() || !numbers_as_host() {
            return None;
        }
        let mut machine = Self { bus: Bus::connect(Path::new(BUS)).ok()?, name: format!("rkt-{}", plan.uuid) };
        let body = Body::new().string(&machine.name).byte_array(&id(&plan.uuid)).string("rkt").string("container");
        // The root is another's to look into: of no directory of the host is said that it is the machine's.
        machine.call("RegisterMachine", body.number(leader.try_into().ok()?).string(""))?;
        Some(machine)
    }

    /// Tells machined that the pod has ended.
    pub fn end(mut self) {
        let name = Body::new().string(&self.name);
        if self.call("UnregisterMachine", name).is_some() {
            // What machined does not answer in time it finds out by itself, at the latest when the unit ends.
            let _ = self.bus.finish(PATIENCE);
        }
    }

    fn call(&mut self, member: &str, body: Body) -> Option<()> {
        let method = Method {
            destination: "org.freedesktop.machine1",
            path: "/org/freedesktop/machine1",
            interface: "org.freedesktop.machine1.Manager",
            member,
        };
        self.bus.call(&method, body).ok()
    }
}

/// Whether the unit of a cgroup is a service of the system, and of no user.
fn is_in_service(path: &str) -> bool {
    let mut units = path.split('/').filter(|name| !name.is_empty()).skip_while(|name| name.ends_with(".slice"));
    !path.starts_with("/user.slice/") && units.next().is_some_and(|name| name.ends_with(".service"))
}

/// Whether our pids mean the same to everybody on the host.
fn numbers_as_host() -> bool {
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|link| link == Path::new(FIRST_PIDS))
}

/// The bytes of a UUID.
fn id(uuid: &str) -> Vec<u8> {
    let digits: Vec<u32> = uuid.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_of_the_system_is_a_machine_and_a_session_or_a_users_service_is_none() {
        for path in ["/system.slice/web.service/machine-rkt.scope", "/a.slice/a-b.slice/web@1.service/x"] {
            assert!(is_in_service(path), "{path}");
        }
        for path in [
            "/machine-rkt.scope",
            "/user.slice/user-0.slice/session-1.scope/machine-rkt.scope",
            "/user.slice/user-0.slice/user@0.service/app.slice/web.service/machine-rkt.scope",
            "/docker/0123/web.service",
        ] {
            assert!(!is_in_service(path), "{path}");
        }
    }

    #[test]
    fn the_id_of_a_machine_is_the_uuid_of_its_pod() {
        assert_eq!(id("0b2e1d1c-6c0f-4e0e-9a51-2f6f8d9f7a11")[..4], [0x0b, 0x2e, 0x1d, 0x1c]);
        assert_eq!(id("0b2e1d1c-6c0f-4e0e-9a51-2f6f8d9f7a11").len(), 16);
    }
}
