//! Making a tree out of entries, below one directory and nowhere else.
//!
//! Every name is led through the table of what this tree holds ([`Names`]), which leaves no link in it; then its directory
//! is opened with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV`, so that the kernel refuses what the table
//! might have missed; and then the last component alone is created there, never over something that exists.

use std::{borrow::Cow, collections::HashMap, os::fd::OwnedFd};

use rustix::{
    fs::{self, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};

use crate::{
    error::{Error, io_error},
    names::{Full, Kind as NodeKind, Location, MAX_NAMES, Names, Node, below_rootfs, clean, show},
    privileges::Privileges,
    render::{RenderError, Shift},
    tar::{Entry, Kind, Reader, Source, Timestamp},
};

/// What a tree holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TreeStats {
    /// Names below the root.
    pub entries: u64,
    /// Sum of the sizes of all entries and of the root, hard links counted once.
    pub bytes: u64,
}

/// Directories that stay open, so that the next file of one needs no look-up. Far below any limit on descriptors.
const CACHED_DIRECTORIES: usize = 64;

const RESOLVE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);
const O_DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// Most bytes of all directories' paths together: they are kept until the end.
const MAX_DIRECTORY_BYTES: usize = 256 << 20;

/// Owner, mode and times of a directory, put on it when all is in it.
struct Metadata {
    mode: u32,
    owner: Option<(u32, u32)>,
    times: Option<Timestamps>,
}

/// A tree that is being made.
pub struct Writer {
    root: OwnedFd,
    names: Names,
    open: HashMap<Vec<u8>, OwnedFd>,
    directories: HashMap<Vec<u8>, Metadata>,
    directory_bytes: usize,
    shift: Option<Shift>,
    privileges: Privileges,
    stats: TreeStats,
}

impl Writer {
    /// A writer below `root`, which must be an empty directory.
    pub fn new(root: OwnedFd, shift: Option<Shift>) -> Self {
        Self {
            root,
            names: Names::new(),
            open: HashMap::new(),
            directories: HashMap::new(),
            directory_bytes: 0,
            shift,
            privileges: Privileges::own(),
            stats: TreeStats::default(),
        }
    }

    /// The names that the tree has.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Puts the metadata of an entry `rootfs` on the root; the last one counts.
    pub fn set_root(&mut self, entry: &Entry) -> Result<(), Error> {
        let metadata = self.metadata(entry)?;
        self.directories.insert(Vec::new(), metadata);
        Ok(())
    }

    /// Creates the entry at `at`, where nothing is, or only an implied directory if the entry is one.
    pub fn create<S: Source>(
        &mut self,
        at: &Location,
        entry: &Entry,
        image: u16,
        reader: &mut Reader<S>,
    ) -> Result<(), Error> {
        self.make_ancestors(at, image)?;
        let shown = show(&entry.path).into_owned();
        let name = at.name();
        let failed = || format!("cannot create \"{shown}\"");
        match &entry.kind {
            Kind::Directory => {
                let metadata = self.metadata(entry)?;
                if at.node.is_none() {
                    self.make_directory(at.parent(), name, &shown)?;
                }
                self.note_directory(&at.path, metadata)?;
            }
            Kind::File => {
                let parent = self.directory(at.parent())?;
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = fs::openat(parent, name, flags, Mode::RUSR | Mode::WUSR).map_err(io_error(failed))?;
                self.fill(&file, entry, reader, &shown)?;
                self.stats.bytes = self.stats.bytes.saturating_add(entry.size);
            }
            Kind::HardLink(target) => self.link(at, target, image, &shown)?,
            Kind::SymbolicLink(target) => {
                let parent = self.directory(at.parent())?;
                fs::symlinkat(target.as_slice(), parent, name).map_err(io_error(failed))?;
                self.finish_special(at, entry, false, &shown)?;
                self.stats.bytes += target.len() as u64;
            }
            Kind::CharacterDevice(major, minor) => {
                self.make_node(at, entry, FileType::CharacterDevice, fs::makedev(*major, *minor), &shown)?;
            }
            Kind::BlockDevice(major, minor) => {
                self.make_node(at, entry, FileType::BlockDevice, fs::makedev(*major, *minor), &shown)?;
            }
            Kind::Fifo => self.make_node(at, entry, FileType::Fifo, 0, &shown)?,
            Kind::Unknown(flag) => {
                return Err(RenderError::Type { entry: shown, flag: char::from(*flag) }.into());
            }
        }
        if at.node.is_none() {
            self.stats.entries += 1;
        }
        let inserted = match &entry.kind {
            Kind::SymbolicLink(target) => self.names.insert_link(at, target, image),
            Kind::Directory => self.names.insert(at, Node { kind: NodeKind::Directory, image }),
            _ => self.names.insert(at, Node { kind: NodeKind::Other, image }),
        };
        inserted.map_err(|Full| RenderError::TooMany { limit: MAX_NAMES }.into())
    }

    /// Puts owners, modes and times on the directories, deepest first, and answers what was written.
    pub fn finish(mut self) -> Result<TreeStats, Error> {
        self.open.clear();
        let mut directories: Vec<_> = self.directories.drain().collect();
        let depth = |path: &[u8]| path.iter().filter(|byte| **byte == b'/').count() + usize::from(!path.is_empty());
        directories.sort_unstable_by_key(|(path, _)| std::cmp::Reverse(depth(path)));
        let seen_root = directories.iter().any(|(path, _)| path.is_empty());
        for (path, metadata) in &directories {
            let failed = || format!("cannot set owner, mode and times of \"rootfs/{}\"", show(path));
            let place: &[u8] = if path.is_empty() { b"." } else { path };
            let directory = fs::openat2(&self.root, place, OFlags::RDONLY | O_DIRECTORY, Mode::empty(), RESOLVE)
                .map_err(io_error(failed))?;
            if let Some((uid, gid)) = metadata.owner {
                fs::fchown(&directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(io_error(failed))?;
            }
            fs::fchmod(&directory, Mode::from_raw_mode(metadata.mode)).map_err(io_error(failed))?;
            if let Some(times) = &metadata.times {
                fs::futimens(&directory, times).map_err(io_error(failed))?;
            }
            self.count_directory(&directory)?;
        }
        if !seen_root {
            self.count_directory(&self.root.try_clone().map_err(io_error(|| "cannot look at the tree".into()))?)?;
        }
        Ok(self.stats)
    }

    fn count_directory(&mut self, directory: &OwnedFd) -> Result<(), Error> {
        let stat = fs::fstat(directory).map_err(io_error(|| "cannot look at a directory".into()))?;
        self.stats.bytes = self.stats.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
        Ok(())
    }

    /// Creates the directories above `at` that no entry has brought yet, with mode 0755.
    fn make_ancestors(&mut self, at: &Location, image: u16) -> Result<(), Error> {
        let mut parent: &[u8] = b"";
        for (path, key) in at.ancestors() {
            if !self.names.contains(&key) {
                let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
                self.make_directory(parent, name, &show(path))?;
                let owner = self.shift.and_then(|shift| self.privileges.owner((shift.base, shift.base)));
                self.note_directory(path, Metadata { mode: 0o755, owner, times: None })?;
                self.stats.entries += 1;
                let here = self
                    .names
                    .locate(path, image)
                    .map_err(|_| RenderError::Moved { entry: show(path).into_owned() })?;
                self.names
                    .insert(&here, Node { kind: NodeKind::Implied, image })
                    .map_err(|Full| RenderError::TooMany { limit: MAX_NAMES })?;
            }
            parent = path;
        }
        Ok(())
    }

    fn note_directory(&mut self, path: &[u8], metadata: Metadata) -> Result<(), Error> {
        if self.directories.insert(path.to_vec(), metadata).is_none() {
            self.directory_bytes += path.len();
        }
        if self.directory_bytes > MAX_DIRECTORY_BYTES {
            return Err(RenderError::TooMany { limit: MAX_NAMES }.into());
        }
        Ok(())
    }

    /// Only its owner may enter it until [`Writer::finish`].
    fn make_directory(&mut self, parent: &[u8], name: &[u8], shown: &str) -> Result<(), Error> {
        let parent = self.directory(parent)?;
        fs::mkdirat(parent, name, Mode::RWXU).map_err(io_error(|| format!("cannot create directory \"{shown}\"")))
    }

    /// The directory at `path`, which has no link in it.
    fn directory(&mut self, path: &[u8]) -> Result<&OwnedFd, Error> {
        if path.is_empty() {
            return Ok(&self.root);
        }
        if !self.open.contains_key(path) {
            if self.open.len() >= CACHED_DIRECTORIES {
                self.open.clear();
            }
            let opened = fs::openat2(&self.root, path, OFlags::PATH | O_DIRECTORY, Mode::empty(), RESOLVE);
            let opened = opened.map_err(io_error(|| format!("cannot open directory \"rootfs/{}\"", show(path))))?;
            self.open.insert(path.to_vec(), opened);
        }
        Ok(&self.open[path])
    }

    fn fill<S: Source>(&self, file: &OwnedFd, entry: &Entry, reader: &mut Reader<S>, shown: &str) -> Result<(), Error> {
        write_content(file, entry, reader, || format!("cannot write \"{shown}\""))?;
        let failed = || format!("cannot set owner, mode and times of \"{shown}\"");
        // chown(2) clears setuid and capabilities: owner first.
        if let Some((uid, gid)) = self.owner(entry)? {
            fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(io_error(failed))?;
        }
        for (name, value) in &entry.xattrs {
            if name == b"security.capability" || name.starts_with(b"user.") {
                let value = shifted_capability(self.shift, name, value);
                fs::fsetxattr(file, name.as_slice(), &value, XattrFlags::empty())
                    .map_err(io_error(|| format!("cannot set attribute {} of \"{shown}\"", show(name))))?;
            }
        }
        fs::fchmod(file, Mode::from_raw_mode(entry.mode)).map_err(io_error(failed))?;
        fs::futimens(file, &times(entry)).map_err(io_error(failed))
    }

    fn make_node(
        &mut self,
        at: &Location,
        entry: &Entry,
        of: FileType,
        device: fs::Dev,
        shown: &str,
    ) -> Result<(), Error> {
        if of != FileType::Fifo && self.privileges.lacks_devices() {
            return Ok(());
        }
        let parent = self.directory(at.parent())?;
        fs::mknodat(parent, at.name(), of, Mode::RUSR | Mode::WUSR, device)
            .map_err(io_error(|| format!("cannot create \"{shown}\"")))?;
        self.finish_special(at, entry, true, shown)
    }

    /// Owner, mode and times of what cannot be opened without effect.
    fn finish_special(&mut self, at: &Location, entry: &Entry, has_mode: bool, shown: &str) -> Result<(), Error> {
        let owner = self.owner(entry)?;
        let failed = || format!("cannot set owner, mode and times of \"{shown}\"");
        let parent = self.directory(at.parent())?;
        if let Some((uid, gid)) = owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            fs::chownat(parent, at.name(), uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(failed))?;
        }
        if has_mode {
            fs::chmodat(parent, at.name(), Mode::from_raw_mode(entry.mode), AtFlags::empty())
                .map_err(io_error(failed))?;
        }
        fs::utimensat(parent, at.name(), &times(entry), AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(failed))
    }

    fn link(&mut self, at: &Location, target: &[u8], image: u16, shown: &str) -> Result<(), Error> {
        let refuse = |why: &str| RenderError::LinkTarget {
            entry: shown.to_owned(),
            target: show(target).into_owned(),
            why: why.to_owned(),
        };
        let path = clean(target).map_err(|why| refuse(&why.to_string()))?;
        let inside =
            below_rootfs(&path).filter(|inside| !inside.is_empty()).ok_or_else(|| refuse("it is not below rootfs"))?;
        let there = self.names.locate(inside, image).map_err(|_| refuse("its path leads through a link or a file"))?;
        match there.node {
            None => return Err(refuse("it is not in the tree: filtered out, or not there before its link").into()),
            Some(Node { kind: NodeKind::Implied | NodeKind::Directory, .. }) => {
                return Err(refuse("it is a directory").into());
            }
            Some(_) => {}
        }
        // Both descriptors at once: the second look-up may empty the cache.
        let from = self.directory(there.parent())?.try_clone();
        let from = from.map_err(io_error(|| format!("cannot create \"{shown}\"")))?;
        let to = self.directory(at.parent())?;
        fs::linkat(&from, there.name(), to, at.name(), AtFlags::empty())
            .map_err(io_error(|| format!("cannot link \"{shown}\" to \"{}\"", show(target))))
    }

    fn metadata(&self, entry: &Entry) -> Result<Metadata, Error> {
        Ok(Metadata { mode: entry.mode, owner: self.owner(entry)?, times: Some(times(entry)) })
    }

    fn owner(&self, entry: &Entry) -> Result<Option<(u32, u32)>, Error> {
        let owner = match &self.shift {
            Some(shift) => shift
                .apply(entry.uid, entry.gid)
                .map_err(|source| RenderError::Owner { entry: show(&entry.path).into_owned(), source })?,
            None => (entry.uid, entry.gid),
        };
        Ok(self.privileges.owner(owner))
    }
}

/// The value of an attribute under a shift. Capabilities of a file hold in a user namespace only if they name its root
/// (capabilities(7), "Namespaced file capabilities"): version 2 becomes version 3 with the shifted root.
pub fn shifted_capability<'a>(shift: Option<Shift>, name: &[u8], value: &'a [u8]) -> Cow<'a, [u8]> {
    const VERSION_2: u32 = 0x0200_0000;
    const VERSION_3: u32 = 0x0300_0000;
    if let (Some(shift), b"security.capability", Some((magic, sets))) = (shift, name, value.split_first_chunk::<4>()) {
        let magic = u32::from_le_bytes(*magic);
        if sets.len() == 16 && magic & 0xff00_0000 == VERSION_2 {
            let magic = VERSION_3 | magic & 0x00ff_ffff;
            return Cow::Owned([&magic.to_le_bytes(), sets, &shift.base.to_le_bytes()].concat());
        }
    }
    Cow::Borrowed(value)
}

/// Writes what an entry holds into its file, holes as holes.
pub fn write_content<S: Source>(
    file: &OwnedFd,
    entry: &Entry,
    reader: &mut Reader<S>,
    failed: impl Fn() -> String,
) -> Result<(), Error> {
    reader.read_data(entry, &mut |mut offset, mut bytes| {
        while !bytes.is_empty() {
            match rustix::io::pwrite(file, bytes, offset) {
                Ok(count) => {
                    bytes = &bytes[count..];
                    offset += count as u64;
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(io_error(&failed)(error)),
            }
        }
        Ok(())
    })?;
    if entry.segments.is_some() {
        fs::ftruncate(file, entry.size).map_err(io_error(failed))?;
    }
    Ok(())
}

/// Without an access time in the archive the time of the last change stands for it.
pub fn times(entry: &Entry) -> Timestamps {
    let spec = |time: Timestamp| Timespec { tv_sec: time.seconds, tv_nsec: time.nanoseconds.into() };
    Timestamps { last_access: spec(entry.atime.unwrap_or(entry.mtime)), last_modification: spec(entry.mtime) }
}
