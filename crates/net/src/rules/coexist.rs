//! Other people's rules, which would drop a pod's traffic.
//!
//! An accept in our own table does not lift another table's drop: every chain of the forward hook has its say. So where Docker's
//! policy, a firewall's last rule or a distribution's default would drop what a pod sends or is sent, rules that bear the pod's tag
//! are put there too, as late as they can stand: an administrator's own rules before them, accepting or dropping, keep their word.
//! Let through is what the pod sends, what answers it, and what comes by a forwarded port; not new connections to its address.

mod legacy;

use super::{Rules, TABLE, Tag};
use crate::Prefix;
use crate::nft::{Batch, ChainEntry, Expr, Family, Nft, RuleEntry, Verdict, load};
use sandbox::{Failure, Result};

const FORWARD: u32 = 2;
const TRIES: usize = 16;

impl Rules {
    /// Lets a pod's traffic through wherever others would drop it. Done already is fine.
    pub fn admit(&mut self, tag: &Tag, addresses: &[Prefix]) -> Result<()> {
        if addresses.is_empty() {
            return Ok(());
        }
        for entry in forward_chains(&mut self.nft)? {
            admit_in(&mut self.nft, &entry, tag, addresses)?;
        }
        legacy::admit(tag, addresses)
    }

    /// CHECK: the first chain that would drop what a pod sends and has no rules for it.
    pub fn not_admitted(&mut self, tag: &Tag, addresses: &[Prefix]) -> Result<Option<String>> {
        for entry in forward_chains(&mut self.nft)? {
            let rules = self.nft.rules(entry.chain())?;
            let concerned = addresses.iter().any(|address| fits(&entry, address));
            let admitted = rules.iter().any(|rule| rule.comment.as_deref() == Some(tag.text()));
            if concerned && !admitted && place(&entry, &rules) != Place::Unneeded {
                return Ok(Some(format!("table {} chain {}", entry.table, entry.name)));
            }
        }
        Ok(None)
    }

    /// Undoes [`Rules::admit`]; what is gone is undone.
    pub fn remove_admission(&mut self, tag: &Tag) -> Result<()> {
        self.remove_admissions(&|comment| comment == tag.text())
    }

    /// Undoes it for every attachment of a network that is not valid any more.
    pub fn collect_admissions(&mut self, network: &str, valid: &[(String, String)]) -> Result<()> {
        self.remove_admissions(&|comment| Tag::is_stale(comment, network, valid))
    }

    fn remove_admissions(&mut self, is_gone: &dyn Fn(&str) -> bool) -> Result<()> {
        for entry in forward_chains(&mut self.nft)? {
            for _ in 0..TRIES {
                let mut batch = Batch::new();
                for rule in self.nft.rules(entry.chain())? {
                    if rule.comment.as_deref().is_some_and(is_gone) {
                        batch.remove_rule(entry.chain(), rule.handle);
                    }
                }
                match self.nft.try_commit(batch)? {
                    None => break,
                    Some(refusal) if refusal.errno == libc::ENOENT => {} // removed meanwhile: look again
                    Some(refusal) => {
                        return Err(refusal.into_failure(format!("remove rules from {} {}", entry.table, entry.name)));
                    }
                }
            }
        }
        legacy::remove_where(is_gone)
    }
}

/// The base chains of other people that see forwarded packets.
fn forward_chains(nft: &mut Nft) -> Result<Vec<ChainEntry>> {
    let mut chains = nft.chains()?;
    chains.retain(|chain| {
        matches!(chain.family, Family::Inet | Family::Ip | Family::Ip6)
            && chain.kind == "filter"
            && chain.hook.is_some_and(|(number, _)| number == FORWARD)
            && chain.table != TABLE
    });
    Ok(chains)
}

/// Where rules for a pod have to stand in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nowhere: the chain drops nothing that comes to its end.
    Unneeded,
    /// Before everything else.
    First,
    /// Before the rule of a handle.
    Before(u64),
    /// After everything else.
    Last,
}

fn place(chain: &ChainEntry, rules: &[RuleEntry]) -> Place {
    if chain.table == "firewalld" {
        // Its zones refuse what they do not know in the middle of the chain.
        return Place::First;
    }
    match rules.last() {
        Some(last) if last.refuses_all => Place::Before(last.handle),
        _ if chain.drops => Place::Last,
        _ => Place::Unneeded,
    }
}

fn admit_in(nft: &mut Nft, entry: &ChainEntry, tag: &Tag, addresses: &[Prefix]) -> Result<()> {
    for _ in 0..TRIES {
        let rules = nft.rules(entry.chain())?;
        let place = place(entry, &rules);
        if place == Place::Unneeded || rules.iter().any(|rule| rule.comment.as_deref() == Some(tag.text())) {
            return Ok(());
        }
        let mut batch = Batch::new();
        for address in addresses.iter().filter(|address| fits(entry, address)) {
            let (v6, host) = (address.is_v6(), Prefix::host(address.address));
            let mut add = |of: (u32, u32, u32), more: fn(&mut Expr<'_>)| {
                add(&mut batch, entry, place, tag, &|rule| {
                    if entry.family == Family::Inet {
                        rule.family(v6);
                    }
                    more(rule.address(of, host, true));
                    rule.counter().verdict(&Verdict::Accept);
                });
            };
            add(load::source(v6), |_| {});
            if is_of_iptables(entry) {
                add(load::destination(v6), |rule| {
                    rule.iptables_answers_or_translated();
                });
            } else {
                add(load::destination(v6), |rule| {
                    rule.answers();
                });
                add(load::destination(v6), |rule| {
                    rule.destination_was_translated();
                });
            }
        }
        match nft.try_commit(batch)? {
            None => return Ok(()),
            Some(refusal) if refusal.errno == libc::ENOENT => {} // somebody changes the chain at the same time
            Some(refusal) => {
                return Err(refusal.into_failure(format!("let traffic through {} {}", entry.table, entry.name)));
            }
        }
    }
    Err(Failure::new(format!("{} {} changes again and again", entry.table, entry.name)))
}

fn add(batch: &mut Batch, entry: &ChainEntry, place: Place, tag: &Tag, expressions: &dyn Fn(&mut Expr<'_>)) {
    match place {
        Place::Unneeded => {}
        Place::First => batch.insert_rule(entry.chain(), None, tag.text(), expressions),
        Place::Before(handle) => batch.insert_rule(entry.chain(), Some(handle), tag.text(), expressions),
        Place::Last => batch.add_rule(entry.chain(), tag.text(), expressions),
    }
}

/// Whether the `iptables` program thinks the chain its own. It refuses a table as a whole that holds a rule which it cannot say.
fn is_of_iptables(entry: &ChainEntry) -> bool {
    matches!(entry.family, Family::Ip | Family::Ip6) && entry.table == "filter" && entry.name == "FORWARD"
}

fn fits(entry: &ChainEntry, address: &Prefix) -> bool {
    match entry.family {
        Family::Ip => !address.is_v6(),
        Family::Ip6 => address.is_v6(),
        _ => true,
    }
}
