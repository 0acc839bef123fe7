//! What is written into cgroups for the resources of a pod and of each app, on version 1 and version 2.

use crate::abi::isolators::{CPU_PERIOD, Resources};
use crate::abi::pod::PodApp;
use sandbox::plan::{CgroupValue, Cgroups};

/// The least bandwidth of a processor that the kernel takes, in microseconds of [`CPU_PERIOD`].
const LEAST_QUOTA: i64 = 1000;

/// The values of one cgroup, and what had to be left out.
pub struct Values<'a> {
    pub values: Vec<CgroupValue>,
    pub warnings: Vec<String>,
    cgroups: &'a Cgroups,
}

/// What the cgroup of a pod is given: in version 2 memory is kept for an app only if it is kept for all that is around it.
pub fn of_the_whole(mut bounds: Resources, apps: &[PodApp], cgroups: &Cgroups) -> Resources {
    let unified =
        cgroups.hierarchies.iter().any(|place| place.unified && place.controllers.iter().any(|one| one == "memory"));
    if unified && bounds.memory.request.is_none() {
        // What is wrong with an app's isolators is said of the app.
        let resources = apps.iter().filter_map(|app| Resources::of(&app.app.isolators).ok());
        let sum: i64 = resources.filter_map(|app| app.within(&bounds).memory.request).fold(0, i64::saturating_add);
        bounds.memory.request = (sum > 0).then_some(sum);
    }
    bounds
}

/// The values that these resources mean. `block_devices` answers the numbers of the host's block devices.
pub fn values<'a>(resources: &Resources, cgroups: &'a Cgroups, block_devices: impl Fn() -> Vec<String>) -> Values<'a> {
    let mut values = Values { values: Vec::new(), warnings: Vec::new(), cgroups };
    if let Some(bytes) = resources.memory.limit {
        values.add("memory", "memory", &["memory.limit_in_bytes"], &["memory.max"], |_| bytes.to_string());
    }
    if let Some(bytes) = resources.memory.request {
        values.add("memory", "memory", &["memory.soft_limit_in_bytes"], &["memory.low"], |_| bytes.to_string());
    }
    if let Some(millis) = resources.cpu.limit {
        let quota = (millis * CPU_PERIOD / 1000).max(LEAST_QUOTA);
        values.add("cpu", "cpu", &["cpu.cfs_quota_us"], &["cpu.max"], |unified| match unified {
            true => format!("{quota} {CPU_PERIOD}"),
            false => quota.to_string(),
        });
    }
    // What is guaranteed of a processor is a weight among those who want it: a whole one is 1024.
    let requested = resources.cpu.request.map(|millis| millis.saturating_mul(1024) / 1000);
    if let Some(shares) = resources.cpu_shares.or(requested) {
        let shares = shares.clamp(2, 262_144);
        values.add("cpu", "cpu", &["cpu.shares"], &["cpu.weight"], |unified| match unified {
            // The kernel's own mapping of 2..262144 to 1..10000.
            true => (1 + (shares - 2) * 9999 / 262_142).to_string(),
            false => shares.to_string(),
        });
    }
    if let Some(limit) = resources.block_bandwidth {
        let files = ["blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device"];
        values.add_block(
            "block-bandwidth",
            &block_devices(),
            &files,
            |device| format!("{device} rbps={limit} wbps={limit}"),
            limit,
        );
    }
    if let Some(limit) = resources.block_iops {
        let files = ["blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device"];
        values.add_block(
            "block-iops",
            &block_devices(),
            &files,
            |device| format!("{device} riops={limit} wiops={limit}"),
            limit,
        );
    }
    values
}

impl Values<'_> {
    /// Adds a limit for each of the devices.
    fn add_block(
        &mut self,
        name: &str,
        devices: &[String],
        version_1: &[&str],
        version_2: impl Fn(&str) -> String,
        limit: i64,
    ) {
        for device in devices {
            self.add(name, "blkio", version_1, &["io.max"], |unified| match unified {
                true => version_2(device),
                false => format!("{device} {limit}"),
            });
        }
    }

    /// Adds a value to each of these files, of the version in which the controller is. `controller` is its name in version 1.
    fn add(
        &mut self,
        name: &str,
        controller: &str,
        version_1: &[&str],
        version_2: &[&str],
        text: impl Fn(bool) -> String,
    ) {
        let unified_name = if controller == "blkio" { "io" } else { controller };
        let has = |unified: bool, name: &str| {
            let places = self.cgroups.hierarchies.iter().filter(|place| place.unified == unified);
            places.into_iter().any(|place| place.controllers.iter().any(|known| known == name))
        };
        let (unified, controller, files) = if has(false, controller) {
            (false, controller, version_1)
        } else if has(true, unified_name) {
            (true, unified_name, version_2)
        } else {
            let why = if self.cgroups.undelegated {
                "cgroups are not delegated to this user"
            } else {
                "support disabled in the kernel"
            };
            let warning = format!("resource/{name} isolator set but {why}, skipping");
            if !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
            return;
        };
        self.values.extend(files.iter().map(|&file| CgroupValue {
            controller: controller.to_owned(),
            file: file.to_owned(),
            text: text(unified),
        }));
    }
}
