//! What a batch is made of: tables, chains, rules, sets and their elements.

use super::{Expr, Verdict, comment, message};
use crate::netlink::{Message, flag};

const NEWTABLE: u16 = 0;
const DELTABLE: u16 = 2;
const NEWCHAIN: u16 = 3;
const DELCHAIN: u16 = 5;
const NEWRULE: u16 = 6;
const DELRULE: u16 = 8;
const NEWSET: u16 = 9;
const DELSET: u16 = 11;
const NEWELEMENT: u16 = 12;
const DELELEMENT: u16 = 14;

/// Which packets a table sees (linux/netfilter.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Both of IP.
    Inet,
    /// IPv4.
    Ip,
    /// IPv6.
    Ip6,
    /// Frames of bridges.
    Bridge,
    /// Frames of one link.
    Netdev,
}

impl Family {
    /// The number.
    pub fn number(self) -> u8 {
        match self {
            Self::Inet => 1,
            Self::Ip => 2,
            Self::Netdev => 5,
            Self::Bridge => 7,
            Self::Ip6 => 10,
        }
    }

    /// The family of a number.
    pub fn of(number: u8) -> Option<Self> {
        [Self::Inet, Self::Ip, Self::Ip6, Self::Bridge, Self::Netdev]
            .into_iter()
            .find(|family| family.number() == number)
    }
}

/// Where a base chain is called from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hook {
    /// 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.
    pub number: u32,
    /// Lower is earlier: -300 raw, -100 dstnat, 0 filter, 100 srcnat.
    pub priority: i32,
    /// `filter`, `nat`, `route`.
    pub kind: &'static str,
}

/// A chain, by name.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a> {
    /// The family of its table.
    pub family: Family,
    /// The table.
    pub table: &'a str,
    /// The chain.
    pub name: &'a str,
}

/// A set or map with its types as the `nft` program numbers them.
#[derive(Clone, Copy, Debug)]
pub struct Set<'a> {
    /// Its name.
    pub name: &'a str,
    /// Type of a key.
    pub key_type: u32,
    /// Bytes of a key.
    pub key_length: u32,
    /// Of a map: type and bytes of a value; [`Set::VERDICT`] for verdicts.
    pub data: Option<(u32, u32)>,
}

impl Set<'_> {
    /// The type of values that are verdicts.
    pub const VERDICT: (u32, u32) = (0xffff_ff00, 16);
    /// Type of an IPv4 address.
    pub const IPV4: u32 = 7;
    /// Type of an IPv6 address.
    pub const IPV6: u32 = 8;
    /// Type of a transport protocol.
    pub const PROTOCOL: u32 = 12;
    /// Type of a hardware address.
    pub const HARDWARE: u32 = 9;
    /// Type of a port.
    pub const PORT: u32 = 13;
    /// Type of a link's name.
    pub const LINK_NAME: u32 = 41;

    /// The type of several values one after the other, each padded to four bytes.
    pub fn concatenation(types: &[u32]) -> u32 {
        types.iter().fold(0, |all, kind| all << 6 | kind)
    }
}

/// An element of a set or map.
#[derive(Clone, Debug)]
pub struct Element {
    /// The key.
    pub key: Vec<u8>,
    /// Of a map.
    pub value: Option<Value>,
    /// Whose it is.
    pub comment: String,
}

/// A value of a map.
#[derive(Clone, Debug)]
pub enum Value {
    /// Bytes.
    Data(Vec<u8>),
    /// What is done.
    Verdict(Verdict),
}

/// Changes that the kernel takes as a whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub(super) messages: Vec<Message>,
}

impl Batch {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many changes.
    pub fn size(&self) -> usize {
        self.messages.len()
    }

    /// Adds changes behind the others.
    pub fn append(&mut self, other: Self) {
        self.messages.extend(other.messages);
    }

    fn push(&mut self, kind: u16, flags: u16, family: Family, fill: impl FnOnce(&mut Message)) {
        let mut message = message(kind, flags | flag::ACK, family.number());
        fill(&mut message);
        self.messages.push(message);
    }

    /// Makes a table; refused with EEXIST if it is there.
    pub fn add_table(&mut self, family: Family, name: &str, about: &str) {
        self.push(NEWTABLE, flag::CREATE | flag::EXCL, family, |message| {
            message.text(1, name).be32(2, 0).attr(6, &comment(about));
        });
    }

    /// Removes a table; refused with EBUSY if it has chains or sets left.
    pub fn remove_empty_table(&mut self, family: Family, name: &str) {
        self.push(DELTABLE, flag::NONRECURSIVE, family, |message| {
            message.text(1, name);
        });
    }

    /// Makes a chain. One that is there without a hook stays as it is.
    pub fn add_chain(&mut self, chain: Chain<'_>, hook: Option<Hook>) {
        self.push(NEWCHAIN, flag::CREATE, chain.family, |message| {
            message.text(1, chain.table).text(3, chain.name);
            if let Some(hook) = hook {
                message
                    .nest(4, |nest| {
                        nest.be32(1, hook.number).be32(2, hook.priority as u32);
                    })
                    .be32(5, 1)
                    .text(7, hook.kind);
            }
        });
    }

    /// Removes a chain that has no rules and is not jumped to.
    pub fn remove_chain(&mut self, chain: Chain<'_>) {
        self.push(DELCHAIN, 0, chain.family, |message| {
            message.text(1, chain.table).text(3, chain.name);
        });
    }

    /// Removes the rules of a chain.
    pub fn flush_chain(&mut self, chain: Chain<'_>) {
        self.push(DELRULE, 0, chain.family, |message| {
            message.text(1, chain.table).text(2, chain.name);
        });
    }

    /// Adds a rule at the end of a chain.
    pub fn add_rule(&mut self, chain: Chain<'_>, about: &str, expressions: impl FnOnce(&mut Expr<'_>)) {
        self.rule(chain, flag::APPEND, None, about, expressions);
    }

    /// Adds a rule at the beginning of a chain, or before the rule of a handle.
    pub fn insert_rule(
        &mut self,
        chain: Chain<'_>,
        before: Option<u64>,
        about: &str,
        expressions: impl FnOnce(&mut Expr<'_>),
    ) {
        self.rule(chain, 0, before, about, expressions);
    }

    fn rule(
        &mut self,
        chain: Chain<'_>,
        flags: u16,
        position: Option<u64>,
        about: &str,
        expressions: impl FnOnce(&mut Expr<'_>),
    ) {
        self.push(NEWRULE, flag::CREATE | flags, chain.family, |message| {
            message.text(1, chain.table).text(2, chain.name);
            message.nest(4, |list| expressions(&mut Expr::new(list)));
            if let Some(handle) = position {
                message.attr(6, &handle.to_be_bytes());
            }
            if !about.is_empty() {
                message.attr(7, &comment(about));
            }
        });
    }

    /// Removes one rule.
    pub fn remove_rule(&mut self, chain: Chain<'_>, handle: u64) {
        self.push(DELRULE, 0, chain.family, |message| {
            message.text(1, chain.table).text(2, chain.name).attr(3, &handle.to_be_bytes());
        });
    }

    /// Makes a set or map.
    pub fn add_set(&mut self, family: Family, table: &str, set: Set<'_>) {
        const MAP: u32 = 8;
        let id = self.messages.len() as u32 + 1;
        self.push(NEWSET, flag::CREATE, family, |message| {
            message.text(1, table).text(2, set.name).be32(3, if set.data.is_some() { MAP } else { 0 });
            message.be32(4, set.key_type).be32(5, set.key_length);
            if let Some((kind, length)) = set.data {
                message.be32(6, kind).be32(7, length);
            }
            message.be32(10, id);
        });
    }

    /// Removes a set or map that no rule names.
    pub fn remove_set(&mut self, family: Family, table: &str, set: &str) {
        self.push(DELSET, 0, family, |message| {
            message.text(1, table).text(2, set);
        });
    }

    /// The same; refused with EBUSY if it has elements.
    pub fn remove_empty_set(&mut self, family: Family, table: &str, set: &str) {
        self.push(DELSET, flag::NONRECURSIVE, family, |message| {
            message.text(1, table).text(2, set);
        });
    }

    /// Adds elements; refused with EEXIST if a key is there.
    pub fn add_elements(&mut self, family: Family, table: &str, set: &str, elements: &[Element]) {
        self.elements(NEWELEMENT, flag::CREATE | flag::EXCL, family, table, set, elements);
    }

    /// Adds an element to a set; one that is there stays.
    pub fn add_to_set(&mut self, family: Family, table: &str, set: &str, element: &Element) {
        self.elements(NEWELEMENT, flag::CREATE, family, table, set, std::slice::from_ref(element));
    }

    /// Removes elements, by key; refused with ENOENT if one is not there.
    pub fn remove_elements(&mut self, family: Family, table: &str, set: &str, elements: &[Element]) {
        self.elements(DELELEMENT, 0, family, table, set, elements);
    }

    fn elements(&mut self, kind: u16, flags: u16, family: Family, table: &str, set: &str, elements: &[Element]) {
        // An attribute has at most 64 KiB.
        const TOGETHER: usize = 256;
        for part in elements.chunks(TOGETHER) {
            self.push(kind, flags, family, |message| {
                message.text(1, table).text(2, set).nest(3, |list| {
                    for element in part {
                        list.nest(1, |item| element.write(item));
                    }
                });
            });
        }
    }
}

impl Element {
    /// The element of a key, to be removed.
    pub fn of_key(key: &[u8]) -> Self {
        Self { key: key.to_vec(), value: None, comment: String::new() }
    }

    fn write(&self, item: &mut Message) {
        item.nest(1, |key| {
            key.attr(1, &self.key);
        });
        match &self.value {
            None => {}
            Some(Value::Data(bytes)) => {
                item.nest(2, |data| {
                    data.attr(1, bytes);
                });
            }
            Some(Value::Verdict(verdict)) => {
                item.nest(2, |data| verdict.write(data));
            }
        }
        if !self.comment.is_empty() {
            item.attr(6, &comment(&self.comment));
        }
    }
}
