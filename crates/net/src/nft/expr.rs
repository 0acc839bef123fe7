//! The expressions of a rule.

use crate::Prefix;
use crate::address::octets;
use crate::netlink::Message;
use std::net::IpAddr;

/// What is done with a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes on.
    Accept,
    /// It ends here.
    Drop,
    /// The caller's next rule is looked at.
    Return,
    /// The rules of a chain are looked at, then the next rule.
    Jump(String),
}

impl Verdict {
    pub(super) fn write(&self, data: &mut Message) {
        let (code, chain) = match self {
            Self::Drop => (0, None),
            Self::Accept => (1, None),
            Self::Jump(chain) => (-3, Some(chain)),
            Self::Return => (-5, None),
        };
        data.nest(2, |verdict| {
            verdict.be32(1, code as u32);
            if let Some(chain) = chain {
                verdict.text(2, chain);
            }
        });
    }
}

/// What `meta` loads.
pub mod key {
    /// Number of the link that it came by.
    pub const IIF: u32 = 4;
    /// Name of the link that it came by.
    pub const IIFNAME: u32 = 6;
    /// Name of the link that it leaves by.
    pub const OIFNAME: u32 = 7;
    /// 2 IPv4, 10 IPv6.
    pub const NFPROTO: u32 = 15;
    /// 6 tcp, 17 udp, 132 sctp.
    pub const L4PROTO: u32 = 16;
}

/// What a payload expression loads: base, offset, bytes.
pub mod load {
    /// Source port.
    pub const SPORT: (u32, u32, u32) = (2, 0, 2);
    /// Destination port.
    pub const DPORT: (u32, u32, u32) = (2, 2, 2);

    /// Source address.
    pub fn source(v6: bool) -> (u32, u32, u32) {
        if v6 { (1, 8, 16) } else { (1, 12, 4) }
    }

    /// Destination address.
    pub fn destination(v6: bool) -> (u32, u32, u32) {
        if v6 { (1, 24, 16) } else { (1, 16, 4) }
    }
}

const EQUAL: u32 = 0;
const UNEQUAL: u32 = 1;
/// The first register, as one of 16 bytes.
const FIRST: u32 = 1;
/// The first register, as one of four bytes; the next ones follow.
const FIRST_SMALL: u32 = 8;

/// Builds the expressions of one rule, in order. Each method that compares lets a packet that differs leave the rule.
#[derive(Debug)]
pub struct Expr<'a>(&'a mut Message);

impl<'a> Expr<'a> {
    pub(super) fn new(list: &'a mut Message) -> Self {
        Self(list)
    }

    fn add(&mut self, name: &str, fill: impl FnOnce(&mut Message)) -> &mut Self {
        self.0.nest(1, |element| {
            element.text(1, name).nest(2, fill);
        });
        self
    }

    fn meta(&mut self, key: u32, register: u32) -> &mut Self {
        self.add("meta", |data| {
            data.be32(2, key).be32(1, register);
        })
    }

    fn payload(&mut self, (base, offset, length): (u32, u32, u32), register: u32) -> &mut Self {
        self.add("payload", |data| {
            data.be32(1, register).be32(2, base).be32(3, offset).be32(4, length);
        })
    }

    fn compare(&mut self, operation: u32, bytes: &[u8]) -> &mut Self {
        self.add("cmp", |data| {
            data.be32(1, FIRST).be32(2, operation).nest(3, |value| {
                value.attr(1, bytes);
            });
        })
    }

    fn masked(&mut self, mask: &[u8]) -> &mut Self {
        self.add("bitwise", |data| {
            data.be32(1, FIRST).be32(2, FIRST).be32(3, mask.len() as u32);
            data.nest(4, |value| {
                value.attr(1, mask);
            });
            data.nest(5, |value| {
                value.attr(1, &vec![0; mask.len()]);
            });
        })
    }

    /// Only packets of a family of IP; wanted in tables of both before an address is looked at.
    pub fn family(&mut self, v6: bool) -> &mut Self {
        self.meta(key::NFPROTO, FIRST).compare(EQUAL, &[if v6 { 10 } else { 2 }])
    }

    /// Only packets of a transport protocol.
    pub fn protocol(&mut self, number: u8) -> &mut Self {
        self.meta(key::L4PROTO, FIRST).compare(EQUAL, &[number])
    }

    /// Only packets that came by, or leave by, a link of this name.
    pub fn link_name(&mut self, key: u32, name: &str, same: bool) -> &mut Self {
        let mut bytes = name.as_bytes().to_vec();
        bytes.resize(16, 0);
        self.meta(key, FIRST).compare(if same { EQUAL } else { UNEQUAL }, &bytes)
    }

    /// Only packets that came by a link whose name is in a set.
    pub fn came_by_one_of(&mut self, set: &str) -> &mut Self {
        self.meta(key::IIFNAME, FIRST).add("lookup", |data| {
            data.text(1, set).be32(2, FIRST);
        })
    }

    /// Only frames whose link and sender are not in a set of both.
    pub fn sender_is_none_of(&mut self, set: &str) -> &mut Self {
        const SENDER: (u32, u32, u32) = (0, 6, 6);
        const INVERTED: u32 = 1;
        self.meta(key::IIFNAME, FIRST_SMALL).payload(SENDER, FIRST_SMALL + 4).add("lookup", |data| {
            data.text(1, set).be32(2, FIRST_SMALL).be32(5, INVERTED);
        })
    }

    /// Only packets whose source or destination is in a network, or is not.
    pub fn address(&mut self, of: (u32, u32, u32), prefix: Prefix, inside: bool) -> &mut Self {
        let network = prefix.network();
        self.payload(of, FIRST);
        if network.length < crate::address::width(network.address) {
            self.masked(&octets(network.mask()));
        }
        self.compare(if inside { EQUAL } else { UNEQUAL }, &octets(network.address))
    }

    /// Only packets with this port.
    pub fn port(&mut self, of: (u32, u32, u32), port: u16) -> &mut Self {
        self.payload(of, FIRST).compare(EQUAL, &port.to_be_bytes())
    }

    /// Only packets of connections that were answered, or that belong to such a one.
    pub fn answers(&mut self) -> &mut Self {
        const STATE: u32 = 0;
        const ESTABLISHED_OR_RELATED: u32 = 2 | 4;
        self.connection(STATE, ESTABLISHED_OR_RELATED)
    }

    /// Only packets of connections whose destination was translated.
    pub fn destination_was_translated(&mut self) -> &mut Self {
        const STATUS: u32 = 2;
        const DST_NAT: u32 = 1 << 5;
        self.connection(STATUS, DST_NAT)
    }

    fn connection(&mut self, key: u32, mask: u32) -> &mut Self {
        self.add("ct", |data| {
            data.be32(2, key).be32(1, FIRST);
        });
        self.masked(&mask.to_ne_bytes()).compare(UNEQUAL, &[0; 4])
    }

    /// Only packets that [`Expr::answers`] or [`Expr::destination_was_translated`] lets pass, as `iptables` says it:
    /// `-m conntrack --ctstate RELATED,ESTABLISHED,DNAT`.
    pub fn iptables_answers_or_translated(&mut self) -> &mut Self {
        // struct xt_conntrack_mtinfo3 (linux/netfilter/xt_conntrack.h), padded to eight bytes
        const SIZE: usize = 168;
        const MATCH_FLAGS: usize = 146;
        const STATE_MASK: usize = 150;
        const REVISION: u32 = 3;
        let mut info = [0; SIZE];
        info[MATCH_FLAGS..MATCH_FLAGS + 2].copy_from_slice(&1u16.to_ne_bytes());
        info[STATE_MASK..STATE_MASK + 2].copy_from_slice(&0x86u16.to_ne_bytes());
        self.add("match", |data| {
            data.text(1, "conntrack").be32(2, REVISION).attr(3, &info);
        })
    }

    /// Only packets to an address of this host.
    pub fn to_this_host(&mut self) -> &mut Self {
        const LOCAL: u32 = 2;
        self.add("fib", |data| {
            data.be32(3, 2).be32(2, 3).be32(1, FIRST);
        });
        self.compare(EQUAL, &LOCAL.to_ne_bytes())
    }

    /// Does what a map says of an address; goes on if it says nothing.
    pub fn verdict_by(&mut self, of: (u32, u32, u32), map: &str) -> &mut Self {
        self.payload(of, FIRST).add("lookup", |data| {
            data.text(1, map).be32(2, FIRST).be32(3, 0);
        })
    }

    /// Translates the destination to what a map says of the protocol and port, or with `by_address` of address, protocol and port;
    /// goes on if it says nothing. The map's values are an address and a port.
    pub fn translate_destination_by(&mut self, v6: bool, by_address: bool, map: &str) -> &mut Self {
        let mut next = FIRST_SMALL;
        if by_address {
            self.payload(load::destination(v6), next);
            next += if v6 { 4 } else { 1 };
        }
        self.meta(key::L4PROTO, next).payload(load::DPORT, next + 1);
        self.add("lookup", |data| {
            data.text(1, map).be32(2, FIRST_SMALL).be32(3, FIRST_SMALL);
        });
        let port = FIRST_SMALL + if v6 { 4 } else { 1 };
        self.add("nat", |data| {
            data.be32(1, 1).be32(2, if v6 { 10 } else { 2 }).be32(3, FIRST_SMALL).be32(5, port);
        })
    }

    /// Translates the destination to one address and port.
    pub fn translate_destination(&mut self, address: IpAddr, port: u16) -> &mut Self {
        let v6 = address.is_ipv6();
        for (register, bytes) in [(1, octets(address)), (2, port.to_be_bytes().to_vec())] {
            self.add("immediate", |data| {
                data.be32(1, register).nest(2, |value| {
                    value.attr(1, &bytes);
                });
            });
        }
        self.add("nat", |data| {
            data.be32(1, 1).be32(2, if v6 { 10 } else { 2 }).be32(3, 1).be32(5, 2);
        })
    }

    /// Sends from an address of this host.
    pub fn masquerade(&mut self) -> &mut Self {
        self.add("masq", |_| {})
    }

    /// Counts, as rules of iptables do.
    pub fn counter(&mut self) -> &mut Self {
        self.add("counter", |data| {
            data.attr(1, &[0; 8]).attr(2, &[0; 8]);
        })
    }

    /// Ends the rule.
    pub fn verdict(&mut self, verdict: &Verdict) -> &mut Self {
        self.add("immediate", |data| {
            data.be32(1, 0).nest(2, |value| verdict.write(value));
        })
    }
}
