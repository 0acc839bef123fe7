//! The digest of a tree, by all cores.
//!
//! # Format `merkle-sha512`
//!
//! Every number is big-endian; `bytes(x)` is the length of x in 8 bytes, then x; H is SHA-512.
//!
//! - *content* of a regular file: H over the H of each piece of 4 MiB (the last may be shorter), in order. Pieces make one
//!   large file work for all cores.
//! - *record* of an entry: kind (1 byte: `d` directory, `f` file, `l` symbolic link, `c`, `b` device, `p` pipe, `s` socket),
//!   permission bits (4), uid (4), gid (4), then by kind: `f` size (8) and content; `l` `bytes(text)`; `c`, `b` major (4) and
//!   minor (4); `d` the number of entries (8) and for each, in byte order of names, `bytes(name)` and its digest. Last the
//!   number of attributes (8) and for each, in byte order, `bytes(name)` and `bytes(value)`; the labels of the host's own
//!   security modules (`security.selinux`, `.ima`, `.evm`, `.apparmor`, `.SMACK64…`) do not count.
//! - *digest* of an entry: H(record).
//! - *links*: for each file with several names in the tree, in byte order of the first: the number of names (8) and
//!   `bytes(path)` of each in byte order, paths relative to the tree.
//! - the tree's digest: `merkle-sha512-` and the first 64 hex digits of H(`"rkt tree 1"` `0x00`, the root's digest, H(links)).
//!
//! Times do not count. Any other difference that a program in the tree could see changes the digest.

use std::{
    collections::BTreeMap,
    ffi::CString,
    os::fd::OwnedFd,
    path::Path,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use ring::digest::{Context, Digest, SHA512};
use rustix::{
    fs::{self, AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat},
    io::Errno,
};

use super::{TreeError, below, names, open_child, open_root, sums::MAX_DEPTH, xattr};
use crate::{
    error::{Error, IoError, io_error},
    hex,
};

const PIECE: u64 = 4 << 20;
const READ: usize = 256 << 10;
const LEVEL: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_SYMLINKS).union(ResolveFlags::NO_XDEV);

/// `merkle-sha512-` and 64 hex digits.
///
/// # Errors
/// What cannot be read, named; a file that changes its length meanwhile.
pub fn digest_tree(dir: &Path) -> Result<String, Error> {
    let root = open_root(dir)?;
    let label = dir.display().to_string();
    let mut plan = Plan::default();
    let stat = fs::fstat(&root).map_err(io_error(|| format!("cannot read {label}")))?;
    let tree = plan.directory(&root, &stat, &label, &mut Vec::new(), 0)?;
    let pieces = hash_pieces(&root, &plan.files, &label)?;
    let digest = tree.digest(&pieces);

    let mut whole = Context::new(&SHA512);
    whole.update(b"rkt tree 1\0");
    whole.update(digest.as_ref());
    whole.update(links_digest(&plan.linked).as_ref());
    Ok(format!("merkle-sha512-{}", &hex::encode(whole.finish().as_ref())[..64]))
}

/// A file whose content is to be hashed, once for all its names.
struct Content {
    path: Vec<u8>,
    size: u64,
}

/// An entry as far as it is known without reading files: its record before and after the content.
struct Node {
    head: Vec<u8>,
    content: Option<usize>,
    children: Vec<(CString, Node)>,
    tail: Vec<u8>,
}

impl Node {
    fn digest(&self, contents: &[Digest]) -> Digest {
        let mut context = Context::new(&SHA512);
        context.update(&self.head);
        if let Some(content) = self.content {
            context.update(contents[content].as_ref());
        }
        for (name, child) in &self.children {
            context.update(&sized(name.to_bytes()));
            context.update(child.digest(contents).as_ref());
        }
        context.update(&self.tail);
        context.finish()
    }
}

/// Files with several names, by device and inode: index of the content, and all their paths.
type Linked = BTreeMap<(u64, u64), (usize, Vec<Vec<u8>>)>;

#[derive(Default)]
struct Plan {
    files: Vec<Content>,
    linked: Linked,
}

impl Plan {
    fn directory(
        &mut self,
        fd: &OwnedFd,
        stat: &Stat,
        label: &str,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<Node, Error> {
        if depth > MAX_DEPTH {
            return Err(TreeError::TooDeep { at: label.to_owned(), limit: MAX_DEPTH }.into());
        }
        let failed = || format!("cannot read {label}");
        let mut children = Vec::new();
        for name in names(fd).map_err(io_error(failed))? {
            let length = path.len();
            if length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name.to_bytes());
            let node = self.entry(fd, &name, &below(label, &name), path, depth)?;
            path.truncate(length);
            children.push((name, node));
        }
        let mut head = head(b'd', stat);
        head.extend_from_slice(&(children.len() as u64).to_be_bytes());
        let tail = attributes(&xattr::of_file(fd).map_err(io_error(failed))?);
        Ok(Node { head, content: None, children, tail })
    }

    fn entry(
        &mut self,
        parent: &OwnedFd,
        name: &CString,
        label: &str,
        path: &mut Vec<u8>,
        depth: usize,
    ) -> Result<Node, Error> {
        let failed = || format!("cannot read {label}");
        let stat = fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(failed))?;
        let mut content = None;
        let head = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let child = open_child(parent, name).map_err(io_error(failed))?;
                return self.directory(&child, &stat, label, path, depth + 1);
            }
            FileType::RegularFile => {
                let size = u64::try_from(stat.st_size).unwrap_or(0);
                content = Some(self.content(&stat, size, path));
                [head(b'f', &stat), size.to_be_bytes().to_vec()].concat()
            }
            FileType::Symlink => {
                let text = fs::readlinkat(parent, name, Vec::new()).map_err(io_error(failed))?;
                [head(b'l', &stat), sized(text.to_bytes())].concat()
            }
            kind @ (FileType::CharacterDevice | FileType::BlockDevice) => {
                let (major, minor) = (fs::major(stat.st_rdev), fs::minor(stat.st_rdev));
                let kind = if kind == FileType::BlockDevice { b'b' } else { b'c' };
                [head(kind, &stat), major.to_be_bytes().to_vec(), minor.to_be_bytes().to_vec()].concat()
            }
            FileType::Fifo => head(b'p', &stat),
            _ => head(b's', &stat),
        };
        let tail = attributes(&xattr::of_child(parent, name).map_err(io_error(failed))?);
        Ok(Node { head, content, children: Vec::new(), tail })
    }

    fn content(&mut self, stat: &Stat, size: u64, path: &[u8]) -> usize {
        if stat.st_nlink > 1
            && let Some((content, paths)) = self.linked.get_mut(&(stat.st_dev, stat.st_ino))
        {
            paths.push(path.to_vec());
            return *content;
        }
        let content = self.files.len();
        self.files.push(Content { path: path.to_vec(), size });
        if stat.st_nlink > 1 {
            self.linked.insert((stat.st_dev, stat.st_ino), (content, vec![path.to_vec()]));
        }
        content
    }
}

fn head(kind: u8, stat: &Stat) -> Vec<u8> {
    let mut head = vec![kind];
    for number in [stat.st_mode & 0o7777, stat.st_uid, stat.st_gid] {
        head.extend_from_slice(&number.to_be_bytes());
    }
    head
}

fn sized(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_be_bytes(), bytes].concat()
}

fn attributes(xattrs: &[xattr::Xattr]) -> Vec<u8> {
    const OF_THE_HOST: [&[u8]; 5] = [b"selinux", b"ima", b"evm", b"apparmor", b"SMACK64"];
    let counts = |xattr: &&xattr::Xattr| {
        let label = xattr.name.to_bytes().strip_prefix(b"security.");
        !label.is_some_and(|label| OF_THE_HOST.iter().any(|host| label.starts_with(host)))
    };
    let counted: Vec<_> = xattrs.iter().filter(counts).collect();
    let mut bytes = (counted.len() as u64).to_be_bytes().to_vec();
    for xattr in counted {
        bytes.extend(sized(xattr.name.to_bytes()));
        bytes.extend(sized(&xattr.value));
    }
    bytes
}

fn links_digest(linked: &Linked) -> Digest {
    let mut groups: Vec<Vec<Vec<u8>>> =
        linked.values().map(|(_, paths)| paths.clone()).filter(|paths| paths.len() > 1).collect();
    for paths in &mut groups {
        paths.sort_unstable();
    }
    groups.sort_unstable();
    let mut context = Context::new(&SHA512);
    for paths in groups {
        context.update(&(paths.len() as u64).to_be_bytes());
        for path in paths {
            context.update(&sized(&path));
        }
    }
    context.finish()
}

/// The content digest of every file. Workers take the next piece from one counter until none is left.
fn hash_pieces(root: &OwnedFd, files: &[Content], label: &str) -> Result<Vec<Digest>, Error> {
    let pieces: Vec<(usize, u64)> = files
        .iter()
        .enumerate()
        .flat_map(|(file, content)| (0..content.size.div_ceil(PIECE)).map(move |piece| (file, piece)))
        .collect();
    let done: Vec<OnceLock<Digest>> = pieces.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let failure: Mutex<Option<Error>> = Mutex::new(None);
    let work = || {
        let mut buffer = vec![0; READ];
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some((file, piece)) = pieces.get(index) else { return };
            match hash_piece(root, &files[*file], *piece, &mut buffer) {
                Ok(digest) => drop(done[index].set(digest)),
                Err(error) => {
                    let what = format!("cannot read {label}/{}", crate::names::show(&files[*file].path));
                    if let Ok(mut failure) = failure.lock() {
                        failure.get_or_insert(IoError::new(what, error).into());
                    }
                    next.store(pieces.len(), Ordering::Relaxed);
                    return;
                }
            }
        }
    };
    let workers = thread::available_parallelism().map_or(1, usize::from).min(16).min(pieces.len().max(1));
    thread::scope(|scope| {
        for _ in 1..workers {
            // A machine without threads to spare does it all in this one.
            let _ = thread::Builder::new().name("digest".into()).spawn_scoped(scope, work);
        }
        work();
    });
    if let Some(error) = failure.into_inner().ok().flatten() {
        return Err(error);
    }
    let mut done = done.into_iter();
    Ok(files
        .iter()
        .map(|content| {
            let mut whole = Context::new(&SHA512);
            for digest in done.by_ref().take(usize::try_from(content.size.div_ceil(PIECE)).unwrap_or(usize::MAX)) {
                if let Some(digest) = digest.get() {
                    whole.update(digest.as_ref());
                }
            }
            whole.finish()
        })
        .collect())
}

fn hash_piece(root: &OwnedFd, content: &Content, piece: u64, buffer: &mut [u8]) -> Result<Digest, Errno> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = fs::openat2(root, content.path.as_slice(), flags, Mode::empty(), LEVEL)?;
    let mut at = piece * PIECE;
    let end = content.size.min(at + PIECE);
    let mut context = Context::new(&SHA512);
    while at < end {
        let length = buffer.len().min(usize::try_from(end - at).unwrap_or(usize::MAX));
        match rustix::io::pread(&file, &mut buffer[..length], at) {
            Ok(0) => return Err(Errno::STALE), // shorter than it was a moment ago
            Ok(count) => {
                context.update(&buffer[..count]);
                at += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(context.finish())
}

#[cfg(test)]
mod tests;
