use super::compile::{
    AND, ANY_BIT, ARCHITECTURE, EQUAL, FIRST_ARGUMENT, JUMP, LOAD, NOT_BELOW, NUMBER, RET_ALLOW, RET_ERRNO, RET_KILL,
    RET_NOTIFY, RETURN, compile,
};
use super::*;

/// What the kernel would answer, and after how many instructions.
fn run(program: &[Instruction], audit: u32, number: u32, argument: u32) -> (u32, usize) {
    let (mut at, mut value, mut steps) = (0, 0, 0);
    loop {
        let Instruction { code, jt, jf, k } = program[at];
        at += 1;
        steps += 1;
        let mut branch = |holds: bool| at += usize::from(if holds { jt } else { jf });
        match code {
            LOAD => {
                value = match k {
                    NUMBER => number,
                    ARCHITECTURE => audit,
                    FIRST_ARGUMENT => argument,
                    other => panic!("load of {other}"),
                }
            }
            AND => value &= k,
            JUMP => at += k as usize,
            EQUAL => branch(value == k),
            NOT_BELOW => branch(value >= k),
            ANY_BIT => branch(value & k != 0),
            RETURN => return (k, steps),
            other => panic!("operation {other:#x}"),
        }
    }
}

fn value(outcome: Outcome) -> u32 {
    match outcome {
        Outcome::Allow => RET_ALLOW,
        Outcome::Kill => RET_KILL,
        Outcome::Error(number) => RET_ERRNO | u32::from(number),
    }
}

fn set(names: &[&'static str]) -> groups::Names {
    names.iter().copied().collect()
}

const MACHINE: &str = "x86_64";
const AMD64: u32 = 0xc000_003e;
const I386: u32 = 0x4000_0003;
const X32: u32 = 0x4000_0000;

#[test]
fn every_call_of_every_abi_gets_what_its_name_says() {
    let filters = [
        SystemCalls::default_filter(false),
        SystemCalls::default_filter(true),
        SystemCalls::retaining(set(&["read", "write", "clone"]), false, None, false),
        SystemCalls::removing(&set(&["mount", "umount2", "clone"]), Some(95), false),
        SystemCalls::removing(&set(&["unshare"]), None, false),
    ];
    for machine in ["x86_64", "aarch64"] {
        for filter in &filters {
            let by_name = filter.by_name();
            let program = compile(machine, filter, RET_KILL);
            for abi in table::abis(machine) {
                for (name, number) in table::calls(abi) {
                    if ["sync_file_range2", "arm_sync_file_range"].contains(&name) {
                        // Two names of one number on arm, with two outcomes in some filters.
                        continue;
                    }
                    let (answer, steps) = run(&program, abi.audit, number, 0);
                    assert_eq!(
                        answer,
                        value(by_name.get(name).copied().unwrap_or(filter.otherwise)),
                        "{machine} {name}"
                    );
                    assert!(steps <= 18, "{machine} {name}: {steps} instructions");
                }
            }
        }
    }
}

#[test]
fn the_filter_that_was_compiled_ahead_is_the_one_that_would_be_compiled_now() {
    for administers in [false, true] {
        let filter = SystemCalls::default_filter(administers);
        assert_eq!(filter, SystemCalls::computed_default(administers));
        assert!(matches!(filter.program(true), Cow::Borrowed(_)), "compiled at the start of a pod");
        assert_eq!(*filter.program(false), compile(std::env::consts::ARCH, &filter, RET_KILL));
        assert_eq!(*filter.program(true), compile(std::env::consts::ARCH, &filter, RET_NOTIFY));
        assert!(filter.program(true).len() < 1024, "{} instructions", filter.program(true).len());
    }
}

#[test]
fn nothing_passes_by_another_architecture_or_an_unknown_number() {
    let program = compile(MACHINE, &SystemCalls::default_filter(false), RET_KILL);

    assert_eq!(run(&program, 0xc000_00b7, 0, 0).0, RET_KILL);
    assert_eq!(run(&program, AMD64, 100_000, 0).0, RET_ERRNO | 38);
    assert_eq!(run(&program, AMD64, X32 | 100_000, 0).0, RET_ERRNO | 38);
    assert_eq!(run(&program, AMD64, u32::MAX, 0).0, RET_ERRNO | 38);
    // mount, in each numbering.
    for (audit, number) in [(AMD64, 165), (AMD64, X32 | 165), (I386, 21)] {
        assert_eq!(run(&program, audit, number, 0).0, RET_KILL);
    }
    assert!(run(&compile("mips64", &SystemCalls::default_filter(false), RET_KILL), 8, 0, 0).0 == RET_KILL);
}

#[test]
fn new_namespaces_are_for_those_who_administer() {
    let program = |administers| compile(MACHINE, &SystemCalls::default_filter(administers), RET_KILL);
    let (clone, clone3, unshare) = ((AMD64, 56), (AMD64, 435), (I386, 310));

    for (flags, (audit, number)) in [
        (libc::CLONE_NEWUSER, clone),
        (libc::CLONE_NEWNET | libc::SIGCHLD, clone),
        (libc::CLONE_NEWNS, unshare),
        (0x80, unshare),
    ] {
        assert_eq!(run(&program(false), audit, number, flags as u32).0, RET_ERRNO | 1);
        assert_eq!(run(&program(true), audit, number, flags as u32).0, RET_ALLOW);
    }
    let thread = libc::CLONE_VM | libc::CLONE_FS | libc::CLONE_FILES | libc::CLONE_THREAD | libc::CLONE_SIGHAND;
    assert_eq!(run(&program(false), clone.0, clone.1, thread as u32).0, RET_ALLOW);
    assert_eq!(run(&program(false), unshare.0, unshare.1, libc::CLONE_FILES as u32).0, RET_ALLOW);
    assert_eq!(run(&program(false), clone3.0, clone3.1, 0).0, RET_ERRNO | 38);
    assert_eq!(run(&program(true), clone3.0, clone3.1, 0).0, RET_ALLOW);
}

#[test]
fn a_call_is_withheld_behind_the_ones_that_stand_for_it_too() {
    let program = compile(MACHINE, &SystemCalls::removing(&set(&["socket", "shmget"]), Some(13), false), RET_KILL);
    let (socketcall, ipc) = (102, 117);

    assert_eq!(run(&program, I386, socketcall, 1).0, RET_ERRNO | 13, "socket");
    assert_eq!(run(&program, I386, socketcall, 2).0, RET_ALLOW, "bind");
    assert_eq!(run(&program, I386, ipc, 0x10000 | 23).0, RET_ERRNO | 13, "shmget, with a version");
    assert_eq!(run(&program, I386, ipc, 21).0, RET_ALLOW, "shmat");

    let program = compile(MACHINE, &SystemCalls::retaining(set(&["socket"]), false, None, false), RET_KILL);
    assert_eq!(run(&program, I386, socketcall, 1).0, RET_ALLOW, "socket");
    assert_eq!(run(&program, I386, socketcall, 2).0, RET_KILL, "bind");
}

#[test]
fn the_default_whitelist_lets_through_what_is_documented_and_what_came_since() {
    let filter = SystemCalls::default_filter(false);
    let documented = groups::members("@documented/whitelist").unwrap();
    assert_eq!(documented.len(), 309);
    for name in documented.iter().copied().chain(["rseq", "statx", "openat2", "futex_waitv", "pidfd_open"]) {
        assert_eq!(filter.outcome(name), Outcome::Allow, "{name}");
    }
    for name in groups::members("@documented/blacklist").unwrap() {
        // unshare(2) only as far as it makes no namespaces.
        assert!(name == "unshare" || filter.outcome(name) != Outcome::Allow, "{name}");
    }
    for name in ["mount", "kexec_load", "init_module", "setns", "bpf", "open_by_handle_at", "reboot"] {
        assert_eq!(filter.outcome(name), Outcome::Kill, "{name}");
    }
    for name in ["ptrace", "keyctl", "get_mempolicy", "sethostname", "vhangup"] {
        assert_eq!(filter.outcome(name), Outcome::Error(1), "{name}");
    }
    for name in ["clone3", "io_uring_setup", "fsopen"] {
        assert_eq!(filter.outcome(name), Outcome::Error(38), "{name}");
    }
}

#[test]
fn every_member_of_every_group_is_a_call() {
    for group in include_str!("groups.txt").lines().filter(|line| line.starts_with('@') && !line.contains(' ')) {
        for name in groups::members(group).unwrap() {
            assert!(groups::known(name).is_some(), "{group}: {name}");
        }
    }
    assert_eq!(groups::expand("@documented/whitelist"), None);
    assert_eq!(groups::expand("@rkt/unheard-of"), None);
    assert_eq!(groups::expand("@docker/default-blacklist"), groups::expand("@rkt/default-blacklist"));
}

#[test]
fn numbers_of_errors_have_names_and_back() {
    assert_eq!(errno("EPERM"), Some(1));
    assert_eq!(errno("ENOTSUP"), Some(95));
    assert_eq!(errno("EBOGUS"), None);
    assert_eq!(errno_name(38), Some("ENOSYS"));
}

#[test]
fn a_filter_that_withholds_the_handover_is_two_which_withhold_the_same() {
    let filter = SystemCalls::retaining(set(&["read", "seccomp"]), false, None, false);
    let (first, second) = filter.split(&["sendmsg", "seccomp"]);
    let second = second.unwrap();

    assert_eq!((first.outcome("sendmsg"), second.outcome("sendmsg")), (Outcome::Allow, Outcome::Kill));
    assert_eq!((first.outcome("seccomp"), second.outcome("seccomp")), (Outcome::Allow, Outcome::Allow));
    assert_eq!((first.outcome("openat"), second.outcome("openat")), (Outcome::Kill, Outcome::Allow));
    assert_eq!(SystemCalls::default_filter(false).split(&["sendmsg", "seccomp"]).1, None);
}
