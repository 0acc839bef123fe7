//! Filters of system calls by retain-set and remove-set (stage1-abi §3.6).

use super::set_of;
use crate::abi::manifest::{App, Isolator};
use sandbox::seccomp::{SystemCalls, errno, groups};
use sandbox::{Failure, Result};
use serde_json::Value;

const RETAIN: &str = "os/linux/seccomp-retain-set";
const REMOVE: &str = "os/linux/seccomp-remove-set";

/// The whole of all system calls: retained, nothing is filtered.
const ALL: &str = "@appc.io/all";
/// None of them: removed, the default filter stays.
const EMPTY: &str = "@appc.io/empty";

/// The filter of an app; none lets every call through. `administers` tells whether the app has CAP_SYS_ADMIN.
pub fn system_calls(app: &App, administers: bool) -> Result<Option<SystemCalls>> {
    let mut isolators = app.isolators.iter().filter(|isolator| [RETAIN, REMOVE].contains(&isolator.name.as_str()));
    let Some(isolator) = isolators.next() else { return Ok(Some(SystemCalls::default_filter(administers))) };
    if isolators.next().is_some() {
        return Err(Failure::new("too many seccomp isolators specified"));
    }
    filter(isolator, administers).map_err(|failure| failure.of(format!("isolator {}", isolator.name)))
}

fn filter(isolator: &Isolator, administers: bool) -> Result<Option<SystemCalls>> {
    let errno = error_number(isolator)?;
    let names = expand(set_of(isolator))?;
    let has = |group: &str| set_of(isolator).any(|name| name == group);
    Ok(match isolator.name.as_str() {
        RETAIN if has(ALL) => None,
        RETAIN => {
            let default = has("@rkt/default-whitelist") || has("@docker/default-whitelist");
            Some(SystemCalls::retaining(names, default, errno, administers))
        }
        _ if has(EMPTY) && errno.is_none() => Some(SystemCalls::default_filter(administers)),
        _ if has(EMPTY) => {
            let default = groups::expand(groups::DEFAULT).unwrap_or_default();
            Some(SystemCalls::retaining(default, true, errno, administers))
        }
        _ => Some(SystemCalls::removing(&names, errno, administers)),
    })
}

fn error_number(isolator: &Isolator) -> Result<Option<u16>> {
    let name = isolator.value.get("errno").and_then(Value::as_str).unwrap_or_default();
    if name.is_empty() {
        return Ok(None);
    }
    errno(name).map(Some).ok_or_else(|| Failure::new(format!("errno: \"{name}\" is not known on Linux")))
}

/// The calls that a set names. Groups that nobody knows are dropped, as documented; a call that no machine has is a mistake.
fn expand<'a>(set: impl Iterator<Item = &'a str>) -> Result<groups::Names> {
    let mut names = groups::Names::new();
    for name in set {
        if name.starts_with('@') {
            names.extend(groups::expand(name).unwrap_or_default());
        } else {
            let known = groups::known(name);
            names.insert(known.ok_or_else(|| Failure::new(format!("set: \"{name}\" is not a system call")))?);
        }
    }
    Ok(names)
}

#[cfg(test)]
fn decided(isolators: &str) -> std::result::Result<Option<SystemCalls>, String> {
    system_calls(&super::app(isolators), false).map_err(|failure| failure.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox::seccomp::Outcome;

    fn retain(set: &str) -> String {
        format!(r#"[{{"name":"os/linux/seccomp-retain-set","value":{{"set":[{set}]}}}}]"#)
    }

    fn remove(set: &str) -> String {
        format!(r#"[{{"name":"os/linux/seccomp-remove-set","value":{{"set":[{set}]}}}}]"#)
    }

    #[test]
    fn an_app_that_says_nothing_has_the_default_filter_and_one_that_removes_nothing_too() {
        assert_eq!(decided("null"), Ok(Some(SystemCalls::default_filter(false))));
        assert_eq!(decided(&remove(r#""@appc.io/empty","mount""#)), decided("null"));
        assert_eq!(decided(&retain(r#""read","@appc.io/all""#)), Ok(None));
    }

    #[test]
    fn what_is_retained_is_allowed_beside_the_life_cycle_and_all_else_kills() {
        let filter = decided(&retain(r#""read","@systemd/clock""#)).unwrap().unwrap();

        for name in ["read", "adjtimex", "execve", "exit_group", "brk"] {
            assert_eq!(filter.outcome(name), Outcome::Allow, "{name}");
        }
        assert_eq!(filter.outcome("openat"), Outcome::Kill);
        assert_eq!(filter.outcome("clone3"), Outcome::Error(38));
    }

    #[test]
    fn what_is_added_to_the_default_whitelist_is_allowed() {
        let filter = decided(&retain(r#""@rkt/default-whitelist","mount","ptrace""#)).unwrap().unwrap();

        assert_eq!(filter.outcome("mount"), Outcome::Allow);
        assert_eq!(filter.outcome("ptrace"), Outcome::Allow);
        assert_eq!(filter.outcome("umount2"), Outcome::Kill);
        assert_eq!(filter.outcome("keyctl"), Outcome::Error(1));
    }

    #[test]
    fn an_errno_is_the_answer_to_whatever_is_withheld() {
        let errno = |mode: &str| {
            let value = r#"{"set":["@rkt/default-MODE"],"errno":"ENOTSUP"}"#.replace("MODE", mode);
            let set = if mode == "whitelist" { "retain" } else { "remove" };
            decided(&format!(r#"[{{"name":"os/linux/seccomp-{set}-set","value":{value}}}]"#)).unwrap().unwrap()
        };

        assert_eq!(errno("whitelist").outcome("mount"), Outcome::Error(95));
        assert_eq!(errno("blacklist").outcome("mount"), Outcome::Error(95));
        assert_eq!(errno("blacklist").outcome("fsmount"), Outcome::Error(95));
        assert_eq!(errno("blacklist").outcome("sethostname"), Outcome::Allow);
        assert_eq!(errno("blacklist").new_namespaces, Outcome::Error(95));
    }

    #[test]
    fn mistakes_are_refused_and_unknown_groups_are_dropped() {
        let both = r#"[{"name":"os/linux/seccomp-retain-set","value":{"set":["read"]}},
            {"name":"os/linux/seccomp-remove-set","value":{"set":["read"]}}]"#;
        let errno = r#"[{"name":"os/linux/seccomp-remove-set","value":{"set":["read"],"errno":"EBOGUS"}}]"#;

        assert_eq!(decided(both).unwrap_err(), "too many seccomp isolators specified");
        assert_eq!(
            decided(&retain(r#""frobnicate""#)).unwrap_err(),
            "isolator os/linux/seccomp-retain-set: set: \"frobnicate\" is not a system call"
        );
        assert_eq!(
            decided(errno).unwrap_err(),
            "isolator os/linux/seccomp-remove-set: errno: \"EBOGUS\" is not known on Linux"
        );
        assert_eq!(decided(&remove(r#""@unheard/of","mount""#)), decided(&remove(r#""mount""#)));
    }
}
