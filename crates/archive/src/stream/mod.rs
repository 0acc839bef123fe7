//! Bytes on their way: inflated, hashed and consumed by three threads at once, in bounded memory.

mod codec;
mod pump;

use std::{error, fmt, io};

pub use codec::{inflate, inflate_layer};
pub use pump::{Chunks, pump};

/// What is wrong with a compressed stream.
#[derive(Debug)]
pub enum StreamError {
    /// None of the magic numbers.
    UnknownType,
    /// It ends before its codec's end.
    Truncated { codec: &'static str },
    /// The codec refuses it; also what follows its end.
    Corrupt { codec: &'static str, source: io::Error },
    /// Reading it failed.
    Read { source: io::Error },
    /// It inflates to more than it may.
    TooLarge { limit: u64 },
}

impl StreamError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::UnknownType => "RKT_ARCHIVE_TYPE_UNKNOWN",
            Self::Truncated { .. } => "RKT_ARCHIVE_TRUNCATED",
            Self::Corrupt { .. } => "RKT_ARCHIVE_CORRUPT",
            Self::Read { .. } => "RKT_IO",
            Self::TooLarge { .. } => "RKT_ARCHIVE_TOO_LARGE",
        }
    }
}

impl fmt::Display for StreamError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownType => f.write_str("the file is neither a tar nor a gzip, bzip2, xz or zstd stream"),
            Self::Truncated { codec } => write!(f, "the {codec} stream is truncated"),
            Self::Corrupt { codec, .. } => write!(f, "the {codec} stream is corrupt"),
            Self::Read { .. } => f.write_str("cannot read the archive"),
            Self::TooLarge { limit } => write!(f, "the archive inflates to more than {limit} bytes"),
        }
    }
}

impl error::Error for StreamError {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        match self {
            Self::Corrupt { source, .. } | Self::Read { source } => Some(source),
            Self::UnknownType | Self::Truncated { .. } | Self::TooLarge { .. } => None,
        }
    }
}
