//! One header with its extensions, as one [`Entry`].

use super::{pax::Pax, sparse};

pub const BLOCK: usize = 512;

/// Seconds since 1970 and nanoseconds within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timestamp {
    /// Whole seconds, rounded down.
    pub seconds: i64,
    /// 0 to 999,999,999.
    pub nanoseconds: u32,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Another name of the file of that name in the archive.
    HardLink(Vec<u8>),
    /// A symbolic link with that text.
    SymbolicLink(Vec<u8>),
    /// A character device: major, minor.
    CharacterDevice(u32, u32),
    /// A block device: major, minor.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
    /// Something else, by its type flag.
    Unknown(u8),
}

/// One entry of an archive.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name as it stands in the archive.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Length of a regular file, holes included; 0 for all else.
    pub size: u64,
    /// Last change of the content.
    pub mtime: Timestamp,
    /// Last access, where the archive has it.
    pub atime: Option<Timestamp>,
    /// Extended attributes: name, value.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the data of a sparse file belong: offset, length; rising.
    pub segments: Option<Vec<(u64, u64)>>,
    /// Bytes that follow the header in the archive.
    pub(super) stored: u64,
    pub(super) sparse: Option<sparse::Form>,
}

/// What the headers before an entry said about it.
#[derive(Default)]
pub struct Extras {
    pub pax: Option<Pax>,
    pub long_name: Option<Vec<u8>>,
    pub long_link: Option<Vec<u8>>,
}

impl Extras {
    pub fn is_empty(&self) -> bool {
        self.pax.is_none() && self.long_name.is_none() && self.long_link.is_none()
    }
}

/// A header whose checksum is right.
pub struct Raw<'a>(&'a tar::Header);

impl Raw<'_> {
    pub fn type_flag(&self) -> u8 {
        self.0.as_old().linkflag[0]
    }

    pub fn size(&self) -> Result<u64, String> {
        unsigned(&self.0.as_old().size, "size")
    }
}

/// Verifies the checksum: the sum of all bytes, its own eight as blanks; some old writers took the bytes as signed.
pub fn check(block: &[u8; BLOCK]) -> Result<Raw<'_>, String> {
    let stored = number(&block[148..156]).ok_or("a header without a checksum")?;
    let bytes = || block[..148].iter().chain(&[b' '; 8]).chain(&block[156..]);
    let plain: i64 = bytes().map(|byte| i64::from(*byte)).sum();
    let signed: i64 = bytes().map(|byte| i64::from(byte.cast_signed())).sum();
    if stored != plain && stored != signed {
        return Err("a header with a wrong checksum".to_owned());
    }
    Ok(Raw(tar::Header::from_byte_slice(block)))
}

/// Puts a header and what came before it together.
pub fn entry(raw: Raw<'_>, extras: Extras) -> Result<Entry, String> {
    let header = raw.0;
    let old = header.as_old();
    let pax = extras.pax.unwrap_or_default();
    let path = (pax.sparse.name.or(pax.path).or(extras.long_name)).unwrap_or_else(|| header.path_bytes().into_owned());
    let link = || {
        (pax.link_path.or(extras.long_link))
            .unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned())
    };
    let device = || -> Result<(u32, u32), String> {
        let ustar = header.as_bytes();
        let number = |field: &[u8]| {
            unsigned(field, "device number")
                .and_then(|n| u32::try_from(n).map_err(|_| "a device number out of range".to_owned()))
        };
        Ok((number(&ustar[329..337])?, number(&ustar[337..345])?))
    };
    let kind = match raw.type_flag() {
        // Before POSIX a directory was a file whose name ends in a slash.
        0 | b'0' if path.last() == Some(&b'/') => Kind::Directory,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink(link()),
        b'2' => Kind::SymbolicLink(link()),
        b'3' => device().map(|(major, minor)| Kind::CharacterDevice(major, minor))?,
        b'4' => device().map(|(major, minor)| Kind::BlockDevice(major, minor))?,
        b'5' => Kind::Directory,
        b'6' => Kind::Fifo,
        other => Kind::Unknown(other),
    };
    // Whatever their size field says, the other types have no data: so do the readers that the images were made for.
    let stored = match kind {
        Kind::File | Kind::Unknown(_) => pax.size.map_or_else(|| raw.size(), Ok)?,
        _ => 0,
    };
    let (sparse, size) = match kind {
        Kind::File if raw.type_flag() == b'S' => {
            let gnu = header.as_gnu().ok_or("a sparse file without a GNU header")?;
            (Some(sparse::Form::OldGnu), unsigned(&gnu.realsize, "size")?)
        }
        Kind::File => match pax.sparse.form {
            Some(form) => (Some(form), pax.sparse.size.ok_or("a sparse file without its size")?),
            None => (None, stored),
        },
        _ => (None, 0),
    };
    let owner = |of: Option<u64>, field: &[u8], what: &str| {
        let id = of.map_or_else(|| unsigned(field, what), Ok)?;
        u32::try_from(id)
            .ok()
            .filter(|id| *id != u32::MAX)
            .ok_or_else(|| format!("the {what} {id}, which is out of range"))
    };
    Ok(Entry {
        kind,
        mode: u32::try_from(unsigned(&old.mode, "mode")? & 0o7777).unwrap_or(0),
        uid: owner(pax.uid, &old.uid, "uid")?,
        gid: owner(pax.gid, &old.gid, "gid")?,
        size,
        mtime: match pax.mtime {
            Some(time) => time,
            None => Timestamp { seconds: number(&old.mtime).ok_or("a bad time")?, nanoseconds: 0 },
        },
        atime: pax.atime,
        xattrs: pax.xattrs,
        segments: None,
        stored,
        sparse,
        path,
    })
}

fn unsigned(field: &[u8], what: &str) -> Result<u64, String> {
    number(field).and_then(|number| u64::try_from(number).ok()).ok_or_else(|| format!("a bad {what}"))
}

/// A numeric field: octal digits between blanks and zero bytes, or (first bit set) a big-endian two's complement number.
/// An empty field is 0.
pub fn number(field: &[u8]) -> Option<i64> {
    let (first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        // The marker bit gone, bit 6 is the sign.
        let start = if first & 0x40 == 0 { i128::from(first & 0x7f) } else { i128::from(*first) - 256 };
        let value =
            rest.iter().try_fold(start, |value, byte| value.checked_mul(256)?.checked_add(i128::from(*byte)))?;
        return i64::try_from(value).ok();
    }
    let blank = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !blank(byte)).unwrap_or(field.len());
    let end = field[start..].iter().position(blank).map_or(field.len(), |length| start + length);
    if !field[end..].iter().all(blank) {
        return None;
    }
    field[start..end].iter().try_fold(0_i64, |value, byte| match byte {
        b'0'..=b'7' => value.checked_mul(8)?.checked_add(i64::from(byte - b'0')),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2]), Some(65538));
        assert_eq!(number(&[0xff; 12]), Some(-1));
        assert_eq!(number(&[0x80, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), None, "over 64 bits");
        assert_eq!(number(b"12x4567\0"), None);
        assert_eq!(number(b"12 4567\0"), None);
    }
}
