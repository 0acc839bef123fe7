//! Capabilities by retain-set and remove-set (stage1-abi §3.5).

use super::{of, set_of};
use crate::abi::manifest::App;
use sandbox::{Failure, Result, caps};

const RETAIN: &str = "os/linux/capabilities-retain-set";
const REMOVE: &str = "os/linux/capabilities-remove-set";

/// The capabilities of an app, by name: all retain-sets joined, or the default set without what is removed.
pub fn capabilities(app: &App) -> Result<Vec<String>> {
    let (retains, removes) = (names(app, RETAIN)?, names(app, REMOVE)?);
    let mut names = match (retains, removes) {
        (Some(_), Some(_)) => return Err(Failure::new(format!("cannot have both {RETAIN} and {REMOVE}"))),
        (Some(retained), None) => retained,
        (None, removed) => {
            let removed = removed.unwrap_or_default();
            caps::DEFAULT.iter().map(|&name| name.to_owned()).filter(|name| !removed.contains(name)).collect()
        }
    };
    names.sort();
    names.dedup();
    Ok(names)
}

/// What all isolators of this name list together; none when there is no such isolator.
fn names(app: &App, isolator: &str) -> Result<Option<Vec<String>>> {
    let names: Vec<String> = of(&app.isolators, isolator).flat_map(set_of).map(str::to_owned).collect();
    for name in &names {
        caps::number(name).map_err(|failure| failure.of(format!("isolator {isolator}")))?;
    }
    Ok(of(&app.isolators, isolator).next().map(|_| names))
}

#[cfg(test)]
mod tests {
    use super::super::app;
    use super::*;

    #[test]
    fn without_isolators_an_app_has_the_default_set() {
        assert_eq!(capabilities(&app("null")).unwrap().len(), 14);
    }

    #[test]
    fn retaining_joins_all_sets_and_removing_takes_from_the_default() {
        let retained = app(r#"[{"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_KILL"]}},
                {"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_CHOWN"]}}]"#);
        let removed =
            app(r#"[{"name":"os/linux/capabilities-remove-set","value":{"set":["CAP_KILL","CAP_SYS_ADMIN"]}}]"#);

        assert_eq!(capabilities(&retained).unwrap(), ["CAP_CHOWN", "CAP_KILL"]);
        assert_eq!(capabilities(&removed).unwrap().len(), 13);
    }

    #[test]
    fn retaining_and_removing_at_once_is_refused_and_so_is_an_unknown_name() {
        let both = app(r#"[{"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_KILL"]}},
                {"name":"os/linux/capabilities-remove-set","value":{"set":["CAP_KILL"]}}]"#);
        let bogus = app(r#"[{"name":"os/linux/capabilities-remove-set","value":{"set":["CAP_BOGUS"]}}]"#);

        assert_eq!(
            capabilities(&both).unwrap_err().to_string(),
            "cannot have both os/linux/capabilities-retain-set and os/linux/capabilities-remove-set"
        );
        assert_eq!(
            capabilities(&bogus).unwrap_err().to_string(),
            "isolator os/linux/capabilities-remove-set: Failed to parse capability CAP_BOGUS."
        );
    }
}
