//! The devices that an app may make and open (stage1-abi §4.5, §7).

use rustix::fs::FileType;
use sandbox::devices::{Kind, Rule};
use sandbox::plan::{CgroupValue, Cgroups, Mount, Source};

const fn character(major: u32, minor: Option<u32>, make: bool) -> Rule {
    Rule { kind: Kind::Character, major, minor, make, read: true, write: true }
}

/// What every app may use: the devices of /dev, and terminals of the pod.
const ALWAYS: [Rule; 9] = [
    character(1, Some(3), true),
    character(1, Some(5), true),
    character(1, Some(7), true),
    character(1, Some(8), true),
    character(1, Some(9), true),
    character(5, Some(0), true),
    character(5, Some(2), false),
    character(136, None, false),
    character(10, Some(200), true),
];

/// How an app's cgroups restrict its devices.
#[derive(Debug, Default)]
pub struct Devices {
    /// Written to the controller of version 1.
    pub values: Vec<CgroupValue>,
    /// For a program, where there is no such controller.
    pub rules: Vec<Rule>,
}

/// The policy of an app with these volumes.
pub fn of_app(volumes: &[Mount], cgroups: &Cgroups) -> Devices {
    let rules: Vec<Rule> = ALWAYS.into_iter().chain(volumes.iter().filter_map(of_volume)).collect();
    let has_controller = cgroups.hierarchies.iter().any(|place| place.controllers.iter().any(|name| name == "devices"));
    if !has_controller {
        return Devices { rules, ..Devices::default() };
    }
    let value = |file: &str, text| CgroupValue { controller: "devices".to_owned(), file: file.to_owned(), text };
    let mut values = vec![value("devices.deny", "a".to_owned())];
    values.extend(rules.iter().map(|rule| value("devices.allow", rule.to_string())));
    Devices { values, ..Devices::default() }
}

/// The rule for a volume that is a device node.
fn of_volume(mount: &Mount) -> Option<Rule> {
    let Source::Host(path) = &mount.source else { return None };
    let stat = rustix::fs::stat(path).ok()?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => Kind::Character,
        FileType::BlockDevice => Kind::Block,
        _ => return None,
    };
    let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
    Some(Rule { kind, major, minor: Some(minor), make: false, read: true, write: !mount.read_only })
}
