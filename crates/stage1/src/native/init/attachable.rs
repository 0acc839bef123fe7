//! The streams of an app that others attach to (stage1-abi §4.12): sockets below `rkt/iottymux/APP`, many clients at once.
//!
//! Nobody is waited for. What an app writes is read as it comes, for every client that has room; one that is too slow loses whole
//! lines and is told how many. What clients write is taken only as fast as the app reads. So neither a client nor an app can stop
//! another, or make this process grow.

use super::super::console::Console;
use super::endpoint::{Endpoint, Interest, MAX_CLIENTS};
use super::streams::Ends;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::net::{
    AddressFamily, RecvFlags, SocketAddrUnix, SocketFlags, SocketType, accept_with, bind, listen, recv, socket_with,
};
use rustix::termios::{Winsize, tcsetwinsize};
use sandbox::tree::{Make, Root};
use sandbox::{Context, Result};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;

/// Below the root of stage1.
pub const DIRECTORY: &str = "rkt/iottymux";

/// The file that names the sockets.
pub const ENDPOINTS: &str = "endpoints";

/// The socket that takes the size of a client's terminal: two numbers of 16 bits, rows and columns, in this machine's order.
pub const SIZE_SOCKET: &str = "size";

/// All streams of one app that others attach to.
pub struct Attachable {
    events: Rc<OwnedFd>,
    directory: OwnedFd,
    endpoints: Vec<Endpoint>,
    /// Sizes for the terminal.
    sizes: Option<OwnedFd>,
    /// Keeps the terminal from being hung up while no process of the app has it open.
    _follower: Option<OwnedFd>,
    ended: bool,
}

/// What there is to watch of one endpoint, as the number behind its index in the 64 bits of an event.
const LISTENER: u64 = 0;
pub const SOURCE: u64 = 1;
pub const SINK: u64 = 2;
pub const CLIENTS: u64 = 16;
/// The index of no endpoint.
const SIZES: u64 = u32::MAX as u64;

impl Attachable {
    /// Listens for those who want to attach to an app; none when there is nothing to attach to.
    pub fn listen(stage1: &Root, app: &str, ends: Ends) -> Result<Option<Self>> {
        let Ends { stdin, outputs: [stdout, stderr], terminal } = ends;
        let path = format!("{DIRECTORY}/{app}");
        if stdin.is_none() && stdout.is_none() && stderr.is_none() && terminal.is_none() {
            return Ok(None);
        }
        stage1.ensure(&path, Make::Directory)?;
        let directory = stage1.open(&path, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let failed = || format!("listen in {path}");
        rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o700)).context(failed)?;
        let events = Rc::new(epoll::create(epoll::CreateFlags::CLOEXEC).context(|| "watch events")?);
        let mut attachable =
            Self { events, directory, endpoints: Vec::new(), sizes: None, _follower: None, ended: false };
        attachable.remove_files();
        if let Some(stdin) = stdin {
            attachable.add("stdin", None, Some((stdin, true))).context(failed)?;
        }
        for (name, source) in [("stdout", stdout), ("stderr", stderr)] {
            if let Some(source) = source {
                attachable.add(name, Some((source, true)), None).context(failed)?;
            }
        }
        if let Some((leader, follower)) = terminal {
            let sink = leader.try_clone().context(failed)?;
            attachable.add("tty", Some((leader, false)), Some((sink, false))).context(failed)?;
            let sizes = attachable.open_socket(SIZE_SOCKET, SocketType::DGRAM).context(failed)?;
            let data = EventData::new_u64(SIZES << 32);
            epoll::add(&*attachable.events, &sizes, data, EventFlags::IN).context(failed)?;
            attachable.sizes = Some(sizes);
            attachable._follower = Some(follower);
        }
        // Last: whoever reads it can connect.
        stage1.write(&format!("{path}/{ENDPOINTS}"), attachable.describe(app).as_bytes(), 0o600)?;
        attachable.settle();
        Ok(Some(attachable))
    }

    fn describe(&self, app: &str) -> String {
        let target = |endpoint: &Endpoint| {
            serde_json::json!({
                "name": endpoint.name,
                "domain": "unix",
                "address": format!("/{DIRECTORY}/{app}/sock-{}", endpoint.name),
            })
        };
        let targets: Vec<_> = self.endpoints.iter().map(target).collect();
        serde_json::json!({"version": 1, "targets": targets}).to_string()
    }

    fn add(
        &mut self,
        name: &'static str,
        source: Option<(OwnedFd, bool)>,
        sink: Option<(OwnedFd, bool)>,
    ) -> rustix::io::Result<()> {
        let listener = self.open_socket(&format!("sock-{name}"), SocketType::STREAM)?;
        self.endpoints.push(Endpoint::new(Rc::clone(&self.events), name, listener, source, sink));
        Ok(())
    }

    fn open_socket(&self, name: &str, kind: SocketType) -> rustix::io::Result<OwnedFd> {
        let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?;
        // The path of a socket must be short, which the name of an app need not be.
        let path = format!("/proc/self/fd/{}/{name}", self.directory.as_raw_fd());
        bind(&socket, &SocketAddrUnix::new(path)?)?;
        rustix::fs::chmodat(&self.directory, name, Mode::from_raw_mode(0o600), AtFlags::empty())?;
        if kind == SocketType::STREAM {
            listen(&socket, MAX_CLIENTS as i32)?;
        }
        Ok(socket)
    }

    fn remove_files(&self) {
        // Absent is what is wanted.
        let _ = rustix::fs::unlinkat(&self.directory, ENDPOINTS, AtFlags::empty());
        for name in ["sock-stdin", "sock-stdout", "sock-stderr", "sock-tty", SIZE_SOCKET] {
            let _ = rustix::fs::unlinkat(&self.directory, name, AtFlags::empty());
        }
    }

    /// Does what can be done now.
    pub fn turn(&mut self) {
        let mut events = Vec::with_capacity(32);
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        if epoll::wait(&*self.events, rustix::buffer::spare_capacity(&mut events), Some(&now)).is_err() {
            return;
        }
        for event in &events {
            let (index, thing) = (event.data.u64() >> 32, event.data.u64() & 0xffff_ffff);
            if index == SIZES {
                self.resize();
                continue;
            }
            let Some(endpoint) = self.endpoints.get_mut(index as usize) else { continue };
            match thing {
                LISTENER => {
                    if let Some(listener) = &endpoint.listener
                        && let Ok(client) = accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)
                    {
                        endpoint.admit(Console::of_client(client));
                    }
                }
                SOURCE => {
                    endpoint.pump();
                }
                SINK => endpoint.push(),
                client => {
                    let flags = event.flags;
                    endpoint.hear(client.saturating_sub(CLIENTS) as usize, flags);
                }
            }
        }
        self.settle();
    }

    /// Gives the terminal the size that a client's has.
    fn resize(&self) {
        let (Some(sizes), Some(leader)) = (&self.sizes, self.leader()) else { return };
        let mut message = [0; 4];
        while let Ok((_, 4)) = recv(sizes, &mut message, RecvFlags::DONTWAIT | RecvFlags::TRUNC) {
            let number = |at: usize| u16::from_ne_bytes([message[at], message[at + 1]]);
            let size = Winsize { ws_row: number(0), ws_col: number(2), ws_xpixel: 0, ws_ypixel: 0 };
            let _ = tcsetwinsize(leader, size);
        }
    }

    fn leader(&self) -> Option<BorrowedFd<'_>> {
        self.endpoints.iter().find(|endpoint| endpoint.name == "tty").and_then(Endpoint::source)
    }

    /// Watches exactly what something can be done with.
    fn settle(&mut self) {
        for (index, endpoint) in self.endpoints.iter_mut().enumerate() {
            endpoint.settle();
            let token = |thing: u64| EventData::new_u64((index as u64) << 32 | thing);
            let Endpoint { listener, watched, .. } = endpoint;
            if let Some(listener) = listener {
                watched[0].change(&self.events, listener.as_fd(), token(LISTENER), Some(EventFlags::IN));
            }
            endpoint.watch(|thing, fd, interest: &mut Interest, wanted| {
                interest.change(&self.events, fd, token(thing), wanted);
            });
        }
    }

    /// The app has ended: nobody can attach any more, and who is attached is hung up once told all.
    pub fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.remove_files();
            self.endpoints.iter_mut().for_each(Endpoint::end);
            self.settle();
        }
    }

    /// Whether the app has ended and nobody is owed anything.
    pub fn is_done(&self) -> bool {
        self.ended && self.endpoints.iter().all(Endpoint::is_done)
    }

    /// Gives clients until then to take what is left.
    pub fn finish(mut self, until: Instant) {
        for endpoint in &mut self.endpoints {
            endpoint.finish(until);
        }
    }
}

impl AsFd for Attachable {
    /// Readable when [`Attachable::turn`] has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}
