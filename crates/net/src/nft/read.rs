//! What is there: tables, chains, rules, elements.

use super::{Chain, Family, Nft, message, read_comment};
use crate::netlink::{Attributes, Message, Reply, flag, number};
use sandbox::Result;

const GETTABLE: u16 = 1;
const GETCHAIN: u16 = 4;
const GETRULE: u16 = 7;
const GETELEMENT: u16 = 13;
const HEADER: usize = 4;
const UNSPECIFIED: u8 = 0;

/// A table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// Its family.
    pub family: Family,
    /// Its name.
    pub name: String,
}

/// A chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainEntry {
    /// The family of its table.
    pub family: Family,
    /// Its table.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Of a base chain: number and priority.
    pub hook: Option<(u32, i32)>,
    /// `filter`, `nat`, `route`; empty if it has no hook.
    pub kind: String,
    /// Whether what passes it is dropped.
    pub drops: bool,
}

impl ChainEntry {
    /// The chain, to change it.
    pub fn chain(&self) -> Chain<'_> {
        Chain { family: self.family, table: &self.table, name: &self.name }
    }
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleEntry {
    /// Its number in its table.
    pub handle: u64,
    /// Its comment.
    pub comment: Option<String>,
    /// Whether it ends every packet that comes to it, unlooked at.
    pub refuses_all: bool,
}

/// An element of a set or map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementEntry {
    /// The key.
    pub key: Vec<u8>,
    /// Of a map of bytes.
    pub value: Vec<u8>,
    /// Of a map of verdicts: the chain that is jumped to.
    pub chain: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
}

impl Nft {
    /// What is answered; nothing if what it asks of is not there, or the kernel has no nftables.
    fn ask(&mut self, request: Message, what: impl Fn() -> String) -> Result<Vec<Reply>> {
        const ABSENT: [i32; 3] = [libc::ENOENT, libc::EOPNOTSUPP, libc::EINVAL];
        match self.socket.try_query(request)? {
            Ok(replies) => Ok(replies),
            Err(refusal) if ABSENT.contains(&refusal.errno) => Ok(Vec::new()),
            Err(refusal) => Err(refusal.into_failure(what())),
        }
    }

    /// Whether there is a table.
    pub fn has_table(&mut self, family: Family, name: &str) -> Result<bool> {
        let mut request = message(GETTABLE, 0, family.number());
        request.text(1, name);
        Ok(!self.ask(request, || format!("look for table {name}"))?.is_empty())
    }

    /// Whether there is a chain.
    pub fn has_chain(&mut self, chain: Chain<'_>) -> Result<bool> {
        let mut request = message(GETCHAIN, 0, chain.family.number());
        request.text(1, chain.table).text(3, chain.name);
        Ok(!self.ask(request, || format!("look for chain {} {}", chain.table, chain.name))?.is_empty())
    }

    /// All tables.
    pub fn tables(&mut self) -> Result<Vec<TableEntry>> {
        let replies = self.ask(message(GETTABLE, flag::DUMP, UNSPECIFIED), || "list tables".to_owned())?;
        Ok(replies
            .iter()
            .filter_map(|reply| {
                let name = reply.attributes(HEADER).text(1)?;
                Some(TableEntry { family: Family::of(*reply.payload.first()?)?, name })
            })
            .collect())
    }

    /// All chains of all tables.
    pub fn chains(&mut self) -> Result<Vec<ChainEntry>> {
        let replies = self.ask(message(GETCHAIN, flag::DUMP, UNSPECIFIED), || "list chains".to_owned())?;
        Ok(replies
            .iter()
            .filter_map(|reply| {
                let attributes = reply.attributes(HEADER);
                let hook = attributes.nested(4);
                Some(ChainEntry {
                    family: Family::of(*reply.payload.first()?)?,
                    table: attributes.text(1)?,
                    name: attributes.text(3)?,
                    hook: hook.be32(1).map(|number| (number, hook.be32(2).unwrap_or(0) as i32)),
                    kind: attributes.text(7).unwrap_or_default(),
                    drops: attributes.be32(5) == Some(0),
                })
            })
            .collect())
    }

    /// The rules of a chain, in order; none if there is no such chain.
    pub fn rules(&mut self, chain: Chain<'_>) -> Result<Vec<RuleEntry>> {
        let mut request = message(GETRULE, flag::DUMP, chain.family.number());
        request.text(1, chain.table).text(2, chain.name);
        let replies = self.ask(request, || format!("list rules of {} {}", chain.table, chain.name))?;
        Ok(replies
            .iter()
            .map(|reply| {
                let attributes = reply.attributes(HEADER);
                RuleEntry {
                    handle: attributes.be64(3).unwrap_or(0),
                    comment: attributes.get(7).and_then(read_comment),
                    refuses_all: refuses_all(attributes.nested(4)),
                }
            })
            .collect())
    }

    /// The element of a key; none if there is no such element or set.
    pub fn element(&mut self, family: Family, table: &str, set: &str, key: &[u8]) -> Result<Option<ElementEntry>> {
        let mut request = message(GETELEMENT, 0, family.number());
        request.text(1, table).text(2, set).nest(3, |list| {
            list.nest(1, |item| {
                item.nest(1, |value| {
                    value.attr(1, key);
                });
            });
        });
        let replies = self.ask(request, || format!("look for an element of {table} {set}"))?;
        Ok(entries(&replies).into_iter().next())
    }

    /// The elements of a set or map; none if there is no such set. The kernel may rearrange a large one while it answers: then some are
    /// left out.
    pub fn elements(&mut self, family: Family, table: &str, set: &str) -> Result<Vec<ElementEntry>> {
        let mut request = message(GETELEMENT, flag::DUMP, family.number());
        request.text(1, table).text(2, set);
        let replies = self.ask(request, || format!("list elements of {table} {set}"))?;
        Ok(entries(&replies))
    }
}

fn entries(replies: &[Reply]) -> Vec<ElementEntry> {
    let items = replies.iter().flat_map(|reply| reply.attributes(HEADER).nested(3));
    let entry = |(_, item)| {
        let item = Attributes(item);
        let data = item.nested(2);
        ElementEntry {
            key: item.nested(1).get(1).unwrap_or_default().to_vec(),
            value: data.get(1).unwrap_or_default().to_vec(),
            chain: data.nested(2).text(2),
            comment: item.get(6).and_then(read_comment),
        }
    };
    items.map(entry).collect()
}

/// Whether the expressions are nothing but a drop or a rejection, perhaps counted or logged. Targets of iptables are expressions too.
fn refuses_all(expressions: Attributes<'_>) -> bool {
    let mut ends = false;
    for (_, expression) in expressions {
        let expression = Attributes(expression);
        let data = expression.nested(2);
        match expression.text(1).as_deref() {
            Some("counter" | "log") => {}
            Some("reject") => ends = true,
            Some("target") if matches!(data.text(1).as_deref(), Some("REJECT" | "DROP")) => ends = true,
            Some("immediate") if data.nested(2).nested(2).get(1).map(number) == Some(0) => ends = true,
            _ => return false,
        }
    }
    ends
}
