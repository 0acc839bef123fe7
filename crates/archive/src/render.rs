//! Rendering: images merged into one tree by the rules of appc (`acirenderer` of 0.8.11), every blob verified on the way.
//!
//! The list runs from the top image to the lowest, and what an upper image has, a lower one cannot change. Where a name of an
//! image leads through a symbolic link, the link is followed if the same image brought it and it stays inside; below a
//! link or file of an upper image nothing of a lower one appears.

use std::{
    collections::HashSet,
    error, fmt,
    fs::File,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::fs::{self, Mode, OFlags};

use crate::{
    error::{Error, io_error},
    layout::{LayoutError, dead_end},
    names::{Dead, Kind as NodeKind, Node, below_rootfs, clean, show},
    stream::{Chunks, inflate, pump},
    tar::{Entry, Kind, Reader},
    writer::{TreeStats, Writer},
};

/// One image of the list.
#[derive(Debug, Clone)]
pub struct RenderSource {
    /// The blob, a plain tar.
    pub blob: PathBuf,
    /// Its SHA-512 in hex, or at least the first 64 digits.
    pub sha512: String,
    /// Its own path whitelist; filters what is not a directory.
    pub own: Option<Vec<String>>,
    /// Those of the images that depend on it; an entry must be in each.
    pub inherited: Vec<Vec<String>>,
}

/// What to render, and where.
#[derive(Debug, Clone)]
pub struct RenderRequest {
    /// Highest precedence first.
    pub images: Vec<RenderSource>,
    /// An existing empty directory, which becomes the content of `rootfs`.
    pub target: PathBuf,
    /// How owners change.
    pub shift: Option<Shift>,
}

/// A user namespace's range: ids below `count` move up by `base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shift {
    /// Added to each id.
    pub base: u32,
    /// How many ids there are.
    pub count: u32,
}

impl Shift {
    /// The ids on the host.
    ///
    /// # Errors
    /// Ids outside of the range, or of 32 bits.
    pub fn apply(&self, uid: u32, gid: u32) -> Result<(u32, u32), String> {
        if uid >= self.count || gid >= self.count {
            return Err(format!("uid {uid} or gid {gid} are out of range {}", self.count));
        }
        // u32::MAX means "leave it" to chown(2).
        let add = |id: u32| self.base.checked_add(id).filter(|id| *id != u32::MAX);
        match (add(uid), add(gid)) {
            (Some(uid), Some(gid)) => Ok((uid, gid)),
            _ => Err(format!("uid or gid are out of range {} after shifting", u32::MAX)),
        }
    }
}

/// Why images cannot become a tree.
#[derive(Debug)]
pub enum RenderError {
    /// A blob is not what its name says.
    Hash { found: String, expected: String },
    /// The target holds something.
    NotEmpty { target: PathBuf },
    /// A hard link whose target cannot be linked to.
    LinkTarget { entry: String, target: String, why: String },
    /// A type of entry that no file system has.
    Type { entry: String, flag: char },
    /// Ids that the user namespace does not have.
    Owner { entry: String, source: String },
    /// More names than the table holds.
    TooMany { limit: usize },
    /// A directory that was a moment ago is none any more.
    Moved { entry: String },
    /// More images than can be told apart.
    TooManyImages { count: usize },
}

impl RenderError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Hash { .. } => "RKT_IMAGE_HASH_MISMATCH",
            Self::NotEmpty { .. } => "RKT_RENDER_TARGET_NOT_EMPTY",
            Self::LinkTarget { .. } => "RKT_RENDER_LINK_TARGET",
            Self::Type { .. } => "RKT_RENDER_UNSUPPORTED_TYPE",
            Self::Owner { .. } => "RKT_RENDER_OWNER_RANGE",
            Self::TooMany { .. } | Self::TooManyImages { .. } => "RKT_RENDER_TOO_MANY_ENTRIES",
            Self::Moved { .. } => "RKT_RENDER_CONFLICT",
        }
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hash { found, expected } => {
                write!(f, "image hash does not match expected (sha512-{found} != sha512-{expected})")
            }
            Self::NotEmpty { target } => write!(f, "cannot render into {}: it is not empty", target.display()),
            Self::LinkTarget { entry, target, why } => {
                write!(f, "cannot link \"{entry}\" to its target \"{target}\": {why}")
            }
            Self::Type { entry, flag } => write!(f, "could not extract file \"{entry}\": unsupported type: {flag}"),
            Self::Owner { entry, source } => write!(f, "could not extract file \"{entry}\": {source}"),
            Self::TooMany { limit } => write!(f, "the tree has more than {limit} files and directories"),
            Self::Moved { entry } => write!(f, "the directory \"{entry}\" changed while the tree was rendered"),
            Self::TooManyImages { count } => write!(f, "an image with {count} dependencies"),
        }
    }
}

impl error::Error for RenderError {}

/// Renders the images into the target.
///
/// # Errors
/// A blob that does not have its hash, an entry that cannot be made, a full disk. The target then holds whatever was
/// written; the caller removes it.
pub fn render(request: &RenderRequest) -> Result<TreeStats, Error> {
    let mut writer = Writer::new(open_empty(&request.target)?, request.shift);
    for (position, source) in request.images.iter().enumerate() {
        let image = u16::try_from(position).map_err(|_| RenderError::TooManyImages { count: request.images.len() })?;
        let filter = Filter::new(source);
        read_blob(&source.blob, &source.sha512, |chunks| {
            let mut reader = Reader::new(chunks);
            while let Some(entry) = reader.next_entry()? {
                merge(&mut writer, &mut reader, &entry, image, &filter)?;
            }
            reader.finish(false)
        })?;
    }
    writer.finish()
}

/// Opens a directory that must be empty.
pub fn open_empty(target: &Path) -> Result<OwnedFd, Error> {
    let failed = || format!("cannot render into {}", target.display());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = fs::open(target, flags, Mode::empty()).map_err(io_error(failed))?;
    for entry in fs::Dir::read_from(&root).map_err(io_error(failed))? {
        if !matches!(entry.map_err(io_error(failed))?.file_name().to_bytes(), b"." | b"..") {
            return Err(RenderError::NotEmpty { target: target.to_owned() }.into());
        }
    }
    Ok(root)
}

/// Runs `consume` over a blob, all of which is hashed and must have `expected` as its SHA-512 (or the start of it).
pub fn read_blob<T>(
    blob: &Path,
    expected: &str,
    consume: impl FnOnce(&mut Chunks<'_>) -> Result<T, Error>,
) -> Result<T, Error> {
    let file = File::open(blob).map_err(io_error(|| format!("cannot open the image {}", blob.display())))?;
    let _ = fs::fadvise(&file, 0, None, fs::Advice::Sequential);
    let verify = |found: &str| {
        if expected.len() >= 64 && found.starts_with(expected) {
            return Ok(());
        }
        let found = found.get(..expected.len()).unwrap_or(found).to_owned();
        Err(RenderError::Hash { found, expected: expected.to_owned() }.into())
    };
    Ok(pump(&ring::digest::SHA512, inflate(file)?, &mut |_| Ok(()), Some(&verify), consume)?.value)
}

/// Whitelists, their paths without slashes at either end: exact matches, no recursion.
struct Filter {
    own: Option<HashSet<Vec<u8>>>,
    inherited: Vec<HashSet<Vec<u8>>>,
}

impl Filter {
    fn new(source: &RenderSource) -> Self {
        let set = |list: &Vec<String>| list.iter().map(|path| joined(path)).collect::<HashSet<_>>();
        // An empty list is none (appc, "pathWhitelist").
        let list = |list: &&Vec<String>| !list.is_empty();
        Self {
            own: source.own.as_ref().filter(list).map(set),
            inherited: source.inherited.iter().filter(list).map(set).collect(),
        }
    }

    fn lets(&self, path: &[u8], directory: bool) -> bool {
        (directory || self.own.as_ref().is_none_or(|own| own.contains(path)))
            && self.inherited.iter().all(|list| list.contains(path))
    }
}

/// A path of a whitelist as joined to the root and cleaned; a `..` takes the component before it away.
fn joined(path: &str) -> Vec<u8> {
    let mut components: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => drop(components.pop()),
            _ => components.push(component),
        }
    }
    components.join("/").into_bytes()
}

/// Takes or leaves one entry (appc.md 7.4).
fn merge(
    writer: &mut Writer,
    reader: &mut Reader<&mut Chunks<'_>>,
    entry: &Entry,
    image: u16,
    filter: &Filter,
) -> Result<(), Error> {
    let shown = || show(&entry.path).into_owned();
    let path = clean(&entry.path).map_err(|why| LayoutError::Escape { entry: shown(), why: why.to_string() })?;
    let Some(inside) = below_rootfs(&path) else { return Ok(()) };
    let directory = entry.kind == Kind::Directory;
    if inside.is_empty() {
        return if directory { writer.set_root(entry) } else { Ok(()) };
    }
    if !filter.lets(inside, directory) {
        return Ok(());
    }
    let at = match writer.names().locate(inside, image) {
        Ok(at) => at,
        Err(Dead::Blocked { node, .. }) if node.image != image => return Ok(()),
        Err(dead) => return Err(dead_end(&shown(), dead).into()),
    };
    match at.node {
        None => writer.create(&at, entry, image, reader),
        Some(Node { kind: NodeKind::Implied, .. }) if directory => writer.create(&at, entry, image, reader),
        Some(Node { kind: NodeKind::Implied, image: owner }) if owner == image => {
            Err(LayoutError::Conflict { entry: shown(), with: shown() }.into())
        }
        // An upper image has it, or this one had it before.
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
