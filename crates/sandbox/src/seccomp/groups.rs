//! Groups of system calls, and what the default filter does with each call.

use super::table;
use std::collections::BTreeSet;

const GROUPS: &str = include_str!("groups.txt");

/// A set of names, in order.
pub type Names = BTreeSet<&'static str>;

/// Groups that an isolator can name; the others are ours.
const PUBLIC: [&str; 3] = ["@docker/", "@rkt/", "@systemd/"];

/// The implicit part of every whitelist, as systemd has it: what the life cycle of any process needs.
pub const IMPLICIT: &str = "@systemd/default-whitelist";

/// The default whitelist, under the name that rkt gives it.
pub const DEFAULT: &str = "@rkt/default-whitelist";

/// The members of a group that an isolator names; none for an unknown one.
pub fn expand(name: &str) -> Option<Names> {
    PUBLIC.iter().any(|scope| name.starts_with(scope)).then(|| members(name)).flatten()
}

/// The members of any group, those of groups in it included.
pub fn members(name: &str) -> Option<Names> {
    let mut lines = GROUPS.lines().skip_while(|line| *line != name);
    lines.next()?;
    let mut names = Names::new();
    for word in lines.take_while(|line| !line.is_empty()).flat_map(str::split_whitespace) {
        match word.strip_prefix('@') {
            Some(_) => names.extend(members(word)?),
            None => drop(names.insert(word)),
        }
    }
    Some(names)
}

/// What the default whitelist does with the calls that it withholds: these end the process, because they make sense with privileges
/// only that the default set of capabilities does not have.
pub fn killing() -> Names {
    let mut names = members("@documented/blacklist").unwrap_or_default();
    names.insert("clock_settime64");
    names.retain(|name| !trying().contains(name) && !allowed_in_part().contains(name));
    names
}

/// These answer EPERM: ordinary programs try them and can do without, or Linux had them before the documented lists were made.
pub fn trying() -> Names {
    members("@default/tried").unwrap_or_default()
}

/// These answer ENOSYS, as a kernel that is older than they are: programs go the older way then.
pub fn absent() -> Names {
    members("@default/absent").unwrap_or_default()
}

/// Allowed as far as they make no new namespaces.
pub fn allowed_in_part() -> Names {
    Names::from(["clone", "clone3", "unshare"])
}

/// The name as a static one of the table; none for a call that no machine has.
pub fn known(name: &str) -> Option<&'static str> {
    table::name(name)
}
