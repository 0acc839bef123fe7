//! The most that a pod may send by each of its networks, and be sent (`resource/network-bandwidth`).

use super::NEWEST;
use super::conf::Network;
use crate::cni::Answer;
use serde_json::{Value, json};

/// The built-in plugin that limits.
pub const PLUGIN: &str = "bandwidth";

/// The capability that a network's own plugin declares when it does.
pub const CAPABILITY: &str = "bandwidth";

/// What may go at once is that of so much of a second,
const BURSTS_A_SECOND: u64 = 20;
/// and at least one packet as large as the kernel makes them.
const LEAST_BURST: u64 = 64 << 10;

/// The limit, in bytes a second, as plugins take it (CNI conventions, bandwidth): in bits, for both directions.
pub fn to_json(limit: u64) -> Value {
    let burst = (limit / BURSTS_A_SECOND).clamp(LEAST_BURST, u32::MAX.into()) * 8;
    let rate = limit.saturating_mul(8);
    json!({"ingressRate": rate, "ingressBurst": burst, "egressRate": rate, "egressBurst": burst})
}

/// The configuration of the plugin that limits an attachment.
pub fn plugin(network: &str, limit: u64, answer: &Answer) -> Value {
    json!({
        "cniVersion": NEWEST,
        "name": network,
        "type": PLUGIN,
        "runtimeConfig": {CAPABILITY: to_json(limit)},
        "prevResult": answer.to_json(NEWEST),
    })
}

/// Whether the network limits its pods by itself.
pub fn is_limited(network: &Network) -> bool {
    network.kinds().any(|kind| kind == PLUGIN)
}

#[cfg(test)]
mod tests {
    use super::to_json;

    #[test]
    fn limits_are_bits_of_both_directions_with_bursts_that_are_neither_too_small_nor_too_large() {
        let burst = |limit: u64| (to_json(limit)["egressRate"].as_u64(), to_json(limit)["ingressBurst"].as_u64());

        assert_eq!(burst(1), (Some(8), Some(8 << 16)));
        assert_eq!(burst(100_000_000), (Some(800_000_000), Some(40_000_000)));
        assert_eq!(burst(u64::MAX), (Some(u64::MAX), Some(8 * u64::from(u32::MAX))));
    }
}
