//! Pods that reach the world from the host's addresses.

use super::{FAMILY, Map, ROUTED, Rules, TABLE, TRIES, Tag, chain};
use crate::Prefix;
use crate::address::octets;
use crate::nft::{Batch, Element, Value, Verdict, load};
use sandbox::{Failure, Result};
use std::net::{Ipv4Addr, Ipv6Addr};

impl Rules {
    /// Has what a pod sends from its addresses leave from an address of this host, unless it goes to its own subnet or to many at
    /// once. The prefixes are the pod's addresses with their networks' lengths.
    pub fn masquerade(&mut self, tag: &Tag, addresses: &[Prefix]) -> Result<()> {
        if addresses.is_empty() {
            return Ok(());
        }
        let name = tag.chain("masq");
        let own = chain(&name);
        let mut batch = Batch::new();
        batch.add_chain(own, None);
        for address in addresses {
            let v6 = address.is_v6();
            batch.add_rule(own, tag.text(), |rule| {
                rule.family(v6).address(load::destination(v6), *address, true).verdict(&Verdict::Accept);
            });
        }
        for v6 in [false, true] {
            if addresses.iter().any(|address| address.is_v6() == v6) {
                batch.add_rule(own, tag.text(), |rule| {
                    rule.family(v6).address(load::destination(v6), multicast(v6), false).masquerade();
                });
            }
        }
        for address in addresses {
            batch.add_elements(
                FAMILY,
                TABLE,
                Map::From.name(address.is_v6()),
                &[Element {
                    key: octets(address.address),
                    value: Some(Value::Verdict(Verdict::Jump(name.clone()))),
                    comment: tag.text().to_owned(),
                }],
            );
        }
        let what = || format!("masquerade {}", tag.text());
        for _ in 0..TRIES {
            if self.apply(&batch, &ROUTED, &what)? {
                return Ok(());
            }
            // An address is given to one pod at a time: whoever has it in the map is gone.
            let keys: Vec<Vec<u8>> = addresses.iter().map(|address| octets(address.address)).collect();
            self.remove(&[Map::From], &|entry| {
                keys.contains(&entry.key) || entry.comment.as_deref() == Some(tag.text())
            })?;
        }
        Err(Failure::new(format!("{}: somebody else adds rules for the same address", what())))
    }

    /// Undoes [`Rules::masquerade`]; what is gone is undone.
    pub fn remove_masquerade(&mut self, tag: &Tag) -> Result<()> {
        self.remove_tagged(tag, &tag.chain("masq"), &[Map::From], &[]).map(drop)
    }

    /// Undoes it for every attachment of a network that is not valid any more.
    pub fn collect_masquerade(&mut self, network: &str, valid: &[(String, String)]) -> Result<()> {
        self.remove(&[Map::From], &|entry| {
            entry.comment.as_deref().is_some_and(|comment| Tag::is_stale(comment, network, valid))
        })
    }

    /// Whether every address is masqueraded for this attachment.
    pub fn has_masquerade(&mut self, tag: &Tag, addresses: &[Prefix]) -> Result<bool> {
        self.has(Map::From, tag, addresses)
    }
}

fn multicast(v6: bool) -> Prefix {
    if v6 {
        Prefix { address: Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0).into(), length: 8 }
    } else {
        Prefix { address: Ipv4Addr::new(224, 0, 0, 0).into(), length: 4 }
    }
}
