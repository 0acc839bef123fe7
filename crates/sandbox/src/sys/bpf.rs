//! Programs of BPF.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// The part of `union bpf_attr` that loads a program, up to its log.
#[repr(C)]
#[derive(Default)]
struct LoadProgram {
    kind: u32,
    instruction_count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

/// The part of `union bpf_attr` that attaches a program.
#[repr(C)]
struct AttachProgram {
    target: u32,
    program: u32,
    attach_type: u32,
    flags: u32,
}

/// Has a program decide upon the devices of a cgroup of version 2, beside those of cgroups above it (bpf(2)).
pub fn attach_device_program(cgroup: &OwnedFd, instructions: &[crate::devices::Instruction]) -> io::Result<()> {
    const PROG_LOAD: libc::c_int = 5;
    const PROG_ATTACH: libc::c_int = 8;
    const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
    const CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    let load = LoadProgram {
        kind: PROG_TYPE_CGROUP_DEVICE,
        instruction_count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        ..LoadProgram::default()
    };
    // SAFETY: instructions (of the layout of bpf_insn), their count and the C string outlive the call, whose size is given; the kernel
    // copies them, and verifies the program.
    let number = check(unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<LoadProgram>()) })?;
    // SAFETY: the kernel has just made it, nobody else owns it.
    let program = unsafe { OwnedFd::from_raw_fd(number as i32) };
    let attach = AttachProgram {
        target: cgroup.as_raw_fd() as u32,
        program: program.as_raw_fd() as u32,
        attach_type: CGROUP_DEVICE,
        flags: ALLOW_MULTI,
    };
    // SAFETY: both descriptors are open, and the size of what is read is given.
    check(unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attach, size_of::<AttachProgram>()) }).map(drop)
}
