//! Plugins that a plugin calls: programs on its search path, or ours.

use super::{Answer, Call, CniError, Verb, code, process};
use crate::plugins;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long another program may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a plugin was found.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// A program of somebody else.
    Program(PathBuf),
    /// One of ours, which needs no process.
    BuiltIn,
}

/// The directory of a flavor's image that holds our plugins.
const OWN_DIRECTORY: &str = "rootfs/usr/lib/rkt/plugins/net";

/// Looks a plugin up: the first regular file of its name in the directories, in order; then among the built-in ones.
fn find(kind: &str, path: &[PathBuf]) -> Result<Found, CniError> {
    if kind.is_empty() || kind.contains('/') {
        return Err(CniError::configuration(format!("invalid plugin name \"{kind}\"")));
    }
    let built_in = plugins::versions(kind).is_some();
    let program = path
        .iter()
        .map(|directory| directory.join(kind))
        .find(|file| std::fs::metadata(file).is_ok_and(|metadata| metadata.is_file()));
    match program {
        Some(program) if !(built_in && is_own(&program)) => Ok(Found::Program(program)),
        None if !built_in => Err(not_found(kind, path)),
        _ => Ok(Found::BuiltIn),
    }
}

/// No plugin of that name.
pub fn not_found(kind: &str, path: &[PathBuf]) -> CniError {
    let directories: Vec<String> = path.iter().map(|directory| directory.display().to_string()).collect();
    CniError {
        details: format!("looked in {}", directories.join(":")),
        ..CniError::internal(format!("Could not find plugin \"{kind}\""))
    }
}

/// Whether a file is this program by another name.
fn is_own(file: &Path) -> bool {
    let identity = |path: &Path| std::fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    file.parent().is_some_and(|directory| directory.ends_with(OWN_DIRECTORY))
        || matches!((identity(file), identity(Path::new("/proc/self/exe"))), (Ok(one), Ok(two)) if one == two)
}

/// Calls another plugin with the same configuration: the one of the search path, in this process if that is ours or none.
pub fn delegate(kind: &str, call: &Call) -> Result<Option<Answer>, CniError> {
    let program = match find(kind, &call.path)? {
        Found::Program(program) => program,
        Found::BuiltIn => return plugins::call(kind, call).unwrap_or_else(|| Err(not_found(kind, &call.path))),
    };
    let output = process::run(&program, call, call.conf.to_string().as_bytes(), PATIENCE)?;
    if call.verb != Verb::Add {
        return Ok(None);
    }
    let value = serde_json::from_slice(&output).map_err(|_| {
        let text = String::from_utf8_lossy(&output);
        CniError::new(code::DECODING, format!("plugin \"{kind}\" answered no result but {:?}", text.trim()))
    })?;
    Answer::from_json(&value, call.version()).map(Some).map_err(|error| error.of(format!("plugin \"{kind}\"")))
}
