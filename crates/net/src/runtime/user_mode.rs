//! The network of an ordinary user's pod. Links of the host are not the user's to make, so a program in user space carries what leaves
//! the pod: pasta(1) or slirp4netns(1), whichever is installed.

use super::lease;
use super::ports::Mapping;
use super::relay::Relay;
use crate::cni::{Answer, Ip};
use crate::{Prefix, sys};
use rustix::fs::{MemfdFlags, SeekFrom};
use sandbox::{Context, Failure, Result};
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The interface in the pod.
const INTERFACE: &str = "eth0";
/// What the programs are called, the better one first.
const PROGRAMS: [&str; 2] = ["pasta", "slirp4netns"];
/// The control socket of slirp4netns, relative to the pod directory: paths of sockets must be short.
const CONTROL: &str = "net/slirp4netns.sock";
/// How long it may take to listen there.
const CONTROL_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether the network is there.
const TICK: Duration = Duration::from_millis(2);

/// The program that is to be used; none if none is installed, or the user may not make the device that both need.
pub fn find() -> Option<PathBuf> {
    std::fs::File::options().read(true).write(true).open("/dev/net/tun").ok()?;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let find = |name: &str| directories.iter().map(|directory| directory.join(name)).find(|file| file.is_file());
    PROGRAMS.iter().find_map(|name| find(name))
}

/// The program at work. It ends with this process, or when it is told to.
pub struct Carrier {
    child: Child,
}

impl Carrier {
    /// Connects the network namespace that a process was born in, and offers the pod's ports on the host. The network is there when
    /// this returns, and published in the pod's directory, which is the current one.
    pub fn start(program: &Path, pid: i32, directory: &Path, ports: &[Mapping], patience: Duration) -> Result<Self> {
        let outer = |failure: Failure| failure.of(format!("{} failed", program.display()));
        check_ports(ports)?;
        lease::make_directory(directory)?;
        let is_pasta = program.file_name().is_some_and(|name| name == PROGRAMS[0]);
        let mut command = if is_pasta { pasta(program, pid, directory, ports)? } else { slirp(program, pid, ports) };
        let said = rustix::fs::memfd_create("said", MemfdFlags::CLOEXEC).context(|| "listen to the program")?;
        let said = std::fs::File::from(said);
        command.stdout(Stdio::null()).stderr(said.try_clone().context(|| "listen to the program")?);
        sys::end_with_us(&mut command);
        let child = command.spawn().context(|| "cannot be executed").map_err(outer)?;
        let mut carrier = Self { child };
        let ready = carrier
            .wait(pid, said, patience)
            .and_then(|()| if is_pasta { Ok(()) } else { ports.iter().try_for_each(forward_slirp) });
        if let Err(failure) = ready.and_then(|()| publish(directory, program, pid)) {
            carrier.stop();
            return Err(outer(failure));
        }
        Ok(carrier)
    }

    /// Until the pod has a default route.
    fn wait(&mut self, pid: i32, mut said: std::fs::File, patience: Duration) -> Result<()> {
        let until = Instant::now() + patience;
        loop {
            if routes(pid).iter().any(|route| route.destination == 0) {
                return Ok(());
            }
            let ended = self.child.try_wait().context(|| "wait for the program")?;
            if ended.is_some() || Instant::now() > until {
                let mut text = String::new();
                let _ = rustix::fs::seek(&said, SeekFrom::Start(0));
                let _ = said.read_to_string(&mut text);
                let told: Vec<&str> = text.lines().filter(|line| !line.ends_with("to syslog")).collect();
                let how = ended.map_or_else(|| "it gave the pod no network in time".to_owned(), |end| end.to_string());
                return Err(Failure::new(format!("{how}: {}", told.join("; "))));
            }
            std::thread::sleep(TICK);
        }
    }

    /// Ends it.
    pub fn stop(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Takes each port for a moment: one that is taken, or that the user may not take, is refused with the reason.
fn check_ports(ports: &[Mapping]) -> Result<()> {
    if let Some(mapping) = ports.iter().find(|mapping| !["tcp", "udp"].contains(&mapping.protocol.as_str())) {
        return Err(Failure::new(format!("port {}: only root forwards {}", mapping.place(), mapping.protocol)));
    }
    let address = Ip { address: Prefix::host(Ipv4Addr::LOCALHOST.into()), gateway: None, interface: None };
    Relay::open(ports, &Answer { ips: vec![address], ..Answer::default() })
        .map(drop)
        .map_err(|failure| failure.of("cannot forward ports"))
}

/// pasta gives up what it would need to open another process's namespace by its number: it gets a file of that namespace.
fn pasta(program: &Path, pid: i32, directory: &Path, ports: &[Mapping]) -> Result<Command> {
    let file = directory.join("net/namespace");
    let failed = || format!("make {}", file.display());
    std::fs::File::create(&file).context(failed)?;
    rustix::mount::mount_bind(format!("/proc/{pid}/ns/net"), &file).context(failed)?;
    let mut command = Command::new(program);
    command.args(["--config-net", "--foreground", "--quiet", "--stderr", "--no-map-gw", "--runas", "0"]);
    command.args(["--ns-ifname", INTERFACE, "-T", "none", "-U", "none", "--netns-only", "--netns"]).arg(&file);
    for (option, protocol) in [("-t", "tcp"), ("-u", "udp")] {
        let mut none = true;
        for mapping in ports.iter().filter(|mapping| mapping.protocol == protocol) {
            let each: Vec<String> = mapping.each().map(|(host, pod)| format!("{host}:{pod}")).collect();
            let at = if mapping.host_ip.is_unspecified() { String::new() } else { format!("{}/", mapping.host_ip) };
            command.arg(option).arg(at + &each.join(","));
            none = false;
        }
        if none {
            command.args([option, "none"]);
        }
    }
    command.stdin(Stdio::null());
    Ok(command)
}

/// It ends when its standard input does.
fn slirp(program: &Path, pid: i32, ports: &[Mapping]) -> Command {
    let mut command = Command::new(program);
    command.args(["--configure", "--mtu=65520", "--disable-host-loopback", "--exit-fd=0"]);
    if !ports.is_empty() {
        let _ = std::fs::remove_file(CONTROL);
        command.arg(format!("--api-socket={CONTROL}"));
    }
    command.arg(pid.to_string()).arg(INTERFACE).stdin(Stdio::piped());
    command
}

fn forward_slirp(mapping: &Mapping) -> Result<()> {
    let failed = || format!("forward port {}", mapping.place());
    for (host_port, pod_port) in mapping.each() {
        let host = if mapping.host_ip.is_unspecified() { IpAddr::from([0, 0, 0, 0]) } else { mapping.host_ip };
        let wish = serde_json::json!({"execute": "add_hostfwd", "arguments": {
            "proto": mapping.protocol, "host_addr": host.to_string(), "host_port": host_port, "guest_port": pod_port,
        }});
        let mut control = connect_control().context(failed)?;
        control.set_read_timeout(Some(Duration::from_secs(5))).context(failed)?;
        control.write_all(wish.to_string().as_bytes()).context(failed)?;
        control.shutdown(Shutdown::Write).context(failed)?;
        let mut answer = String::new();
        control.read_to_string(&mut answer).context(failed)?;
        let answer: serde_json::Value = serde_json::from_str(&answer).unwrap_or_default();
        if let Some(error) = answer.get("error") {
            return Err(Failure::new(format!("{}: {error}", failed())));
        }
    }
    Ok(())
}

/// slirp4netns listens a moment after the network is there.
fn connect_control() -> std::io::Result<UnixStream> {
    let until = Instant::now() + CONTROL_PATIENCE;
    loop {
        match UnixStream::connect(CONTROL) {
            Err(error)
                if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ECONNREFUSED))
                    && Instant::now() < until =>
            {
                std::thread::sleep(TICK);
            }
            other => return other,
        }
    }
}

/// A line of `/proc/PID/net/route`: numbers as the kernel has them in memory.
struct Route {
    destination: u32,
    gateway: u32,
    mask: u32,
}

fn routes(pid: i32) -> Vec<Route> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/net/route")).unwrap_or_default();
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |index: usize| u32::from_str_radix(fields.get(index)?, 16).ok();
        Some(Route { destination: number(1)?, gateway: number(2)?, mask: number(7)? })
    };
    text.lines().skip(1).filter_map(line).collect()
}

/// Tells other programs which address the pod has.
fn publish(directory: &Path, program: &Path, pid: i32) -> Result<()> {
    // Not from inside: this process could not come back to a namespace that is not its user's.
    let trie = std::fs::read_to_string(format!("/proc/{pid}/net/fib_trie")).unwrap_or_default();
    let address = local_address(&trie).ok_or_else(|| Failure::new("the pod has no address"))?;
    let number = u32::from_ne_bytes(address.octets());
    let on_link =
        |route: &&Route| route.gateway == 0 && route.destination != 0 && number & route.mask == route.destination;
    let mask = routes(pid).iter().find(on_link).map_or(u32::MAX, |route| route.mask);
    let address = Prefix { address: address.into(), length: mask.count_ones() as u8 };
    lease::publish_one(directory, "default", program, INTERFACE, address)
}

/// The first address that is local and not of the loopback (`/proc/net/fib_trie`).
fn local_address(trie: &str) -> Option<Ipv4Addr> {
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("|-- ") {
            last = text.parse::<Ipv4Addr>().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = last.filter(|address| !address.is_loopback())
        {
            return Some(address);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::local_address;

    #[test]
    fn the_address_is_the_local_one_that_is_no_loopback() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.2.0\n        /24 link UNICAST\n     \
                    |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 10.0.2.100\n        /32 host LOCAL\n     |-- 10.0.2.255\n        /32 link BROADCAST\n";

        assert_eq!(local_address(trie), Some([10, 0, 2, 100].into()));
        assert_eq!(local_address(""), None);
    }
}
