//! The program of BPF that stands for a device controller, in a real cgroup of version 2.

use sandbox::devices::{Kind, Rule, restrict};
use sandbox::sys::{self, Ended, Fork};
use std::fs::{File, OpenOptions};
use std::path::PathBuf;

/// A cgroup of version 2 below our own, if this process may make one.
fn cgroup() -> Option<PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
    let line = text.lines().find(|line| line.contains(" - cgroup2 "))?;
    let own = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?.to_owned();
    let point = line.split(' ').nth(4)?;
    let directory = PathBuf::from(format!("{point}{own}/rkt-devices-{}", std::process::id()));
    std::fs::create_dir(&directory).ok().map(|()| directory)
}

/// Runs in the cgroup; answers its status. It must not allocate more than a fork allows: one thread runs there.
fn within(directory: &PathBuf, action: impl FnOnce() -> i32) -> i32 {
    let cgroup = File::open(directory).unwrap();
    match sys::fork_into(0, Some(std::os::fd::AsFd::as_fd(&cgroup))).unwrap() {
        Fork::Child => sys::exit_now(action()),
        Fork::Parent(child) => Ended::of(sys::wait_for(child.pid).unwrap()).code(),
    }
}

fn main() {
    let Some(directory) = cgroup() else {
        println!("skipped: no cgroup of version 2 can be made here");
        return;
    };
    let opens = |path: &str, write: bool| -> bool {
        within(&directory, || i32::from(OpenOptions::new().read(true).write(write).open(path).is_err())) == 0
    };
    let makes = |major: u32, minor: u32| -> bool {
        let path = std::env::temp_dir().join(format!("rkt-node-{}-{major}-{minor}", std::process::id()));
        let node = path.clone();
        let made = within(&directory, move || {
            let (kind, mode) = (rustix::fs::FileType::CharacterDevice, rustix::fs::Mode::from_raw_mode(0o600));
            i32::from(
                rustix::fs::mknodat(rustix::fs::CWD, &node, kind, mode, rustix::fs::makedev(major, minor)).is_err(),
            )
        });
        let _ = std::fs::remove_file(path);
        made == 0
    };
    assert!(opens("/dev/zero", true) && opens("/dev/null", true) && makes(1, 3), "before there is a program");

    let rule =
        |minor, make, write| Rule { kind: Kind::Character, major: 1, minor: Some(minor), make, read: true, write };
    restrict(&directory, &[rule(3, true, true), rule(8, false, false)]).unwrap();

    let answers = [
        ("null, for writing", opens("/dev/null", true), true),
        ("random, for reading", opens("/dev/random", false), true),
        ("random, for writing", opens("/dev/random", true), false),
        ("zero", opens("/dev/zero", false), false),
        ("a node of null", makes(1, 3), true),
        ("a node of random", makes(1, 8), false),
        ("a node of zero", makes(1, 5), false),
    ];
    std::fs::remove_dir(&directory).unwrap();
    for (what, answer, expected) in answers {
        assert_eq!(answer, expected, "{what}");
    }
    println!("7 of 7: a program of BPF restricts devices");
}
