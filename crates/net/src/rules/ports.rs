//! Ports of the host that lead into pods.

use super::{FAMILY, Map, Rules, TABLE, Tag, chain};
use crate::Prefix;
use crate::address::{from_octets, octets};
use crate::nft::{Batch, Element, ElementEntry, Value, Verdict, load};
use sandbox::Result;
use std::net::{IpAddr, Ipv4Addr};

/// A port of the host that leads into a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forward {
    /// 6 tcp, 17 udp, 132 sctp.
    pub protocol: u8,
    /// The address of the host; none for all of them.
    pub host_ip: Option<IpAddr>,
    /// The port of the host.
    pub host_port: u16,
    /// The address of the pod.
    pub pod_ip: IpAddr,
    /// The port of the pod.
    pub pod_port: u16,
}

/// Whose a port is that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortTaken {
    /// The port that cannot be had.
    pub forward: Forward,
    /// The comment of the rule that has it.
    pub by: String,
}

impl Forward {
    fn map(&self) -> Map {
        if self.host_ip.is_some() { Map::PortsAt } else { Map::Ports }
    }

    fn is_v6(&self) -> bool {
        self.pod_ip.is_ipv6()
    }

    fn key(&self) -> Vec<u8> {
        let mut key = self.host_ip.map(octets).unwrap_or_default();
        key.extend([self.protocol, 0, 0, 0]);
        key.extend(self.host_port.to_be_bytes());
        key.extend([0, 0]);
        key
    }

    fn value(&self) -> Vec<u8> {
        let mut value = octets(self.pod_ip);
        value.extend(self.pod_port.to_be_bytes());
        value.extend([0, 0]);
        value
    }

    /// The forward that an element of either map says.
    fn of(entry: &ElementEntry) -> Option<Self> {
        let port = |bytes: &[u8]| Some(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]));
        let (pod_ip, pod_port) = entry.value.split_at_checked(entry.value.len().checked_sub(4)?)?;
        let (host_ip, rest) = entry.key.split_at_checked(entry.key.len().checked_sub(8)?)?;
        Some(Self {
            protocol: rest[0],
            host_ip: from_octets(host_ip),
            host_port: port(&rest[4..])?,
            pod_ip: from_octets(pod_ip)?,
            pod_port: port(pod_port)?,
        })
    }

    fn element(&self, tag: &Tag) -> Element {
        Element { key: self.key(), value: Some(Value::Data(self.value())), comment: tag.text().to_owned() }
    }

    /// Whether a packet could be meant for both.
    fn clashes(&self, map: Map, key: &[u8]) -> bool {
        let own = self.key();
        let tail = |key: &[u8]| key[key.len() - 8..].to_vec();
        key.len() >= 8 && tail(&own) == tail(key) && (self.map() != map || own == key)
    }
}

impl Rules {
    /// Has ports of this host lead into a pod: for what comes from outside, from this host itself and from pods, the pod itself
    /// included. `addresses` are the pod's with their networks' lengths; with `snat` what comes from the pod's own subnet, or from
    /// 127.0.0.1, is sent on from an address of this host, with `all` everything is. All of it or, when a port is another pod's,
    /// nothing.
    pub fn forward(
        &mut self,
        tag: &Tag,
        forwards: &[Forward],
        addresses: &[Prefix],
        snat: bool,
        all: bool,
    ) -> Result<std::result::Result<(), PortTaken>> {
        let mut batch = Batch::new();
        for (map, v6) in [Map::Ports, Map::PortsAt].into_iter().flat_map(|map| [(map, false), (map, true)]) {
            let of_map = forwards.iter().filter(|forward| forward.map() == map && forward.is_v6() == v6);
            let elements: Vec<Element> = of_map.map(|forward| forward.element(tag)).collect();
            batch.add_elements(FAMILY, TABLE, map.name(v6), &elements);
        }
        let name = tag.chain("snat");
        let used = |address: &&Prefix| forwards.iter().any(|forward| forward.pod_ip == address.address);
        let used: Vec<&Prefix> = addresses.iter().filter(used).filter(|_| snat).collect();
        if !used.is_empty() {
            batch.add_chain(chain(&name), None);
        }
        for address in used {
            add_snat(&mut batch, &name, tag, *address, all);
        }
        for _ in 0..super::TRIES {
            if let Some(taken) = self.taken(tag, forwards)? {
                return Ok(Err(taken));
            }
            if self.apply(&batch, &super::ROUTED, &|| format!("forward ports {}", tag.text()))? {
                return Ok(Ok(()));
            }
            // A key is there: another pod's port (found above, next time), or what an earlier try or a pod that is gone left.
            let keys: Vec<Vec<u8>> = addresses.iter().map(|address| octets(address.address)).collect();
            self.remove_forwards(tag, forwards)?;
            self.remove(&[Map::To], &|entry| keys.contains(&entry.key))?;
        }
        Err(sandbox::Failure::new("forward ports: others' rules change again and again"))
    }

    /// The first of the ports that somebody else has, also for another address of this host if either is for all of them.
    fn taken(&mut self, tag: &Tag, forwards: &[Forward]) -> Result<Option<PortTaken>> {
        for map in [Map::Ports, Map::PortsAt] {
            for v6 in [false, true] {
                if !forwards.iter().any(|forward| forward.is_v6() == v6) {
                    continue;
                }
                for entry in self.elements(map, v6)? {
                    let by = entry.comment.unwrap_or_default();
                    let clash =
                        forwards.iter().find(|forward| forward.is_v6() == v6 && forward.clashes(map, &entry.key));
                    if let Some(forward) = clash.filter(|_| by != tag.text()) {
                        return Ok(Some(PortTaken { forward: *forward, by }));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Undoes [`Rules::forward`], and answers what was forwarded; what is gone is undone. `known` is what was forwarded as far as that
    /// is known.
    pub fn remove_forwards(&mut self, tag: &Tag, known: &[Forward]) -> Result<Vec<Forward>> {
        let known: Vec<_> = known.iter().map(|forward| (forward.map(), forward.is_v6(), forward.key())).collect();
        let maps = [Map::Ports, Map::PortsAt, Map::To];
        let removed = self.remove_tagged(tag, &tag.chain("snat"), &maps, &known)?;
        Ok(removed.iter().filter_map(Forward::of).collect())
    }

    /// Undoes it for every attachment of a network that is not valid any more.
    pub fn collect_forwards(&mut self, network: &str, valid: &[(String, String)]) -> Result<()> {
        self.remove(&[Map::Ports, Map::PortsAt, Map::To], &|entry| {
            entry.comment.as_deref().is_some_and(|comment| Tag::is_stale(comment, network, valid))
        })
    }

    /// The first of the ports that does not lead into the pod.
    pub fn missing_forward(&mut self, tag: &Tag, forwards: &[Forward]) -> Result<Option<Forward>> {
        for forward in forwards {
            let name = forward.map().name(forward.is_v6());
            let entry = self.nft.element(FAMILY, TABLE, name, &forward.key())?;
            let leads =
                |entry: ElementEntry| entry.value == forward.value() && entry.comment.as_deref() == Some(tag.text());
            if !entry.is_some_and(leads) {
                return Ok(Some(*forward));
            }
        }
        Ok(None)
    }
}

/// What comes to a pod through a port of this host and could not be answered the same way back.
fn add_snat(batch: &mut Batch, name: &str, tag: &Tag, address: Prefix, all: bool) {
    let v6 = address.is_v6();
    let loopback = Prefix { address: Ipv4Addr::LOCALHOST.into(), length: 8 };
    let mut sources = vec![if all { Prefix::any(v6) } else { address.network() }];
    if !v6 && !all {
        sources.push(loopback);
    }
    for source in sources {
        batch.add_rule(chain(name), tag.text(), |rule| {
            rule.family(v6);
            if source.length > 0 {
                rule.address(load::source(v6), source, true);
            }
            rule.destination_was_translated().masquerade();
        });
    }
    batch.add_elements(
        FAMILY,
        TABLE,
        Map::To.name(v6),
        &[Element {
            key: octets(address.address),
            value: Some(Value::Verdict(Verdict::Jump(name.to_owned()))),
            comment: tag.text().to_owned(),
        }],
    );
}
