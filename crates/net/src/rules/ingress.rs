//! Bridges of pods that are kept apart.

use super::{BRIDGES, FAMILY, Map, ROUTED, Rules, TABLE, TRIES, Tag, chain};
use crate::Prefix;
use crate::address::octets;
use crate::nft::{Batch, Element, Value, Verdict, key};
use sandbox::{Failure, Result};

/// What other pods may send to a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Only those of its own bridge, among those on bridges with a policy.
    SameBridge,
    /// None of those on bridges with a policy.
    Isolated,
}

impl Rules {
    /// Drops what a pod is sent by pods of bridges that have a policy, which its bridge then has too.
    pub fn restrict_ingress(&mut self, tag: &Tag, bridge: &str, policy: Policy, addresses: &[Prefix]) -> Result<()> {
        if addresses.is_empty() {
            return Ok(());
        }
        let mut name = bridge.as_bytes().to_vec();
        name.resize(16, 0);
        let own = tag.chain("ingress");
        let mut batch = Batch::new();
        batch.add_to_set(FAMILY, TABLE, BRIDGES, &Element { key: name, value: None, comment: String::new() });
        batch.add_chain(chain(&own), None);
        batch.add_rule(chain(&own), tag.text(), |rule| {
            rule.answers().verdict(&Verdict::Return);
        });
        if policy == Policy::SameBridge {
            batch.add_rule(chain(&own), tag.text(), |rule| {
                rule.link_name(key::IIFNAME, bridge, true).verdict(&Verdict::Return);
            });
        }
        batch.add_rule(chain(&own), tag.text(), |rule| {
            rule.came_by_one_of(BRIDGES).verdict(&Verdict::Drop);
        });
        for address in addresses {
            batch.add_elements(
                FAMILY,
                TABLE,
                Map::Ingress.name(address.is_v6()),
                &[Element {
                    key: octets(address.address),
                    value: Some(Value::Verdict(Verdict::Jump(own.clone()))),
                    comment: tag.text().to_owned(),
                }],
            );
        }
        let what = || format!("restrict ingress {}", tag.text());
        for _ in 0..TRIES {
            if self.apply(&batch, &ROUTED, &what)? {
                return Ok(());
            }
            // An address is given to one pod at a time: whoever has it in the map is gone.
            let keys: Vec<Vec<u8>> = addresses.iter().map(|address| octets(address.address)).collect();
            self.remove(&[Map::Ingress], &|entry| {
                keys.contains(&entry.key) || entry.comment.as_deref() == Some(tag.text())
            })?;
        }
        Err(Failure::new(format!("{}: somebody else adds rules for the same address", what())))
    }

    /// Undoes [`Rules::restrict_ingress`]; what is gone is undone.
    pub fn remove_ingress(&mut self, tag: &Tag) -> Result<()> {
        self.remove_tagged(tag, &tag.chain("ingress"), &[Map::Ingress], &[]).map(drop)
    }

    /// Undoes it for every attachment of a network that is not valid any more.
    pub fn collect_ingress(&mut self, network: &str, valid: &[(String, String)]) -> Result<()> {
        self.remove(&[Map::Ingress], &|entry| {
            entry.comment.as_deref().is_some_and(|comment| Tag::is_stale(comment, network, valid))
        })
    }

    /// Whether every address is restricted for this attachment.
    pub fn has_ingress(&mut self, tag: &Tag, addresses: &[Prefix]) -> Result<bool> {
        self.has(Map::Ingress, tag, addresses)
    }
}
