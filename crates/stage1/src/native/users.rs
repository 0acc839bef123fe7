//! A pod with a user namespace: what its root may own of the host's side, and how pid 1 becomes that root.

use super::init::word;
use rustix::fs::{AtFlags, CWD, Gid, OFlags, Uid};
use sandbox::channel::{Channel, Received};
use sandbox::idmap::IdMap;
use sandbox::plan::{Cgroups, Plan, Share};
use sandbox::tree::Root;
use sandbox::users::set_groups;
use sandbox::{Context, Failure, Result, sys};
use std::os::fd::OwnedFd;

/// Waits for the ids of the user namespace that this process was born in, and becomes its root. Answers what came to be known of the
/// pod's network meanwhile.
pub fn become_root(channel: &Channel, ipc: Share) -> Result<Option<OwnedFd>> {
    let network = match channel.receive().context(|| "wait for the ids of the pod")? {
        Received::Word(word::MAPPED, network) => network,
        _ => return Err(Failure::new("the process outside of the pod is gone")),
    };
    assume_root()?;
    // The kernel makes a process that changes its ids undumpable, and keeps its /proc files for the root of the namespace in which it
    // was executed: the host's. Those of the pod are kept out by the capabilities that they lack (ptrace(2), access mode checking).
    sys::set_dumpable(true);
    // The directory of message queues belongs to whoever made the namespace.
    if ipc == Share::Private {
        sys::unshare(libc::CLONE_NEWIPC).context(|| "make a namespace for IPC")?;
    }
    Ok(network)
}

/// Becomes root in the user namespace of this process.
pub fn assume_root() -> Result<()> {
    set_groups(&[])?;
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).context(|| "become group 0 of the pod")?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).context(|| "become user 0 of the pod")
}

/// Gives the files and directories of stage1's root that were written outside to the root of the pod.
pub fn give_files(stage1: &Root, plan: &Plan, ids: IdMap) -> Result<()> {
    let directories = ["rkt", "rkt/status", "rkt/env"];
    for path in plan.files.iter().map(|file| file.path.as_str()).chain(directories) {
        let file = stage1.open(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        let (uid, gid) = (Uid::from_raw(ids.base), Gid::from_raw(ids.base));
        rustix::fs::chownat(&file, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)
            .context(|| format!("give {path} to the pod"))?;
    }
    Ok(())
}

/// Lets the root of the pod move processes between the pod's cgroups of version 2, and change nothing else of them.
pub fn give_cgroups(cgroups: &Cgroups, ids: IdMap) -> Result<()> {
    for place in cgroups.hierarchies.iter().filter(|place| place.unified) {
        for directory in [&place.pod, &place.supervisor].into_iter().chain(&place.apps) {
            let path = directory.join("cgroup.procs");
            rustix::fs::chownat(CWD, &path, Some(Uid::from_raw(ids.base)), None, AtFlags::empty())
                .context(|| format!("give {} to the pod", path.display()))?;
        }
    }
    Ok(())
}
