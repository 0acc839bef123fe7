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
use crate::netlink::Refusal;
use crate::nft::{Batch, Chain, Element, ElementEntry, Family, Hook, Nft, Set, Verdict, key, load};
use sandbox::{Failure, Result};
use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The name of our table.
pub const TABLE: &str = "rkt";
const FAMILY: Family = Family::Inet;
/// The bridges of pods that are kept apart.
const BRIDGES: &str = "bridges";
const TRIES: usize = 64;
/// How long others may keep changing what is to be removed.
const PATIENCE: Duration = Duration::from_secs(10);

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

    /// Whether its values are chains.
    fn leads_to_chains(self) -> bool {
        matches!(self, Self::From | Self::To | Self::Ingress)
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
    /// What it is made of: chains, the sets that hold something as long as there is a pod, and other sets.
    chains: &'static [&'static str],
    sets: fn() -> Vec<&'static str>,
    other_sets: &'static [&'static str],
}

/// The table of what is routed.
const ROUTED: Table = Table {
    family: FAMILY,
    skeleton,
    chains: &["ports", "prerouting", "output", "postrouting", "guard", "forward"],
    sets: || MAPS.iter().flat_map(|map| [map.name(false), map.name(true)]).collect(),
    other_sets: &[BRIDGES],
};

impl Table {
    /// Its removal, which the kernel refuses with EBUSY while there is more in it than in the skeleton.
    fn removal(&self) -> Batch {
        let chain = |name| Chain { family: self.family, table: TABLE, name };
        let mut batch = Batch::new();
        self.chains.iter().for_each(|name| batch.flush_chain(chain(name)));
        self.chains.iter().for_each(|name| batch.remove_chain(chain(name)));
        (self.sets)().into_iter().for_each(|name| batch.remove_empty_set(self.family, TABLE, name));
        self.other_sets.iter().for_each(|name| batch.remove_set(self.family, TABLE, name));
        batch.remove_empty_table(self.family, TABLE);
        batch
    }
}

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

/// Sockets that are not closed yet, for want of io_uring: the end of the process waits once for all of them.
static LINGERING: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());
const LONGEST_LINGER: usize = 8;

/// To close a socket by which rules were removed takes until the kernel has freed them, 10 to 20 ms; it frees them all the same without
/// anybody who waits.
impl Drop for Rules {
    fn drop(&mut self) {
        let socket = self.nft.socket.as_fd();
        if self.removed
            && crate::sys::leave_to_kernel(socket).is_err()
            && let (Ok(copy), Ok(mut lingering)) = (socket.try_clone_to_owned(), LINGERING.lock())
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
            let Some(refusal) = self.nft.try_commit(batch)? else { return Ok(true) };
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
            let entry = self.nft.element(FAMILY, TABLE, map.name(address.is_v6()), &octets(address.address))?;
            if entry.and_then(|entry| entry.comment).as_deref() != Some(tag.text()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Elements of a map.
    fn elements(&mut self, map: Map, v6: bool) -> Result<Vec<ElementEntry>> {
        self.nft.elements(FAMILY, TABLE, map.name(v6))
    }

    /// Removes the elements that `gone` picks out of some maps, with the chains that they lead to, and with what else leads there.
    fn remove(&mut self, maps: &[Map], gone: &dyn Fn(&ElementEntry) -> bool) -> Result<()> {
        insist("remove rules", || {
            let mut found = Vec::new();
            for map in maps {
                for v6 in [false, true] {
                    found.extend(self.elements(*map, v6)?.into_iter().map(|entry| (*map, v6, entry)));
                }
            }
            let picked = found.iter().filter(|(_, _, entry)| gone(entry));
            let chains: HashSet<String> = picked.filter_map(|(_, _, entry)| entry.chain.clone()).collect();
            found.retain(|(_, _, entry)| gone(entry) || entry.chain.as_ref().is_some_and(|name| chains.contains(name)));
            self.take_out(&found, chains.iter())
        })?;
        self.remove_if_empty(&ROUTED)
    }

    /// Removes what bears a tag from some maps, and the chain of that name which elements of theirs lead to; answers the elements. A
    /// dump may lack some: those whose keys are `known` are looked up, and for the others the kernel keeps the chain until all are gone.
    fn remove_tagged(
        &mut self,
        tag: &Tag,
        own: &str,
        maps: &[Map],
        known: &[(Map, bool, Vec<u8>)],
    ) -> Result<Vec<ElementEntry>> {
        let mut removed = Vec::new();
        insist("remove rules", || {
            let leads = self.nft.has_chain(chain(own))?;
            let mut found = Vec::new();
            for map in maps.iter().filter(|map| leads || !map.leads_to_chains()) {
                for v6 in [false, true] {
                    let mut entries = self.elements(*map, v6)?;
                    let seen: HashSet<Vec<u8>> = entries.iter().map(|entry| entry.key.clone()).collect();
                    for (of, six, key) in known {
                        if (of, *six) == (map, v6) && !seen.contains(key) {
                            entries.extend(self.nft.element(FAMILY, TABLE, map.name(v6), key)?);
                        }
                    }
                    entries.retain(|entry| entry.comment.as_deref() == Some(tag.text()));
                    found.extend(entries.into_iter().map(|entry| (*map, v6, entry)));
                }
            }
            let own = own.to_owned();
            let refused = self.take_out(&found, leads.then_some(&own).into_iter())?;
            if refused.is_none() {
                removed = found.into_iter().map(|(_, _, entry)| entry).collect();
            }
            Ok(refused)
        })?;
        self.remove_if_empty(&ROUTED)?;
        Ok(removed)
    }

    /// Removes elements and chains as a whole.
    fn take_out<'a>(
        &mut self,
        found: &[(Map, bool, ElementEntry)],
        chains: impl Iterator<Item = &'a String>,
    ) -> Result<Option<Refusal>> {
        let mut batch = Batch::new();
        for name in (ROUTED.sets)() {
            let of_set = found.iter().filter(|(map, v6, _)| map.name(*v6) == name);
            let keys: Vec<Element> = of_set.map(|(_, _, entry)| Element::of_key(&entry.key)).collect();
            batch.remove_elements(FAMILY, TABLE, name, &keys);
        }
        for name in chains {
            batch.flush_chain(chain(name));
            batch.remove_chain(chain(name));
        }
        self.removed |= batch.size() > 0;
        self.nft.try_commit(batch)
    }

    /// Removes a table that no pod has anything in. What a dump shows is a hint: it is the kernel that refuses.
    fn remove_if_empty(&mut self, table: &Table) -> Result<()> {
        // What is refused, since it is not there, costs a wait in the kernel.
        if !self.nft.has_table(table.family, TABLE)? {
            return Ok(());
        }
        for name in (table.sets)() {
            if !self.nft.elements(table.family, TABLE, name)?.is_empty() {
                return Ok(());
            }
        }
        match self.nft.try_commit(table.removal())? {
            None => Ok(()),
            // Somebody else has removed it, or uses it again.
            Some(refusal) if [libc::ENOENT, libc::EBUSY].contains(&refusal.errno) => Ok(()),
            Some(refusal) => Err(refusal.into_failure(format!("remove table \"{TABLE}\""))),
        }
    }
}

/// Does `work`, which answers what the kernel refused, until it refuses nothing: not because others removed the same meanwhile, nor
/// because something in use was not seen.
fn insist(what: &str, mut work: impl FnMut() -> Result<Option<Refusal>>) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    let mut pause = Duration::ZERO;
    loop {
        match work()? {
            None => return Ok(()),
            Some(refusal) if [libc::ENOENT, libc::EBUSY].contains(&refusal.errno) && Instant::now() < until => {}
            Some(refusal) => return Err(refusal.into_failure(what.to_owned())),
        }
        std::thread::sleep(pause);
        pause = (2 * pause + Duration::from_micros(100)).min(Duration::from_millis(20));
    }
}
