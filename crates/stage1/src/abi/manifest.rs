//! Manifests as far as a flavor reads them. stage0 has validated them; they are read tolerantly and never trusted to be complete.

use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// `null` and absence are the same.
fn nullable<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// POD/pod.
#[derive(Debug, Deserialize)]
pub struct PodManifest {
    #[serde(default, deserialize_with = "nullable")]
    pub apps: Vec<RuntimeApp>,
    #[serde(default, deserialize_with = "nullable")]
    pub volumes: Vec<Volume>,
    #[serde(default, deserialize_with = "nullable")]
    pub isolators: Vec<Isolator>,
    #[serde(default, deserialize_with = "nullable")]
    pub ports: Vec<ExposedPort>,
    #[serde(default, deserialize_with = "nullable")]
    pub annotations: Vec<Pair>,
}

/// A port of an app as the host has it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ExposedPort {
    pub name: String,
    pub host_port: u16,
    #[serde(default, deserialize_with = "nullable", rename = "hostIP")]
    pub host_ip: String,
    /// Of a pod whose apps are not known yet.
    pub pod_port: Option<Port>,
}

/// One app of a pod.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuntimeApp {
    pub name: String,
    pub app: Option<App>,
    #[serde(default, deserialize_with = "nullable", rename = "readOnlyRootFS")]
    pub read_only_root: bool,
    #[serde(default, deserialize_with = "nullable")]
    pub mounts: Vec<Mount>,
    #[serde(default, deserialize_with = "nullable")]
    pub annotations: Vec<Pair>,
}

impl RuntimeApp {
    /// The value of an annotation.
    pub fn annotation(&self, name: &str) -> Option<&str> {
        self.annotations.iter().find(|one| one.name == name).map(|one| one.value.as_str())
    }
}

/// An image's manifest.
#[derive(Debug, Deserialize)]
pub struct ImageManifest {
    pub name: String,
    pub app: Option<App>,
    #[serde(default, deserialize_with = "nullable")]
    pub annotations: Vec<Pair>,
}

impl ImageManifest {
    /// Whether the image was made from a Docker one.
    pub fn is_docker(&self) -> bool {
        self.annotations.iter().any(|annotation| annotation.name == "appc.io/docker/repository")
    }

    /// Whether its program tells when it is ready (stage1-abi §3.3).
    pub fn supports_notify(&self) -> bool {
        let says = |one: &&Pair| one.name == "appc.io/executor/supports-systemd-notify";
        self.annotations.iter().find(says).is_some_and(|one| one.value == "true")
    }
}

/// The app section.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct App {
    #[serde(default, deserialize_with = "nullable")]
    pub exec: Vec<String>,
    #[serde(default, deserialize_with = "nullable")]
    pub event_handlers: Vec<EventHandler>,
    pub user: String,
    pub group: String,
    #[serde(default, deserialize_with = "nullable", rename = "supplementaryGIDs", alias = "supplementaryGids")]
    pub supplementary_gids: Vec<i64>,
    #[serde(default, deserialize_with = "nullable")]
    pub working_directory: String,
    #[serde(default, deserialize_with = "nullable")]
    pub environment: Vec<Pair>,
    #[serde(default, deserialize_with = "nullable")]
    pub mount_points: Vec<MountPoint>,
    #[serde(default, deserialize_with = "nullable")]
    pub ports: Vec<Port>,
    #[serde(default, deserialize_with = "nullable")]
    pub isolators: Vec<Isolator>,
}

/// A port that an app listens on, or a range of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    pub name: String,
    pub protocol: String,
    pub port: u16,
    #[serde(default, deserialize_with = "nullable")]
    pub count: u32,
    #[serde(default, deserialize_with = "nullable")]
    pub socket_activated: bool,
}

/// A command at a moment of an app's life.
#[derive(Clone, Debug, Deserialize)]
pub struct EventHandler {
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub exec: Vec<String>,
}

/// A name and a value: annotations, environment.
#[derive(Clone, Debug, Deserialize)]
pub struct Pair {
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub value: String,
}

/// Where an image wants a volume.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MountPoint {
    #[serde(default, deserialize_with = "nullable")]
    pub name: String,
    #[serde(default, deserialize_with = "nullable")]
    pub path: String,
    #[serde(default, deserialize_with = "nullable")]
    pub read_only: bool,
}

/// A limit or privilege; its value is read by whom it concerns.
#[derive(Clone, Debug, Deserialize)]
pub struct Isolator {
    pub name: String,
    #[serde(default)]
    pub value: Value,
}

/// Where an app gets a volume.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    #[serde(default, deserialize_with = "nullable")]
    pub volume: String,
    #[serde(default, deserialize_with = "nullable")]
    pub path: String,
    pub app_volume: Option<Volume>,
}

/// A volume of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    pub name: String,
    pub kind: String,
    #[serde(default, deserialize_with = "nullable")]
    pub source: String,
    pub read_only: Option<bool>,
    pub recursive: Option<bool>,
    pub propagation: Option<String>,
    pub mode: Option<String>,
    pub uid: Option<u32>,
    pub gid: Option<u32>,
}
