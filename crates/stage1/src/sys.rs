//! The one place of this crate that needs unsafe: the C entry point, and what rustix cannot say. Rust's own start-up would ignore
//! SIGPIPE before anything of ours runs, and apps are to have the signal dispositions that the caller of rkt had.

/// Where the C library starts the program; arguments are read through `std::env`, which the C library's start-up fills.
// SAFETY: the only symbol of this name in the program, with the signature that C gives it.
#[cfg(not(test))]
#[unsafe(no_mangle)]
extern "C" fn main(_count: i32, _words: *const *const i8) -> i32 {
    crate::start()
}

/// The process group, or none if its leader lives in an outer pid namespace: the kernel then says 0, which rustix does not expect.
pub fn process_group() -> Option<rustix::process::Pid> {
    // SAFETY: takes nothing and cannot fail (POSIX).
    rustix::process::Pid::from_raw(unsafe { libc::getpgrp() })
}
