//! The cgroups of a pod, and what is written there.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The pod's place in each cgroup hierarchy.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cgroups {
    /// What the file `subcgroup` says: the path relative to a controller's mount.
    pub subcgroup: Option<String>,
    /// There are hierarchies in which this user may make nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub undelegated: bool,
    /// One entry a hierarchy.
    pub hierarchies: Vec<CgroupPlace>,
    /// Files of the version 2 hierarchy that pass controllers down, with their content, written before any process enters.
    pub delegate: Vec<(PathBuf, String)>,
    /// Written to the cgroup of the pod, and to the one that holds those of its apps.
    pub values: Vec<CgroupValue>,
    /// The leaf, below our own cgroup, that this process has to move to so that controllers can be passed down (version 2).
    pub vacate: Option<PathBuf>,
}

/// The pod's cgroup of one hierarchy.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CgroupPlace {
    /// Whether it is the version 2 hierarchy.
    pub unified: bool,
    /// Its controllers.
    pub controllers: Vec<String>,
    /// The pod's directory.
    pub pod: PathBuf,
    /// Where pid 1 goes: the pod's directory, or a leaf of it in version 2.
    pub supervisor: PathBuf,
    /// Per app, in the order of the apps: the directory.
    pub apps: Vec<PathBuf>,
}

/// One write to a cgroup file.
#[derive(Debug, Serialize, Deserialize)]
pub struct CgroupValue {
    /// The controller whose hierarchy it is.
    pub controller: String,
    /// The file's name.
    pub file: String,
    /// The text.
    pub text: String,
}
