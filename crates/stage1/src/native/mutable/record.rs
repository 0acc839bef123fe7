//! What a mutable pod was started with, kept for the apps that come later; only the host can write it.

use super::super::control::RECORD;
use super::super::decide::Facts;
use crate::abi::options::RunOptions;
use crate::abi::pod;
use sandbox::cgroup::{self, Hierarchy};
use sandbox::{Context, Failure, Result};
use std::path::{Path, PathBuf};

const MAX_RECORD: u64 = 1 << 20;

/// The record.
#[derive(serde::Deserialize, serde::Serialize)]
pub struct Record {
    /// Of the entrypoint `run`.
    arguments: Vec<String>,
    hierarchies: Vec<Hierarchy>,
    /// The SELinux context of the pod's processes.
    process_context: Option<String>,
    /// Where apps find the metadata service from the pod's network.
    #[serde(default)]
    metadata_url: Option<String>,
}

/// Keeps what a pod is started with.
pub fn write(directory: &Path, arguments: &[String], facts: &Facts, metadata_url: Option<&str>) -> Result<()> {
    let record = Record {
        arguments: arguments.to_vec(),
        hierarchies: facts.hierarchies.clone(),
        process_context: facts.process_context.clone(),
        metadata_url: metadata_url.map(str::to_owned),
    };
    let text = serde_json::to_vec(&record).context(|| format!("encode {RECORD}"))?;
    pod::write_file(directory, RECORD, &text, 0o600)
}

impl Record {
    /// Reads it. A pod without it does not change.
    pub fn read(directory: &Path) -> Result<Self> {
        let bytes = pod::read_file(&directory.join(RECORD), MAX_RECORD).map_err(|failure| match failure.errno() {
            Some(libc::ENOENT) => Failure::new("immutable pod"),
            _ => failure,
        })?;
        serde_json::from_slice(&bytes).context(|| format!("parse {RECORD}"))
    }

    pub fn options(&self) -> Result<RunOptions> {
        RunOptions::parse(&self.arguments, true)
    }

    pub fn metadata_url(&self) -> Option<String> {
        self.metadata_url.clone()
    }

    /// Today's facts, with the cgroups of then.
    pub fn facts(&self) -> Result<Facts> {
        Ok(Facts {
            hierarchies: self.hierarchies.clone(),
            process_context: self.process_context.clone(),
            ..Facts::read()
        })
    }

    /// The cgroups of an app.
    pub fn cgroups_of(&self, app: &str) -> Vec<PathBuf> {
        let Ok(options) = self.options() else { return Vec::new() };
        let below = format!("{}/system.slice/{app}.service", cgroup::scope_name(&options.uuid));
        self.hierarchies.iter().map(|hierarchy| hierarchy.own.join(&below)).collect()
    }
}
