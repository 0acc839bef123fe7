//! Ports of bridges that may send frames from their pod's hardware address only.

use super::{Rules, TABLE, TRIES, Table, Tag, insist};
use crate::nft::{Batch, Chain, Element, ElementEntry, Family, Hook, Set, Verdict};
use sandbox::{Failure, Result};

const FAMILY: Family = Family::Bridge;
/// The ports, by name.
const PORTS: &str = "ports";
/// The ports with the address that each may send from.
const SENDERS: &str = "senders";
const CHAIN: Chain<'static> = Chain { family: FAMILY, table: TABLE, name: "prerouting" };

const GUARDS: Table =
    Table { family: FAMILY, skeleton, chains: &[CHAIN.name], sets: || vec![PORTS, SENDERS], other_sets: &[] };

fn skeleton() -> Batch {
    let mut batch = Batch::new();
    batch.add_table(FAMILY, TABLE, "pods of rkt");
    let both = Set::concatenation(&[Set::LINK_NAME, Set::HARDWARE]);
    for (name, key_type, key_length) in [(PORTS, Set::LINK_NAME, 16), (SENDERS, both, 24)] {
        batch.add_set(FAMILY, TABLE, Set { name, key_type, key_length, data: None });
    }
    batch.add_chain(CHAIN, Some(Hook { number: 0, priority: -300, kind: "filter" }));
    batch.add_rule(CHAIN, "", |rule| {
        rule.came_by_one_of(PORTS).sender_is_none_of(SENDERS).verdict(&Verdict::Drop);
    });
    batch
}

impl Rules {
    /// Drops what comes by a port of a bridge from another hardware address than this one.
    pub fn guard_port(&mut self, tag: &Tag, port: &str, mac: [u8; 6]) -> Result<()> {
        let mut name = port.as_bytes().to_vec();
        name.resize(16, 0);
        let mut sender = name.clone();
        sender.extend(mac);
        sender.extend([0, 0]);
        let mut batch = Batch::new();
        for (set, key) in [(PORTS, name), (SENDERS, sender)] {
            let element = Element { key, value: None, comment: tag.text().to_owned() };
            batch.add_elements(FAMILY, TABLE, set, &[element]);
        }
        let what = || format!("guard the port {port}");
        for _ in 0..TRIES {
            if self.apply(&batch, &GUARDS, &what)? {
                return Ok(());
            }
            // A port's name is random: whoever has it in the set is gone.
            self.remove_guards(&|entry| entry.key.starts_with(port.as_bytes()))?;
        }
        Err(Failure::new(format!("{}: somebody else guards it", what())))
    }

    /// Undoes [`Rules::guard_port`]; what is gone is undone.
    pub fn remove_port_guard(&mut self, tag: &Tag) -> Result<()> {
        self.remove_guards(&|entry| entry.comment.as_deref() == Some(tag.text()))
    }

    /// Undoes it for every attachment of a network that is not valid any more.
    pub fn collect_port_guards(&mut self, network: &str, valid: &[(String, String)]) -> Result<()> {
        self.remove_guards(&|entry| {
            entry.comment.as_deref().is_some_and(|comment| Tag::is_stale(comment, network, valid))
        })
    }

    fn remove_guards(&mut self, is_gone: &dyn Fn(&ElementEntry) -> bool) -> Result<()> {
        insist("remove the guard of a port", || {
            let mut batch = Batch::new();
            for set in [PORTS, SENDERS] {
                let gone = self.nft.elements(FAMILY, TABLE, set)?.into_iter().filter(|entry| is_gone(entry));
                let keys: Vec<Element> = gone.map(|entry| Element::of_key(&entry.key)).collect();
                batch.remove_elements(FAMILY, TABLE, set, &keys);
            }
            self.removed |= batch.size() > 0;
            self.nft.try_commit(batch)
        })?;
        if self.removed { self.remove_if_empty(&GUARDS) } else { Ok(()) }
    }
}
