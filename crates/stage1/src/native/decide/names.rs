//! The files about names: hosts and resolv.conf, which stage0 or the image may have an own one of.

use super::file;
use crate::abi::options::FileMode;
use sandbox::Result;
use sandbox::plan::File;
use sandbox::tree::Root;

pub const FALLBACK: &str = "etc/hosts-fallback";
pub const STAGE0_HOSTS: &str = "etc/rkt-hosts";
pub const STAGE0_RESOLV: &str = "etc/rkt-resolv.conf";
pub const MAX_FILE: u64 = 1 << 20;

/// The hosts file that apps get, with the pod's name added to it.
pub fn hosts_file(stage1: &Root, mode: FileMode, hostname: &str) -> Result<Option<File>> {
    let path = match mode {
        FileMode::Default => FALLBACK,
        FileMode::Stage0 => STAGE0_HOSTS,
        FileMode::Host | FileMode::Nothing => return Ok(None),
    };
    let text = stage1.read(path, MAX_FILE)?.unwrap_or_default();
    Ok(Some(file(path, add_host(&String::from_utf8_lossy(&text), hostname), 0o644)))
}

/// Appends the name to the first line of 127.0.0.1, or adds one.
pub fn add_host(text: &str, name: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    match lines.iter_mut().find(|line| line.starts_with("127.0.0.1")) {
        // A pod that is started again has it already.
        Some(line) if line.split_whitespace().any(|word| word == name) => {}
        Some(line) => {
            line.push(' ');
            line.push_str(name);
        }
        None => lines.push(format!("127.0.0.1\t{name}")),
    }
    lines.join("\n") + "\n"
}
