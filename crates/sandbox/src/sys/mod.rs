//! Thin, safe faces of the system calls that rustix lacks or offers only as unsafe, by kind. The crate's only unsafe code.

mod bpf;
mod descriptors;
mod filter;
mod mounts;
mod namespaces;
mod process;
mod signals;

pub use bpf::attach_device_program;
pub use descriptors::{adopt, close_on_exec_from, duplicate_from, install, with_borrowed};
pub use filter::{Notification, is_waiting, receive_notification, seccomp};
pub use mounts::{mount_idmap, mount_setattr};
pub use namespaces::{loopback_up, owner_of_namespace, unshare};
pub use process::{
    Child, Ended, Fork, execve, exit_now, fork, fork_idle, fork_into, reap, set_dumpable, set_name, wait_for,
};
pub use signals::{
    Received, SignalSet, die_by, is_ignored, kill, read_signal, set_ignored, signal, signal_group, stop_by,
};
use std::ffi::CStr;
use std::io;

fn check(result: i64) -> io::Result<i64> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// The C library's text for an error number, in its own language.
pub fn error_text(number: i32) -> String {
    let mut buffer = [0 as libc::c_char; 256];
    // SAFETY: writes at most the length of the buffer and ends it with a zero byte.
    let result = unsafe { libc::strerror_r(number, buffer.as_mut_ptr(), buffer.len()) };
    if result != 0 {
        return format!("error {number}");
    }
    // SAFETY: the call above ended the text within the buffer.
    unsafe { CStr::from_ptr(buffer.as_ptr()) }.to_string_lossy().into_owned()
}
