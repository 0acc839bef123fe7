//! Where the bytes of a layer come from: a descriptor, or somebody who pushes them.

use std::{
    io::{self, Read},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{self, Receiver},
    },
};

/// Gives a layer's bytes piece by piece.
pub trait Feed: Send {
    /// The next piece, never an empty one; none at the end.
    ///
    /// # Errors
    /// Whatever keeps the bytes from coming.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>>;
}

const PIECE: usize = 256 << 10;

/// A feed out of whatever can be read.
pub struct Reading<R>(pub R);

impl<R: Read + Send> Feed for Reading<R> {
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = Vec::with_capacity(PIECE);
        (&mut self.0).take(PIECE as u64).read_to_end(&mut piece)?;
        Ok((!piece.is_empty()).then_some(piece))
    }
}

/// How much may wait before a sender is told to pause, and how little there must be until it may go on.
const HIGH: usize = 8 << 20;
const LOW: usize = 2 << 20;

type Waker = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Level {
    waiting: usize,
    closed: bool,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Shared(Mutex<Level>);

impl Shared {
    fn with<T>(&self, change: impl FnOnce(&mut Level) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

enum Message {
    Piece(Vec<u8>),
    End,
}

/// The pushing end. Dropped without [`Sender::end`] it makes the receiver fail.
pub struct Sender {
    pieces: mpsc::Sender<Message>,
    shared: Arc<Shared>,
}

/// The feed at the other end.
pub struct Pushed {
    pieces: Receiver<Message>,
    shared: Arc<Shared>,
}

/// A feed that somebody pushes into who must never block.
#[must_use]
pub fn channel() -> (Sender, Pushed) {
    let (sender, receiver) = mpsc::channel();
    let shared = Arc::new(Shared::default());
    (Sender { pieces: sender, shared: Arc::clone(&shared) }, Pushed { pieces: receiver, shared })
}

impl Sender {
    /// Takes a piece, however much is waiting already. False asks the caller to [wait](Self::when_drained).
    pub fn push(&self, piece: Vec<u8>) -> bool {
        if piece.is_empty() {
            return true;
        }
        let below = self.shared.with(|level| {
            level.waiting += piece.len();
            level.closed || level.waiting < HIGH
        });
        // A receiver that has gone has failed, which the caller hears at the end.
        self.pieces.send(Message::Piece(piece)).is_err() || below
    }

    /// Calls `waker` once: when there is room again, or nobody listens any more. Only the last waker counts.
    pub fn when_drained(&self, waker: Waker) {
        let now = self.shared.with(|level| {
            if level.closed || level.waiting <= LOW {
                return Some(waker);
            }
            level.waker = Some(waker);
            None
        });
        if let Some(waker) = now {
            waker();
        }
    }

    /// Says that all has been pushed.
    pub fn end(self) {
        let _ = self.pieces.send(Message::End);
    }
}

impl Feed for Pushed {
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.pieces.recv() {
            Ok(Message::Piece(piece)) => {
                let waker = self.shared.with(|level| {
                    level.waiting -= piece.len();
                    if level.waiting <= LOW { level.waker.take() } else { None }
                });
                if let Some(waker) = waker {
                    waker();
                }
                Ok(Some(piece))
            }
            Ok(Message::End) => Ok(None),
            Err(mpsc::RecvError) => Err(io::ErrorKind::ConnectionAborted.into()),
        }
    }
}

impl Drop for Pushed {
    fn drop(&mut self) {
        let waker = self.shared.with(|level| {
            level.closed = true;
            level.waker.take()
        });
        if let Some(waker) = waker {
            waker();
        }
    }
}
