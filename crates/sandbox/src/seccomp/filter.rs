//! A filter of system calls as data: what becomes of each call, by name.

use super::groups::{self, Names};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// `EPERM` and `ENOSYS`, the same numbers on every machine.
const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The kernel does it.
    Allow,
    /// The process ends by SIGSYS.
    Kill,
    /// The call fails with this error number.
    Error(u16),
}

/// One outcome, and the names of the calls that have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What becomes of them.
    pub outcome: Outcome,
    /// Separated by blanks: a plan is read by people too.
    pub names: Cow<'static, str>,
}

/// What becomes of the system calls of a process and all that it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemCalls {
    /// Calls by name; one that the machine does not have is no matter.
    pub rules: Vec<Rule>,
    /// Of clone(2) and unshare(2) with flags that make namespaces, where they are allowed at all.
    pub new_namespaces: Outcome,
    /// Of a call that has a name and no rule.
    pub otherwise: Outcome,
    /// Of a number that has no name yet.
    pub unknown: Outcome,
}

fn rule(outcome: Outcome, names: &Names) -> Rule {
    Rule { outcome, names: names.iter().copied().collect::<Vec<_>>().join(" ").into() }
}

impl SystemCalls {
    /// Allows these calls and what the life cycle of any process needs. `default` tells whether the default whitelist is among them,
    /// `administers` whether the processes have CAP_SYS_ADMIN.
    ///
    /// clone3(2) hides its flags from every filter, so it answers ENOSYS where new namespaces are withheld; libc takes clone(2) then.
    /// A number without a name answers ENOSYS too: nobody can have asked for it, and a program that tries it goes the older way.
    pub fn retaining(mut names: Names, default: bool, errno: Option<u16>, administers: bool) -> Self {
        names.extend(groups::members(groups::IMPLICIT).unwrap_or_default());
        let mut absent = Names::new();
        if !administers {
            names.remove("clone3");
            absent.insert("clone3");
        }
        let mut rules = vec![rule(Outcome::Allow, &names)];
        let mut otherwise = errno.map_or(Outcome::Kill, Outcome::Error);
        if default && errno.is_none() {
            otherwise = Outcome::Error(EPERM);
            rules.push(rule(Outcome::Kill, &groups::killing().difference(&names).copied().collect()));
            absent.extend(groups::absent().difference(&names));
        }
        rules.push(rule(Outcome::Error(ENOSYS), &absent));
        Self {
            rules,
            new_namespaces: if administers { Outcome::Allow } else { Outcome::Error(errno.unwrap_or(EPERM)) },
            otherwise,
            unknown: Outcome::Error(ENOSYS),
        }
    }

    /// The filter of an app that asks for none.
    pub fn computed_default(administers: bool) -> Self {
        Self::retaining(groups::members(groups::DEFAULT).unwrap_or_default(), true, None, administers)
    }

    /// Withholds these calls and nothing else: but where unshare(2) is among them, clone(2) and clone3(2) make no namespaces either,
    /// unless the processes have CAP_SYS_ADMIN.
    pub fn removing(names: &Names, errno: Option<u16>, administers: bool) -> Self {
        let mut rules = vec![rule(errno.map_or(Outcome::Kill, Outcome::Error), names)];
        let mut new_namespaces = Outcome::Allow;
        if names.contains("unshare") && !administers {
            new_namespaces = Outcome::Error(errno.unwrap_or(EPERM));
            let hiding = Names::from(["clone3"]);
            rules.push(rule(Outcome::Error(ENOSYS), &hiding.difference(names).copied().collect()));
        }
        Self { rules, new_namespaces, otherwise: Outcome::Allow, unknown: Outcome::Allow }
    }

    /// Two filters that are this one together: one that allows these calls, and one that withholds what this one withholds of them.
    pub fn split(&self, allowed: &[&'static str]) -> (Cow<'_, Self>, Option<Self>) {
        let withheld: Vec<(&'static str, Outcome)> = allowed
            .iter()
            .map(|&name| (name, self.by_name().get(name).copied().unwrap_or(self.otherwise)))
            .filter(|(_, outcome)| *outcome != Outcome::Allow)
            .collect();
        if withheld.is_empty() {
            return (Cow::Borrowed(self), None);
        }
        let names: Names = withheld.iter().map(|&(name, _)| name).collect();
        let mut first = self.clone();
        first.rules.push(rule(Outcome::Allow, &names));
        let rules = withheld.into_iter().map(|(name, outcome)| rule(outcome, &Names::from([name]))).collect();
        (Cow::Owned(first), Some(Self { rules, ..Self::removing(&Names::new(), None, false) }))
    }

    /// The outcomes of the calls that have a rule; where two speak of one the later counts.
    pub fn by_name(&self) -> BTreeMap<&str, Outcome> {
        let mut outcomes = BTreeMap::new();
        for rule in &self.rules {
            outcomes.extend(rule.names.split_whitespace().map(|name| (name, rule.outcome)));
        }
        outcomes
    }
}
