//! The layout of an ACI (appc 0.8.11, "Image Archives"), read strictly.
//!
//! `manifest` (a regular file), `rootfs` (a directory with an entry of its own) and what lies below it; nothing else, and
//! nothing twice. A name may lead through a relative symbolic link of the image that stays inside `rootfs` (Debian's
//! `bin -> usr/bin`); through any other link, an absolute name or `..` it is an escape, and so is a hard link's target.

use std::{error, fmt};

use crate::{
    error::Error,
    names::{BadName, Dead, Kind as NodeKind, Names, Node, below_rootfs, clean, show},
    tar::{Entry, Kind, Reader, Source},
};

/// The greatest manifest that is read; the largest ones in the wild have some 100 KiB.
pub const MAX_MANIFEST: u64 = 16 << 20;

/// Why an archive is no ACI. Entries are named as they stand in the archive.
#[derive(Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// No entry `manifest`.
    NoManifest,
    /// The entry `manifest` is not a regular file of at most 16 MiB.
    BadManifest { why: String },
    /// No entry `rootfs`, or not a directory.
    NoRootfs { why: &'static str },
    /// A name other than `manifest`, `rootfs` and `rootfs/…`.
    Unexpected { entry: String },
    /// A type of entry that no file system has.
    Type { entry: String, flag: char },
    /// The same name twice.
    Duplicate { entry: String },
    /// A name that is a directory for one entry and something else for another.
    Conflict { entry: String, with: String },
    /// A name that leads out of the image.
    Escape { entry: String, why: String },
    /// More names than the table holds.
    TooMany { limit: usize },
}

impl LayoutError {
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::NoManifest | Self::BadManifest { .. } => "RKT_ACI_NO_MANIFEST",
            Self::NoRootfs { .. } => "RKT_ACI_NO_ROOTFS",
            Self::Unexpected { .. } | Self::Type { .. } | Self::TooMany { .. } => "RKT_ACI_UNEXPECTED_ENTRY",
            Self::Duplicate { .. } | Self::Conflict { .. } => "RKT_ACI_DUPLICATE_ENTRY",
            Self::Escape { .. } => "RKT_ACI_ESCAPE",
        }
    }
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoManifest => f.write_str("no image manifest: the archive has no entry \"manifest\""),
            Self::BadManifest { why } => write!(f, "the entry \"manifest\" {why}"),
            Self::NoRootfs { why } => write!(f, "no rootfs: {why}"),
            Self::Unexpected { entry } => {
                write!(f, "unrecognized file path \"{entry}\": only \"manifest\" and \"rootfs\" may be there")
            }
            Self::Type { entry, flag } => write!(f, "entry \"{entry}\" has the unsupported type: {flag}"),
            Self::Duplicate { entry } => write!(f, "duplicate file entry \"{entry}\""),
            Self::Conflict { entry, with } if entry == with => write!(f, "\"{entry}\" is both a file and a directory"),
            Self::Conflict { entry, with } => {
                write!(f, "entry \"{entry}\" needs \"{with}\" to be a directory, which it is not")
            }
            Self::Escape { entry, why } => write!(f, "entry \"{entry}\" escapes the image: {why}"),
            Self::TooMany { limit } => write!(f, "the image has more than {limit} files and directories"),
        }
    }
}

impl error::Error for LayoutError {}

/// Reads all entries of an ACI, checking each, and answers the bytes of its manifest.
pub fn read_aci<S: Source>(reader: &mut Reader<S>) -> Result<Vec<u8>, Error> {
    let mut layout = Layout { names: Names::new(), rootfs: false };
    let mut manifest = None;
    while let Some(entry) = reader.next_entry()? {
        if layout.check(&entry)? == Part::Manifest && manifest.replace(read_manifest(reader, &entry)?).is_some() {
            return Err(LayoutError::Duplicate { entry: "manifest".to_owned() }.into());
        }
    }
    reader.finish(true)?;
    let manifest = manifest.ok_or(LayoutError::NoManifest)?;
    if !layout.rootfs {
        return Err(LayoutError::NoRootfs { why: "the archive has no entry \"rootfs\"" }.into());
    }
    Ok(manifest)
}

/// The manifest's bytes. Nothing is allocated before its size is known to be small.
pub fn read_manifest<S: Source>(reader: &mut Reader<S>, entry: &Entry) -> Result<Vec<u8>, Error> {
    let bad = |why: String| LayoutError::BadManifest { why };
    if entry.kind != Kind::File {
        return Err(bad("is not a regular file".to_owned()).into());
    }
    if entry.size > MAX_MANIFEST {
        return Err(bad(format!("has {} bytes, more than {MAX_MANIFEST}", entry.size)).into());
    }
    let size = usize::try_from(entry.size).map_err(|_| bad("is too large".to_owned()))?;
    let mut bytes = vec![0; size];
    reader.read_data(entry, &mut |offset, run| {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        // Runs lie inside the entry's size: the reader checks maps.
        if let Some(place) = bytes.get_mut(offset..offset.saturating_add(run.len())) {
            place.copy_from_slice(run);
        }
        Ok(())
    })?;
    Ok(bytes)
}

#[derive(PartialEq, Eq)]
enum Part {
    Manifest,
    Rootfs,
}

struct Layout {
    names: Names,
    rootfs: bool,
}

impl Layout {
    fn check(&mut self, entry: &Entry) -> Result<Part, LayoutError> {
        let shown = || show(&entry.path).into_owned();
        let path = clean(&entry.path).map_err(|why| bad_name(shown(), why))?;
        if path == b"manifest" {
            return Ok(Part::Manifest);
        }
        let Some(inside) = below_rootfs(&path) else {
            // `tar -C DIR .` starts with the directory itself.
            let itself = path.is_empty() && entry.kind == Kind::Directory;
            return if itself { Ok(Part::Rootfs) } else { Err(LayoutError::Unexpected { entry: shown() }) };
        };
        if let Kind::Unknown(flag) = entry.kind {
            return Err(LayoutError::Type { entry: shown(), flag: char::from(flag) });
        }
        if inside.is_empty() {
            return self.root(entry).map(|()| Part::Rootfs);
        }
        self.place(entry, inside, shown()).map(|()| Part::Rootfs)
    }

    fn root(&mut self, entry: &Entry) -> Result<(), LayoutError> {
        if entry.kind != Kind::Directory {
            return Err(LayoutError::NoRootfs { why: "the entry \"rootfs\" is not a directory" });
        }
        if std::mem::replace(&mut self.rootfs, true) {
            return Err(LayoutError::Duplicate { entry: "rootfs".to_owned() });
        }
        Ok(())
    }

    fn place(&mut self, entry: &Entry, inside: &[u8], shown: String) -> Result<(), LayoutError> {
        let at = self.names.locate(inside, 0).map_err(|dead| dead_end(&shown, dead))?;
        let kind = match &entry.kind {
            Kind::Directory => NodeKind::Directory,
            Kind::SymbolicLink(_) => NodeKind::Link,
            _ => NodeKind::Other,
        };
        match at.node {
            None => {}
            Some(Node { kind: NodeKind::Implied, .. }) if kind == NodeKind::Directory => {}
            Some(Node { kind: seen, .. }) => {
                let directory = |kind| matches!(kind, NodeKind::Implied | NodeKind::Directory);
                return Err(if directory(seen) == directory(kind) {
                    LayoutError::Duplicate { entry: shown }
                } else {
                    LayoutError::Conflict { with: shown.clone(), entry: shown }
                });
            }
        }
        if let Kind::HardLink(target) = &entry.kind {
            self.check_target(target, &shown)?;
        }
        let inserted = match &entry.kind {
            Kind::SymbolicLink(target) => self.names.insert_link(&at, target, 0),
            _ => self.names.insert(&at, Node { kind, image: 0 }),
        };
        inserted.map_err(|_| LayoutError::TooMany { limit: crate::names::MAX_NAMES })
    }

    /// A hard link names a file of `rootfs`, by its name in the archive. Whether it is there is known when it is rendered.
    fn check_target(&self, target: &[u8], shown: &str) -> Result<(), LayoutError> {
        let escape = |why: String| LayoutError::Escape { entry: shown.to_owned(), why };
        let target_path = clean(target).map_err(|why| escape(format!("of its link target {}, {why}", show(target))))?;
        match below_rootfs(&target_path) {
            None | Some(b"") => Err(escape(format!("its link target \"{}\" is not below rootfs", show(target)))),
            Some(inside) => match self.names.locate(inside, 0) {
                Err(dead @ (Dead::Escapes { .. } | Dead::Loop)) => Err(dead_end(shown, dead)),
                _ => Ok(()),
            },
        }
    }
}

fn bad_name(entry: String, why: BadName) -> LayoutError {
    LayoutError::Escape { entry, why: why.to_string() }
}

/// The refusal of an entry whose name leads nowhere.
pub fn dead_end(entry: &str, dead: Dead) -> LayoutError {
    let entry = entry.to_owned();
    match dead {
        Dead::Escapes { link } => {
            LayoutError::Escape { entry, why: format!("the link \"rootfs/{}\" leads out of it", show(&link)) }
        }
        Dead::Loop => LayoutError::Escape { entry, why: "too many symbolic links".to_owned() },
        Dead::Blocked { by, .. } => LayoutError::Conflict { entry, with: format!("rootfs/{}", show(&by)) },
    }
}

#[cfg(test)]
mod tests;
