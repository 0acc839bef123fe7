//! Reading tar as a stream: ustar, GNU and PAX, sparse files in all their forms.
//!
//! A [`Reader`] gives one [`Entry`] after the other and its data as runs of bytes with their offsets. It holds one entry
//! at a time; every length in the archive is bounded before anything is allocated for it.

mod header;
mod pax;
mod sparse;

use std::{error, fmt};

use crate::{error::Error, names::show};
use header::BLOCK;
pub use header::{Entry, Kind, Timestamp};

/// Where a reader takes its bytes from.
pub trait Source {
    /// The bytes at hand, at least one unless the stream has ended.
    ///
    /// # Errors
    /// Whatever keeps the stream from going on.
    fn fill(&mut self) -> Result<&[u8], Error>;
    /// Takes the first `count` of them away.
    fn consume(&mut self, count: usize);
}

impl<S: Source> Source for &mut S {
    fn fill(&mut self) -> Result<&[u8], Error> {
        S::fill(self)
    }

    fn consume(&mut self, count: usize) {
        S::consume(self, count);
    }
}

impl Source for &[u8] {
    fn fill(&mut self) -> Result<&[u8], Error> {
        Ok(self)
    }

    fn consume(&mut self, count: usize) {
        *self = &self[count..];
    }
}

/// Takes runs of an entry's data: offset in the file, bytes.
pub type DataSink<'a> = &'a mut dyn FnMut(u64, &[u8]) -> Result<(), Error>;

/// What is wrong with an archive.
#[derive(Debug)]
pub enum TarError {
    /// It ends in the middle of something.
    Truncated { at: u64, inside: String },
    /// Its end marker is missing: it was cut between two entries.
    NoEnd { at: u64 },
    /// Something other than zeros follows its end marker.
    Trailing { at: u64 },
    /// A header that does not hold what it must.
    Corrupt { at: u64, what: String },
}

impl TarError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Truncated { .. } | Self::NoEnd { .. } => "RKT_ARCHIVE_TRUNCATED",
            Self::Trailing { .. } | Self::Corrupt { .. } => "RKT_ARCHIVE_CORRUPT",
        }
    }
}

impl fmt::Display for TarError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated { at, inside } => {
                write!(f, "the archive is truncated: it ends at byte {at}, inside {inside}")
            }
            Self::NoEnd { at } => write!(f, "the archive is truncated: it ends at byte {at} without an end marker"),
            Self::Trailing { at } => write!(f, "the archive is corrupt: data follow its end marker at byte {at}"),
            Self::Corrupt { at, what } => write!(f, "the archive is corrupt at byte {at}: {what}"),
        }
    }
}

impl error::Error for TarError {}

/// PAX records of one entry together. Attributes may have 64 KiB each, the kernel's limit (xattr(7)).
const MAX_PAX: u64 = 4 << 20;
/// A GNU long name. Longer than any path that the kernel takes, so that a too long one is its error and has a name.
const MAX_LONG_NAME: u64 = 64 << 10;

/// Entries out of a stream, in their order.
pub struct Reader<S> {
    source: S,
    at: u64,
    /// Data of the current entry that have not been read, and the padding behind them.
    data: u64,
    padding: u64,
    current: String,
    marker: bool,
}

impl<S: Source> Reader<S> {
    /// A reader at the start of an archive.
    pub fn new(source: S) -> Self {
        Self { source, at: 0, data: 0, padding: 0, current: String::new(), marker: false }
    }

    /// The next entry, data of the current one skipped; none at the end of the archive.
    ///
    /// # Errors
    /// The stream's own, and [`TarError`].
    pub fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        self.skip_entry()?;
        let mut extras = header::Extras::default();
        loop {
            let at = self.at;
            let Some(block) = self.block_or_end()? else {
                return if extras.is_empty() { Ok(None) } else { Err(self.truncated("an extended header")) };
            };
            if block.iter().all(|byte| *byte == 0) {
                self.marker = true;
                return if extras.is_empty() {
                    Ok(None)
                } else {
                    Err(self.corrupt("an extended header without its entry"))
                };
            }
            let raw = header::check(&block).map_err(|what| TarError::Corrupt { at, what })?;
            let corrupt = |what: String| TarError::Corrupt { at, what };
            match raw.type_flag() {
                b'x' => {
                    extras.pax = pax::parse(&self.short_data(raw.size().map_err(corrupt)?, MAX_PAX, "PAX header")?)
                        .map_err(corrupt)?
                }
                b'g' => self.skip_long(raw.size().map_err(corrupt)?)?,
                b'L' => extras.long_name = Some(self.short_text(raw.size().map_err(corrupt)?)?),
                b'K' => extras.long_link = Some(self.short_text(raw.size().map_err(corrupt)?)?),
                _ => {
                    let mut entry = header::entry(raw, extras).map_err(corrupt)?;
                    self.current = format!("entry \"{}\"", show(&entry.path));
                    self.data = entry.stored;
                    self.padding = entry.stored.next_multiple_of(BLOCK as u64) - entry.stored;
                    self.read_sparse_map(&block, &mut entry)?;
                    return Ok(Some(entry));
                }
            }
        }
    }

    /// Gives the data of `entry`, which is the current one, to `sink`: offset in the file and bytes, in rising order.
    ///
    /// # Errors
    /// The stream's own, the sink's, and [`TarError`].
    pub fn read_data(&mut self, entry: &Entry, sink: DataSink<'_>) -> Result<(), Error> {
        let whole = [(0, entry.size)];
        for (mut offset, mut length) in entry.segments.as_deref().unwrap_or(&whole).iter().copied() {
            length = length.min(self.data);
            while length > 0 {
                let bytes = self.source.fill()?;
                if bytes.is_empty() {
                    return Err(self.truncated_here());
                }
                let count = bytes.len().min(usize::try_from(length).unwrap_or(usize::MAX));
                sink(offset, &bytes[..count])?;
                self.source.consume(count);
                self.advance(count as u64);
                self.data -= count as u64;
                offset += count as u64;
                length -= count as u64;
            }
        }
        Ok(())
    }

    /// Reads what follows the last entry; with `strict` an end marker must be there, and nothing but zeros behind it.
    ///
    /// # Errors
    /// The stream's own, and [`TarError`].
    pub fn finish(&mut self, strict: bool) -> Result<(), Error> {
        if strict && !self.marker {
            return Err(TarError::NoEnd { at: self.at }.into());
        }
        loop {
            let bytes = self.source.fill()?;
            if bytes.is_empty() {
                return Ok(());
            }
            if strict && let Some(at) = bytes.iter().position(|byte| *byte != 0) {
                return Err(TarError::Trailing { at: self.at + at as u64 }.into());
            }
            let count = bytes.len();
            self.source.consume(count);
            self.advance(count as u64);
        }
    }

    fn read_sparse_map(&mut self, block: &[u8; BLOCK], entry: &mut Entry) -> Result<(), Error> {
        let Some(form) = entry.sparse.take() else { return Ok(()) };
        let segments = match form {
            sparse::Form::Listed(segments) => segments,
            sparse::Form::OldGnu => {
                let mut map = sparse::OldGnuMap::new(block).map_err(|what| self.corrupt(&what))?;
                while map.continues() {
                    // These blocks lie before the data and do not count as such.
                    let Some(next) = self.block_or_end()? else { return Err(self.truncated_here()) };
                    map.extend(&next).map_err(|what| self.corrupt(&what))?;
                }
                map.into_segments()
            }
            sparse::Form::InData => {
                let mut map = sparse::DataMap::default();
                while !map.is_complete() {
                    if self.data < BLOCK as u64 {
                        return Err(self.corrupt("a sparse map that is longer than its entry"));
                    }
                    let Some(next) = self.block_or_end()? else { return Err(self.truncated_here()) };
                    self.data -= BLOCK as u64;
                    map.extend(&next).map_err(|what| self.corrupt(&what))?;
                }
                map.into_segments()
            }
        };
        sparse::check(&segments, self.data, entry.size).map_err(|what| self.corrupt(&what))?;
        entry.segments = Some(segments);
        Ok(())
    }

    fn skip_entry(&mut self) -> Result<(), Error> {
        self.skip(self.data)?;
        self.data = 0;
        let mut padding = std::mem::take(&mut self.padding);
        // Writers that do not close their archive (umoci) leave the last one out; who is strict misses the end marker then.
        while padding > 0 {
            let available = self.source.fill()?.len();
            if available == 0 {
                return Ok(());
            }
            let taken = available.min(usize::try_from(padding).unwrap_or(usize::MAX));
            self.source.consume(taken);
            self.advance(taken as u64);
            padding -= taken as u64;
        }
        Ok(())
    }

    fn skip_long(&mut self, size: u64) -> Result<(), Error> {
        self.current = "a global PAX header".to_owned();
        self.skip(size)?;
        self.skip(size.next_multiple_of(BLOCK as u64) - size)
    }

    fn skip(&mut self, mut count: u64) -> Result<(), Error> {
        while count > 0 {
            let bytes = self.source.fill()?;
            if bytes.is_empty() {
                return Err(self.truncated_here());
            }
            let taken = bytes.len().min(usize::try_from(count).unwrap_or(usize::MAX));
            self.source.consume(taken);
            self.advance(taken as u64);
            count -= taken as u64;
        }
        Ok(())
    }

    /// The next block, or none where the stream ends before it.
    fn block_or_end(&mut self) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut block = [0; BLOCK];
        let filled = self.read(&mut block)?;
        match filled {
            0 => Ok(None),
            BLOCK => Ok(Some(block)),
            _ => Err(self.truncated("a header")),
        }
    }

    /// Fills `buffer` as far as the stream goes.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            let bytes = self.source.fill()?;
            if bytes.is_empty() {
                break;
            }
            let count = bytes.len().min(buffer.len() - filled);
            buffer[filled..filled + count].copy_from_slice(&bytes[..count]);
            self.source.consume(count);
            self.advance(count as u64);
            filled += count;
        }
        Ok(filled)
    }

    fn short_data(&mut self, size: u64, limit: u64, what: &str) -> Result<Vec<u8>, Error> {
        if size > limit {
            return Err(self.corrupt(&format!("a {what} of {size} bytes, more than {limit}")));
        }
        let size = usize::try_from(size).map_err(|_| self.corrupt(what))?;
        let mut data = vec![0; size.next_multiple_of(BLOCK)];
        if self.read(&mut data)? < data.len() {
            return Err(self.truncated(&format!("a {what}")));
        }
        data.truncate(size);
        Ok(data)
    }

    fn short_text(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        let mut text = self.short_data(size, MAX_LONG_NAME, "long name")?;
        text.truncate(text.iter().position(|byte| *byte == 0).unwrap_or(text.len()));
        Ok(text)
    }

    fn advance(&mut self, count: u64) {
        self.at = self.at.saturating_add(count);
    }

    fn truncated_here(&self) -> Error {
        self.truncated(&self.current)
    }

    fn truncated(&self, inside: &str) -> Error {
        TarError::Truncated { at: self.at, inside: inside.to_owned() }.into()
    }

    fn corrupt(&self, what: &str) -> Error {
        TarError::Corrupt { at: self.at, what: what.to_owned() }.into()
    }
}

#[cfg(test)]
pub(crate) mod tests;
