//! Kernel parameters below `/proc/sys/net`, of the caller's network namespace.

use sandbox::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

fn file(name: &str) -> PathBuf {
    Path::new("/proc/sys/net").join(name)
}

/// The value of a parameter, named by its path below `/proc/sys/net`.
pub fn get(name: &str) -> Result<String> {
    let path = file(name);
    let text = fs::read_to_string(&path).context(|| format!("read {}", path.display()))?;
    Ok(text.trim_end().to_owned())
}

/// Sets a parameter, if it has another value.
pub fn set(name: &str, value: &str) -> Result<()> {
    if get(name)? == value {
        return Ok(());
    }
    let path = file(name);
    fs::write(&path, value).context(|| format!("write {value} to {}", path.display()))
}

/// Sets a parameter; a kernel without it is fine.
pub fn set_if_there(name: &str, value: &str) -> Result<()> {
    if file(name).exists() { set(name, value) } else { Ok(()) }
}
