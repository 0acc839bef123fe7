//! A host, pods and the world around them as network namespaces of one test. Each test's thread moves into a namespace of its own.

#![allow(dead_code, reason = "each test file uses a part")]

pub mod sys;

use net::cni::{Answer, Call, CniError, Verb};
use net::ns::Namespace;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Why this machine cannot run the tests.
pub fn why_not() -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root".to_owned());
    }
    let tried = Command::new("unshare").args(["--net", "true"]).status();
    if !tried.is_ok_and(|status| status.success()) {
        return Some("the kernel refuses network namespaces".to_owned());
    }
    Command::new("ip").arg("-V").output().err().map(|error| format!("ip: {error}"))
}

/// A network namespace that lives as long as this does.
pub struct Space {
    child: Child,
    pub path: PathBuf,
}

impl Space {
    pub fn new() -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo; exec sleep 1000"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let path = PathBuf::from(format!("/proc/{}/ns/net", child.id()));
        Self { child, path }
    }

    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        Namespace::open(&self.path).unwrap().within(work).unwrap()
    }

    /// Runs a shell script inside; answers what it says.
    pub fn sh(&self, script: &str) -> String {
        self.within(|| sh(script))
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a shell script in the namespace of this thread; it must succeed.
pub fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A host with a name, a network of its own, and a directory.
pub struct Host {
    pub directory: PathBuf,
}

static COUNT: AtomicUsize = AtomicUsize::new(0);

impl Host {
    /// Makes this thread the host.
    pub fn new() -> Self {
        let name = format!("rkt-net-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let directory = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&directory).unwrap();
        sys::new_network();
        sh("ip link set lo up");
        Self { directory }
    }

    /// A call of a plugin for a pod. `ipam.dataDir` is a directory of the test's.
    pub fn call(&self, pod: &Space, id: &str, mut conf: Value) -> Call {
        if conf["ipam"]["type"] == "host-local" {
            conf["ipam"]["dataDir"] = json!(self.directory.join("networks"));
        }
        Call {
            verb: Verb::Add,
            container_id: id.to_owned(),
            netns: Some(pod.path.clone()),
            ifname: "eth0".to_owned(),
            args: String::new(),
            path: vec![],
            conf,
        }
    }

    pub fn leases(&self, network: &str) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.directory.join("networks").join(network)) else { return vec![] };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.parse::<IpAddr>().is_ok()).collect()
    }

    pub fn links(&self) -> Vec<String> {
        let mut names: Vec<String> =
            net::netlink::rt::Rtnl::open().unwrap().links().unwrap().into_iter().map(|link| link.name).collect();
        names.sort();
        names
    }

    /// Another machine, on a link of this host: this host is `10.99.0.1` and `fd99::1` there, the other `.2` and `::2`.
    pub fn neighbour(&self) -> Space {
        let space = Space::new();
        let pid = space.child.id();
        sh(&format!(
            "ip link add wan type veth peer name wan netns {pid}; ip addr add 10.99.0.1/24 dev wan
             ip addr add fd99::1/64 dev wan nodad; ip link set wan up"
        ));
        space.sh(
            "ip link set lo up; ip link set wan up; ip addr add 10.99.0.2/24 dev wan; ip addr add fd99::2/64 dev wan nodad",
        );
        space
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

pub fn perform(kind: &str, verb: Verb, call: &Call) -> Result<Option<Answer>, CniError> {
    net::plugins::call(kind, &call.with_verb(verb)).expect("a built-in plugin")
}

pub fn add(kind: &str, call: &Call) -> Answer {
    perform(kind, Verb::Add, call).unwrap_or_else(|error| panic!("{kind}: {error}")).unwrap()
}

pub fn del(kind: &str, call: &Call) {
    perform(kind, Verb::Del, call).unwrap_or_else(|error| panic!("{kind}: {error}"));
}

/// A server of TCP in the namespace of this thread that tells each client its address.
pub fn serve_addresses(at: &str) -> SocketAddr {
    let listener = TcpListener::bind(at).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let from = stream.peer_addr().unwrap().ip().to_string();
            let _ = stream.write_all(from.as_bytes());
        }
    });
    address
}

/// What the server of [`serve_addresses`] at an address says, asked from the namespace of this thread.
pub fn ask(to: &str) -> Result<String, String> {
    let address: SocketAddr = to.parse().unwrap();
    let mut text = String::new();
    let mut stream =
        TcpStream::connect_timeout(&address, Duration::from_secs(2)).map_err(|error| format!("{to}: {error}"))?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    stream.read_to_string(&mut text).map_err(|error| format!("{to}: {error}"))?;
    Ok(text)
}

/// The same over UDP.
pub fn serve_addresses_by_udp(at: &str) {
    let socket = UdpSocket::bind(at).unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(from.ip().to_string().as_bytes(), from);
        }
    });
}

pub fn ask_by_udp(from: &str, to: &str) -> Result<String, String> {
    let socket = UdpSocket::bind(from).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    socket.connect(to).map_err(|error| error.to_string())?;
    socket.send(b"?").map_err(|error| error.to_string())?;
    let mut buffer = [0; 64];
    let length = socket.recv(&mut buffer).map_err(|error| format!("{to}: {error}"))?;
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

/// Whether a program is installed.
pub fn has(program: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin")])
            .any(|directory| directory.join(program).exists())
    }) || Path::new(program).exists()
}

/// Ends a test that cannot run here, with the reason.
#[macro_export]
macro_rules! skip_unless_possible {
    ($($program:literal),*) => {
        if let Some(reason) = support::why_not() {
            eprintln!("skipped: {reason}");
            return;
        }
        $(if !support::has($program) {
            eprintln!("skipped: {} is not installed", $program);
            return;
        })*
    };
}
