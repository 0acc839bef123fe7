//! The rules of pods: one nftables table of our own, `inet rkt`, whatever the number of pods.
//!
//! Its chains look a packet's address or port up in maps, so that a thousand pods cost a packet what one costs. What belongs to an
//! attachment bears its [`Tag`] as comment, and is found and removed by it. The table appears with the first pod and goes with
//! the last. An accept in it does not lift another table's drop: that is what [`coexist`] is for.

pub mod coexist;
pub mod conntrack;
pub mod ingress;
pub mod masquerade;
pub mod ports;
pub mod spoof;
mod tag;

pub use tag::Tag;

use crate::Prefix;
use crate::address::octets;
use crate::nft::{Batch, Chain, Element, ElementEntry, Family, Hook, Nft, Set, Verdict, key, load};
use sandbox::{Failure, Result};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;

/// The name of our table.
pub const TABLE: &str = "rkt";
const FAMILY: Family = Family::Inet;
/// The bridges of pods that are kept apart.
const BRIDGES: &str = "bridges";
const TRIES: usize = 64;

/// A map of the table, for one family of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Map {
    /// Address of a pod to the chain for what it sends.
    From,
    /// Address of a pod to the chain for what is sent to it.
    To,
    /// Address of a pod to the chain that says who may send to it.
    Ingress,
    /// Protocol and port of this host to address and port of a pod.
    Ports,
    /// The same for one address of this host.
    PortsAt,
}

const MAPS: [Map; 5] = [Map::From, Map::To, Map::Ingress, Map::Ports, Map::PortsAt];

impl Map {
    fn name(self, v6: bool) -> &'static str {
        match (self, v6) {
            (Self::From, false) => "from4",
            (Self::From, true) => "from6",
            (Self::To, false) => "to4",
            (Self::To, true) => "to6",
            (Self::Ingress, false) => "ingress4",
            (Self::Ingress, true) => "ingress6",
            (Self::Ports, false) => "ports4",
            (Self::Ports, true) => "ports6",
            (Self::PortsAt, false) => "ports4_at",
            (Self::PortsAt, true) => "ports6_at",
        }
    }

    fn set(self, v6: bool) -> Set<'static> {
        let (address, bytes) = if v6 { (Set::IPV6, 16) } else { (Set::IPV4, 4) };
        let target = Some((Set::concatenation(&[address, Set::PORT]), bytes + 4));
        let (key_type, key_length, data) = match self {
            Self::From | Self::To | Self::Ingress => (address, bytes, Some(Set::VERDICT)),
            Self::Ports => (Set::concatenation(&[Set::PROTOCOL, Set::PORT]), 8, target),
            Self::PortsAt => (Set::concatenation(&[address, Set::PROTOCOL, Set::PORT]), bytes + 8, target),
        };
        Set { name: self.name(v6), key_type, key_length, data }
    }
}

fn chain(name: &str) -> Chain<'_> {
    Chain { family: FAMILY, table: TABLE, name }
}

/// A table of ours.
struct Table {
    family: Family,
    /// It with its chains and maps, empty of pods.
    skeleton: fn() -> Batch,
}

/// The table of what is routed.
const ROUTED: Table = Table { family: FAMILY, skeleton };

fn skeleton() -> Batch {
    const PREROUTING: u32 = 0;
    const FORWARD: u32 = 2;
    const OUTPUT: u32 = 3;
    const POSTROUTING: u32 = 4;
    let mut batch = Batch::new();
    batch.add_table(FAMILY, TABLE, "pods of rkt");
    for map in MAPS {
        for v6 in [false, true] {
            batch.add_set(FAMILY, TABLE, map.set(v6));
        }
    }
    batch.add_set(FAMILY, TABLE, Set { name: BRIDGES, key_type: Set::LINK_NAME, key_length: 16, data: None });
    let nat = |number, priority| Some(Hook { number, priority, kind: "nat" });
    batch.add_chain(chain("ports"), None);
    batch.add_chain(chain("prerouting"), nat(PREROUTING, -100));
    batch.add_chain(chain("output"), nat(OUTPUT, -100));
    batch.add_chain(chain("postrouting"), nat(POSTROUTING, 100));
    batch.add_chain(chain("guard"), Some(Hook { number: PREROUTING, priority: -300, kind: "filter" }));
    batch.add_chain(chain("forward"), Some(Hook { number: FORWARD, priority: 0, kind: "filter" }));
    for name in ["prerouting", "output"] {
        batch.add_rule(chain(name), "", |rule| {
            rule.to_this_host().verdict(&Verdict::Jump("ports".to_owned()));
        });
    }
    for v6 in [false, true] {
        for map in [Map::PortsAt, Map::Ports] {
            batch.add_rule(chain("ports"), "", |rule| {
                rule.family(v6).translate_destination_by(v6, map == Map::PortsAt, map.name(v6));
            });
        }
        batch.add_rule(chain("forward"), "", |rule| {
            rule.family(v6).verdict_by(load::destination(v6), Map::Ingress.name(v6));
        });
        // What comes back to a pod through a port of the host is looked at first: it must not be taken for traffic inside a subnet.
        batch.add_rule(chain("postrouting"), "", |rule| {
            rule.family(v6).verdict_by(load::destination(v6), Map::To.name(v6));
        });
        batch.add_rule(chain("postrouting"), "", |rule| {
            rule.family(v6).verdict_by(load::source(v6), Map::From.name(v6));
        });
    }
    // A port on 127.0.0.1 needs route_localnet; without this rule that would let pods reach what listens on the host's loopback.
    batch.add_rule(chain("guard"), "", |rule| {
        let loopback = Prefix { address: std::net::Ipv4Addr::LOCALHOST.into(), length: 8 };
        rule.link_name(key::IIFNAME, "lo", false).family(false).address(load::destination(false), loopback, true);
        rule.verdict(&Verdict::Drop);
    });
    batch
}

/// The rules of this network namespace.
#[derive(Debug)]
pub struct Rules {
    nft: Nft,
    removed: bool,
}

/// Sockets that are not closed yet. Closing one waits until the kernel has freed what was removed from the rules, about 10 ms; it frees
/// it all the same without anybody who waits.
static LINGERING: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());
const LONGEST_LINGER: usize = 8;

impl Drop for Rules {
    fn drop(&mut self) {
        let Ok(mut lingering) = LINGERING.lock() else { return };
        if self.removed
            && let Ok(copy) = self.nft.socket.as_fd().try_clone_to_owned()
        {
            lingering.push(copy);
            if lingering.len() > LONGEST_LINGER {
                drop(lingering.remove(0));
            }
        }
    }
}

impl Rules {
    /// Of the caller's network namespace.
    pub fn open() -> Result<Self> {
        Ok(Self { nft: Nft::open()?, removed: false })
    }

    /// Takes a change to a table of ours, which is made with it if it is not there. Answers whether it was taken: a key that is there
    /// already refuses it.
    fn apply(&mut self, change: &Batch, table: &Table, what: &dyn Fn() -> String) -> Result<bool> {
        for _ in 0..TRIES {
            // Asked before: for what it refuses the kernel waits until nobody looks at its rules.
            let there = self.nft.has_table(table.family, TABLE)?;
            let mut batch = if there { Batch::new() } else { (table.skeleton)() };
            let own = batch.size();
            batch.append(change.clone());
            let Some(refusal) = self.nft.try_commit(batch, None)? else { return Ok(true) };
            match refusal.errno {
                // Somebody else has made the table, or removed it, meanwhile.
                libc::EEXIST if refusal.index <= own => {}
                libc::ENOENT => {}
                libc::EEXIST => return Ok(false),
                _ => return Err(refusal.into_failure(what())),
            }
        }
        Err(Failure::new(format!("{}: table \"{TABLE}\" changes again and again", what())))
    }

    /// Whether every address is in a map for this attachment.
    fn has(&mut self, map: Map, tag: &Tag, addresses: &[Prefix]) -> Result<bool> {
        for address in addresses {
            let key = octets(address.address);
            let mut entries = self.elements(map, address.is_v6())?.into_iter();
            if !entries.any(|entry| entry.key == key && entry.comment.as_deref() == Some(tag.text())) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Elements of a map.
    fn elements(&mut self, map: Map, v6: bool) -> Result<Vec<ElementEntry>> {
        self.nft.elements(FAMILY, TABLE, map.name(v6))
    }

    /// Removes the elements that `gone` picks out of some maps, with the chains that they lead to; answers the elements. The table goes
    /// with the last one.
    fn remove(&mut self, maps: &[Map], gone: &dyn Fn(&ElementEntry) -> bool) -> Result<Vec<ElementEntry>> {
        for _ in 0..TRIES {
            let (mut batch, mut removed) = (Batch::new(), Vec::new());
            for map in maps {
                for v6 in [false, true] {
                    let elements: Vec<ElementEntry> =
                        self.elements(*map, v6)?.into_iter().filter(|entry| gone(entry)).collect();
                    let keys: Vec<Element> = elements
                        .iter()
                        .map(|entry| Element { key: entry.key.clone(), value: None, comment: String::new() })
                        .collect();
                    batch.remove_elements(FAMILY, TABLE, map.name(v6), &keys);
                    removed.extend(elements);
                }
            }
            let mut chains: Vec<&String> = removed.iter().filter_map(|entry| entry.chain.as_ref()).collect();
            chains.sort();
            chains.dedup();
            for name in chains {
                batch.flush_chain(chain(name));
                batch.remove_chain(chain(name));
            }
            self.removed |= !removed.is_empty();
            match self.nft.try_commit(batch, None)? {
                None => return self.remove_table_if_empty().map(|()| removed),
                // Somebody else removes the same: look again what is left.
                Some(refusal) if refusal.errno == libc::ENOENT => {}
                Some(refusal) => return Err(refusal.into_failure("remove rules".to_owned())),
            }
        }
        Err(Failure::new(format!("table \"{TABLE}\" changes again and again")))
    }

    fn remove_table_if_empty(&mut self) -> Result<()> {
        for _ in 0..TRIES {
            let generation = self.nft.generation()?;
            for map in MAPS {
                for v6 in [false, true] {
                    if !self.elements(map, v6)?.is_empty() {
                        return Ok(());
                    }
                }
            }
            let mut batch = Batch::new();
            batch.remove_table(FAMILY, TABLE);
            match self.nft.try_commit(batch, Some(generation))? {
                None => return Ok(()),
                Some(refusal) if refusal.errno == libc::ENOENT => return Ok(()),
                Some(refusal) if refusal.errno == libc::ERESTART => {}
                Some(refusal) => return Err(refusal.into_failure(format!("remove table \"{TABLE}\""))),
            }
        }
        Ok(()) // busy with others' rules: an empty table does nothing, and the next pod that ends removes it
    }
}

/// ERESTART is the kernel's own; the C library has no name for it.
mod libc {
    pub use ::libc::{EEXIST, ENOENT};
    pub const ERESTART: i32 = 85;
}
