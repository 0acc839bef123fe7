//! One pass over the bytes of an image: inflate, hash, check its layout, and write it down.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    path::Path,
    sync::mpsc::{SyncSender, TrySendError, sync_channel},
    thread,
};

use rustix::{
    fs::{Advice, Mode, OFlags, SeekFrom},
    io::Errno,
};

use crate::{
    error::{Error, IoError, io_error},
    layout,
    stream::{StreamError, inflate, pump},
    tar::Reader,
};

/// An image as it was written.
#[derive(Debug)]
pub struct Ingested {
    /// A file without a name (O_TMPFILE, read-write, close-on-exec) with the inflated tar, flushed to disk.
    pub file: OwnedFd,
    /// Lower-case hex SHA-512 of it.
    pub sha512: String,
    /// Its length.
    pub size: u64,
    /// What its entry `manifest` holds.
    pub manifest: Vec<u8>,
}

/// After so many bytes the kernel is asked to write back what it has, so that little is left to flush at the end.
const WRITE_BACK: u64 = 64 << 20;

/// No honest archive inflates to more than so many times its size, beyond what any may.
const MAX_RATIO: u64 = 250;
const FREE_OF_RATIO: u64 = 4 << 30;

/// Reads an image from `source` and writes it to an unnamed file in `directory`. A file is read from its start, whatever
/// its offset, which stays as it is; a pipe or socket from where it is.
///
/// Memory stays below 25 MiB beside what the codec takes (xz at most 100 MiB, zstd at most 128 MiB, by the stream's own
/// choice) and 60 bytes a name in the image.
///
/// # Errors
/// Whatever is wrong with the stream, the archive, its layout, or the disk. Nothing is left behind.
pub fn ingest(source: impl AsFd + Send + Sync, directory: &Path) -> Result<Ingested, Error> {
    let size = rustix::fs::fstat(&source).ok().and_then(|stat| u64::try_from(stat.st_size).ok()).unwrap_or(0);
    ingest_within(source, directory, size.saturating_mul(MAX_RATIO).max(FREE_OF_RATIO))
}

fn ingest_within(source: impl AsFd + Send + Sync, directory: &Path, limit: u64) -> Result<Ingested, Error> {
    let writing = || format!("cannot write the image in {}", directory.display());
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file: File = rustix::fs::open(directory, flags, Mode::RUSR | Mode::WUSR).map_err(io_error(writing))?.into();
    let stream = inflate(Input::new(source))?;
    let flush = || file.sync_data().map_err(io_error(writing));
    let pumped = thread::scope(|scope| {
        let (flusher, due) = sync_channel::<()>(1);
        // A failed early flush is not lost: the kernel reports it once more to the last one, or the writes fail.
        let early = move || due.iter().try_for_each(|()| flush());
        let early = thread::Builder::new().name("flush".into()).spawn_scoped(scope, early);
        let early = early.map_err(|source| IoError::new("cannot start a thread", source))?;
        let mut writer = Writer { file: &file, pending: 0, flusher };
        let mut inflated = 0_u64;
        let pumped = pump(
            &ring::digest::SHA512,
            stream,
            &mut |bytes| {
                inflated = inflated.saturating_add(bytes.len() as u64);
                if inflated > limit {
                    return Err(StreamError::TooLarge { limit }.into());
                }
                writer.write(bytes).map_err(io_error(writing))
            },
            None,
            |chunks| layout::read_aci(&mut Reader::new(chunks)),
        );
        drop(writer);
        let flushed = early.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        pumped.and_then(|pumped| flushed.map(|()| pumped))
    })?;
    file.sync_data().map_err(io_error(writing))?;
    Ok(Ingested { file: file.into(), sha512: pumped.digest, size: pumped.size, manifest: pumped.value })
}

struct Writer<'a> {
    file: &'a File,
    pending: u64,
    flusher: SyncSender<()>,
}

impl Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut self.file, bytes)?;
        self.pending += bytes.len() as u64;
        if self.pending >= WRITE_BACK {
            match self.flusher.try_send(()) {
                Ok(()) | Err(TrySendError::Full(())) => self.pending = 0,
                // The flusher has met an error and ended with it; it is reported when it is joined.
                Err(TrySendError::Disconnected(())) => return Err(io::Error::other("the file could not be flushed")),
            }
        }
        Ok(())
    }
}

/// A descriptor to read from, without moving its offset where it has one.
pub struct Input<F> {
    fd: F,
    at: Option<u64>,
}

impl<F: AsFd> Input<F> {
    pub fn new(fd: F) -> Self {
        let seekable = rustix::fs::seek(&fd, SeekFrom::Current(0)).is_ok();
        if seekable {
            // A hint, no more.
            let _ = rustix::fs::fadvise(&fd, 0, None, Advice::Sequential);
        }
        Self { fd, at: seekable.then_some(0) }
    }
}

impl<F: AsFd> Read for Input<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = match self.at {
                Some(at) => rustix::io::pread(&self.fd, &mut *buffer, at),
                None => rustix::io::read(&self.fd, &mut *buffer),
            };
            match read {
                Ok(count) => {
                    self.at = self.at.map(|at| at + count as u64);
                    return Ok(count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    // A pipe that another process made non-blocking.
                    let mut poll = [rustix::event::PollFd::new(&self.fd, rustix::event::PollFlags::IN)];
                    rustix::event::poll(&mut poll, None)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests;
