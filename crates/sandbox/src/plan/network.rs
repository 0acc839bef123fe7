//! The networks of a pod, and what the host offers of it.

use serde::Serialize;
use std::net::IpAddr;

/// A network of the pod.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkAttachment {
    /// The network's name.
    pub name: String,
    /// The base name of the file that configures it.
    pub file: String,
    /// The interface in the pod.
    pub interface: String,
    /// `CNI_ARGS`.
    pub arguments: String,
    /// The configuration.
    pub text: String,
}

/// A port of the pod, or a range of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    /// The address of the host that offers it; the unspecified one is all.
    pub host_ip: IpAddr,
    /// The first port of the host.
    pub host_port: u16,
    /// The first port of the pod.
    pub pod_port: u16,
    /// How many.
    pub count: u16,
}
