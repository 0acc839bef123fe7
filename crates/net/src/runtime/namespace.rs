//! The network namespace of a pod, which has a name on the host: a file below `/var/run/netns` that it is mounted on, as ip-netns(8)
//! has them.
//!
//! stage1 lives in a mount namespace of its own, so the name is made, and removed, in that of the machine's first process.

use crate::ns::Namespace;
use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount_bind, mount_change, unmount};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use sandbox::{Context, Failure, Result};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::{Path, PathBuf};

/// Where names of network namespaces are.
pub const DIRECTORY: &str = "/var/run/netns";

/// `statfs(2)` of a namespace's file.
const NSFS_MAGIC: i64 = 0x6e73_6673;

/// A name that no other pod has.
pub fn random_name() -> Result<PathBuf> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).context(|| "getrandom")?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
    Ok(Path::new(DIRECTORY).join(format!("cni-{}", parts.join("-"))))
}

/// Whether a path is one that [`random_name`] makes: nothing else is unmounted or removed for a pod.
pub fn is_name(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("cni-"));
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    path.parent() == Some(Path::new(DIRECTORY)) && name.is_some_and(|name| name.bytes().all(legal))
}

/// Makes a network namespace with its loopback interface up, and gives it that name. The caller stays in its own.
pub fn create(path: &Path) -> Result<Namespace> {
    let made = {
        let home = Namespace::current()?;
        sandbox::sys::unshare(libc::CLONE_NEWNET).context(|| "make a network namespace")?;
        let made = Namespace::current()
            .and_then(|made| sandbox::sys::loopback_up().context(|| "bring the loopback interface up").map(|()| made));
        // What fails ends this process: nothing may go on in the wrong namespace.
        move_into_link_name_space(home.as_fd(), Some(LinkNameSpaceType::Network))
            .context(|| "leave the pod's network namespace")?;
        made?
    };
    publish(path, made)
}

/// Gives that name to the network namespace that a process was born in, with its loopback interface up.
pub fn adopt(path: &Path, pid: i32) -> Result<Namespace> {
    let born = Namespace::open(Path::new(&format!("/proc/{pid}/ns/net")))?;
    born.within(sandbox::sys::loopback_up)?.context(|| "bring the loopback interface up")?;
    publish(path, born)
}

fn publish(path: &Path, namespace: Namespace) -> Result<Namespace> {
    on_the_host(|| name(path, &namespace))?;
    if !is_namespace(path) {
        // Mounts of the host do not come here: whoever is started by us needs the name, too.
        name(path, &namespace)?;
    }
    Ok(namespace)
}

/// Takes a name away, and with it the namespace if nobody is in it any more. One that is gone is as it should be.
pub fn remove(path: &Path) -> Result<()> {
    if !is_name(path) {
        return Err(Failure::new(format!("{} is no network namespace of a pod", path.display())));
    }
    // Here first: an own mount would keep the file busy.
    detach(path);
    on_the_host(|| {
        detach(path);
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Failure::system(format!("remove {}", path.display()), error))
            }
            _ => Ok(()),
        }
    })
}

/// Whether the file is a namespace's, seen from here.
pub fn is_namespace(path: &Path) -> bool {
    rustix::fs::statfs(path).is_ok_and(|stat| stat.f_type == NSFS_MAGIC)
}

fn detach(path: &Path) {
    while is_namespace(path) && unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW).is_ok() {}
}

/// Mounts the namespace on a file of that name.
fn name(path: &Path, namespace: &Namespace) -> Result<()> {
    make_directory(Path::new(DIRECTORY))?;
    let failed = || format!("make {}", path.display());
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(CWD, path, flags, Mode::empty()).context(failed)?;
    let source = format!("/proc/self/fd/{}", namespace.as_fd().as_raw_fd());
    mount_bind(source, path).context(failed)
}

/// The directory of names: what is mounted in it is seen by whoever has a copy of it.
fn make_directory(directory: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o755);
    builder.create(directory).context(|| format!("mkdir {}", directory.display()))?;
    if share(directory)? {
        return Ok(());
    }
    // Every bind of a shared directory on itself doubles the mounts there: of many pods that start at once, one makes it.
    let _turn = lock_mounts()?;
    if share(directory)? {
        return Ok(());
    }
    let failed = || format!("mount --rbind {} failed", directory.display());
    rustix::mount::mount(directory, directory, "", MountFlags::BIND | MountFlags::REC, None).context(failed)?;
    share(directory).map(drop)
}

/// Has copies of the directory's mounts hear of new ones; false when it is no mount point yet.
fn share(directory: &Path) -> Result<bool> {
    match mount_change(directory, MountPropagationFlags::SHARED | MountPropagationFlags::REC) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::INVAL) => Ok(false),
        Err(error) => Err(Failure::system(format!("mount --make-rshared {} failed", directory.display()), error)),
    }
}

/// Waits for other processes that do the same to the mounts of this namespace. The lock is on the namespace: nobody but who may enter
/// it can take it.
fn lock_mounts() -> Result<File> {
    let namespace = File::open("/proc/thread-self/ns/mnt").context(|| "open the own mount namespace")?;
    let lock = || rustix::fs::flock(&namespace, rustix::fs::FlockOperation::LockExclusive);
    rustix::io::retry_on_intr(lock).context(|| "lock the mount namespace")?;
    Ok(namespace)
}

/// Does `work` in the mount namespace of the machine's first process. Sound only in a process with one thread.
fn on_the_host<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let host = match File::open("/proc/1/ns/mnt") {
        Ok(host) => host,
        // Who may not look there has no other place for the name than its own.
        Err(_) => return work(),
    };
    let own = File::open("/proc/self/ns/mnt").context(|| "open the own mount namespace")?;
    if is_same(&host, &own)? {
        return work();
    }
    let here = File::open(".").context(|| "open the current directory")?;
    let enter = |namespace: &File| move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount));
    if enter(&host).is_err() {
        return work();
    }
    let result = work();
    enter(&own).context(|| "come back to the pod's mounts")?;
    rustix::process::fchdir(&here).context(|| "come back to the pod's directory")?;
    result
}

fn is_same(one: &File, other: &File) -> Result<bool> {
    let identity = |file: &File| rustix::fs::fstat(file).context(|| "stat a namespace");
    let (one, other) = (identity(one)?, identity(other)?);
    Ok((one.st_dev, one.st_ino) == (other.st_dev, other.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_random_and_nothing_else_is_taken_for_one() {
        let (one, other) = (random_name().unwrap(), random_name().unwrap());

        assert_ne!(one, other);
        assert!(is_name(&one));
        for path in ["/var/run/netns/other", "/etc/cni-1", "/var/run/netns/cni-../../etc", "/var/run/netns/../cni-1"] {
            assert!(!is_name(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn many_that_make_the_directory_at_once_mount_it_once() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("skipped: needs root");
            return;
        }
        let directory = std::env::temp_dir().join(format!("rkt-names-{}", std::process::id()));
        std::fs::create_dir(&directory).unwrap();
        let places: Vec<PathBuf> = (0..50).map(|number| directory.join(format!("netns-{number}"))).collect();
        // A thread of its own, and those that it starts, have their own mounts.
        let test = || {
            sandbox::sys::unshare(libc::CLONE_NEWNS).unwrap();
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            rustix::mount::mount("none", &directory, "tmpfs", MountFlags::empty(), None).unwrap();
            let together = std::sync::Barrier::new(8);
            let make = || {
                for place in &places {
                    together.wait();
                    make_directory(place).unwrap();
                }
            };
            std::thread::scope(|scope| (0..8).for_each(|_| drop(scope.spawn(make))));
            std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap()
        };
        let mounts = std::thread::scope(|scope| scope.spawn(test).join().unwrap());
        std::fs::remove_dir(&directory).unwrap();

        let mounted = |place: &PathBuf| mounts.matches(&format!(" {} ", place.display())).count();
        assert_eq!(places.iter().map(mounted).collect::<Vec<_>>(), vec![1; places.len()]);
    }
}
