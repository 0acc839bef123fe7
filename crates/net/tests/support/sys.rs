//! The tests' one unsafe call.

/// Moves this thread into a new network namespace.
pub fn new_network() {
    // SAFETY: descriptors are not unshared.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }.unwrap();
}
