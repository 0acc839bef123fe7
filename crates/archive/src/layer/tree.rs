//! One layer as a tree, in the form that overlayfs reads.

use std::{
    collections::HashMap,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
};

use rustix::{
    fs::{self, AtFlags, FileType, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid, XattrFlags},
    io::Errno,
};

use super::{
    LayerError,
    marker::{Marker, marker},
};
use crate::{
    error::{Error, io_error},
    names::{MAX_NAMES, show},
    privileges::Privileges,
    render::{RenderError, Shift},
    tar::{Entry, Kind, Reader, Source},
    tree::remove_child,
    writer::{TreeStats, shifted_capability, times, write_content},
};

/// Whose attributes tell overlayfs that a directory is opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flavor {
    /// `trusted.overlay.*`: only who has CAP_SYS_ADMIN on the host can write them, or forge them.
    Trusted,
    /// `user.overlay.*`, for mounts with the option `userxattr`.
    User,
}

impl Flavor {
    pub(super) fn opaque(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.opaque",
            Self::User => "user.overlay.opaque",
        }
    }
}

/// Directories that stay open, so that the next file of one needs no look-up.
const CACHED_DIRECTORIES: usize = 64;
/// Most bytes of all directories' paths and attributes together: they are kept until the end.
const MAX_DIRECTORY_BYTES: usize = 256 << 20;
const IN_ROOT: ResolveFlags = ResolveFlags::IN_ROOT.union(ResolveFlags::NO_MAGICLINKS).union(ResolveFlags::NO_XDEV);
const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

/// What comes onto a directory when all is in it.
#[derive(Default)]
struct Directory {
    attributes: Option<Attributes>,
    opaque: bool,
}

struct Attributes {
    mode: u32,
    owner: Option<(u32, u32)>,
    times: Timestamps,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Whether an entry was taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Applied {
    Done,
    /// It is a hard link whose target is not in this layer.
    Foreign,
}

/// Who writes: what a new file gets without a word.
struct Writer {
    owner: (u32, u32),
    privileges: Privileges,
    umask: u32,
}

/// A layer's tree in the making, in an empty directory.
pub struct LayerTree<'a> {
    root: OwnedFd,
    /// The tree of the layers below, on the same file system, where hard links may find their target.
    lower: Option<BorrowedFd<'a>>,
    flavor: Flavor,
    shift: Option<Shift>,
    writer: Writer,
    open: HashMap<Vec<u8>, OwnedFd>,
    directories: HashMap<Vec<u8>, Directory>,
    directory_bytes: usize,
    implied: Vec<Vec<u8>>,
    entries: usize,
    stats: TreeStats,
}

impl<'a> LayerTree<'a> {
    /// A tree below `root`, which is empty.
    pub fn new(root: OwnedFd, flavor: Flavor, shift: Option<Shift>, lower: Option<BorrowedFd<'a>>) -> Self {
        let mut tree = Self {
            root,
            lower,
            flavor,
            shift,
            writer: Writer {
                owner: (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
                privileges: Privileges::own(),
                umask: umask(),
            },
            open: HashMap::new(),
            directories: HashMap::new(),
            directory_bytes: 0,
            implied: vec![Vec::new()],
            entries: 0,
            stats: TreeStats::default(),
        };
        tree.directories.insert(Vec::new(), Directory::default());
        tree
    }

    /// Takes the next entry of the archive.
    pub fn apply<S: Source>(&mut self, entry: &Entry, reader: &mut Reader<S>) -> Result<Applied, Error> {
        let refuse = |why: String| LayerError::Entry { entry: show(&entry.path).into_owned(), why };
        let path = below_root(&entry.path).map_err(|why| refuse(why.to_owned()))?;
        self.entries += 1;
        if self.entries > MAX_NAMES {
            return Err(RenderError::TooMany { limit: MAX_NAMES }.into());
        }
        match marker(&path).map_err(refuse)? {
            Marker::Entry => self.create(&path, entry, reader),
            Marker::Leftover => Ok(Applied::Done),
            Marker::Opaque { directory } => {
                self.parent(directory)?;
                self.set_opaque(directory)?;
                Ok(Applied::Done)
            }
            Marker::Whiteout { parent, name } => {
                self.white_out(parent, name, &path)?;
                Ok(Applied::Done)
            }
        }
    }

    /// Puts owners, modes, attributes and times on the directories, deepest first; answers counts and implied directories.
    pub fn finish(mut self) -> Result<(TreeStats, Vec<Vec<u8>>), Error> {
        self.open.clear();
        let mut directories: Vec<_> = self.directories.drain().collect();
        directories.sort_unstable_by_key(|(path, _)| std::cmp::Reverse((depth(path), path.len())));
        for (path, directory) in &directories {
            let failed = || format!("cannot set owner, mode and times of \"{}\"", show(path));
            let fd = match open_in(&self.root, path, OFlags::RDONLY) {
                Ok(fd) => fd,
                // Something else came in its place.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                Err(error) => return Err(io_error(failed)(error)),
            };
            if directory.opaque {
                fs::fsetxattr(&fd, self.flavor.opaque(), b"y", XattrFlags::empty()).map_err(io_error(failed))?;
            }
            match &directory.attributes {
                Some(attributes) => self.set_directory(&fd, attributes, path)?,
                None => self.set_directory(&fd, &self.default_attributes()?, path)?,
            }
            let stat = fs::fstat(&fd).map_err(io_error(failed))?;
            self.stats.bytes = self.stats.bytes.saturating_add(u64::try_from(stat.st_size).unwrap_or(0));
        }
        let described = |path: &Vec<u8>| {
            directories.iter().any(|(other, directory)| other == path && directory.attributes.is_some())
        };
        let implied = self.implied.into_iter().filter(|path| !described(path)).collect();
        Ok((self.stats, implied))
    }

    fn create<S: Source>(&mut self, path: &[u8], entry: &Entry, reader: &mut Reader<S>) -> Result<Applied, Error> {
        let (parent, name) = split(path);
        let shown = || show(path).into_owned();
        let failed = || format!("cannot create \"{}\"", show(path));
        match &entry.kind {
            Kind::Directory => {
                if !path.is_empty() {
                    self.make_directory(parent, name, path, entry.mode)?;
                }
                let attributes = self.attributes(entry)?;
                self.note(path, |directory| directory.attributes = Some(attributes))?;
            }
            _ if path.is_empty() => {
                return Err(LayerError::Entry { entry: ".".into(), why: "the root is a directory".into() }.into());
            }
            Kind::File => {
                let mode = Mode::from_raw_mode(entry.mode & 0o777);
                let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = self.place(parent, name, failed, |at, name| fs::openat(at, name, flags, mode))?;
                self.fill(&file, entry, reader, path)?;
                self.stats.bytes = self.stats.bytes.saturating_add(entry.size);
            }
            Kind::HardLink(target) => return self.link(parent, name, path, target),
            Kind::SymbolicLink(target) => {
                self.place(parent, name, failed, |at, name| fs::symlinkat(target.as_slice(), at, name))?;
                self.finish_special(parent, name, entry, false, path)?;
                self.stats.bytes = self.stats.bytes.saturating_add(target.len() as u64);
            }
            // To overlayfs that is a whiteout, whoever made it.
            Kind::CharacterDevice(0, 0) => {}
            Kind::CharacterDevice(major, minor) => {
                self.make_node(path, entry, FileType::CharacterDevice, fs::makedev(*major, *minor))?;
            }
            Kind::BlockDevice(major, minor) => {
                self.make_node(path, entry, FileType::BlockDevice, fs::makedev(*major, *minor))?;
            }
            Kind::Fifo => self.make_node(path, entry, FileType::Fifo, 0)?,
            Kind::Unknown(flag) => {
                return Err(RenderError::Type { entry: shown(), flag: char::from(*flag) }.into());
            }
        }
        Ok(Applied::Done)
    }

    /// Makes one name with `make`, what stands in its way removed.
    fn place<T>(
        &mut self,
        parent: &[u8],
        name: &[u8],
        failed: impl Fn() -> String,
        make: impl Fn(&OwnedFd, &[u8]) -> Result<T, Errno>,
    ) -> Result<T, Error> {
        let at = self.parent(parent)?;
        match make(at, name) {
            Err(Errno::EXIST) => {}
            Err(error) => return Err(io_error(failed)(error)),
            Ok(made) => {
                self.stats.entries += 1;
                return Ok(made);
            }
        }
        self.clear(parent, name)?;
        let at = self.parent(parent)?;
        make(at, name).map_err(io_error(failed))
    }

    /// Removes what an entry of this layer replaces.
    fn clear(&mut self, parent: &[u8], name: &[u8]) -> Result<(), Error> {
        let at = self.parent(parent)?;
        let label = show(parent).into_owned();
        remove_child(at, name, &label)?;
        // A path may have led through what is gone now.
        self.open.clear();
        Ok(())
    }

    fn make_directory(&mut self, parent: &[u8], name: &[u8], path: &[u8], mode: u32) -> Result<(), Error> {
        let failed = || format!("cannot create directory \"{}\"", show(path));
        // Special bits come last: set-group-ID would go on into what is made inside.
        let mode = Mode::from_raw_mode(mode & 0o777 | 0o700);
        let at = self.parent(parent)?;
        match fs::mkdirat(at, name, mode) {
            Ok(()) => {
                self.stats.entries += 1;
                return Ok(());
            }
            Err(Errno::EXIST) => {}
            Err(error) => return Err(io_error(failed)(error)),
        }
        let there = fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(failed))?;
        if kind(&there) == FileType::Directory {
            return Ok(());
        }
        self.clear(parent, name)?;
        fs::mkdirat(self.parent(parent)?, name, mode).map_err(io_error(failed))?;
        if is_whiteout(&there) {
            self.set_opaque(path)?;
        }
        Ok(())
    }

    /// Hides `name` of lower layers, not what this one has.
    fn white_out(&mut self, parent: &[u8], name: &[u8], shown: &[u8]) -> Result<(), Error> {
        let failed = || format!("cannot create \"{}\"", show(shown));
        let at = self.parent(parent)?;
        match fs::mknodat(at, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => {
                self.stats.entries += 1;
                Ok(())
            }
            Err(Errno::EXIST) => {
                let there = fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(failed))?;
                if kind(&there) == FileType::Directory {
                    let path = if parent.is_empty() { name.to_vec() } else { [parent, b"/", name].concat() };
                    self.set_opaque(&path)?;
                }
                Ok(())
            }
            Err(error) => Err(io_error(failed)(error)),
        }
    }

    fn set_opaque(&mut self, path: &[u8]) -> Result<(), Error> {
        self.note(path, |directory| directory.opaque = true)
    }

    fn note(&mut self, path: &[u8], change: impl FnOnce(&mut Directory)) -> Result<(), Error> {
        if !self.directories.contains_key(path) {
            self.directory_bytes += path.len() + size_of::<Directory>();
        }
        let directory = self.directories.entry(path.to_vec()).or_default();
        change(directory);
        let attributes = directory.attributes.iter().flat_map(|attributes| &attributes.xattrs);
        self.directory_bytes += attributes.map(|(name, value)| name.len() + value.len()).sum::<usize>();
        if self.directory_bytes > MAX_DIRECTORY_BYTES {
            return Err(RenderError::TooMany { limit: MAX_NAMES }.into());
        }
        Ok(())
    }

    /// The directory at `path`, made when it is missing.
    fn parent(&mut self, path: &[u8]) -> Result<&OwnedFd, Error> {
        if path.is_empty() {
            return Ok(&self.root);
        }
        if !self.open.contains_key(path) {
            let opened = match open_in(&self.root, path, OFlags::PATH) {
                Err(Errno::NOENT | Errno::NOTDIR) => self.make_missing(path)?,
                other => other.map_err(|error| unreachable(path, error))?,
            };
            if self.open.len() >= CACHED_DIRECTORIES {
                self.open.clear();
            }
            self.open.insert(path.to_vec(), opened);
        }
        Ok(&self.open[path])
    }

    /// Makes the directories of `path` that no entry has brought yet.
    fn make_missing(&mut self, path: &[u8]) -> Result<OwnedFd, Error> {
        let mut at = self
            .root
            .try_clone()
            .map_err(|error| unreachable(path, Errno::from_io_error(&error).unwrap_or(Errno::IO)))?;
        let mut start = 0;
        for component in path.split(|byte| *byte == b'/') {
            let end = start + component.len();
            let here = &path[..end];
            start = end + 1;
            at = match open_in(&self.root, here, OFlags::PATH) {
                Ok(fd) => fd,
                Err(error @ (Errno::NOENT | Errno::NOTDIR)) => {
                    let hidden = error == Errno::NOTDIR && self.lift_whiteout(&at, component, here)?;
                    fs::mkdirat(&at, component, Mode::RWXU).map_err(|error| unreachable(here, error))?;
                    self.stats.entries += 1;
                    self.entries += 1;
                    self.note(here, |directory| directory.opaque |= hidden)?;
                    if !hidden {
                        self.implied.push(here.to_vec());
                    }
                    open_in(&self.root, here, OFlags::PATH).map_err(|error| unreachable(here, error))?
                }
                Err(error) => return Err(unreachable(here, error)),
            };
        }
        Ok(at)
    }

    /// Removes a whiteout that this layer made where it now has a directory; whatever else is there is in the way.
    fn lift_whiteout(&mut self, at: &OwnedFd, name: &[u8], path: &[u8]) -> Result<bool, Error> {
        let there = fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW).map_err(|error| unreachable(path, error))?;
        if !is_whiteout(&there) {
            return Err(unreachable(path, Errno::NOTDIR));
        }
        fs::unlinkat(at, name, AtFlags::empty()).map_err(|error| unreachable(path, error))?;
        Ok(true)
    }

    fn fill<S: Source>(&self, file: &OwnedFd, entry: &Entry, reader: &mut Reader<S>, path: &[u8]) -> Result<(), Error> {
        write_content(file, entry, reader, || format!("cannot write \"{}\"", show(path)))?;
        let failed = || format!("cannot set owner, mode and times of \"{}\"", show(path));
        let owner = self.owner(entry)?.filter(|owner| *owner != self.writer.owner);
        // chown(2) clears setuid and capabilities: owner first.
        if let Some((uid, gid)) = owner {
            fs::fchown(file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(io_error(failed))?;
        }
        self.set_xattrs(file, &kept(entry), path)?;
        if entry.mode & (0o7000 | self.writer.umask) != 0 {
            fs::fchmod(file, Mode::from_raw_mode(entry.mode)).map_err(io_error(failed))?;
        }
        fs::futimens(file, &times(entry)).map_err(io_error(failed))
    }

    fn make_node(&mut self, path: &[u8], entry: &Entry, of: FileType, device: fs::Dev) -> Result<(), Error> {
        let (parent, name) = split(path);
        let failed = || format!("cannot create \"{}\"", show(path));
        let mode = Mode::RUSR | Mode::WUSR;
        if of != FileType::Fifo && self.writer.privileges.lacks_devices() {
            return Ok(());
        }
        self.place(parent, name, failed, |at, name| fs::mknodat(at, name, of, mode, device))?;
        self.finish_special(parent, name, entry, true, path)
    }

    /// Owner, mode and times of what cannot be opened without effect.
    fn finish_special(
        &mut self,
        parent: &[u8],
        name: &[u8],
        entry: &Entry,
        has_mode: bool,
        path: &[u8],
    ) -> Result<(), Error> {
        let owner = self.owner(entry)?.filter(|owner| *owner != self.writer.owner);
        let failed = || format!("cannot set owner, mode and times of \"{}\"", show(path));
        let at = self.parent(parent)?;
        if let Some((uid, gid)) = owner {
            let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            fs::chownat(at, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(failed))?;
        }
        if has_mode {
            fs::chmodat(at, name, Mode::from_raw_mode(entry.mode), AtFlags::empty()).map_err(io_error(failed))?;
        }
        fs::utimensat(at, name, &times(entry), AtFlags::SYMLINK_NOFOLLOW).map_err(io_error(failed))
    }

    fn link(&mut self, parent: &[u8], name: &[u8], path: &[u8], target: &[u8]) -> Result<Applied, Error> {
        let refuse = |why: &str| -> Error {
            let (entry, target, why) = (show(path).into_owned(), show(target).into_owned(), why.to_owned());
            RenderError::LinkTarget { entry, target, why }.into()
        };
        let clean = below_root(target).map_err(refuse)?;
        if clean.is_empty() {
            return Err(refuse("it is a directory"));
        }
        if clean == path {
            return Ok(Applied::Done);
        }
        let (directory, target_name) = split(&clean);
        let own = find(self.root.as_fd(), directory, target_name).map_err(|error| unreachable(&clean, error))?;
        let from = match (own, self.lower) {
            (Some((_, stat)), _) if kind(&stat) == FileType::Directory => return Err(refuse("it is a directory")),
            (Some((fd, stat)), _) if !is_whiteout(&stat) => fd,
            (None, Some(lower)) => {
                match find(lower, directory, target_name).map_err(|error| unreachable(&clean, error))? {
                    Some((_, stat)) if kind(&stat) == FileType::Directory => return Err(refuse("it is a directory")),
                    Some((fd, _)) => fd,
                    None => return Err(refuse("it is in no layer")),
                }
            }
            (None, None) => return Ok(Applied::Foreign),
            (Some(_), _) => return Err(refuse("the layer itself hides it")),
        };
        let failed = || format!("cannot link \"{}\" to \"{}\"", show(path), show(target));
        self.place(parent, name, failed, |at, name| fs::linkat(&from, target_name, at, name, AtFlags::empty()))?;
        Ok(Applied::Done)
    }

    fn attributes(&self, entry: &Entry) -> Result<Attributes, Error> {
        Ok(Attributes { mode: entry.mode, owner: self.owner(entry)?, times: times(entry), xattrs: kept(entry) })
    }

    /// What a directory has that nothing describes: nobody's time, so that the same layer gives the same tree.
    fn default_attributes(&self) -> Result<Attributes, Error> {
        let owner = match &self.shift {
            Some(shift) => shift
                .apply(0, 0)
                .map_err(|source| RenderError::Owner { entry: "a directory without an entry".to_owned(), source })?,
            None => (0, 0),
        };
        let epoch = Timespec { tv_sec: 0, tv_nsec: 0 };
        Ok(Attributes {
            mode: 0o755,
            owner: self.writer.privileges.owner(owner),
            times: Timestamps { last_access: epoch, last_modification: epoch },
            xattrs: Vec::new(),
        })
    }

    fn set_directory(&self, fd: &OwnedFd, attributes: &Attributes, path: &[u8]) -> Result<(), Error> {
        let failed = || format!("cannot set owner, mode and times of \"{}\"", show(path));
        if let Some((uid, gid)) = attributes.owner.filter(|owner| *owner != self.writer.owner) {
            fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(io_error(failed))?;
        }
        self.set_xattrs(fd, &attributes.xattrs, path)?;
        fs::fchmod(fd, Mode::from_raw_mode(attributes.mode)).map_err(io_error(failed))?;
        fs::futimens(fd, &attributes.times).map_err(io_error(failed))
    }

    fn set_xattrs(&self, fd: &OwnedFd, xattrs: &[(Vec<u8>, Vec<u8>)], path: &[u8]) -> Result<(), Error> {
        for (name, value) in xattrs {
            let value = shifted_capability(self.shift, name, value);
            fs::fsetxattr(fd, name.as_slice(), &value, XattrFlags::empty())
                .map_err(io_error(|| format!("cannot set attribute {} of \"{}\"", show(name), show(path))))?;
        }
        Ok(())
    }

    /// The owner on the host; none for who may give nothing away.
    fn owner(&self, entry: &Entry) -> Result<Option<(u32, u32)>, Error> {
        let owner = match &self.shift {
            Some(shift) => shift
                .apply(entry.uid, entry.gid)
                .map_err(|source| RenderError::Owner { entry: show(&entry.path).into_owned(), source })?,
            None => (entry.uid, entry.gid),
        };
        Ok(self.writer.privileges.owner(owner))
    }
}

/// A name as a path below the root: `/etc/x`, `./etc//x` and `etc/x` are the same.
fn below_root(raw: &[u8]) -> Result<Vec<u8>, &'static str> {
    if raw.contains(&0) {
        return Err("its name contains a zero byte");
    }
    let mut path = Vec::with_capacity(raw.len());
    for component in raw.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err("its name contains \"..\""),
            _ => {
                if !path.is_empty() {
                    path.push(b'/');
                }
                path.extend_from_slice(component);
            }
        }
    }
    Ok(path)
}

/// Directory and last component.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

fn depth(path: &[u8]) -> usize {
    path.iter().filter(|byte| **byte == b'/').count() + usize::from(!path.is_empty())
}

/// Attributes that a layer may give: the users' own, but for what speaks to overlayfs, and capabilities.
fn kept(entry: &Entry) -> Vec<(Vec<u8>, Vec<u8>)> {
    let may = |name: &[u8]| {
        name == b"security.capability" || name.starts_with(b"user.") && !name.starts_with(b"user.overlay.")
    };
    entry.xattrs.iter().filter(|(name, _)| may(name)).cloned().collect()
}

pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

pub(super) fn is_whiteout(stat: &Stat) -> bool {
    kind(stat) == FileType::CharacterDevice && stat.st_rdev == 0
}

/// Opens a directory below `root`, whose links are followed as if it were the root of all.
pub(super) fn open_in(root: impl AsFd, path: &[u8], how: OFlags) -> Result<OwnedFd, Errno> {
    let place: &[u8] = if path.is_empty() { b"." } else { path };
    loop {
        match fs::openat2(&root, place, how | DIRECTORY, Mode::empty(), IN_ROOT) {
            // Something was renamed somewhere while `..` of a link was looked up.
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
}

/// A name and the directory that holds it, if they are there.
fn find(root: BorrowedFd<'_>, directory: &[u8], name: &[u8]) -> Result<Option<(OwnedFd, Stat)>, Errno> {
    let absent = |error| if matches!(error, Errno::NOENT | Errno::NOTDIR) { Ok(None) } else { Err(error) };
    let parent = match open_in(root, directory, OFlags::PATH) {
        Ok(parent) => parent,
        Err(error) => return absent(error),
    };
    match fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some((parent, stat))),
        Err(error) => absent(error),
    }
}

/// What stands in the way of a directory is the archive's fault, unless the disk says otherwise.
fn unreachable(path: &[u8], error: Errno) -> Error {
    let why = match error {
        Errno::NOTDIR | Errno::EXIST => "something on its way is no directory",
        Errno::LOOP => "links on its way form a circle",
        Errno::XDEV => "a file system is mounted on its way",
        _ => return io_error(|| format!("cannot open directory \"{}\"", show(path)))(error),
    };
    LayerError::Entry { entry: show(path).into_owned(), why: why.to_owned() }.into()
}

/// This process's file mode creation mask, which nobody changes meanwhile; where /proc does not tell, all bits.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|digits| u32::from_str_radix(digits.trim(), 8).ok()).unwrap_or(0o777)
}
