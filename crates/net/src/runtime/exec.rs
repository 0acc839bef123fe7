//! Other people's plugins: where they are looked for before rkt's own.

use sandbox::{Failure, Result};
use std::path::{Path, PathBuf};

/// Where plugins are looked for.
#[derive(Clone, Debug)]
pub struct Search {
    /// Of the administrator; these go before what the flavor brings.
    pub own: Vec<PathBuf>,
    /// Of the flavor, where its built-in plugins lie as programs. Relative to the pod directory, or absolute.
    pub flavor: PathBuf,
}

/// What a plugin's type stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plugin {
    /// A program, by its path.
    Program(PathBuf),
    /// One of [`crate::plugins`], and the path that it has as a program.
    Builtin(PathBuf),
}

impl Plugin {
    /// Its path, as it is recorded.
    pub fn path(&self) -> &Path {
        match self {
            Self::Program(path) | Self::Builtin(path) => path,
        }
    }
}

impl Search {
    /// The directories of `CNI_PATH`, in their order.
    pub fn directories(&self) -> Vec<PathBuf> {
        self.own.iter().chain([&self.flavor]).cloned().collect()
    }

    /// The first plugin of that type.
    pub fn find(&self, kind: &str) -> Result<Plugin> {
        let program = self.own.iter().map(|directory| directory.join(kind)).find(|path| path.is_file());
        if let Some(path) = program {
            return Ok(Plugin::Program(path));
        }
        let path = self.flavor.join(kind);
        if crate::plugins::versions(kind).is_some() {
            return Ok(Plugin::Builtin(path));
        }
        if path.is_file() { Ok(Plugin::Program(path)) } else { Err(not_found(kind)) }
    }
}

fn not_found(kind: &str) -> Failure {
    // Where other runtimes and distributions keep theirs.
    let elsewhere = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];
    let there = elsewhere.iter().map(|directory| Path::new(directory).join(kind)).find(|path| path.is_file());
    let hint = there.map_or_else(String::new, |path| {
        format!(" (there is {}: link it into /usr/lib/rkt/plugins/net)", path.display())
    });
    Failure::new(format!("Could not find plugin \"{kind}\"{hint}"))
}
