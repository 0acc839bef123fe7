//! The sockets by which pid 1 listens to one app: its notifications, and the journal. Each app has its own, so that the socket says
//! who speaks; what comes is hostile, and bounded in all it may make us do or keep.

use super::super::journal::{self, Record, Stream};
use super::super::notify::{self, Message};
use rustix::net::SocketType;
use sandbox::datagram::{self, Datagram};
use sandbox::plan::App;
use sandbox::tree::{Make, Root};
use sandbox::{Context, Result};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

/// At most so many messages at once: other apps get their turn.
const TURN: usize = 64;

/// The longest message in a datagram.
const MAX_DATAGRAM: usize = 64 << 10;

/// The longest message in a file.
const MAX_FILE: u64 = 768 << 10;

/// How many streams an app may have at once.
pub const MAX_STREAMS: usize = 32;

/// One of the sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Notify,
    Syslog,
    Native,
    /// Where streams come from.
    Streams,
}

impl Service {
    pub const ALL: [Self; 4] = [Self::Notify, Self::Syslog, Self::Native, Self::Streams];
}

/// The sockets of one app.
pub struct Services {
    notify: Option<OwnedFd>,
    syslog: OwnedFd,
    native: OwnedFd,
    listener: OwnedFd,
    streams: [Option<(OwnedFd, Stream)>; MAX_STREAMS],
}

impl Services {
    /// Makes them in the root of this process, which is that of stage1.
    pub fn open(stage1: &Root, app: &App) -> Result<Self> {
        stage1.ensure(format!("{}/journal", app.services), Make::Directory)?;
        let open = |name: &str, kind| {
            let path = format!("{}/{name}", app.services);
            datagram::open(&path, kind).context(|| format!("listen at {path}"))
        };
        Ok(Self {
            notify: app.notifies.then(|| open("notify", SocketType::DGRAM)).transpose()?,
            syslog: open("journal/dev-log", SocketType::DGRAM)?,
            native: open("journal/socket", SocketType::DGRAM)?,
            listener: open("journal/stdout", SocketType::STREAM)?,
            streams: [const { None }; MAX_STREAMS],
        })
    }

    /// What to watch.
    pub fn socket(&self, service: Service) -> Option<BorrowedFd<'_>> {
        match service {
            Service::Notify => self.notify.as_ref().map(AsFd::as_fd),
            Service::Syslog => Some(self.syslog.as_fd()),
            Service::Native => Some(self.native.as_fd()),
            Service::Streams => Some(self.listener.as_fd()),
        }
    }

    /// What the app has told of itself, with the pid of the process that did.
    pub fn notifications(&self) -> Vec<(i32, Message)> {
        let mut buffer = [0; 4096];
        let Some(socket) = &self.notify else { return Vec::new() };
        // Descriptors that came along are closed, which is what a barrier (sd_notify_barrier(3)) waits for.
        let next = |_| {
            let datagram = datagram::receive(socket, &mut buffer).ok()??;
            Some((datagram.sender, notify::parse(&buffer[..datagram.length])))
        };
        (0..TURN).map_while(next).collect()
    }

    /// What has come by datagrams of syslog(3) or of the native protocol.
    pub fn messages(&self, service: Service) -> Vec<Record> {
        let socket = if service == Service::Syslog { &self.syslog } else { &self.native };
        let mut buffer = vec![0; MAX_DATAGRAM];
        let mut records = Vec::new();
        for _ in 0..TURN {
            let Ok(Some(datagram)) = datagram::receive(socket, &mut buffer) else { break };
            let bytes = &buffer[..datagram.length];
            records.extend(match (service, bytes) {
                (Service::Syslog, bytes) => journal::syslog(bytes),
                (_, []) => from_file(&datagram).and_then(|bytes| journal::native(&bytes)),
                (_, bytes) => journal::native(bytes),
            });
        }
        records
    }

    /// Takes a stream in; answers its number. One too many is hung up.
    pub fn accept(&mut self) -> Option<usize> {
        let stream = rustix::net::accept_with(
            &self.listener,
            rustix::net::SocketFlags::CLOEXEC | rustix::net::SocketFlags::NONBLOCK,
        );
        let free = self.streams.iter().position(Option::is_none)?;
        self.streams[free] = Some((stream.ok()?, Stream::default()));
        Some(free)
    }

    /// A stream, to be watched.
    pub fn stream(&self, number: usize) -> Option<BorrowedFd<'_>> {
        self.streams.get(number)?.as_ref().map(|(fd, _)| fd.as_fd())
    }

    /// What has come by a stream. One that has ended, or does not speak the protocol, is closed.
    pub fn read_stream(&mut self, number: usize) -> Vec<Record> {
        let Some(slot) = self.streams.get_mut(number) else { return Vec::new() };
        let Some((fd, stream)) = slot else { return Vec::new() };
        let mut chunk = [0; 16 << 10];
        let (bytes, end) = match rustix::io::read(&*fd, &mut chunk) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return Vec::new(),
            Ok(count) if count > 0 => (&chunk[..count], false),
            _ => (&chunk[..0], true),
        };
        let read = stream.feed(bytes, end);
        if end || read.is_err() {
            *slot = None;
        }
        read.unwrap_or_default()
    }
}

/// A message that was too long for a datagram comes as a file in memory; sealed, so that it cannot change or shrink under us.
fn from_file(datagram: &Datagram) -> Option<Vec<u8>> {
    use rustix::fs::SealFlags;
    let [file] = &datagram.descriptors[..] else { return None };
    // Fails for what is no file in memory, which reading could wait for.
    let seals = rustix::fs::fcntl_get_seals(file).ok()?;
    if !seals.contains(SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE) {
        return None;
    }
    let file = std::fs::File::from(file.try_clone().ok()?);
    let length = file.metadata().ok()?.len();
    let mut bytes = vec![0; usize::try_from(length).ok().filter(|_| length <= MAX_FILE)?];
    file.read_exact_at(&mut bytes, 0).ok()?;
    Some(bytes)
}
