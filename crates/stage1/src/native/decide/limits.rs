//! What is written into the cgroups of an app: its limits, and the devices that it may open.

use crate::abi::isolators::Limits;
use crate::abi::options::RunOptions;
use sandbox::plan::{CgroupValue, Cgroups, Mount, Source};

/// Devices that an app may make and open: type and numbers, rights.
const DEVICES: [(&str, &str); 9] = [
    ("c 1:3", "rwm"),
    ("c 1:5", "rwm"),
    ("c 1:7", "rwm"),
    ("c 1:8", "rwm"),
    ("c 1:9", "rwm"),
    ("c 5:0", "rwm"),
    ("c 5:2", "rw"),
    ("c 136:*", "rw"),
    ("c 10:200", "rw"),
];

pub fn cgroup_values(
    limits: &Limits,
    volumes: &[Mount],
    options: &RunOptions,
    cgroups: &Cgroups,
    warnings: &mut Vec<String>,
) -> Vec<CgroupValue> {
    let mut values = Vec::new();
    let mut add = |controller: &str, file: &str, text: String| {
        values.push(CgroupValue { controller: controller.to_owned(), file: file.to_owned(), text });
    };
    // Whether the controller is there, and whether in version 2.
    let version_2 = |controller: &str| {
        let place = cgroups.hierarchies.iter().find(|place| place.controllers.iter().any(|name| name == controller));
        place.map(|place| place.unified)
    };
    let mut skipped = |name: &str| {
        warnings.push(format!("resource/{name} isolator set but support disabled in the kernel, skipping"))
    };
    if let Some(bytes) = limits.memory {
        match version_2("memory") {
            Some(true) => add("memory", "memory.max", bytes.to_string()),
            Some(false) => add("memory", "memory.limit_in_bytes", bytes.to_string()),
            None => skipped("memory"),
        }
    }
    if let Some(millis) = limits.cpu {
        // Of a period of 100 ms.
        let quota = millis * 100;
        match version_2("cpu") {
            Some(true) => add("cpu", "cpu.max", format!("{quota} 100000")),
            Some(false) => add("cpu", "cpu.cfs_quota_us", quota.to_string()),
            None => skipped("cpu"),
        }
    }
    if let Some(shares) = limits.cpu_shares {
        match version_2("cpu") {
            // The kernel's own mapping of 2..262144 to 1..10000.
            Some(true) => add("cpu", "cpu.weight", (1 + (shares.clamp(2, 262_144) - 2) * 9999 / 262_142).to_string()),
            Some(false) => add("cpu", "cpu.shares", shares.to_string()),
            None => skipped("cpu"),
        }
    }
    // Version 2 has no device controller; its place is taken by a BPF program, which this version does not have yet.
    if !options.disable_paths && version_2("devices") == Some(false) {
        add("devices", "devices.deny", "a".to_owned());
        for (device, rights) in DEVICES {
            add("devices", "devices.allow", format!("{device} {rights}"));
        }
        for text in volumes.iter().filter_map(device_of) {
            add("devices", "devices.allow", text);
        }
    }
    values
}

/// The rule for a volume that is a device node.
fn device_of(mount: &Mount) -> Option<String> {
    use rustix::fs::FileType;
    let Source::Host(path) = &mount.source else { return None };
    let stat = rustix::fs::stat(path).ok()?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        _ => return None,
    };
    let rights = if mount.read_only { "r" } else { "rw" };
    Some(format!("{kind} {}:{} {rights}", rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)))
}
