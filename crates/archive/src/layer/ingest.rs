//! A layer's bytes in one pass: hashed, written down, inflated, hashed again and rendered, each by a thread of its own.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use ring::digest::{SHA256, SHA512};
use rustix::fs::{Mode, OFlags};

use super::{
    Rendered,
    error::LayerError,
    feed::Feed,
    hash::{Algorithm, Digest, Hasher},
    tree::{Applied, Flavor, LayerTree},
};
use crate::{
    error::{Error, IoError, io_error},
    render::{Shift, open_empty},
    stream::{Chunks, inflate_layer, pump},
    tar::Reader,
};

/// Where a layer is rendered.
#[derive(Debug, Clone)]
pub struct RenderTarget {
    /// An empty directory.
    pub directory: PathBuf,
    /// How opaque directories are marked.
    pub flavor: Flavor,
}

/// What is known of a layer, and what is to be done with it.
#[derive(Debug, Clone)]
pub struct Ingest {
    /// What the descriptor says of the bytes as they come; the digest is computed (by SHA-256) where there is none.
    pub digest: Option<Digest>,
    /// Their number.
    pub size: Option<u64>,
    /// The digest of the inflated bytes.
    pub diff_id: Option<Digest>,
    /// Most bytes that it may inflate to.
    pub limit: u64,
    /// Directory in which the bytes are written to a file without a name; none to leave them.
    pub blob: Option<PathBuf>,
    /// Where its tree goes, if it is wanted.
    pub render: Option<RenderTarget>,
}

/// A layer that is what its descriptor says.
#[derive(Debug)]
pub struct IngestedLayer {
    /// The bytes as they came, in a file without a name (O_TMPFILE).
    pub blob: Option<OwnedFd>,
    /// Their digest.
    pub digest: Digest,
    /// Their number.
    pub size: u64,
    /// Digest of the inflated bytes.
    pub diff_id: Digest,
    /// Their number.
    pub inflated: u64,
    /// What became of the tree, where one was wanted.
    pub rendered: Option<Rendered>,
}

/// Pieces on their way from the writer of the blob to the inflater.
const PIECES: usize = 16;

/// Takes a layer in. What is on the disk afterwards has been flushed; nothing has a name yet but the tree's directory.
///
/// Memory stays below 25 MiB beside what the codec takes (xz at most 100 MiB, zstd at most 128 MiB) and the paths of its
/// directories.
///
/// # Errors
/// Bytes that are not what they must be, before anything else that is wrong with them; an archive that no layer may be; the
/// disk. The tree's directory then holds whatever was written, the blob is gone.
pub fn ingest(feed: impl Feed, request: &Ingest) -> Result<IngestedLayer, Error> {
    take(feed, request, None, None)
}

/// The same with a shift of owners, and the tree below for hard links.
pub fn take(
    mut feed: impl Feed,
    request: &Ingest,
    shift: Option<Shift>,
    lower: Option<BorrowedFd<'_>>,
) -> Result<IngestedLayer, Error> {
    let blob = request.blob.as_deref().map(open_blob).transpose()?;
    let (to_inflate, pieces) = sync_channel(PIECES);
    let file = blob.as_ref();
    let hopeless = AtomicBool::new(false);
    let (taken, read) = thread::scope(|scope| {
        let over = &hopeless;
        let taker = thread::Builder::new()
            .name("layer".into())
            .spawn_scoped(scope, move || take_bytes(&mut feed, request, file, &to_inflate, over))
            .map_err(|source| Error::from(IoError::new("cannot start a thread", source)))?;
        let read = inflate_and_render(pieces, request, shift, lower);
        // What the disk refuses is not explained by a digest.
        hopeless.store(matches!(read, Err(Error::Io(_))), Ordering::Relaxed);
        let taken = taker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, Error>((taken, read))
    })?;
    // Wrong bytes first: whatever else is wrong comes of them.
    let (digest, size) = match (taken, &read) {
        (Err(Stop::Hung), _) => return Err(read.err().unwrap_or_else(|| aborted(request))),
        (Err(Stop::Failed(error)), _) => return Err(error),
        (Ok(taken), _) => taken,
    };
    let Inflated { diff_id, size: inflated, rendered } = read?;
    if let Some(expected) = &request.diff_id
        && *expected != diff_id
    {
        let (found, expected) = (diff_id.to_string(), expected.to_string());
        return Err(LayerError::DiffId { digest: name(request), found, expected }.into());
    }
    let flushed = || "cannot write a layer".to_owned();
    match (&blob, &request.render) {
        // One flush for both; only syncfs(2) makes forty thousand files durable at a bearable price.
        (_, Some(target)) => crate::tree::sync_filesystem(&target.directory)?,
        (Some(blob), None) => blob.sync_data().map_err(io_error(flushed))?,
        (None, None) => {}
    }
    Ok(IngestedLayer { blob: blob.map(OwnedFd::from), digest, size, diff_id, inflated, rendered })
}

fn name(request: &Ingest) -> String {
    let known = request.digest.as_ref().or(request.diff_id.as_ref());
    known.map_or_else(|| "without a digest".to_owned(), Digest::to_string)
}

fn aborted(request: &Ingest) -> Error {
    LayerError::Aborted { digest: name(request) }.into()
}

fn open_blob(directory: &Path) -> Result<File, Error> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let opened = rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR);
    Ok(opened.map_err(io_error(|| format!("cannot write a layer in {}", directory.display())))?.into())
}

enum Stop {
    /// The other side has failed for a reason that no digest explains.
    Hung,
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// What travels to the inflater: a piece, or that it will get no more for a reason of which it need not know.
type Piece = Result<Vec<u8>, ()>;

/// Hashes and writes the bytes and passes them on. It goes on when nobody inflates any more, for the digest's sake.
fn take_bytes(
    feed: &mut impl Feed,
    request: &Ingest,
    blob: Option<&File>,
    to_inflate: &SyncSender<Piece>,
    hopeless: &AtomicBool,
) -> Result<(Digest, u64), Stop> {
    let outcome = (|| {
        let algorithm = request.digest.as_ref().map_or(Algorithm::Sha256, |digest| digest.algorithm);
        // Without a digest to compare, and without a blob that needs a name, nobody asks for it.
        let mut hasher = (request.digest.is_some() || blob.is_some()).then(|| Hasher::new(algorithm));
        let mut size = 0_u64;
        let size_error = |found| {
            let expected = request.size.unwrap_or(found);
            LayerError::Size { digest: name(request), found, expected }
        };
        loop {
            let piece = feed.next().map_err(|error| match error.kind() {
                io::ErrorKind::ConnectionAborted if error.raw_os_error().is_none() => aborted(request),
                _ => IoError::new(format!("cannot read layer {}", name(request)), error).into(),
            })?;
            let Some(piece) = piece else { break };
            size += piece.len() as u64;
            if request.size.is_some_and(|expected| size > expected) {
                return Err(size_error(size).into());
            }
            if let Some(hasher) = &mut hasher {
                hasher.update(&piece);
            }
            if let Some(mut file) = blob {
                file.write_all(&piece).map_err(io_error(|| format!("cannot write layer {}", name(request))))?;
            }
            // The inflater may have failed; what of it is to be told is known at the end.
            if to_inflate.send(Ok(piece)).is_err() && (request.digest.is_none() || hopeless.load(Ordering::Relaxed)) {
                return Err(Stop::Hung);
            }
        }
        if request.size.is_some_and(|expected| size != expected) {
            return Err(size_error(size).into());
        }
        let digest = hasher.map(Hasher::finish);
        match (digest, &request.digest) {
            (Some(found), Some(expected)) if found != *expected => {
                Err(LayerError::Digest { found: found.to_string(), expected: expected.to_string() }.into())
            }
            (Some(found), _) => Ok((found, size)),
            (None, _) => Ok((Digest { algorithm, hex: String::new() }, size)),
        }
    })();
    if outcome.is_err() {
        let _ = to_inflate.send(Err(()));
    }
    outcome
}

/// The inflater's end.
struct Pieces {
    pieces: Receiver<Piece>,
    current: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() {
            self.at = 0;
            self.current = match self.pieces.recv() {
                Ok(Ok(piece)) => piece,
                Ok(Err(())) => return Err(io::Error::from_raw_os_error(rustix::io::Errno::CANCELED.raw_os_error())),
                // The taker has come to its end.
                Err(_) => Vec::new(),
            };
        }
        let count = buffer.len().min(self.current.len() - self.at);
        buffer[..count].copy_from_slice(&self.current[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

struct Inflated {
    diff_id: Digest,
    size: u64,
    rendered: Option<Rendered>,
}

fn inflate_and_render(
    pieces: Receiver<Piece>,
    request: &Ingest,
    shift: Option<Shift>,
    lower: Option<BorrowedFd<'_>>,
) -> Result<Inflated, Error> {
    let mut tree = match &request.render {
        Some(target) => Some(LayerTree::new(open_empty(&target.directory)?, target.flavor, shift, lower)),
        None => None,
    };
    let algorithm = request.diff_id.as_ref().map_or(Algorithm::Sha256, |digest| digest.algorithm);
    let ring = match algorithm {
        Algorithm::Sha256 => &SHA256,
        Algorithm::Sha512 => &SHA512,
    };
    let mut inflated = 0_u64;
    let mut tee = |bytes: &[u8]| {
        inflated += bytes.len() as u64;
        if inflated > request.limit {
            return Err(LayerError::TooLarge { digest: name(request), limit: request.limit }.into());
        }
        Ok(())
    };
    let stream = inflate_layer(Pieces { pieces, current: Vec::new(), at: 0 })?;
    let pumped = pump(ring, stream, &mut tee, None, |chunks| match &mut tree {
        Some(tree) => render(tree, chunks),
        None => Ok(None),
    })?;
    let rendered = match (pumped.value, tree) {
        (Some(entry), _) => Some(Rendered::NeedsParents { entry }),
        (None, Some(tree)) => {
            let (stats, implied) = tree.finish()?;
            Some(Rendered::Whole { stats, implied })
        }
        (None, None) => None,
    };
    Ok(Inflated { diff_id: Digest { algorithm, hex: pumped.digest }, size: pumped.size, rendered })
}

/// Makes the tree; answers the entry that needs lower layers, where there is one.
fn render(tree: &mut LayerTree<'_>, chunks: &mut Chunks<'_>) -> Result<Option<String>, Error> {
    let mut reader = Reader::new(chunks);
    while let Some(entry) = reader.next_entry()? {
        if tree.apply(&entry, &mut reader)? == Applied::Foreign {
            return Ok(Some(crate::names::show(&entry.path).into_owned()));
        }
    }
    reader.finish(false)?;
    Ok(None)
}

/// So that a descriptor of the caller's can be read from its start, wherever it stands.
impl<F: AsFd> super::Reading<crate::ingest::Input<F>> {
    /// A feed out of a descriptor.
    pub fn descriptor(fd: F) -> Self {
        Self(crate::ingest::Input::new(fd))
    }
}
