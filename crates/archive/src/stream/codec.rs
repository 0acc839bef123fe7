//! Which compression a stream has, by its first bytes, and its decoder.

use std::io::{self, BufReader, Cursor, Read};

use super::StreamError;

/// Enough for the tar magic at offset 257, as the reference sniffs.
const SNIFFED: usize = 512;
/// The most that a stream's dictionary may take: `xz -9` needs 65 MiB, `zstd --ultra -22` 128 MiB.
const XZ_MEMORY: u64 = 100 << 20;
const ZSTD_WINDOW_LOG: u32 = 27;
const READ_BUFFER: usize = 128 << 10;

/// A stream without its compression. Streams of many members (gzip, bzip2, xz) or frames (zstd) are one.
pub struct Inflated<'a> {
    codec: &'static str,
    decoder: Box<dyn Read + Send + 'a>,
}

/// Looks at the first bytes of `source` and gives a decoder for the whole of it.
///
/// # Errors
/// [`StreamError::UnknownType`] when no magic number fits, or what reading gave.
pub fn inflate<'a>(source: impl Read + Send + 'a) -> Result<Inflated<'a>, StreamError> {
    open(source, None)
}

/// The same for a layer of an OCI image, which may start with a skippable frame of zstd (RFC 8878, 3.1.2) and is a plain tar
/// where no magic number fits: the digest says whether the bytes are right, the tar reader what they mean.
///
/// # Errors
/// What reading gave.
pub fn inflate_layer<'a>(source: impl Read + Send + 'a) -> Result<Inflated<'a>, StreamError> {
    open(source, Some("tar"))
}

fn open<'a>(mut source: impl Read + Send + 'a, otherwise: Option<&'static str>) -> Result<Inflated<'a>, StreamError> {
    let mut head = Vec::with_capacity(SNIFFED);
    source.by_ref().take(SNIFFED as u64).read_to_end(&mut head).map_err(|source| StreamError::Read { source })?;
    let starts = |magic: &[u8]| head.starts_with(magic);
    let codec = match () {
        () if starts(&[0x1f, 0x8b]) => "gzip",
        () if starts(b"BZh") => "bzip2",
        () if starts(&[0xfd, b'7', b'z', b'X', b'Z', 0]) => "xz",
        () if starts(&[0x28, 0xb5, 0x2f, 0xfd]) => "zstd",
        () if head.get(257..262) == Some(b"ustar") => "tar",
        () => match otherwise {
            Some(_) if matches!(head.first_chunk(), Some([0x50..=0x5f, 0x2a, 0x4d, 0x18])) => "zstd",
            Some(codec) => codec,
            None => return Err(StreamError::UnknownType),
        },
    };
    let input = BufReader::with_capacity(READ_BUFFER, Cursor::new(head).chain(source));
    let failed = |source| StreamError::Corrupt { codec, source };
    let decoder: Box<dyn Read + Send + 'a> = match codec {
        "gzip" => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        "bzip2" => Box::new(bzip2::bufread::MultiBzDecoder::new(input)),
        "xz" => {
            let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED);
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream.map_err(|error| failed(error.into()))?))
        }
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(failed)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(failed)?;
            Box::new(decoder)
        }
        _ => Box::new(input),
    };
    Ok(Inflated { codec, decoder })
}

impl Inflated<'_> {
    /// Fills `buffer` as far as the stream goes.
    ///
    /// # Errors
    /// [`StreamError`], telling a stream cut short from a damaged one and from a read that failed.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, StreamError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.decoder.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) if source.raw_os_error().is_some() => return Err(StreamError::Read { source }),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(StreamError::Truncated { codec: self.codec });
                }
                Err(source) => return Err(StreamError::Corrupt { codec: self.codec, source }),
            }
        }
        Ok(filled)
    }
}
