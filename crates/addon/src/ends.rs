//! Tells Node when processes end, by pidfds: Node itself can wait for its children only.
//!
//! One thread waits for all of them. It and its user talk over a pair of sockets, in words of four bytes (an i32 of this machine): a pid to
//! wait for; in return the pid once its process has ended, or its negative when nobody can wait for it.

use crate::failure::{NativeFailure, Outcome, outcome};
use crate::sys;
use napi_derive::napi;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::thread;

/// What epoll says of our end of the sockets; no pid is 0.
const REQUESTS: u64 = 0;
const WORD: usize = size_of::<i32>();

/// Starts the thread and answers the user's end of the sockets. The thread ends when that is closed.
#[napi(catch_unwind)]
pub fn process_ends() -> Outcome<i32> {
    outcome(
        start().map(sys::give).map_err(|errno| {
            NativeFailure::system("RKT_PROCESS_WATCH", "cannot wait for the ends of processes", errno)
        }),
    )
}

fn start() -> Result<OwnedFd, Errno> {
    let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &ours, EventData::new_u64(REQUESTS), EventFlags::IN)?;
    let watcher = Watcher { epoll, socket: ours, processes: HashMap::new(), pending: Vec::new() };
    let named = thread::Builder::new().name("process-ends".to_owned()).stack_size(128 << 10);
    named
        .spawn(move || {
            // Without a reader there is nothing more to do, and nobody to tell.
            let _ = watcher.run();
        })
        .map_err(|_| Errno::AGAIN)?;
    Ok(theirs)
}

struct Watcher {
    epoll: OwnedFd,
    socket: OwnedFd,
    processes: HashMap<i32, OwnedFd>,
    /// Part of a word.
    pending: Vec<u8>,
}

impl Watcher {
    fn run(mut self) -> Result<(), Errno> {
        let mut events = Vec::with_capacity(64);
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut events), None) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(errno) => return Err(errno),
            }
            for event in events.drain(..) {
                match event.data.u64() {
                    REQUESTS => {
                        if !self.take_requests()? {
                            return Ok(());
                        }
                    }
                    pid => self.ended(pid as i32)?,
                }
            }
        }
    }

    /// False when the user has gone.
    fn take_requests(&mut self) -> Result<bool, Errno> {
        let mut chunk = [0; 1024];
        let count = match rustix::io::read(&self.socket, &mut chunk) {
            Ok(count) => count,
            Err(Errno::INTR) => return Ok(true),
            Err(errno) => return Err(errno),
        };
        self.pending.extend_from_slice(&chunk[..count]);
        let whole = self.pending.len() / WORD * WORD;
        let words: Vec<u8> = self.pending.drain(..whole).collect();
        for word in words.chunks_exact(WORD) {
            self.watch(word.try_into().map_or(0, i32::from_ne_bytes))?;
        }
        Ok(count > 0)
    }

    fn watch(&mut self, pid: i32) -> Result<(), Errno> {
        if self.processes.contains_key(&pid) {
            return Ok(());
        }
        let opened = Pid::from_raw(pid).filter(|_| pid > 0).ok_or(Errno::INVAL).and_then(|pid| {
            let process = pidfd_open(pid, PidfdFlags::empty())?;
            epoll::add(&self.epoll, &process, EventData::new_u64(pid.as_raw_nonzero().get() as u64), EventFlags::IN)?;
            Ok(process)
        });
        match opened {
            Ok(process) => drop(self.processes.insert(pid, process)),
            Err(Errno::SRCH) => self.tell(pid)?,
            Err(_) => self.tell(-pid.saturating_abs())?,
        }
        Ok(())
    }

    fn ended(&mut self, pid: i32) -> Result<(), Errno> {
        // Closing it takes it out of the epoll too.
        if self.processes.remove(&pid).is_some() { self.tell(pid) } else { Ok(()) }
    }

    fn tell(&self, word: i32) -> Result<(), Errno> {
        let bytes = word.to_ne_bytes();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match rustix::net::send(&self.socket, rest, rustix::net::SendFlags::NOSIGNAL) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}
