//! Tables of the old iptables, which only the `iptables` program can change.

use super::super::Tag;
use crate::Prefix;
use sandbox::{Failure, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// One family's tables and the programs that change them.
struct Tool {
    v6: bool,
    /// Names the tables that are in use.
    tables: &'static str,
    programs: [&'static str; 2],
}

const TOOLS: [Tool; 2] = [
    Tool { v6: false, tables: "/proc/thread-self/net/ip_tables_names", programs: ["iptables-legacy", "iptables"] },
    Tool { v6: true, tables: "/proc/thread-self/net/ip6_tables_names", programs: ["ip6tables-legacy", "ip6tables"] },
];

/// Lets a pod's traffic through where the old FORWARD chain would drop it at its end.
pub fn admit(tag: &Tag, addresses: &[Prefix]) -> Result<()> {
    for tool in TOOLS.iter().filter(|tool| tool.is_in_use()) {
        let addresses: Vec<&Prefix> = addresses.iter().filter(|address| address.is_v6() == tool.v6).collect();
        if addresses.is_empty() {
            continue;
        }
        let Some(program) = tool.program() else {
            let [program, _] = tool.programs;
            eprintln!("networking: {program} is not installed, and the old iptables may drop what pods send");
            continue;
        };
        let chain = Forward::read(&program)?;
        if !chain.drops || chain.rules.iter().any(|rule| comment(rule) == Some(tag.text())) {
            continue;
        }
        for address in addresses {
            let address = Prefix::host(address.address).to_string();
            let about = ["-m", "comment", "--comment", tag.text(), "-j", "ACCEPT"];
            let from = ["-s", address.as_str()];
            let to = ["-d", address.as_str(), "-m", "conntrack", "--ctstate", "RELATED,ESTABLISHED,DNAT"];
            for matches in [&from[..], &to[..]] {
                let place = chain.position.to_string();
                let start: &[&str] = if chain.position > 0 { &["-I", "FORWARD", &place] } else { &["-A", "FORWARD"] };
                run(&program, &[start, matches, &about].concat())?;
            }
        }
    }
    Ok(())
}

/// Removes the rules whose comments are picked out.
pub fn remove_where(is_gone: &dyn Fn(&str) -> bool) -> Result<()> {
    for tool in TOOLS.iter().filter(|tool| tool.is_in_use()) {
        let Some(program) = tool.program() else { continue };
        for rule in Forward::read(&program)?.rules {
            if comment(&rule).is_some_and(is_gone) {
                let words: Vec<&str> =
                    ["-D", "FORWARD"].into_iter().chain(rule[2..].iter().map(String::as_str)).collect();
                run(&program, &words)?;
            }
        }
    }
    Ok(())
}

impl Tool {
    fn is_in_use(&self) -> bool {
        std::fs::read_to_string(self.tables).is_ok_and(|tables| tables.lines().any(|table| table == "filter"))
    }

    /// The program that changes the old tables, if it is installed.
    fn program(&self) -> Option<String> {
        let directories = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
        let installed = |name: &str| {
            directories.split(':').map(|directory| Path::new(directory).join(name)).find(|path| path.is_file())
        };
        let path = |name: &str| installed(name).and_then(|path| path.to_str().map(str::to_owned));
        let [sure, unsure] = self.programs;
        path(sure).or_else(|| {
            let version = run(&path(unsure)?, &["--version"]).ok()?;
            // Before it had two variants it named none.
            if version.contains("nf_tables") { None } else { path(unsure) }
        })
    }
}

/// The chain FORWARD of the table filter.
struct Forward {
    /// The words of each rule: `-A FORWARD ...`.
    rules: Vec<Vec<String>>,
    /// Whether a packet is dropped or rejected at its end.
    drops: bool,
    /// Where rules have to stand to come before that, from 1; 0 for the end.
    position: usize,
}

impl Forward {
    fn read(program: &str) -> Result<Self> {
        Ok(Self::parse(&run(program, &["-S", "FORWARD"])?))
    }

    fn parse(text: &str) -> Self {
        let mut policy_drops = false;
        let mut rules = Vec::new();
        for words in text.lines().map(split) {
            match words.first().map(String::as_str) {
                Some("-P") => policy_drops = words.get(2).is_some_and(|policy| policy == "DROP"),
                Some("-A") => rules.push(words),
                _ => {}
            }
        }
        let refused = rules.last().is_some_and(|rule| {
            rule.get(2).is_some_and(|word| word == "-j") && matches!(rule[3].as_str(), "REJECT" | "DROP")
        });
        let position = if refused { rules.len() } else { 0 };
        Self { drops: refused || policy_drops, position, rules }
    }
}

fn comment(rule: &[String]) -> Option<&str> {
    let at = rule.iter().position(|word| word == "--comment")?;
    rule.get(at + 1).map(String::as_str)
}

/// The words of a line of `iptables -S`: in quotes where they hold blanks.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut started) = (Vec::new(), String::new(), false, false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '"' => (quoted, started) = (!quoted, true),
            '\\' => word.extend(letters.next()),
            ' ' if !quoted => {
                if started || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                started = false;
            }
            letter => word.push(letter),
        }
    }
    if started || !word.is_empty() {
        words.push(word);
    }
    words
}

fn run(program: &str, words: &[&str]) -> Result<String> {
    let wait: &[&str] = if words == ["--version"] { &[] } else { &["-w", "10"] };
    let output = Command::new(program).args(wait).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Failure::system(format!("run {program}"), error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{program} {}: {}", words.join(" "), reason.trim().lines().next().unwrap_or("failed"))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_read_as_iptables_prints_it() {
        let text = "-P FORWARD ACCEPT\n-A FORWARD -s 10.0.0.1/32 -m comment --comment \"rkt id: \\\"a\\\" x\" -j ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-host-prohibited\n";
        let chain = Forward::parse(text);

        assert!(chain.drops);
        assert_eq!(chain.position, 2);
        assert_eq!(comment(&chain.rules[0]), Some("rkt id: \"a\" x"));
        assert!(!Forward::parse("-P FORWARD ACCEPT\n-A FORWARD -i eth0 -j DROP\n").drops);
        let policy = Forward::parse("-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n");
        assert_eq!((policy.drops, policy.position), (true, 0));
    }
}
