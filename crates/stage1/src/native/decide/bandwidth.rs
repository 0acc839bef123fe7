//! How much a pod may send by its networks, and be sent: they are one for all its apps.

use super::networks::Networks;
use crate::abi::isolators::{NETWORK_BANDWIDTH, Resources};
use crate::abi::pod::{Pod, PodApp};
use sandbox::plan::Network;

/// The limit of the pod, and no more than its apps' together where each has one. A pod whose apps come and go (`mutable`) has its network
/// before them.
pub fn of_pod(
    pod: &Pod,
    bounds: &Resources,
    networks: &Networks,
    mutable: bool,
    warnings: &mut Vec<String>,
) -> Option<u64> {
    // What is wrong with an app's isolators is said of the app.
    let limit_of = |app: &PodApp| Resources::of(&app.app.isolators).ok()?.network_bandwidth;
    let limits: Vec<Option<i64>> = pod.apps.iter().map(limit_of).collect();
    if limits.iter().chain([&bounds.network_bandwidth]).all(Option::is_none) {
        return None;
    }
    let why = match networks.network {
        Network::Host => Some("the pod has the network of the host"),
        Network::Loopback if networks.carrier.is_some() => Some("the network is not the kernel's"),
        _ => None,
    };
    if let Some(why) = why {
        warnings.push(format!("{NETWORK_BANDWIDTH} isolator set but {why}, skipping"));
        return None;
    }
    let sum = limits.iter().try_fold(0, |sum: i64, limit| limit.map(|limit| sum.saturating_add(limit)));
    let together = sum.filter(|_| !mutable && !limits.is_empty());
    if together.is_none() {
        let why = if mutable { "in a pod that has its network already" } else { "beside apps without it" };
        let limited = pod.apps.iter().zip(&limits).filter(|(_, limit)| limit.is_some());
        warnings.extend(
            limited.map(|(app, _)| {
                format!("app \"{}\": isolator \"{NETWORK_BANDWIDTH}\" has no effect {why}", app.name())
            }),
        );
    }
    let least = bounds.network_bandwidth.into_iter().chain(together).min()?;
    u64::try_from(least).ok()
}
