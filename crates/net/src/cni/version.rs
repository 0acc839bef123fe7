//! Versions of the protocol.

/// Every released version that can be spoken, oldest first.
pub const VERSIONS: [&str; 7] = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// Whether `version` is not older than `wanted`. Missing parts count as 0, as the reference library compares.
pub fn at_least(version: &str, wanted: &str) -> bool {
    let parts = |text: &str| {
        let mut numbers = text.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)]
    };
    parts(version) >= parts(wanted)
}

#[cfg(test)]
mod tests {
    use super::at_least;

    #[test]
    fn versions_compare_by_number() {
        assert!(at_least("1.1.0", "1.1.0") && at_least("0.10", "0.9.9") && at_least("1", "0.4.0"));
        assert!(!at_least("0.3.1", "0.4.0") && !at_least("", "0.1.0"));
    }
}
