//! What is mounted, and where it comes from.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// An empty volume.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EmptyVolume {
    /// The name, which is also the directory's.
    pub name: String,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// A directory of an app's root whose content, mode and owner the volume takes over: app and path.
    pub copy_from: Option<(String, String)>,
}

/// One mount.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// Below the root, whose links are followed inside of it.
    pub target: String,
    /// What is mounted.
    pub source: Source,
    /// No writing through this mount.
    pub read_only: bool,
    /// Whether the mounts below the source come along.
    pub recursive: bool,
    /// A target that does not exist is made; else such a mount is left out.
    pub make_target: bool,
    /// Shown with the pod's own ids: its files belong inside to whom they belong outside.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub id_mapped: bool,
    /// How mounts made below the source or below the target are seen on the other side.
    #[serde(default, skip_serializing_if = "Propagation::is_private")]
    pub propagation: Propagation,
}

/// Propagation of mounts between the host and the pod (mount_namespaces(7), Shared subtrees).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Propagation {
    /// Neither side sees what the other mounts.
    #[default]
    Private,
    /// The pod sees what the host mounts.
    Slave,
    /// Each sees what the other mounts.
    Shared,
}

impl Propagation {
    fn is_private(&self) -> bool {
        *self == Self::Private
    }

    /// The propagation of that name.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "private" => Some(Self::Private),
            "slave" => Some(Self::Slave),
            "shared" => Some(Self::Shared),
            _ => None,
        }
    }
}

/// Where a mount's content comes from.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// A new instance of a file system of the kernel.
    #[serde(skip_deserializing)]
    Filesystem {
        /// Its type.
        #[serde(skip_deserializing)]
        kind: &'static str,
        /// Its options.
        #[serde(skip_deserializing)]
        options: Vec<(&'static str, &'static str)>,
        /// Set-user-id programs, devices and executables that it may hold.
        allow: Allow,
    },
    /// A new tmpfs with the devices and links of the OS specification.
    Devices {
        /// Whether `net/tun` is among them.
        tun: bool,
        /// Mounts of those in the /dev that this process sees: for who may not make devices.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        bound: bool,
    },
    /// A path of the host.
    Host(PathBuf),
    /// A path of stage1's root.
    Stage1(String),
    /// The target itself, to change its flags.
    Itself,
    /// Something empty without any permission.
    Masked,
}

/// What a file system may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Allow {
    /// Neither devices nor set-user-id programs nor executables.
    Data,
    /// Executables.
    Executables,
    /// Device nodes.
    Devices,
}
