//! Network configurations as the administrator and the flavor write them: one file, and the directories that they lie in.

use crate::cni::{Conf, VERSIONS, at_least};
use sandbox::tree::read_bounded;
use sandbox::{Context, Failure, Result};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Larger files are refused.
const MAX_FILE: u64 = 1 << 20;

/// A network: what one file says.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its name; unique on a host.
    pub name: String,
    /// The file's base name, by which networks are ordered and copied.
    pub file: String,
    /// The file as it was read, with all plugins.
    pub text: Vec<u8>,
    /// The version of the protocol that its plugins are called with.
    pub version: String,
    /// Every version that the configuration allows, this one included.
    pub versions: Vec<String>,
    /// One plugin, whose configuration is the whole file.
    pub single: bool,
    /// CHECK is not to be called.
    pub disable_check: bool,
    /// GC is not to be called.
    pub disable_gc: bool,
    /// The plugins' configurations, in the order of ADD.
    pub plugins: Vec<Value>,
}

impl Network {
    /// Reads a file of a configuration directory, or the copy of one.
    pub fn load(path: &Path) -> Result<Self> {
        Self::read(path).map_err(|failure| failure.of(format!("error loading {}", path.display())))
    }

    fn read(path: &Path) -> Result<Self> {
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let mut network = Self::parse(file, read_file(path)?)?;
        network.append_neighbours(path)?;
        Ok(network)
    }

    /// Reads a configuration. The name of the file tells a list (`.conflist`) from a single plugin.
    pub fn parse(file: &str, text: Vec<u8>) -> Result<Self> {
        let value: Value = serde_json::from_slice(&text).map_err(|error| Failure::new(format!("not JSON: {error}")))?;
        if !value.is_object() {
            return Err(Failure::new("not a JSON object"));
        }
        let conf = Conf::of(&value);
        let name = said(conf.text("name"))?.unwrap_or_default().to_owned();
        check_name(&name)?;
        let single = !file.ends_with(".conflist");
        let plugins = if single { vec![value.clone()] } else { said(conf.list("plugins"))?.to_vec() };
        for plugin in &plugins {
            check_kind(said(Conf::of(plugin).text("type"))?.unwrap_or_default())?;
        }
        let versions = versions(conf)?;
        Ok(Self {
            version: versions.last().cloned().unwrap_or_default(),
            disable_check: switch(conf, "disableCheck")?,
            disable_gc: switch(conf, "disableGC")?,
            file: file.to_owned(),
            name,
            text,
            versions,
            single,
            plugins,
        })
    }

    /// The plugins of `NAME/*.conf` beside a list, unless it says that it is complete (CNI 1.1.0, loadOnlyInlinedPlugins).
    fn append_neighbours(&mut self, path: &Path) -> Result<()> {
        if self.single {
            return Ok(());
        }
        let mut value: Value = serde_json::from_slice(&self.text).unwrap_or_default();
        let complete = said(Conf::of(&value).flag("loadOnlyInlinedPlugins"))?;
        let inlined = self.plugins.len();
        if !complete {
            for file in files_of(&path.with_file_name(&self.name), &["conf"])? {
                let plugin: Value = serde_json::from_slice(&read_file(&file)?)
                    .map_err(|error| Failure::new(format!("{}: not JSON: {error}", file.display())))?;
                check_kind(said(Conf::of(&plugin).text("type"))?.unwrap_or_default())?;
                self.plugins.push(plugin);
            }
        }
        if self.plugins.len() > inlined {
            // Who reads the text, or a copy of it, has no neighbours.
            value["plugins"] = Value::from(self.plugins.clone());
            value["loadOnlyInlinedPlugins"] = Value::from(true);
            self.text = value.to_string().into_bytes();
        }
        if self.plugins.is_empty() {
            return Err(Failure::new("no plugins in the list"));
        }
        Ok(())
    }

    /// The types of its plugins, in order.
    pub fn kinds(&self) -> impl Iterator<Item = &str> {
        self.plugins.iter().map(kind_of)
    }

    /// Whether it translates the pod's address into the host's.
    pub fn masquerades(&self) -> bool {
        self.plugins.iter().any(|plugin| Conf::of(plugin).flag("ipMasq").unwrap_or(false))
    }

    /// Whether the version of the protocol is not older than that.
    pub fn speaks(&self, version: &str) -> bool {
        at_least(&self.version, version)
    }
}

/// The type of a plugin's configuration, which was checked when it was read.
pub fn kind_of(plugin: &Value) -> &str {
    Conf::of(plugin).text("type").ok().flatten().unwrap_or_default()
}

/// A wrong value is a failure of the file.
fn said<T>(value: std::result::Result<T, crate::CniError>) -> Result<T> {
    value.map_err(|error| Failure::new(error.msg))
}

/// The reference library takes strings for these, too.
fn switch(conf: Conf<'_>, key: &str) -> Result<bool> {
    match conf.get(key) {
        Some(Value::String(text)) if text == "true" => Ok(true),
        Some(Value::String(text)) if text == "false" => Ok(false),
        _ => said(conf.flag(key)),
    }
}

/// The versions that a configuration allows and that are spoken here, oldest first.
fn versions(conf: Conf<'_>) -> Result<Vec<String>> {
    let one = said(conf.text("cniVersion"))?.filter(|version| !version.is_empty());
    let many = said(conf.texts("cniVersions"))?;
    let mut named: Vec<&str> = one.into_iter().chain(many).collect();
    if named.is_empty() {
        named.push(VERSIONS[0]);
    }
    let spoken: Vec<String> =
        VERSIONS.iter().filter(|version| named.contains(version)).map(|&v| v.to_owned()).collect();
    if spoken.is_empty() {
        let known = VERSIONS.join(", ");
        return Err(Failure::new(format!("cniVersion {} is not spoken here (known: {known})", named.join(", "))));
    }
    Ok(spoken)
}

/// A name becomes part of paths and of rules.
fn check_name(name: &str) -> Result<()> {
    if name.is_empty() {
        return Err(Failure::new("it has no \"name\""));
    }
    let hostile = |letter: char| letter == '/' || letter == ':' || letter == ',' || letter.is_control();
    if name.starts_with('.') || name.len() > 128 || name.contains(hostile) {
        return Err(Failure::new(format!("\"{name}\" cannot be the name of a network")));
    }
    Ok(())
}

/// A type is the name of an executable.
fn check_kind(kind: &str) -> Result<()> {
    if kind.is_empty() {
        return Err(Failure::new("a plugin has no \"type\""));
    }
    if kind.contains(['/', '\0']) || kind.starts_with('.') {
        return Err(Failure::new(format!("\"{kind}\" cannot be the type of a plugin")));
    }
    Ok(())
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    use rustix::fs::{Mode, OFlags};
    // Not waiting for a writer, should it be a fifo.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::open(path, flags, Mode::empty()).context(|| format!("open {}", path.display()))?;
    read_bounded(fd, path, MAX_FILE)
}

/// The files of a directory with one of these endings, in the order of their names; none if there is no such directory.
fn files_of(directory: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR)) => return Ok(Vec::new()),
        Err(error) => return Err(Failure::system(format!("read {}", directory.display()), error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.context(|| format!("read {}", directory.display()))?.path();
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        if endings.contains(&ending) && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Where configurations lie, each directory overriding those before it.
#[derive(Clone, Debug)]
pub struct Directories {
    /// Of the flavor.
    pub builtin: PathBuf,
    /// Of distributions.
    pub system: PathBuf,
    /// Of the administrator.
    pub local: PathBuf,
}

/// What was found in the directories.
#[derive(Debug, Default)]
pub struct Found {
    /// By name of the network.
    pub networks: BTreeMap<String, Network>,
    /// Lines for stderr.
    pub notes: Vec<String>,
    /// Lines for stderr when all steps are told.
    pub debug: Vec<String>,
}

impl Directories {
    /// Loads the networks that `wanted` asks for by name.
    pub fn load(&self, wanted: impl Fn(&str) -> bool) -> Result<Found> {
        let mut found = Found::default();
        for directory in [&self.builtin, &self.system, &self.local] {
            found.debug.push(format!("loading networks from {}", directory.display()));
            let loaded = load_directory(directory, &wanted, &mut found)
                .map_err(|failure| failure.of("error loading network definitions"))?;
            for (name, network) in loaded {
                if found.networks.insert(name.clone(), network).is_some() {
                    let from = directory.display();
                    found.notes.push(format!("overriding \"{name}\" network with one from {from}"));
                }
            }
        }
        Ok(found)
    }
}

fn load_directory(
    directory: &Path,
    wanted: impl Fn(&str) -> bool,
    found: &mut Found,
) -> Result<BTreeMap<String, Network>> {
    let mut networks = BTreeMap::new();
    for path in files_of(directory, &["conf", "conflist"])? {
        let network = Network::load(&path)?;
        if !wanted(&network.name) {
            continue;
        }
        if networks.contains_key(&network.name) {
            found.notes.push(format!("\"{}\" network already defined, ignoring {}", network.name, network.file));
            continue;
        }
        networks.insert(network.name.clone(), network);
    }
    Ok(networks)
}

#[cfg(test)]
mod tests;
