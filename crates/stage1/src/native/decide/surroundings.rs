//! What a pod and each app find mounted before volumes: /proc, /sys, /dev and the files about names; what of it is hidden or read-only.

use super::names::{FALLBACK, STAGE0_HOSTS, STAGE0_RESOLV};
use crate::abi::options::{FileMode, RunOptions};
use sandbox::idmap::IdMap;
use sandbox::plan::{Allow, Mount, Namespaces, Network, Propagation, Share, Source};
use sandbox::tree::Root;
use std::path::Path;

/// Read-only inside each app, unless the option `paths` waives it. /sys and /proc/sys are read-only as a whole.
const READ_ONLY: [&str; 6] = ["/proc/sys", "/proc/bus", "/proc/acpi", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger"];

/// Hidden from apps, unless the option `paths` waives it: what is documented, and what tells of the host's kernel, keys and power.
const HIDDEN: [&str; 17] = [
    "/sys/firmware",
    "/sys/fs",
    "/sys/hypervisor",
    "/sys/module",
    "/sys/power",
    "/sys/devices/virtual/powercap",
    "/proc/config.gz",
    "/proc/kallsyms",
    "/proc/sched_debug",
    "/proc/kcore",
    "/proc/kmem",
    "/proc/mem",
    "/proc/kmsg",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/scsi",
];

/// The file with the pod's own boot id, below the root of stage1: by the host's, pods could tell that they share it.
pub const BOOT_ID: &str = "rkt/boot-id";

fn mount(target: &str, source: Source) -> Mount {
    Mount {
        target: target.to_owned(),
        source,
        read_only: false,
        recursive: false,
        make_target: true,
        id_mapped: false,
        propagation: Propagation::Private,
    }
}

fn filesystem(target: &str, kind: &'static str, options: &[(&'static str, &'static str)], allow: Allow) -> Mount {
    mount(target, Source::Filesystem { kind, options: options.to_vec(), allow })
}

/// What pid 1 sees, and what apps get copies of. `ids` are those of the pod, when it has not all there are: then the kernel allows
/// less.
pub fn pod_mounts(unprotected: bool, tun: bool, namespaces: &Namespaces, ids: Option<IdMap>) -> Vec<Mount> {
    let mut mounts = vec![
        filesystem("/proc", "proc", &[], Allow::Data),
        Mount { read_only: !unprotected, ..system(namespaces, ids) },
        mount("/dev", Source::Devices { tun, bound: ids.is_some() }),
        filesystem("/dev/pts", "devpts", terminals(ids), Allow::Devices),
        filesystem("/dev/shm", "tmpfs", &[("mode", "01777")], Allow::Executables),
        filesystem(SERVICES, "tmpfs", &[("mode", "0711"), ("size", "64k")], Allow::Data),
    ];
    // The queues of another user namespace cannot be mounted.
    if ids.is_none() || namespaces.ipc == Share::Private {
        mounts.push(filesystem("/dev/mqueue", "mqueue", &[], Allow::Data));
    }
    let existing =
        |target: &str, source: Source| Mount { make_target: false, read_only: true, ..mount(target, source) };
    let boot_id = existing("/proc/sys/kernel/random/boot_id", Source::Stage1(format!("/{BOOT_ID}")));
    if unprotected {
        mounts.push(boot_id);
        return mounts;
    }
    mounts.extend(READ_ONLY.iter().map(|path| existing(path, Source::Itself)));
    // Above the mount that makes /proc/sys read-only.
    mounts.push(boot_id);
    mounts.extend(HIDDEN.iter().map(|path| existing(path, Source::Masked)));
    mounts
}

/// A file of stage1's root in an app's.
pub fn of_stage1(target: &str, path: &str) -> Mount {
    mount(target, Source::Stage1(format!("/{path}")))
}

/// Below the root of stage1: the sockets by which the supervisor listens to apps.
const SERVICES: &str = "/rkt/services";

/// Where an app that notifies the supervisor finds the socket.
pub const NOTIFY: &str = "/run/systemd/notify";

/// Where the supervisor listens to the app of this number. A number, since the path of a socket must be short.
pub fn services(number: usize) -> String {
    format!("{SERVICES}/{number}")
}

/// How the app reaches those sockets.
pub fn service_mounts(services: &str, notifies: bool) -> Vec<Mount> {
    let of_stage1 = |target: &str, name: &str| Mount {
        read_only: true,
        ..mount(target, Source::Stage1(format!("{services}/{name}")))
    };
    let mut mounts = vec![of_stage1("/run/systemd/journal", "journal")];
    if notifies {
        mounts.push(of_stage1(NOTIFY, "notify"));
    }
    mounts
}

/// /sys shows the network namespace, and can be mounted only by whom that belongs to.
fn system(namespaces: &Namespaces, ids: Option<IdMap>) -> Mount {
    if ids.is_some() && namespaces.network == Network::Host {
        return Mount { recursive: true, ..mount("/sys", Source::Host("/sys".into())) };
    }
    filesystem("/sys", "sysfs", &[], Allow::Data)
}

/// Terminals belong to the group `tty`, if there is such an id.
fn terminals(ids: Option<IdMap>) -> &'static [(&'static str, &'static str)] {
    const TTY: u32 = 5;
    match ids.map_or(Some(TTY), |ids| ids.outside(TTY)) {
        Some(_) => &[("gid", "5"), ("mode", "0620"), ("ptmxmode", "0666")],
        None => &[("mode", "0620"), ("ptmxmode", "0666")],
    }
}

/// Whether an app has no hosts file of its own. In a pod whose apps are started again an empty one may be the place of the mount before.
fn lacks_hosts(app: &Root, again: bool) -> bool {
    const HOSTS: &str = "etc/hosts";
    !app.exists(HOSTS) || again && matches!(app.read(HOSTS, 0), Ok(Some(text)) if text.is_empty())
}

/// What every app has, before its volumes.
pub fn base_mounts(app: &Root, options: &RunOptions, stage1: &Root, tun: bool, ids: Option<IdMap>) -> Vec<Mount> {
    let copy = |path: &str| Mount { recursive: true, ..mount(path, Source::Stage1(path.to_owned())) };
    let mut mounts = vec![copy("/proc"), copy("/sys"), mount("/dev", Source::Devices { tun, bound: ids.is_some() })];
    mounts.extend(["/dev/pts", "/dev/shm", "/dev/mqueue"].map(copy));
    // The first terminal of the pod is its console.
    mounts.push(mount("/dev/console", Source::Stage1("/dev/pts/0".to_owned())));
    let of_host = |path: &str| Mount { read_only: true, ..mount(path, Source::Host(path.into())) };
    match options.resolv_conf {
        FileMode::Host if Path::new("/etc/resolv.conf").exists() => mounts.push(of_host("/etc/resolv.conf")),
        FileMode::Stage0 if stage1.exists(STAGE0_RESOLV) => mounts.push(of_stage1("/etc/resolv.conf", STAGE0_RESOLV)),
        _ => {}
    }
    match options.hosts {
        FileMode::Host => mounts.push(of_host("/etc/hosts")),
        FileMode::Stage0 => mounts.push(of_stage1("/etc/hosts", STAGE0_HOSTS)),
        FileMode::Default if lacks_hosts(app, options.mutable) => mounts.push(of_stage1("/etc/hosts", FALLBACK)),
        FileMode::Default | FileMode::Nothing => {}
    }
    mounts.push(Mount { read_only: true, ..of_stage1("/etc/hostname", "proc/sys/kernel/hostname") });
    mounts
}
