//! Parameters of the kernel that belong to a pod's own namespaces (appc §6.3, `os/unix/sysctl`).

use sandbox::plan::{Namespaces, Network, Share, Sysctl};
use sandbox::{Failure, Result};
use serde_json::{Map, Value};

/// Parameters of System V and POSIX IPC.
const IPC: [&str; 11] = [
    "kernel/shmmax",
    "kernel/shmall",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
    "kernel/shm_next_id",
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/msg_next_id",
    "kernel/sem",
    "kernel/sem_next_id",
];

/// What a parameter belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Network,
    Ipc,
    Names,
    Host,
}

fn owner(path: &str) -> Owner {
    match path {
        _ if path.starts_with("net/") => Owner::Network,
        _ if path.starts_with("fs/mqueue/") || IPC.contains(&path) => Owner::Ipc,
        "kernel/domainname" => Owner::Names,
        _ => Owner::Host,
    }
}

/// The parameters of a pod, in the order of their names. One of the host is refused: other pods would have it too.
pub fn of_pod(parameters: &Map<String, Value>, namespaces: &Namespaces) -> Result<Vec<Sysctl>> {
    let mut sysctls = Vec::with_capacity(parameters.len());
    for (key, value) in parameters {
        let refused = |why: &str| Failure::new(format!("isolator os/unix/sysctl: \"{key}\" {why}"));
        let path = path_of(key).ok_or_else(|| refused("is not the name of a parameter"))?;
        match owner(&path) {
            Owner::Network if namespaces.network == Network::Host => {
                return Err(refused("is the host's, whose network the pod uses"));
            }
            Owner::Ipc if namespaces.ipc == Share::Parent => {
                return Err(refused("is the host's, whose IPC the pod uses"));
            }
            Owner::Host => return Err(refused("is not of the pod's own namespaces")),
            Owner::Network | Owner::Ipc | Owner::Names => {}
        }
        let value = value.as_str().ok_or_else(|| refused("has a value that is no string"))?.to_owned();
        sysctls.push(Sysctl { path, value });
    }
    sysctls.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(sysctls)
}

/// The path below /proc/sys: dots separate, and a slash stands for a dot in a name, or the other way round (sysctl(8)).
fn path_of(key: &str) -> Option<String> {
    let dots_first = key.find(['.', '/']).is_some_and(|at| key.as_bytes()[at] == b'.');
    let path: String = key
        .chars()
        .map(|letter| match letter {
            '.' if dots_first => '/',
            '/' if dots_first => '.',
            other => other,
        })
        .collect();
    let legal = |letter: char| letter.is_ascii_alphanumeric() || "_-.:@".contains(letter);
    let is_name = |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(legal);
    path.split('/').all(is_name).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(parameters: &str, network: Network, ipc: Share) -> std::result::Result<Vec<Sysctl>, String> {
        let parameters: Map<String, Value> = serde_json::from_str(parameters).unwrap();
        of_pod(&parameters, &Namespaces { ipc, network, users: None }).map_err(|failure| failure.to_string())
    }

    #[test]
    fn parameters_of_the_pods_own_namespaces_are_set_by_either_spelling() {
        let sysctls = decided(
            r#"{"net.ipv4.conf.eth0/1.forwarding":"1","kernel/shmmax":"65536","fs.mqueue.msg_max":"5"}"#,
            Network::Contained,
            Share::Private,
        );

        let paths: Vec<String> =
            sysctls.unwrap().into_iter().map(|one| format!("{}={}", one.path, one.value)).collect();
        assert_eq!(paths, ["fs/mqueue/msg_max=5", "kernel/shmmax=65536", "net/ipv4/conf/eth0.1/forwarding=1"]);
    }

    #[test]
    fn what_belongs_to_the_host_is_refused() {
        let refused = |key: &str, network, ipc| decided(&format!(r#"{{"{key}":"1"}}"#), network, ipc).unwrap_err();

        for key in
            ["kernel.panic", "vm.swappiness", "kernel.hostname", "net.../kernel/panic", "/etc/passwd", "net..x", ""]
        {
            assert!(decided(&format!(r#"{{"{key}":"1"}}"#), Network::Contained, Share::Private).is_err(), "{key}");
        }
        assert_eq!(
            refused("net.core.somaxconn", Network::Host, Share::Private),
            "isolator os/unix/sysctl: \"net.core.somaxconn\" is the host's, whose network the pod uses"
        );
        assert_eq!(
            refused("kernel.sem", Network::Contained, Share::Parent),
            "isolator os/unix/sysctl: \"kernel.sem\" is the host's, whose IPC the pod uses"
        );
    }
}
