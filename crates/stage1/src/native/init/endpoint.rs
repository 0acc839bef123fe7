//! One stream of an app that others attach to: where the app writes, where it reads, and the clients in between.

use super::super::console::Console;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;
use std::time::Instant;

/// So many may be attached to one stream.
pub const MAX_CLIENTS: usize = 16;

/// A line longer than this goes on in parts.
const MAX_LINE: usize = 8 << 10;

/// What waits for an app that does not read.
const MAX_QUEUE: usize = 64 << 10;

/// What is watched of a descriptor.
#[derive(Debug, Default)]
pub struct Interest(Option<EventFlags>);

impl Interest {
    /// Makes it `wanted`; none is not even its hang-up.
    pub fn change(&mut self, events: &OwnedFd, fd: BorrowedFd<'_>, data: EventData, wanted: Option<EventFlags>) {
        let changed = match (self.0, wanted) {
            (before, after) if before == after => return,
            (None, Some(flags)) => epoll::add(events, fd, data, flags),
            (Some(_), Some(flags)) => epoll::modify(events, fd, data, flags),
            (Some(_), None) => epoll::delete(events, fd),
            (None, None) => return,
        };
        if changed.is_ok() {
            self.0 = wanted;
        }
    }
}

/// Where the app writes.
struct Source {
    fd: OwnedFd,
    /// The line that is not complete yet; none where bytes go on as they come.
    line: Option<Vec<u8>>,
}

/// Where the app reads.
struct Sink {
    fd: OwnedFd,
    queue: Vec<u8>,
    by_lines: bool,
    /// The client in whose line the app is.
    owner: Option<usize>,
}

struct Client {
    console: Console,
    /// Written, and not for the app yet.
    held: Vec<u8>,
    open: bool,
    interest: Interest,
}

/// One endpoint.
pub struct Endpoint {
    events: Rc<OwnedFd>,
    pub name: &'static str,
    /// None once nobody can attach any more.
    pub listener: Option<OwnedFd>,
    source: Option<Source>,
    sink: Option<Sink>,
    clients: [Option<Client>; MAX_CLIENTS],
    /// Of the listener, the source and the sink.
    pub watched: [Interest; 3],
    /// The clients are hung up once they have been told all.
    closing: bool,
}

impl Endpoint {
    /// With each end: whether it is cut into lines.
    pub fn new(
        events: Rc<OwnedFd>,
        name: &'static str,
        listener: OwnedFd,
        source: Option<(OwnedFd, bool)>,
        sink: Option<(OwnedFd, bool)>,
    ) -> Self {
        Self {
            events,
            name,
            listener: Some(listener),
            source: source.map(|(fd, by_lines)| Source { fd, line: by_lines.then(Vec::new) }),
            sink: sink.map(|(fd, by_lines)| Sink { fd, queue: Vec::new(), by_lines, owner: None }),
            clients: [const { None }; MAX_CLIENTS],
            watched: Default::default(),
            closing: false,
        }
    }

    /// Where the app writes.
    pub fn source(&self) -> Option<BorrowedFd<'_>> {
        self.source.as_ref().map(|source| source.fd.as_fd())
    }

    /// Takes a client in; one too many is told so and hung up.
    pub fn admit(&mut self, mut console: Console) {
        if let Some(free) = self.clients.iter_mut().find(|client| client.is_none()) {
            *free = Some(Client { console, held: Vec::new(), open: true, interest: Interest::default() });
        } else {
            console.show(format!("rkt: there is no room for more than {MAX_CLIENTS} clients\n").as_bytes());
        }
    }

    /// Hands on what the app has written; answers whether there may be more at once.
    pub fn pump(&mut self) -> bool {
        let Some(source) = &mut self.source else { return false };
        let mut chunk = [0; 16 << 10];
        let count = match rustix::io::read(&source.fd, &mut chunk) {
            Ok(count) => count,
            Err(Errno::AGAIN | Errno::INTR) => return false,
            // EIO: a terminal that nobody has open.
            Err(_) => 0,
        };
        let mut tell = |bytes: &[u8]| {
            if !bytes.is_empty() {
                self.clients.iter_mut().flatten().for_each(|client| client.console.show(bytes));
            }
        };
        match &mut source.line {
            None => tell(&chunk[..count]),
            Some(line) => {
                line.extend_from_slice(&chunk[..count]);
                let whole = line.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
                let told = if count == 0 || line.len() - whole > MAX_LINE { line.len() } else { whole };
                tell(&line[..told]);
                line.drain(..told);
            }
        }
        if count == 0 {
            self.close();
        }
        count > 0
    }

    /// The app has closed this stream, or has ended.
    fn close(&mut self) {
        if let Some(listener) = self.listener.take() {
            self.forget(listener.as_fd());
        }
        if let Some(source) = self.source.take() {
            self.forget(source.fd.as_fd());
        }
        if let Some(sink) = self.sink.take() {
            self.forget(sink.fd.as_fd());
        }
        self.closing = true;
    }

    /// A process that is to become an app may hold a copy of a descriptor: closing ours would not end its watch.
    fn forget(&self, fd: BorrowedFd<'_>) {
        // Not watched is what is wanted.
        let _ = epoll::delete(&*self.events, fd);
    }

    /// Tells clients what the app had written at its end, and takes nothing more.
    pub fn end(&mut self) {
        // As much as a pipe or a terminal can hold, and no more: what is left of the app may go on writing.
        for _ in 0..64 {
            if !self.pump() {
                break;
            }
        }
        if let Some(Source { line: Some(line), .. }) = &mut self.source {
            let rest = std::mem::take(line);
            self.clients.iter_mut().flatten().for_each(|client| client.console.show(&rest));
        }
        self.close();
    }

    /// Hands what clients have written to the app.
    pub fn push(&mut self) {
        let Some(sink) = &mut self.sink else { return };
        while !sink.queue.is_empty() {
            match rustix::io::write(&sink.fd, &sink.queue) {
                Ok(count) => drop(sink.queue.drain(..count)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                // The app has closed its end.
                Err(_) if self.source.is_none() => return self.close(),
                Err(_) => sink.queue.clear(),
            }
        }
    }

    /// Something is to be done for a client.
    pub fn hear(&mut self, number: usize, flags: EventFlags) {
        let has_sink = self.sink.is_some();
        let Some(Some(client)) = self.clients.get_mut(number) else { return };
        if flags.contains(EventFlags::OUT) {
            client.console.flush();
        }
        if !flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            return;
        }
        let mut chunk = [0; 4 << 10];
        match rustix::io::read(&client.console, &mut chunk) {
            Ok(count) if count > 0 => {
                if has_sink {
                    client.held.extend_from_slice(&chunk[..count]);
                }
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            // It has closed its end, or all; only what it was told last may be on the way still.
            _ => client.open = false,
        }
        if flags.intersects(EventFlags::HUP | EventFlags::ERR) && !client.open {
            client.console.abandon();
        }
    }

    /// Brings whole lines of clients to the app, and forgets clients that have gone.
    pub fn settle(&mut self) {
        self.push();
        if let Some(sink) = &mut self.sink {
            for (number, client) in self.clients.iter_mut().enumerate() {
                client.iter_mut().for_each(|client| sink.take(number, client));
            }
        }
        self.push();
        let output = self.source.is_some() || self.closing;
        for number in 0..MAX_CLIENTS {
            let Some(client) = &self.clients[number] else { continue };
            let delivered = client.held.is_empty() || self.sink.is_none();
            let gone = client.console.is_broken() || (!client.open && !output);
            let told = self.closing && !client.console.is_blocked();
            if !(gone && delivered || told) {
                continue;
            }
            self.forget(client.console.as_fd());
            self.clients[number] = None;
            if let Some(sink) = self.sink.as_mut().filter(|sink| sink.owner == Some(number)) {
                sink.release();
            }
        }
    }

    /// Says what to watch: number of the thing, its descriptor, what is watched, and what is to be.
    pub fn watch(&mut self, mut change: impl FnMut(u64, BorrowedFd<'_>, &mut Interest, Option<EventFlags>)) {
        let [_, source_interest, sink_interest] = &mut self.watched;
        if let Some(source) = &self.source {
            change(super::attachable::SOURCE, source.fd.as_fd(), source_interest, Some(EventFlags::IN));
        }
        let mut room = true;
        if let Some(sink) = &self.sink {
            room = sink.queue.len() < MAX_QUEUE;
            let wanted = (!sink.queue.is_empty()).then_some(EventFlags::OUT);
            change(super::attachable::SINK, sink.fd.as_fd(), sink_interest, wanted);
        }
        for (number, client) in self.clients.iter_mut().enumerate() {
            let Some(client) = client else { continue };
            let reads = client.open && room && client.held.len() < MAX_LINE;
            let mut wanted = EventFlags::empty();
            wanted.set(EventFlags::IN, reads);
            wanted.set(EventFlags::OUT, client.console.is_blocked());
            // One that has gone before the app has read what it wrote would wake us for ever.
            let wanted = (reads || !client.open || !wanted.is_empty()).then_some(wanted);
            let Client { console, interest, .. } = client;
            change(super::attachable::CLIENTS + number as u64, console.as_fd(), interest, wanted);
        }
    }

    /// Whether nobody is owed anything.
    pub fn is_done(&self) -> bool {
        self.clients.iter().all(Option::is_none)
    }

    /// Gives clients until then to take what is left.
    pub fn finish(&mut self, until: Instant) {
        for client in self.clients.iter_mut().flatten() {
            client.console.finish(until.saturating_duration_since(Instant::now()));
        }
    }
}

impl Sink {
    /// Ends the line of a client that has gone.
    fn release(&mut self) {
        self.queue.push(b'\n');
        self.owner = None;
    }

    /// Takes what can go to the app now out of what a client has written.
    fn take(&mut self, number: usize, client: &mut Client) {
        if !self.by_lines {
            self.queue.append(&mut client.held);
            return;
        }
        while self.owner.is_none_or(|owner| owner == number) && self.queue.len() < MAX_QUEUE {
            let line = client.held.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
            let mine = self.owner == Some(number);
            let taken = match line {
                Some(length) => length,
                // The rest of one who has gone, or a line that is too long to be held.
                None if !client.open || client.held.len() >= MAX_LINE || mine => client.held.len(),
                None => return,
            };
            if taken == 0 {
                if mine && !client.open {
                    self.release();
                }
                return;
            }
            self.queue.extend(client.held.drain(..taken));
            self.owner = if line.is_some() { None } else { Some(number) };
        }
    }
}
