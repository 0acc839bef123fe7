//! Capabilities by name, and giving a process exactly a set of them.

use crate::{Context, Failure, Result};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Names by number, as in capability.h.
const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// The capabilities of an app that asks for none in particular (stage1-abi §3.5).
pub const DEFAULT: [&str; 14] = [
    "CAP_AUDIT_WRITE",
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_KILL",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_NET_BIND_SERVICE",
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETFCAP",
    "CAP_SYS_CHROOT",
];

/// The number of a capability; a name that no kernel knows is refused.
pub fn number(name: &str) -> Result<u32> {
    let position = NAMES.iter().position(|&known| known == name);
    position.map(|index| index as u32).ok_or_else(|| Failure::new(format!("Failed to parse capability {name}.")))
}

/// Takes every capability from the bounding set that is not among `names`, for ever.
pub fn bound(names: &[String]) -> Result<()> {
    let keep = mask(names)?;
    for bit in 0..64 {
        if keep & (1 << bit) != 0 {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            Ok(()) => {}
            // Past the last one that this kernel knows.
            Err(rustix::io::Errno::INVAL) => break,
            Err(error) => return Err(Failure::system("drop capabilities", error)),
        }
    }
    Ok(())
}

/// Makes permitted and effective what this process has of `names` and, until it executes a program, of `more`; nothing inheritable,
/// nothing ambient.
pub fn set(names: &[String], more: &[&str]) -> Result<()> {
    let more = more.iter().try_fold(0, |mask, name| Ok(mask | 1 << number(name)?))?;
    let keep = CapabilitySet::from_bits_retain(mask(names)? | more);
    let has = rustix::thread::capabilities(None).context(|| "read capabilities")?.permitted;
    let sets = CapabilitySets { effective: has & keep, permitted: has & keep, inheritable: CapabilitySet::empty() };
    rustix::thread::clear_ambient_capability_set().context(|| "clear ambient capabilities")?;
    rustix::thread::set_capabilities(None, sets).context(|| "set capabilities")
}

fn mask(names: &[String]) -> Result<u64> {
    names.iter().try_fold(0, |mask, name| Ok(mask | 1 << number(name)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_set_is_the_documented_mask() {
        // CapBnd as observed in an app: 00000000a80425fb.
        assert_eq!(mask(&DEFAULT.map(str::to_owned)).unwrap(), 0xa804_25fb);
    }

    #[test]
    fn an_unknown_name_is_refused() {
        assert_eq!(number("CAP_BOGUS").unwrap_err().to_string(), "Failed to parse capability CAP_BOGUS.");
    }
}
