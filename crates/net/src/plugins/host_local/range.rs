//! The ranges that addresses are taken from.

use crate::Prefix;
use crate::address::{bits, from_bits};
use crate::cni::{Call, CniError, Conf, at_least, code};
use serde_json::Value;
use std::fmt;
use std::net::IpAddr;

/// A range of one subnet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// With no host bit set.
    pub subnet: Prefix,
    /// The first address to give.
    pub start: IpAddr,
    /// The last address to give.
    pub end: IpAddr,
    /// Never given.
    pub gateway: IpAddr,
}

/// Ranges of one family; each pod gets one address of each set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeSet(pub Vec<Range>);

impl Range {
    fn parse(conf: Conf<'_>) -> Result<Self, CniError> {
        let subnet: Prefix = conf
            .text("subnet")?
            .ok_or_else(|| CniError::configuration("missing field \"subnet\" in IPAM configuration"))?
            .parse()
            .map_err(|reason: String| CniError::new(code::DECODING, reason))?;
        let v6 = subnet.is_v6();
        if subnet.length > if v6 { 126 } else { 30 } {
            return Err(CniError::configuration(format!("network {subnet} too small to allocate from")));
        }
        if subnet.network() != subnet {
            return Err(CniError::configuration(format!(
                "network has host bits set: for a subnet mask of length {} the network address is {}",
                subnet.length,
                subnet.network().address
            )));
        }
        let first = from_bits(bits(subnet.address) + 1, v6);
        // The last address of an IPv4 subnet is for broadcasts.
        let last = if v6 { subnet.last() } else { from_bits(bits(subnet.last()) - 1, v6) };
        let inside = |key: &str, default: IpAddr| match conf.text(key)?.filter(|text| !text.is_empty()) {
            None => Ok(default),
            Some(text) => {
                let address: IpAddr = text
                    .parse()
                    .map_err(|_| CniError::new(code::DECODING, format!("invalid IP address in \"{key}\": {text}")))?;
                // A gateway may lie anywhere, as long as it is of the family.
                let fits = if key == "gateway" { address.is_ipv6() == v6 } else { subnet.contains(address) };
                let wrong = || CniError::configuration(format!("{key} {address} not in network {subnet}"));
                if fits { Ok(address) } else { Err(wrong()) }
            }
        };
        let range = Self {
            subnet,
            start: inside("rangeStart", first)?,
            end: inside("rangeEnd", last)?,
            gateway: inside("gateway", first)?,
        };
        if bits(range.start) > bits(range.end) {
            return Err(CniError::configuration(format!("rangeStart {} is after rangeEnd {}", range.start, range.end)));
        }
        Ok(range)
    }

    /// Whether it may be given from here.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.subnet.contains(address) && (bits(self.start)..=bits(self.end)).contains(&bits(address))
    }

    fn overlaps(&self, other: &Self) -> bool {
        self.start.is_ipv6() == other.start.is_ipv6()
            && bits(self.start) <= bits(other.end)
            && bits(other.start) <= bits(self.end)
    }
}

impl RangeSet {
    fn parse(ranges: &[Value]) -> Result<Self, CniError> {
        let set = Self(ranges.iter().map(|range| Range::parse(Conf::of(range))).collect::<Result<_, _>>()?);
        let Some(first) = set.0.first() else { return Err(CniError::configuration("empty range set")) };
        if set.0.iter().any(|range| range.subnet.is_v6() != first.subnet.is_v6()) {
            return Err(CniError::configuration("mixed address families in one range set"));
        }
        for (index, range) in set.0.iter().enumerate() {
            if let Some(other) = set.0[..index].iter().find(|other| range.overlaps(other)) {
                return Err(CniError::configuration(format!("ranges {other} and {range} overlap")));
            }
        }
        Ok(set)
    }

    /// The range that an address is of.
    pub fn range_of(&self, address: IpAddr) -> Option<&Range> {
        self.0.iter().find(|range| range.contains(address))
    }

    /// Every address, once, beginning behind `last` and wrapping around; without the gateways.
    pub fn after(&self, last: Option<IpAddr>) -> impl Iterator<Item = (IpAddr, &Range)> {
        let position = last.and_then(|last| {
            let index = self.0.iter().position(|range| range.contains(last))?;
            Some((index, bits(last)))
        });
        let (index, behind) = position.unwrap_or((0, bits(self.0[0].start).wrapping_sub(1)));
        let span = |range: &Range, from: u128, to: u128| (from, to, range.subnet.is_v6());
        let mut spans = Vec::new();
        let count = self.0.len();
        for offset in 0..=count {
            let which = (index + offset) % count;
            let range = &self.0[which];
            let (start, end) = (bits(range.start), bits(range.end));
            spans.push((
                which,
                match offset {
                    0 => span(range, behind.wrapping_add(1), end),
                    _ if offset == count => span(range, start, behind.min(end)),
                    _ => span(range, start, end),
                },
            ));
        }
        spans.into_iter().flat_map(move |(which, (from, to, v6))| {
            let range = &self.0[which];
            let mut next = Some(from).filter(|from| *from <= to);
            std::iter::from_fn(move || {
                let number = next?;
                next = number.checked_add(1).filter(|number| *number <= to);
                Some((from_bits(number, v6), range))
            })
            .filter(|(address, range)| *address != range.gateway)
        })
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.start, self.end)
    }
}

impl fmt::Display for RangeSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        formatter.write_str(&ranges.join(","))
    }
}

/// The range sets of a configuration: those of the runtime, then the one at top level, then `ranges`.
pub fn range_sets(call: &Call) -> Result<Vec<RangeSet>, CniError> {
    let ipam = call.conf().object("ipam")?;
    let list = |value: &Value| {
        value.as_array().cloned().ok_or_else(|| CniError::new(code::DECODING, "a range set is not a list"))
    };
    let mut sets = Vec::new();
    if ipam.text("subnet")?.is_some_and(|subnet| !subnet.is_empty()) {
        sets.push(vec![ipam.value().clone()]);
    }
    for set in call.conf().object("runtimeConfig")?.list("ipRanges")? {
        sets.push(list(set)?);
    }
    for set in ipam.list("ranges")? {
        sets.push(list(set)?);
    }
    let sets = sets.iter().map(|set| RangeSet::parse(set)).collect::<Result<Vec<_>, _>>()?;
    if sets.is_empty() {
        return Err(CniError::configuration("no IP ranges specified"));
    }
    for (index, set) in sets.iter().enumerate() {
        for other in &sets[..index] {
            if set.0.iter().any(|range| other.0.iter().any(|other| range.overlaps(other))) {
                return Err(CniError::configuration(format!("range sets {other} and {set} overlap")));
            }
        }
    }
    let of = |v6: bool| sets.iter().filter(|set| set.0[0].subnet.is_v6() == v6).count();
    if !at_least(call.version(), "0.3.0") && (of(false) > 1 || of(true) > 1) {
        let message = format!("CNI version {} does not support more than 1 address per family", call.version());
        return Err(CniError::configuration(message));
    }
    Ok(sets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn set(value: &Value) -> Result<RangeSet, String> {
        RangeSet::parse(value.as_array().unwrap()).map_err(|error| error.msg)
    }

    fn after(set: &RangeSet, last: Option<&str>) -> Vec<String> {
        set.after(last.map(|last| last.parse().unwrap())).map(|(address, _)| address.to_string()).collect()
    }

    #[test]
    fn a_range_has_defaults_and_goes_round_without_its_gateway() {
        let small = set(&json!([{"subnet": "10.0.0.0/29"}])).unwrap();

        assert_eq!(after(&small, None), ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
        assert_eq!(after(&small, Some("10.0.0.4")), ["10.0.0.5", "10.0.0.6", "10.0.0.2", "10.0.0.3", "10.0.0.4"]);
        assert_eq!(after(&small, Some("10.9.0.4")).len(), 5, "a last address of another range begins anew");
        let six = set(&json!([{"subnet": "fd00::/126", "gateway": "fd00::2"}])).unwrap();
        assert_eq!(after(&six, None), ["fd00::1", "fd00::3"]);
        assert_eq!(
            set(&json!([{"subnet": "0.0.0.0/0"}])).unwrap().after(None).next().unwrap().0.to_string(),
            "0.0.0.2"
        );
    }

    #[test]
    fn a_set_of_ranges_is_gone_through_once_from_anywhere() {
        let two = set(&json!([
            {"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.10", "rangeEnd": "10.0.0.11"},
            {"subnet": "10.0.1.0/24", "rangeStart": "10.0.1.1", "rangeEnd": "10.0.1.3"},
        ]))
        .unwrap();

        assert_eq!(after(&two, None), ["10.0.0.10", "10.0.0.11", "10.0.1.2", "10.0.1.3"]);
        assert_eq!(after(&two, Some("10.0.1.2")), ["10.0.1.3", "10.0.0.10", "10.0.0.11", "10.0.1.2"]);
    }

    #[test]
    fn wrong_ranges_are_refused_with_the_reason() {
        let cases = [
            (json!([{"subnet": "10.0.0.0/31"}]), "network 10.0.0.0/31 too small to allocate from"),
            (json!([{"subnet": "fd00::/127"}]), "network fd00::/127 too small to allocate from"),
            (
                json!([{"subnet": "10.0.0.1/24"}]),
                "network has host bits set: for a subnet mask of length 24 the network address is 10.0.0.0",
            ),
            (
                json!([{"subnet": "10.0.0.0/24", "rangeStart": "10.0.1.1"}]),
                "rangeStart 10.0.1.1 not in network 10.0.0.0/24",
            ),
            (
                json!([{"subnet": "10.0.0.0/24", "rangeStart": "10.0.0.9", "rangeEnd": "10.0.0.8"}]),
                "rangeStart 10.0.0.9 is after rangeEnd 10.0.0.8",
            ),
            (json!([{"subnet": "10.0.0.0/24"}, {"subnet": "fd00::/64"}]), "mixed address families in one range set"),
            (
                json!([{"subnet": "10.0.0.0/24"}, {"subnet": "10.0.0.128/25"}]),
                "ranges 10.0.0.1-10.0.0.254 and 10.0.0.129-10.0.0.254 overlap",
            ),
            (json!([]), "empty range set"),
            (json!([{}]), "missing field \"subnet\" in IPAM configuration"),
        ];
        for (value, reason) in cases {
            assert_eq!(set(&value).unwrap_err(), reason);
        }
    }
}
