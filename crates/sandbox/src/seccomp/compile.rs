//! From a filter as data to the program of classic BPF that the kernel runs before each system call (seccomp(2)).
//!
//! A program looks at the architecture, then finds the number in a binary tree of ranges: about eight comparisons for the default
//! filter where a list would take three hundred. Only loads, jumps and returns occur, so that the kernel can tell ahead which calls
//! are allowed whatever their arguments, and run no program for them at all.

use super::filter::{Outcome, SystemCalls};
use super::table::{self, Abi};
use std::collections::BTreeMap;

/// One instruction, as `struct sock_filter` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    /// Operation.
    pub code: u16,
    /// How many instructions to skip when the comparison holds.
    pub jt: u8,
    /// How many when it does not.
    pub jf: u8,
    /// Operand.
    pub k: u32,
}

/// BPF_LD | BPF_W | BPF_ABS.
pub const LOAD: u16 = 0x20;
/// BPF_ALU | BPF_AND | BPF_K.
pub const AND: u16 = 0x54;
/// BPF_JMP | BPF_JA.
pub const JUMP: u16 = 0x05;
/// BPF_JMP | BPF_JEQ | BPF_K.
pub const EQUAL: u16 = 0x15;
/// BPF_JMP | BPF_JGE | BPF_K.
pub const NOT_BELOW: u16 = 0x35;
/// BPF_JMP | BPF_JSET | BPF_K.
pub const ANY_BIT: u16 = 0x45;
/// BPF_RET | BPF_K.
pub const RETURN: u16 = 0x06;

/// Offsets in `struct seccomp_data`; of the first argument the low half, on machines that put it first.
pub const NUMBER: u32 = 0;
/// See [`NUMBER`].
pub const ARCHITECTURE: u32 = 4;
/// See [`NUMBER`].
pub const FIRST_ARGUMENT: u32 = 16;

/// SECCOMP_RET_ALLOW.
pub const RET_ALLOW: u32 = 0x7fff_0000;
/// SECCOMP_RET_ERRNO, with the number in the low bits.
pub const RET_ERRNO: u32 = 0x0005_0000;
/// SECCOMP_RET_KILL_PROCESS.
pub const RET_KILL: u32 = 0x8000_0000;
/// SECCOMP_RET_USER_NOTIF.
pub const RET_NOTIFY: u32 = 0x7fc0_0000;

/// Flags of clone(2) that make namespaces (CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET).
const CLONE_NAMESPACES: u32 = 0x7e02_0000;
/// The same of unshare(2), which also has CLONE_NEWTIME.
const UNSHARE_NAMESPACES: u32 = CLONE_NAMESPACES | 0x80;

/// The calls behind socketcall(2), from number 1 on (linux/net.h).
const SOCKET_CALLS: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

/// The calls behind ipc(2), whose number is in the low 16 bits (linux/ipc.h).
const IPC_CALLS: [(u32, &str); 12] = [
    (1, "semop"),
    (2, "semget"),
    (3, "semctl"),
    (4, "semtimedop"),
    (11, "msgsnd"),
    (12, "msgrcv"),
    (13, "msgget"),
    (14, "msgctl"),
    (21, "shmat"),
    (22, "shmdt"),
    (23, "shmget"),
    (24, "shmctl"),
];

/// What a program does with a number.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Leaf {
    Return(u32),
    /// Any of these bits in the first argument is answered by the first value, none by the second.
    Flags(u32, u32, u32),
    /// The first argument, masked, is one of these; what else it is gets the last value.
    Multiplex(u32, Vec<(u32, u32)>, u32),
}

/// The program of a filter for a machine. `kill` is what is returned for a call that ends the process.
pub fn compile(machine: &str, calls: &SystemCalls, kill: u32) -> Vec<Instruction> {
    let compiler = Compiler { calls, by_name: calls.by_name(), kill };
    let mut sections: Vec<(u32, Vec<Instruction>)> = Vec::new();
    let abis = table::abis(machine);
    for (index, abi) in abis.iter().enumerate() {
        if index > 0 && abis[index - 1].audit == abi.audit {
            continue;
        }
        let mut section = vec![load(NUMBER)];
        section.extend(tree(&compiler.ranges(abis.iter().filter(|other| other.audit == abi.audit))));
        sections.push((abi.audit, section));
    }
    let mut program = vec![load(ARCHITECTURE)];
    for (audit, section) in sections {
        // A section may be longer than what a comparison can skip.
        program.push(Instruction { code: EQUAL, jt: 1, jf: 0, k: audit });
        program.push(Instruction { code: JUMP, jt: 0, jf: 0, k: section.len() as u32 });
        program.extend(section);
    }
    // No program of this machine makes calls of another one.
    program.push(ret(RET_KILL));
    program
}

struct Compiler<'a> {
    calls: &'a SystemCalls,
    by_name: BTreeMap<&'a str, Outcome>,
    kill: u32,
}

impl Compiler<'_> {
    fn value(&self, outcome: Outcome) -> u32 {
        match outcome {
            Outcome::Allow => RET_ALLOW,
            Outcome::Kill => self.kill,
            Outcome::Error(number) => RET_ERRNO | u32::from(number),
        }
    }

    fn outcome(&self, name: &str) -> Outcome {
        self.by_name.get(name).copied().unwrap_or(self.calls.otherwise)
    }

    /// From which number on what holds.
    fn ranges<'a>(&self, abis: impl Iterator<Item = &'a Abi>) -> Vec<(u32, Leaf)> {
        let mut numbers: BTreeMap<u32, &'static str> = BTreeMap::new();
        let mut multiplexes = false;
        for abi in abis {
            multiplexes |= abi.multiplexes;
            for (name, number) in table::calls(abi) {
                // Of two names for one number the one that a rule speaks of counts.
                if !numbers.contains_key(&number) || self.by_name.contains_key(name) {
                    numbers.insert(number, name);
                }
            }
        }
        let unknown = Leaf::Return(self.value(self.calls.unknown));
        let mut ranges: Vec<(u32, Leaf)> = vec![(0, unknown.clone())];
        let mut next = 0;
        let mut add = |start: u32, leaf: Leaf| match ranges.last_mut() {
            Some((_, last)) if *last == leaf => {}
            Some(last) if last.0 == start => last.1 = leaf,
            _ => ranges.push((start, leaf)),
        };
        for (number, name) in numbers {
            if number > next {
                add(next, unknown.clone());
            }
            add(number, self.leaf(name, multiplexes));
            next = number + 1;
        }
        add(next, unknown);
        // The first may have been replaced by what equals its successor.
        ranges.dedup_by(|later, earlier| later.1 == earlier.1);
        ranges
    }

    fn leaf(&self, name: &str, multiplexes: bool) -> Leaf {
        let value = self.value(self.outcome(name));
        let namespaces = self.value(self.calls.new_namespaces);
        match name {
            "clone" if value == RET_ALLOW && namespaces != value => Leaf::Flags(CLONE_NAMESPACES, namespaces, value),
            "unshare" if value == RET_ALLOW && namespaces != value => {
                Leaf::Flags(UNSHARE_NAMESPACES, namespaces, value)
            }
            "socketcall" if multiplexes => {
                let calls = (1..).zip(SOCKET_CALLS.iter().copied());
                self.multiplex(u32::MAX, calls, name)
            }
            "ipc" if multiplexes => self.multiplex(0xffff, IPC_CALLS.iter().copied(), name),
            _ => Leaf::Return(value),
        }
    }

    /// A call that stands for others: named itself it is what its rule says, but never allows what a rule withholds by name.
    fn multiplex(&self, mask: u32, calls: impl Iterator<Item = (u32, &'static str)>, name: &str) -> Leaf {
        let own = self.outcome(name);
        let value = self.value(own);
        let others: Vec<(u32, u32)> = calls
            .filter_map(|(number, call)| {
                let outcome = match self.by_name.get(call) {
                    Some(&outcome) if own == Outcome::Allow || !self.by_name.contains_key(name) => outcome,
                    _ => own,
                };
                (outcome != own).then(|| (number, self.value(outcome)))
            })
            .collect();
        if others.is_empty() { Leaf::Return(value) } else { Leaf::Multiplex(mask, others, value) }
    }
}

const fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD, jt: 0, jf: 0, k: offset }
}

const fn ret(value: u32) -> Instruction {
    Instruction { code: RETURN, jt: 0, jf: 0, k: value }
}

/// A binary tree over ranges that are in order.
fn tree(ranges: &[(u32, Leaf)]) -> Vec<Instruction> {
    match ranges {
        [] => return Vec::new(),
        [(_, leaf)] => return emit(leaf),
        _ => {}
    }
    let (low, high) = ranges.split_at(ranges.len() / 2);
    let (below, above) = (tree(low), tree(high));
    let mut code = match u8::try_from(below.len()) {
        Ok(skip) => vec![Instruction { code: NOT_BELOW, jt: skip, jf: 0, k: high[0].0 }],
        // Farther than a comparison can skip.
        Err(_) => vec![
            Instruction { code: NOT_BELOW, jt: 0, jf: 1, k: high[0].0 },
            Instruction { code: JUMP, jt: 0, jf: 0, k: below.len() as u32 },
        ],
    };
    code.extend(below);
    code.extend(above);
    code
}

fn emit(leaf: &Leaf) -> Vec<Instruction> {
    match leaf {
        Leaf::Return(value) => vec![ret(*value)],
        Leaf::Flags(mask, any, none) => {
            vec![load(FIRST_ARGUMENT), Instruction { code: ANY_BIT, jt: 0, jf: 1, k: *mask }, ret(*any), ret(*none)]
        }
        Leaf::Multiplex(mask, cases, otherwise) => {
            let mut code = vec![load(FIRST_ARGUMENT)];
            if *mask != u32::MAX {
                code.push(Instruction { code: AND, jt: 0, jf: 0, k: *mask });
            }
            for &(number, value) in cases {
                code.push(Instruction { code: EQUAL, jt: 0, jf: 1, k: number });
                code.push(ret(value));
            }
            code.push(ret(*otherwise));
            code
        }
    }
}
