//! Addresses with the length of their network's prefix, as CIDR notation writes them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address and the number of its leading bits that name its network: `172.16.28.2/24`. The bits behind may be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Prefix {
    /// The address as it was written.
    pub address: IpAddr,
    /// At most 32 or 128.
    pub length: u8,
}

impl Prefix {
    /// The address alone: `/32` or `/128`.
    pub fn host(address: IpAddr) -> Self {
        Self { address, length: width(address) }
    }

    /// All addresses of a family.
    pub fn any(v6: bool) -> Self {
        let address = if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
        Self { address, length: 0 }
    }

    /// Whether it is of IPv6.
    pub fn is_v6(&self) -> bool {
        self.address.is_ipv6()
    }

    /// The same network with no bit set behind the prefix.
    #[must_use]
    pub fn network(&self) -> Self {
        Self { address: from_bits(bits(self.address) & !self.host_mask(), self.is_v6()), length: self.length }
    }

    /// The highest address of the network; the broadcast address of IPv4.
    pub fn last(&self) -> IpAddr {
        from_bits(bits(self.address) | self.host_mask(), self.is_v6())
    }

    /// Whether the address is of this network.
    pub fn contains(&self, address: IpAddr) -> bool {
        address.is_ipv6() == self.is_v6() && (bits(address) ^ bits(self.address)) & !self.host_mask() == 0
    }

    /// The mask as an address, `255.255.255.0`.
    pub fn mask(&self) -> IpAddr {
        from_bits(!self.host_mask(), self.is_v6())
    }

    fn host_mask(&self) -> u128 {
        u128::MAX.checked_shr(u32::from(self.length) + 128 - u32::from(width(self.address))).unwrap_or(0)
    }
}

/// Bits of an address of this family.
pub fn width(address: IpAddr) -> u8 {
    if address.is_ipv6() { 128 } else { 32 }
}

/// The address as a number, to count with.
pub fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

/// The address of a number; one of IPv4 is its lower 32 bits.
pub fn from_bits(bits: u128, v6: bool) -> IpAddr {
    if v6 { IpAddr::V6(Ipv6Addr::from(bits)) } else { IpAddr::V4(Ipv4Addr::from(bits as u32)) }
}

/// The bytes of an address in network order: 4 or 16.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The address that 4 or 16 bytes are.
pub fn from_octets(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(IpAddr::V4(Ipv4Addr::from(four)));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|sixteen| IpAddr::V6(Ipv6Addr::from(sixteen)))
}

impl FromStr for Prefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("invalid CIDR address: {text}");
        let (address, length) = text.split_once('/').ok_or_else(wrong)?;
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let length: u8 = length.parse().map_err(|_| wrong())?;
        if length > width(address) { Err(wrong()) } else { Ok(Self { address, length }) }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.address, self.length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_both_families_know_their_ends() {
        let four: Prefix = "172.16.28.77/24".parse().unwrap();
        let six: Prefix = "fd00::1:2/112".parse().unwrap();

        assert_eq!(four.network().to_string(), "172.16.28.0/24");
        assert_eq!(four.last().to_string(), "172.16.28.255");
        assert_eq!(four.mask().to_string(), "255.255.255.0");
        assert_eq!(six.network().to_string(), "fd00::1:0/112");
        assert_eq!(six.last().to_string(), "fd00::1:ffff");
        assert!(four.contains("172.16.28.1".parse().unwrap()) && !four.contains("172.16.29.1".parse().unwrap()));
        assert!(!four.contains("::ac10:1c01".parse().unwrap()));
        assert!(
            Prefix::any(false).contains("8.8.8.8".parse().unwrap())
                && Prefix::any(true).contains("::1".parse().unwrap())
        );
        assert_eq!(Prefix::host("10.0.0.1".parse().unwrap()).last().to_string(), "10.0.0.1");
    }

    #[test]
    fn what_is_no_cidr_is_refused() {
        for text in ["10.0.0.1", "10.0.0.1/33", "10.0.0/8", "fd00::/129", "/8", "10.0.0.1/-1"] {
            assert_eq!(text.parse::<Prefix>().unwrap_err(), format!("invalid CIDR address: {text}"));
        }
    }
}
