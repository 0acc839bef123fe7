//! Carries connections into a pod that rules of the kernel cannot: those to `::1` and other addresses of IPv6 when the pod has none,
//! and all where the kernel has no such rules.
//!
//! Its sockets are also what keeps a port for the pod: nobody else can listen there.

use super::ports::Mapping;
use crate::cni::Answer;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use sandbox::{Failure, Result};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::Builder;
use std::time::Duration;

/// Connections that are carried at once; more are closed.
const MAX_CONNECTIONS: usize = 1024;
/// A sender of datagrams that is silent so long is forgotten.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// Threads of a relay do nothing but copy.
const STACK: usize = 64 << 10;

/// The sockets of a pod's ports, and where what comes there goes.
pub struct Relay {
    streams: Vec<(TcpListener, SocketAddr)>,
    datagrams: Vec<(UdpSocket, SocketAddr)>,
}

impl Relay {
    /// Takes the ports of the host. One that is taken already is refused with who has it.
    pub fn open(mappings: &[Mapping], answer: &Answer) -> Result<Self> {
        let mut addresses = answer.ips.iter().map(|ip| ip.address.address);
        let pod = addresses.clone().find(IpAddr::is_ipv4).or_else(|| addresses.next());
        let pod = pod.ok_or_else(|| Failure::new("the pod has no address"))?;
        let mut relay = Self { streams: Vec::new(), datagrams: Vec::new() };
        for mapping in mappings {
            for (host_port, pod_port) in mapping.each() {
                let target = SocketAddr::new(pod, pod_port);
                let single = Mapping { host_port, pod_port, count: 1, ..mapping.clone() };
                let taken = |error: io::Error| refusal(&single, error);
                match mapping.protocol.as_str() {
                    "tcp" => relay.streams.push((listen(mapping.host_ip, host_port).map_err(taken)?, target)),
                    "udp" => relay.datagrams.push((bind(mapping.host_ip, host_port).map_err(taken)?, target)),
                    // Nothing but rules carries the others.
                    _ => {}
                }
            }
        }
        Ok(relay)
    }

    /// Carries for ever. For a process of its own: it starts threads.
    pub fn run(self) {
        let carried = Arc::new(AtomicUsize::new(0));
        let mut threads = Vec::new();
        for (listener, target) in self.streams {
            let carried = Arc::clone(&carried);
            threads.extend(spawn(move || carry_streams(&listener, target, &carried)));
        }
        for (socket, target) in self.datagrams {
            threads.extend(spawn(move || carry_datagrams(Arc::new(socket), target)));
        }
        for thread in threads {
            let _ = thread.join();
        }
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Option<std::thread::JoinHandle<()>> {
    Builder::new().stack_size(STACK).spawn(work).ok()
}

/// All addresses of both families where that is asked for, and the kernel has both.
fn open(kind: SocketType, address: IpAddr, port: u16, reuse: bool) -> io::Result<OwnedFd> {
    let both = address == IpAddr::from([0, 0, 0, 0]) || address == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let socket = |family| rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None);
    if both && let Ok(fd) = socket(AddressFamily::INET6) {
        rustix::net::sockopt::set_ipv6_v6only(&fd, false)?;
        if reuse {
            rustix::net::sockopt::set_socket_reuseaddr(&fd, true)?;
        }
        match rustix::net::bind(&fd, &SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)) {
            Ok(()) => return Ok(fd),
            Err(rustix::io::Errno::ADDRNOTAVAIL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let fd = socket(if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET })?;
    if reuse {
        rustix::net::sockopt::set_socket_reuseaddr(&fd, true)?;
    }
    rustix::net::bind(&fd, &SocketAddr::new(address, port))?;
    Ok(fd)
}

fn listen(address: IpAddr, port: u16) -> io::Result<TcpListener> {
    // What is left of connections that were closed a moment ago holds no port.
    let fd = open(SocketType::STREAM, address, port, true)?;
    rustix::net::listen(&fd, 128)?;
    Ok(TcpListener::from(fd))
}

fn bind(address: IpAddr, port: u16) -> io::Result<UdpSocket> {
    open(SocketType::DGRAM, address, port, false).map(UdpSocket::from)
}

fn refusal(mapping: &Mapping, error: io::Error) -> Failure {
    if error.raw_os_error() == Some(libc::EADDRINUSE) {
        let holder = super::holder::holder(&mapping.protocol, mapping.host_port);
        return Failure::new(format!("port {} is taken by {holder}", mapping.place()));
    }
    Failure::system(format!("listen on port {}", mapping.place()), error)
}

fn carry_streams(listener: &TcpListener, target: SocketAddr, carried: &Arc<AtomicUsize>) {
    loop {
        let Ok((client, _)) = listener.accept() else {
            // Out of descriptors, most likely: others end meanwhile.
            std::thread::sleep(Duration::from_millis(50));
            continue;
        };
        if carried.fetch_add(1, Ordering::Relaxed) >= MAX_CONNECTIONS {
            carried.fetch_sub(1, Ordering::Relaxed);
            continue;
        }
        let counter = Arc::clone(carried);
        let started = spawn(move || {
            if let Ok(pod) = TcpStream::connect_timeout(&target, CONNECT_PATIENCE) {
                carry(&client, &pod);
            }
            counter.fetch_sub(1, Ordering::Relaxed);
        });
        if started.is_none() {
            carried.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Both directions, each to its own end.
fn carry(client: &TcpStream, pod: &TcpStream) {
    let copy = |mut from: TcpStream, mut to: TcpStream| {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    };
    let (Ok(client_too), Ok(pod_too)) = (client.try_clone(), pod.try_clone()) else { return };
    let back = spawn(move || copy(pod_too, client_too));
    if let (Ok(client), Ok(pod)) = (client.try_clone(), pod.try_clone()) {
        copy(client, pod);
    }
    if let Some(back) = back {
        let _ = back.join();
    }
}

fn carry_datagrams(socket: Arc<UdpSocket>, target: SocketAddr) {
    let senders: Arc<Mutex<HashMap<SocketAddr, UdpSocket>>> = Arc::default();
    let mut buffer = vec![0; 65_536];
    loop {
        let Ok((length, sender)) = socket.recv_from(&mut buffer) else { continue };
        let Ok(mut known) = senders.lock() else { return };
        if !known.contains_key(&sender) && known.len() < MAX_CONNECTIONS {
            let Ok(pod) = connect_datagrams(target) else { continue };
            let Ok(ours) = pod.try_clone() else { continue };
            let (socket, senders) = (Arc::clone(&socket), Arc::clone(&senders));
            let started = spawn(move || {
                let mut buffer = vec![0; 65_536];
                while let Ok(length) = ours.recv(&mut buffer) {
                    let _ = socket.send_to(&buffer[..length], sender);
                }
                if let Ok(mut known) = senders.lock() {
                    known.remove(&sender);
                }
            });
            if started.is_some() {
                known.insert(sender, pod);
            }
        }
        if let Some(pod) = known.get(&sender) {
            let _ = pod.send(&buffer[..length]);
        }
    }
}

fn connect_datagrams(target: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = if target.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { [0, 0, 0, 0].into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(SILENCE))?;
    Ok(socket)
}
