//! Three threads over one stream: the first reads and inflates, the second hashes, the caller's consumes.

use std::{
    sync::{
        Arc,
        mpsc::{Receiver, Sender, SyncSender, channel, sync_channel},
    },
    thread,
};

use ring::digest;

use super::{StreamError, codec::Inflated};
use crate::{
    error::{Error, IoError},
    hex, tar,
};

/// Large enough that a hand-over between threads costs nothing beside the hashing of it.
const CHUNK: usize = 256 << 10;
/// All the memory there is: 4 MiB. A stage that stumbles (a directory to create, a slow disk) does not stop the others.
const CHUNKS: usize = 16;

/// What a whole stream was.
pub struct Pumped<T> {
    pub value: T,
    /// Lower-case hex digest of the inflated stream.
    pub digest: String,
    /// Its length.
    pub size: u64,
}

/// A piece of the stream; when both hasher and consumer are done with it, its memory goes back to the reader.
struct Chunk {
    bytes: Vec<u8>,
    length: usize,
    pool: Sender<Vec<u8>>,
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // No reader any more: then the memory is freed.
        let _ = self.pool.send(std::mem::take(&mut self.bytes));
    }
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The consumer's end. Each chunk is shown to `tee` once, as it arrives.
pub struct Chunks<'a> {
    arriving: Receiver<Result<Arc<Chunk>, StreamError>>,
    current: Option<Arc<Chunk>>,
    at: usize,
    size: u64,
    tee: &'a mut dyn FnMut(&[u8]) -> Result<(), Error>,
}

impl tar::Source for Chunks<'_> {
    fn fill(&mut self) -> Result<&[u8], Error> {
        if self.current.as_ref().is_none_or(|chunk| chunk.length == self.at) {
            self.current = None;
            // The channel closes when the reader has come to the end.
            if let Ok(next) = self.arriving.recv() {
                let next = next?;
                (self.tee)(next.bytes())?;
                self.size += next.length as u64;
                self.at = 0;
                self.current = Some(next);
            }
        }
        Ok(self.current.as_ref().map_or(&[], |chunk| &chunk.bytes()[self.at..]))
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Chunks<'_> {
    /// Takes the rest of the stream.
    fn drain(&mut self) -> Result<(), Error> {
        use tar::Source;
        loop {
            let count = self.fill()?.len();
            if count == 0 {
                return Ok(());
            }
            self.consume(count);
        }
    }
}

/// Judges the hex digest of a stream.
type Verify<'a> = &'a dyn Fn(&str) -> Result<(), Error>;

/// Sends `stream` through `consume`, hashing it with `algorithm` on the way, and reads it to its end.
///
/// Where `consume` fails because the archive is wrong and `verify` is given, the rest of the stream is read all the same and
/// `verify` is asked first: a damaged blob is then reported as such, not as whatever the damage looks like.
pub fn pump<T>(
    algorithm: &'static digest::Algorithm,
    stream: Inflated<'_>,
    tee: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    verify: Option<Verify<'_>>,
    consume: impl FnOnce(&mut Chunks<'_>) -> Result<T, Error>,
) -> Result<Pumped<T>, Error> {
    let (pool, free) = channel();
    for _ in 0..CHUNKS {
        let _ = pool.send(vec![0; CHUNK]);
    }
    let (to_hash, hashing) = sync_channel::<Arc<Chunk>>(CHUNKS);
    let (to_consume, arriving) = sync_channel(CHUNKS);
    thread::scope(|scope| {
        let spawn_failed = |source| Error::from(IoError::new("cannot start a thread", source));
        let hasher = thread::Builder::new()
            .name("digest".into())
            .spawn_scoped(scope, move || hash(algorithm, &hashing))
            .map_err(spawn_failed)?;
        thread::Builder::new()
            .name("inflate".into())
            .spawn_scoped(scope, move || read(stream, &free, pool, &to_hash, &to_consume))
            .map_err(spawn_failed)?;

        let mut chunks = Chunks { arriving, current: None, at: 0, size: 0, tee };
        let mut consumed = consume(&mut chunks);
        let by_content = |error: &Error| !matches!(error, Error::Io(_) | Error::Stream(_));
        let drained = match &consumed {
            Ok(_) => chunks.drain(),
            Err(error) if verify.is_some() && by_content(error) => chunks.drain(),
            Err(_) => Ok(()),
        };
        let complete = drained.is_ok();
        if consumed.is_ok() {
            consumed = drained.and(consumed);
        }
        let size = chunks.size;
        drop(chunks); // lets the reader go, were it not at its end
        let digest = hasher.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        match (&consumed, verify) {
            (Ok(_), Some(verify)) => verify(&digest)?,
            (Err(error), Some(verify)) if complete && by_content(error) => verify(&digest)?,
            _ => {}
        }
        consumed.map(|value| Pumped { value, digest, size })
    })
}

fn hash(algorithm: &'static digest::Algorithm, chunks: &Receiver<Arc<Chunk>>) -> String {
    let mut context = digest::Context::new(algorithm);
    for chunk in chunks {
        context.update(chunk.bytes());
    }
    hex::encode(context.finish().as_ref())
}

fn read(
    mut stream: Inflated<'_>,
    free: &Receiver<Vec<u8>>,
    pool: Sender<Vec<u8>>,
    to_hash: &SyncSender<Arc<Chunk>>,
    to_consume: &SyncSender<Result<Arc<Chunk>, StreamError>>,
) {
    while let Ok(mut bytes) = free.recv() {
        let sent = match stream.fill(&mut bytes) {
            Ok(0) => return,
            Ok(length) => {
                let chunk = Arc::new(Chunk { bytes, length, pool: pool.clone() });
                // The hasher lives as long as this thread.
                let _ = to_hash.send(Arc::clone(&chunk));
                to_consume.send(Ok(chunk))
            }
            Err(error) => {
                let _ = to_consume.send(Err(error));
                return;
            }
        };
        if sent.is_err() {
            return; // the consumer has failed
        }
    }
}
