//! Which devices the processes of a cgroup may make and open. Version 1 has a controller that reads rules, version 2 runs a program
//! of BPF before each such call (kernel's cgroup-v2.rst, Device controller).

use crate::{Context, Result, sys};
use rustix::fs::{Mode, OFlags};
use serde::{Serialize, Serializer};
use std::fmt;
use std::path::Path;

/// The kind of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A block device.
    Block,
    /// A character device.
    Character,
}

/// What is allowed of which devices; all else is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Block or character.
    pub kind: Kind,
    /// Major number.
    pub major: u32,
    /// Minor number; none means every one.
    pub minor: Option<u32>,
    /// Making a node (mknod(2)).
    pub make: bool,
    /// Opening for reading.
    pub read: bool,
    /// Opening for writing.
    pub write: bool,
}

/// As devices.allow takes it: `c 1:3 rwm`.
impl fmt::Display for Rule {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.kind == Kind::Block { 'b' } else { 'c' };
        let minor = self.minor.map_or_else(|| "*".to_owned(), |minor| minor.to_string());
        let rights = [(self.read, "r"), (self.write, "w"), (self.make, "m")];
        let rights: String = rights.into_iter().filter_map(|(has, letter)| has.then_some(letter)).collect();
        write!(formatter, "{kind} {}:{minor} {rights}", self.major)
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One instruction of eBPF, as `struct bpf_insn` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Instruction {
    code: u8,
    /// Destination in the low half, source in the high half.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const RIGHTS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const SCRATCH: u8 = 6;

/// `struct bpf_cgroup_dev_ctx`: the kind in the low half and the rights in the high half of the first word, then both numbers.
const ACCESS_OFFSET: i16 = 0;
const MAJOR_OFFSET: i16 = 4;
const MINOR_OFFSET: i16 = 8;

fn load(to: u8, offset: i16) -> Instruction {
    Instruction { code: 0x61, registers: to | CONTEXT << 4, offset, immediate: 0 }
}

fn copy(to: u8, from: u8) -> Instruction {
    Instruction { code: 0xbc, registers: to | from << 4, offset: 0, immediate: 0 }
}

fn and(register: u8, mask: i32) -> Instruction {
    Instruction { code: 0x54, registers: register, offset: 0, immediate: mask }
}

fn shift_right(register: u8, bits: i32) -> Instruction {
    Instruction { code: 0x74, registers: register, offset: 0, immediate: bits }
}

/// Skips so many instructions unless the register has this value.
fn skip_unless(register: u8, value: i32, skip: i16) -> Instruction {
    Instruction { code: 0x56, registers: register, offset: skip, immediate: value }
}

fn answer(value: i32) -> [Instruction; 2] {
    [
        Instruction { code: 0xb7, registers: ANSWER, offset: 0, immediate: value },
        Instruction { code: 0x95, registers: 0, offset: 0, immediate: 0 },
    ]
}

/// The program that allows what some rule allows.
pub fn program(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        load(KIND, ACCESS_OFFSET),
        copy(RIGHTS, KIND),
        and(KIND, 0xffff),
        shift_right(RIGHTS, 16),
        load(MAJOR, MAJOR_OFFSET),
        load(MINOR, MINOR_OFFSET),
    ];
    for rule in rules {
        let rights = i32::from(rule.make) | i32::from(rule.read) << 1 | i32::from(rule.write) << 2;
        let kind = if rule.kind == Kind::Block { 1 } else { 2 };
        // From the last test backwards, so that each knows how much is left to skip.
        let mut tests = Vec::new();
        let mut test = |register: u8, value: i32| {
            let left = tests.len() as i16 + 2;
            tests.push(skip_unless(register, value, left));
        };
        if let Some(minor) = rule.minor {
            test(MINOR, minor as i32);
        }
        test(MAJOR, rule.major as i32);
        test(KIND, kind);
        // What is asked for beyond the rule's rights.
        test(SCRATCH, 0);
        program.extend([copy(SCRATCH, RIGHTS), and(SCRATCH, !rights)]);
        program.extend(tests.into_iter().rev());
        program.extend(answer(1));
    }
    program.extend(answer(0));
    program
}

/// Restricts the processes of the version 2 cgroup at `directory` to these rules. Programs of cgroups above it hold as well.
pub fn restrict(directory: &Path, rules: &[Rule]) -> Result<()> {
    let failed = || format!("restrict the devices of {}", directory.display());
    let cgroup = rustix::fs::open(directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .context(failed)?;
    sys::attach_device_program(&cgroup, &program(rules)).context(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program answers: the interpreter knows what [`program`] uses.
    fn allows(program: &[Instruction], kind: u32, rights: u32, major: u32, minor: u32) -> bool {
        let mut registers = [0_u32; 8];
        let mut at = 0;
        loop {
            let Instruction { code, registers: which, offset, immediate } = program[at];
            let (to, from) = (usize::from(which & 0xf), usize::from(which >> 4));
            at += 1;
            match code {
                0x61 => {
                    registers[to] = match offset {
                        ACCESS_OFFSET => kind | rights << 16,
                        MAJOR_OFFSET => major,
                        _ => minor,
                    }
                }
                0xbc => registers[to] = registers[from],
                0x54 => registers[to] &= immediate as u32,
                0x74 => registers[to] >>= immediate,
                0x56 if registers[to] != immediate as u32 => at += offset as usize,
                0x56 => {}
                0xb7 => registers[to] = immediate as u32,
                0x95 => return registers[0] == 1,
                other => panic!("operation {other:#x}"),
            }
        }
    }

    const MAKE: u32 = 1;
    const READ: u32 = 2;
    const WRITE: u32 = 4;

    #[test]
    fn a_device_is_allowed_as_far_as_one_rule_says() {
        let rule = |kind, major, minor, (read, write, make)| Rule { kind, major, minor, make, read, write };
        let program = program(&[
            rule(Kind::Character, 1, Some(3), (true, true, true)),
            rule(Kind::Character, 136, None, (true, true, false)),
            rule(Kind::Block, 253, Some(0), (true, false, false)),
        ]);

        assert!(allows(&program, 2, READ | WRITE, 1, 3) && allows(&program, 2, MAKE, 1, 3));
        assert!(!allows(&program, 2, READ, 1, 5) && !allows(&program, 1, READ, 1, 3));
        assert!(allows(&program, 2, READ | WRITE, 136, 77) && !allows(&program, 2, MAKE, 136, 77));
        assert!(allows(&program, 1, READ, 253, 0) && !allows(&program, 1, READ | WRITE, 253, 0));
        assert!(!allows(&super::program(&[]), 2, READ, 1, 3));
    }

    #[test]
    fn a_rule_reads_as_the_controller_of_version_1_takes_it() {
        let rule = Rule { kind: Kind::Block, major: 8, minor: None, make: false, read: true, write: true };
        assert_eq!(rule.to_string(), "b 8:* rw");
    }
}
