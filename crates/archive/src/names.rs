//! Names inside an image: cleaning them, and the table of those that were seen.
//!
//! The table keeps 128 bits of a keyed hash for a path, never its text, so an image cannot make it grow by long names and
//! cannot choose names that collide: two different paths meet by accident once in 2^64 images of the greatest size.
//! Only the texts of symbolic links are kept, bounded in sum, because a path may lead through them.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    hash::{BuildHasher, BuildHasherDefault, Hasher, RandomState},
};

/// Most names of one image or tree, directories that are only implied included. A power of two times 7/8, where the hash
/// table is full and takes 42 MiB; images of Linux distributions have 10,000 to 500,000.
pub const MAX_NAMES: usize = (1 << 21) / 8 * 7;
/// Most bytes of all symbolic links' texts together.
const MAX_LINK_BYTES: usize = 32 << 20;
/// As the kernel (path_resolution(7)).
const MAX_LINKS_FOLLOWED: usize = 40;

/// Why a name cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadName {
    /// It starts with a slash.
    Absolute,
    /// It contains a component `..`.
    DotDot,
    /// It contains a zero byte, which no file system can store.
    Nul,
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absolute => "its name is absolute",
            Self::DotDot => "its name contains \"..\"",
            Self::Nul => "its name contains a zero byte",
        })
    }
}

/// Removes empty components and `.`: `./rootfs//a/` becomes `rootfs/a`, `./` becomes nothing. Absolute names and `..` are
/// refused even where they would stay inside.
pub fn clean(raw: &[u8]) -> Result<Vec<u8>, BadName> {
    if raw.first() == Some(&b'/') {
        return Err(BadName::Absolute);
    }
    if raw.contains(&0) {
        return Err(BadName::Nul);
    }
    let mut path = Vec::with_capacity(raw.len());
    for component in raw.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err(BadName::DotDot),
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

/// The part below `rootfs`: `Some("")` for `rootfs` itself, `None` for what lies elsewhere.
pub fn below_rootfs(path: &[u8]) -> Option<&[u8]> {
    match path.strip_prefix(b"rootfs")? {
        [] => Some(b""),
        [b'/', rest @ ..] => Some(rest),
        _ => None,
    }
}

/// A name for a message: as text, other bytes escaped.
pub fn show(path: &[u8]) -> Cow<'_, str> {
    if path.iter().any(u8::is_ascii_control) || std::str::from_utf8(path).is_err() {
        return Cow::Owned(path.escape_ascii().to_string());
    }
    String::from_utf8_lossy(path)
}

/// What a name in the table stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory that no entry has named yet: something lies below it.
    Implied,
    /// A directory with an entry of its own.
    Directory,
    /// A symbolic link.
    Link,
    /// Anything else.
    Other,
}

/// A name in the table, and which image (by its position) brought it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    pub kind: Kind,
    pub image: u16,
}

type Key = [u8; 16];

/// Where a name leads, no symbolic link left on the way to its last component.
#[derive(Debug)]
pub struct Location {
    /// Components joined by slashes.
    pub path: Vec<u8>,
    /// The end of each component in `path` with its key.
    steps: Vec<(usize, Key)>,
    /// What is there already.
    pub node: Option<Node>,
}

impl Location {
    /// The directories above, outermost first: path, and its key.
    pub fn ancestors(&self) -> impl Iterator<Item = (&[u8], Key)> {
        self.steps[..self.steps.len().saturating_sub(1)].iter().map(|(end, key)| (&self.path[..*end], *key))
    }

    /// The last component.
    pub fn name(&self) -> &[u8] {
        self.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default()
    }

    /// The path of the directory that holds it; empty for the root.
    pub fn parent(&self) -> &[u8] {
        match self.steps.len() {
            0 | 1 => b"",
            length => &self.path[..self.steps[length - 2].0],
        }
    }
}

/// Why a name leads nowhere.
#[derive(Debug, PartialEq, Eq)]
pub enum Dead {
    /// A symbolic link on the way is absolute or leads above the root.
    Escapes { link: Vec<u8> },
    /// More than 40 symbolic links.
    Loop,
    /// Something on the way is not a directory, or is a link that another image brought.
    Blocked { by: Vec<u8>, node: Node },
}

/// The table is full.
#[derive(Debug, PartialEq, Eq)]
pub struct Full;

/// The keys are hashes already; eight of their bytes serve as they are.
#[derive(Default)]
struct First8(u64);

impl Hasher for First8 {
    // A key's length comes first, the key overwrites it.
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The names of a tree.
pub struct Names {
    seeds: [RandomState; 2],
    nodes: HashMap<Key, Node, BuildHasherDefault<First8>>,
    links: HashMap<Key, Box<[u8]>>,
    link_bytes: usize,
    limit: usize,
}

impl Names {
    pub fn new() -> Self {
        Self::with_limit(MAX_NAMES)
    }

    fn with_limit(limit: usize) -> Self {
        Self {
            seeds: [RandomState::new(), RandomState::new()],
            nodes: HashMap::default(),
            links: HashMap::new(),
            link_bytes: 0,
            limit,
        }
    }

    /// Leads a clean path through the links of `image` that lie on its way. The last component is not followed.
    pub fn locate(&self, path: &[u8], image: u16) -> Result<Location, Dead> {
        let mut at = Location { path: Vec::with_capacity(path.len()), steps: Vec::new(), node: None };
        let mut ahead: Vec<&[u8]> = path.rsplit(|byte| *byte == b'/').collect();
        let mut followed = 0;
        let mut link = Vec::new();
        while let Some(component) = ahead.pop() {
            match component {
                b"" | b"." => continue,
                b".." if at.steps.is_empty() => return Err(Dead::Escapes { link }),
                b".." => {
                    at.pop();
                    continue;
                }
                _ => at.push(component, &self.seeds),
            }
            let Some((_, key)) = at.steps.last() else { continue };
            let node = self.nodes.get(key).copied();
            if ahead.is_empty() {
                at.node = node;
                break;
            }
            match node {
                None | Some(Node { kind: Kind::Implied | Kind::Directory, .. }) => {}
                Some(Node { kind: Kind::Link, image: owner }) if owner == image => {
                    followed += 1;
                    if followed > MAX_LINKS_FOLLOWED {
                        return Err(Dead::Loop);
                    }
                    let target: &[u8] = self.links.get(key).map_or(b"", |target| target);
                    link.clone_from(&at.path);
                    if target.is_empty() || target.starts_with(b"/") {
                        return Err(Dead::Escapes { link });
                    }
                    at.pop();
                    ahead.extend(target.rsplit(|byte| *byte == b'/'));
                }
                Some(node) => return Err(Dead::Blocked { by: at.path, node }),
            }
        }
        Ok(at)
    }

    /// Puts a name into the table, and the directories above it that are not there yet as implied ones.
    pub fn insert(&mut self, location: &Location, node: Node) -> Result<(), Full> {
        let implied = Node { kind: Kind::Implied, image: node.image };
        for (_, key) in location.ancestors() {
            self.nodes.entry(key).or_insert(implied);
        }
        if let Some((_, key)) = location.steps.last() {
            self.nodes.insert(*key, node);
        }
        if self.nodes.len() > self.limit { Err(Full) } else { Ok(()) }
    }

    /// The same for a symbolic link, whose text is kept.
    pub fn insert_link(&mut self, location: &Location, target: &[u8], image: u16) -> Result<(), Full> {
        self.insert(location, Node { kind: Kind::Link, image })?;
        self.link_bytes += target.len();
        if self.link_bytes > MAX_LINK_BYTES {
            return Err(Full);
        }
        if let Some((_, key)) = location.steps.last() {
            self.links.insert(*key, target.into());
        }
        Ok(())
    }

    /// Whether the table has this key.
    pub fn contains(&self, key: &Key) -> bool {
        self.nodes.contains_key(key)
    }
}

impl Location {
    fn push(&mut self, component: &[u8], seeds: &[RandomState; 2]) {
        let above = self.steps.last().map_or([0; 16], |(_, key)| *key);
        let mut key = [0; 16];
        for (half, seed) in key.chunks_exact_mut(8).zip(seeds) {
            let mut hasher = seed.build_hasher();
            hasher.write(&above);
            hasher.write(component);
            half.copy_from_slice(&hasher.finish().to_ne_bytes());
        }
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(component);
        self.steps.push((self.path.len(), key));
    }

    fn pop(&mut self) {
        self.steps.pop();
        self.path.truncate(self.steps.last().map_or(0, |(end, _)| *end));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(entries: &[(&str, Option<&str>)]) -> Names {
        let mut names = Names::new();
        for (path, link) in entries {
            let at = names.locate(path.as_bytes(), 0).unwrap();
            match link {
                Some(target) => names.insert_link(&at, target.as_bytes(), 0).unwrap(),
                None => names.insert(&at, Node { kind: Kind::Other, image: 0 }).unwrap(),
            }
        }
        names
    }

    #[test]
    fn names_are_cleaned_and_escapes_refused() {
        assert_eq!(clean(b"./rootfs//a/./b/").unwrap(), b"rootfs/a/b");
        assert_eq!(clean(b"./").unwrap(), b"");
        assert_eq!(clean(b"/rootfs"), Err(BadName::Absolute));
        assert_eq!(clean(b"rootfs/../rootfs/a"), Err(BadName::DotDot));
        assert_eq!(clean(b"a\0b"), Err(BadName::Nul));
        assert_eq!(below_rootfs(b"rootfs2/x"), None);
        assert_eq!(below_rootfs(b"rootfs"), Some(&b""[..]));
    }

    #[test]
    fn relative_links_are_followed_inside_the_tree() {
        let names = table(&[("usr/bin/sh", None), ("bin", Some("usr/bin")), ("usr/up", Some("../var/./lib/"))]);
        let at = names.locate(b"bin/sh", 0).unwrap();
        assert_eq!((at.path.as_slice(), at.parent(), at.name()), (&b"usr/bin/sh"[..], &b"usr/bin"[..], &b"sh"[..]));
        assert_eq!(at.node, Some(Node { kind: Kind::Other, image: 0 }));
        assert_eq!(names.locate(b"usr/up/x", 0).unwrap().path, b"var/lib/x");
    }

    #[test]
    fn links_that_leave_the_tree_or_circle_lead_nowhere() {
        let names = table(&[
            ("abs", Some("/etc")),
            ("up", Some("../etc")),
            ("a/up", Some("../../etc")),
            ("one", Some("two")),
            ("two", Some("one")),
            ("hop", Some("a/b/c")),
            ("a/b/c", Some("../../../etc")),
            ("file", None),
        ]);
        for path in ["abs/x", "up/x", "a/up/x", "hop/x"] {
            assert!(matches!(names.locate(path.as_bytes(), 0), Err(Dead::Escapes { .. })), "{path}");
        }
        assert_eq!(names.locate(b"one/x", 0).unwrap_err(), Dead::Loop);
        let blocked = names.locate(b"file/x", 0).unwrap_err();
        assert_eq!(blocked, Dead::Blocked { by: b"file".to_vec(), node: Node { kind: Kind::Other, image: 0 } });
    }

    #[test]
    fn links_of_another_image_are_not_followed() {
        let names = table(&[("bin", Some("usr/bin"))]);
        assert!(matches!(names.locate(b"bin/x", 1), Err(Dead::Blocked { .. })));
    }

    #[test]
    fn the_table_has_a_bound_that_counts_implied_directories() {
        let mut names = Names::with_limit(3);
        let at = names.locate(b"a/b/c/d", 0).unwrap();
        assert_eq!(names.insert(&at, Node { kind: Kind::Other, image: 0 }), Err(Full));
    }
}
