//! A program of the host that goes into a pod executes from a copy in memory that nobody can change.
//!
//! What executes inside can be made to execute itself (a script whose interpreter is `/proc/self/exe`), and is then, through
//! `/proc/PID/exe`, a file that the pod's root may write: the file in the treestore, which the host runs next time (CVE-2019-5736).

use rustix::fs::{MemfdFlags, SealFlags};
use sandbox::inherited::Inherited;
use sandbox::{Context, Result, sys};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

/// Says which flavor the program is of: a copy has no link beside it.
const FLAVOR: &str = "RKT_STAGE1_FLAVOR";

const SEALS: [SealFlags; 4] = [SealFlags::SEAL, SealFlags::SHRINK, SealFlags::GROW, SealFlags::WRITE];

/// The flavor that this process was told, when it executes from a copy; none when it does not.
pub fn flavor() -> Option<String> {
    let own = File::open("/proc/self/exe").ok()?;
    // Fails for a file that is not in memory.
    let seals = rustix::fs::fcntl_get_seals(own).ok()?;
    if !SEALS.iter().all(|&seal| seals.contains(seal)) {
        return None;
    }
    std::env::var(FLAVOR).ok()
}

/// Executes this program anew from a copy, with the same arguments. Returns only when that fails.
pub fn execute_again(flavor: &str, inherited: &Inherited) -> Result<std::convert::Infallible> {
    let copy = copy().context(|| "copy the program to memory")?;
    let text = |bytes: Vec<u8>| CString::new(bytes).context(|| "read the arguments");
    let path = text(format!("/proc/self/fd/{}", copy.as_raw_fd()).into_bytes())?;
    let arguments = std::env::args_os().map(|word| text(word.into_vec())).collect::<Result<Vec<_>>>()?;
    let own = std::env::vars_os().filter(|(name, _)| name != FLAVOR);
    let given = own.map(|(name, value)| text([name.into_vec(), b"=".to_vec(), value.into_vec()].concat()));
    let told = std::iter::once(text(format!("{FLAVOR}={flavor}").into_bytes()));
    let environment = given.chain(told).collect::<Result<Vec<_>>>()?;
    inherited.restore();
    Err(sys::execve(&path, &arguments, &environment)).context(|| "execute the program from memory")
}

fn copy() -> std::io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 do not know that a file in memory may be executed; there every one may.
    let copy = rustix::fs::memfd_create(c"rkt-enter", flags | MemfdFlags::EXEC)
        .or_else(|_| rustix::fs::memfd_create(c"rkt-enter", flags))?;
    let mut copy = File::from(copy);
    std::io::copy(&mut File::open("/proc/self/exe")?, &mut copy)?;
    let seals = SEALS.into_iter().fold(SealFlags::empty(), |all, seal| all | seal);
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    Ok(copy.into())
}
