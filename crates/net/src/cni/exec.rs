//! Other people's plugins: programs on the search path.

use super::{Answer, Call, CniError, Verb, code};
use serde_json::Value;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where a plugin was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A program of somebody else.
    Program(PathBuf),
    /// One of ours, which needs no process.
    BuiltIn,
}

/// The directory of a flavor's image that holds our plugins.
const OWN_DIRECTORY: &str = "rootfs/usr/lib/rkt/plugins/net";

/// Looks a plugin up: the first regular file of its name in the directories, in order; then among the built-in ones.
pub fn find(kind: &str, path: &[PathBuf]) -> Result<Found, CniError> {
    if kind.is_empty() || kind.contains('/') {
        return Err(CniError::configuration(format!("invalid plugin name \"{kind}\"")));
    }
    let built_in = crate::plugins::versions(kind).is_some();
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

/// Runs a plugin as the specification says, in the caller's network namespace. Its stderr is the caller's.
pub fn execute(program: &Path, call: &Call) -> Result<Option<Answer>, CniError> {
    let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let failed =
        |error: std::io::Error| CniError::new(code::IO, format!("failed to run {}: {error}", program.display()));
    let mut child = spawn(program, call).map_err(failed)?;
    let mut stdin = child.stdin.take();
    let written = stdin.as_mut().map_or(Ok(()), |stdin| stdin.write_all(call.conf.to_string().as_bytes()));
    drop(stdin);
    let output = child.wait_with_output().map_err(failed)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let value: Option<Value> = serde_json::from_str(text.trim()).ok();
    if !output.status.success() {
        return Err(value.as_ref().and_then(CniError::from_json).unwrap_or_else(|| {
            let message = format!("netplugin failed but error parsing its diagnostic message \"{}\"", text.trim());
            CniError { details: output.status.to_string(), ..CniError::internal(message) }
        }));
    }
    // One that succeeds without reading its configuration has not lost anything.
    if let Err(error) =
        written.or_else(|error| if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })
    {
        return Err(failed(error));
    }
    if call.verb != Verb::Add {
        return Ok(None);
    }
    let value = value.ok_or_else(|| {
        let message = format!("plugin \"{name}\" answered no result but \"{}\"", text.trim());
        CniError::new(code::DECODING, message)
    })?;
    Answer::from_json(&value, call.version()).map(Some).map_err(|error| error.of(format!("plugin \"{name}\"")))
}

fn spawn(program: &Path, call: &Call) -> std::io::Result<std::process::Child> {
    const TRIES: u32 = 5;
    let path = std::env::join_paths(&call.path).unwrap_or_default();
    let mut command = Command::new(program);
    command
        .env("CNI_COMMAND", call.verb.word())
        .env("CNI_CONTAINERID", &call.container_id)
        .env("CNI_NETNS", call.netns.as_deref().unwrap_or(Path::new("")))
        .env("CNI_IFNAME", &call.ifname)
        .env("CNI_ARGS", &call.args)
        .env("CNI_PATH", path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let mut tries = 0;
    loop {
        tries += 1;
        match command.spawn() {
            // Somebody is just installing it.
            Err(error) if error.raw_os_error() == Some(libc::ETXTBSY) && tries < TRIES => {
                std::thread::sleep(Duration::from_secs(1));
            }
            result => return result,
        }
    }
}
