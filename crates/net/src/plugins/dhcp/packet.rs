//! Messages of DHCP (RFC 2131, RFC 2132, RFC 3442).

use crate::Prefix;
use std::net::Ipv4Addr;

const COOKIE: [u8; 4] = [99, 130, 83, 99];
const FIXED: usize = 236;

/// Numbers of options.
pub mod option {
    pub const MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const DNS: u8 = 6;
    pub const HOST_NAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const STATIC_ROUTES: u8 = 33;
    pub const REQUESTED_IP: u8 = 50;
    pub const LEASE_TIME: u8 = 51;
    pub const MESSAGE_TYPE: u8 = 53;
    pub const SERVER: u8 = 54;
    pub const PARAMETERS: u8 = 55;
    pub const MESSAGE: u8 = 56;
    pub const RENEWAL_TIME: u8 = 58;
    pub const REBINDING_TIME: u8 = 59;
    pub const VENDOR_CLASS: u8 = 60;
    pub const CLIENT_ID: u8 = 61;
    pub const USER_CLASS: u8 = 77;
    pub const SEARCH: u8 = 119;
    pub const CLASSLESS_ROUTES: u8 = 121;
}

/// Types of messages.
pub mod kind {
    pub const DISCOVER: u8 = 1;
    pub const OFFER: u8 = 2;
    pub const REQUEST: u8 = 3;
    pub const ACK: u8 = 5;
    pub const NAK: u8 = 6;
    pub const RELEASE: u8 = 7;
}

/// What a client says.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// One of [`kind`].
    pub kind: u8,
    /// Chosen by the client.
    pub transaction: u32,
    /// Seconds since it began to ask.
    pub seconds: u16,
    /// The server is to answer to everybody.
    pub broadcast: bool,
    /// The address that it has.
    pub own: Ipv4Addr,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Numbers and values, in order.
    pub options: &'a [(u8, Vec<u8>)],
}

impl Request<'_> {
    /// The message's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; FIXED];
        bytes[..4].copy_from_slice(&[1, 1, 6, 0]);
        bytes[4..8].copy_from_slice(&self.transaction.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.seconds.to_be_bytes());
        bytes[10] = if self.broadcast { 0x80 } else { 0 };
        bytes[12..16].copy_from_slice(&self.own.octets());
        bytes[28..34].copy_from_slice(&self.mac);
        bytes.extend(COOKIE);
        bytes.extend([option::MESSAGE_TYPE, 1, self.kind]);
        for (number, value) in self.options {
            // A longer value goes on in another option of the same number (RFC 3396).
            for part in value.chunks(255) {
                bytes.extend([*number, part.len() as u8]);
                bytes.extend_from_slice(part);
            }
        }
        bytes.push(255);
        // Old relays drop what is shorter than BOOTP's messages.
        bytes.resize(bytes.len().max(300), 0);
        bytes
    }
}

/// What a server answers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// One of [`kind`].
    pub kind: u8,
    /// The client's choice.
    pub transaction: u32,
    /// The client's address.
    pub address: [u8; 4],
    options: Vec<(u8, Vec<u8>)>,
}

impl Reply {
    /// Reads a message; none if it is no answer of DHCP.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        if *bytes.first()? != 2 || bytes.get(FIXED..FIXED + 4)? != COOKIE {
            return None;
        }
        let mut options: Vec<(u8, Vec<u8>)> = Vec::new();
        let mut rest = &bytes[FIXED + 4..];
        while let [number, tail @ ..] = rest {
            match number {
                0 => rest = tail,
                255 => break,
                number => {
                    let length = usize::from(*tail.first()?);
                    let value = tail.get(1..=length)?;
                    match options.iter_mut().find(|(known, _)| known == number) {
                        Some((_, whole)) => whole.extend_from_slice(value),
                        None => options.push((*number, value.to_vec())),
                    }
                    rest = &tail[1 + length..];
                }
            }
        }
        let kind = *options.iter().find(|(number, _)| *number == option::MESSAGE_TYPE)?.1.first()?;
        let transaction = u32::from_be_bytes(bytes[4..8].try_into().ok()?);
        Some(Self { kind, transaction, address: bytes[16..20].try_into().ok()?, options })
    }

    /// The bytes of an option.
    pub fn get(&self, number: u8) -> Option<&[u8]> {
        self.options.iter().find(|(known, _)| *known == number).map(|(_, value)| value.as_slice())
    }

    /// The addresses of an option.
    pub fn addresses(&self, number: u8) -> Vec<Ipv4Addr> {
        let bytes = self.get(number).unwrap_or_default();
        bytes.chunks_exact(4).map(|four| Ipv4Addr::new(four[0], four[1], four[2], four[3])).collect()
    }

    /// The seconds of an option.
    pub fn seconds(&self, number: u8) -> Option<u32> {
        Some(u32::from_be_bytes(self.get(number)?.try_into().ok()?))
    }

    /// The text of an option.
    pub fn text(&self, number: u8) -> String {
        let bytes = self.get(number).unwrap_or_default();
        String::from_utf8_lossy(bytes).trim_end_matches('\0').to_owned()
    }

    /// The address with its network's length; of the address's class if the server names no mask.
    pub fn prefix(&self) -> Prefix {
        let address = Ipv4Addr::from(self.address);
        let mask = self.addresses(option::MASK).first().map(|mask| u32::from(*mask).leading_ones() as u8);
        let class = match self.address[0] {
            0..=127 => 8,
            128..=191 => 16,
            _ => 24,
        };
        Prefix { address: address.into(), length: mask.unwrap_or(class) }
    }

    /// Destinations and gateways: the classless ones, and only if there are none the others and the router's (RFC 3442).
    pub fn routes(&self) -> Vec<(Prefix, Ipv4Addr)> {
        if let Some(mut bytes) = self.get(option::CLASSLESS_ROUTES) {
            let mut routes = Vec::new();
            while let [length @ 0..=32, rest @ ..] = bytes {
                let significant = usize::from(length.div_ceil(8));
                let (Some(destination), Some(gateway)) =
                    (rest.get(..significant), rest.get(significant..significant + 4))
                else {
                    break;
                };
                let mut octets = [0; 4];
                octets[..significant].copy_from_slice(destination);
                let destination = Prefix { address: Ipv4Addr::from(octets).into(), length: *length };
                routes.push((destination, Ipv4Addr::new(gateway[0], gateway[1], gateway[2], gateway[3])));
                bytes = &rest[significant + 4..];
            }
            return routes;
        }
        let statics = self.addresses(option::STATIC_ROUTES);
        let statics = statics.chunks_exact(2).map(|pair| (Prefix::host(pair[0].into()), pair[1]));
        let router = self.addresses(option::ROUTER).first().map(|router| (Prefix::any(false), *router));
        statics.chain(router).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(options: &[u8]) -> Reply {
        let mut bytes = vec![0; FIXED];
        bytes[0] = 2;
        bytes[16..20].copy_from_slice(&[10, 9, 0, 5]);
        bytes.extend(COOKIE);
        bytes.extend([53, 1, 5]);
        bytes.extend(options);
        bytes.push(255);
        Reply::decode(&bytes).unwrap()
    }

    #[test]
    fn options_are_read_and_classless_routes_win() {
        let plain =
            reply(&[1, 4, 255, 255, 0, 0, 3, 4, 10, 9, 0, 1, 33, 8, 10, 1, 2, 3, 10, 9, 0, 2, 51, 4, 0, 0, 14, 16]);
        assert_eq!(plain.prefix().to_string(), "10.9.0.5/16");
        let routes = |reply: &Reply| reply.routes().iter().map(|(to, via)| format!("{to} {via}")).collect::<Vec<_>>();
        assert_eq!(routes(&plain), ["10.1.2.3/32 10.9.0.2", "0.0.0.0/0 10.9.0.1"]);
        assert_eq!(plain.seconds(option::LEASE_TIME), Some(3600));
        let classless = reply(&[3, 4, 10, 9, 0, 1, 121, 14, 0, 10, 9, 0, 7, 17, 192, 168, 128, 10, 9, 0, 8, 99]);
        assert_eq!(routes(&classless), ["0.0.0.0/0 10.9.0.7", "192.168.128.0/17 10.9.0.8"]);
        assert_eq!(classless.prefix().length, 8, "of class A");
    }

    #[test]
    fn garbage_is_no_reply() {
        let whole = {
            let mut bytes = vec![0; FIXED];
            bytes[0] = 2;
            bytes.extend(COOKIE);
            bytes.extend([53, 1, 5, 6, 9, 1]);
            bytes
        };
        for cut in 0..=whole.len() {
            assert_eq!(Reply::decode(&whole[..cut]).is_some(), cut == FIXED + 7, "{cut}");
        }
    }
}
