//! What isolators mean (stage1-abi §3.5): capabilities, limits, privileges. System call filters are not read here: this flavor does
//! not filter system calls yet.

use super::manifest::{App, Isolator};
use super::quantity;
use sandbox::{Failure, Result, caps};
use serde_json::Value;

const RETAIN: &str = "os/linux/capabilities-retain-set";
const REMOVE: &str = "os/linux/capabilities-remove-set";

const SECCOMP: [&str; 2] = ["os/linux/seccomp-retain-set", "os/linux/seccomp-remove-set"];

/// Isolators that this version reads, or that are known and have no effect here.
const KNOWN: [&str; 9] = [
    RETAIN,
    REMOVE,
    "os/linux/no-new-privileges",
    "os/linux/oom-score-adj",
    "os/linux/cpu-shares",
    "resource/memory",
    "resource/cpu",
    SECCOMP[0],
    SECCOMP[1],
];

/// Limits of an app; none where nothing is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<i64>,
    /// Thousandths of a processor.
    pub cpu: Option<i64>,
    /// Weight as cgroup version 1 counts it.
    pub cpu_shares: Option<i64>,
}

fn of<'a>(app: &'a App, name: &str) -> impl DoubleEndedIterator<Item = &'a Isolator> {
    app.isolators.iter().filter(move |isolator| isolator.name == name)
}

fn set_of(isolator: &Isolator) -> impl Iterator<Item = String> {
    let set = isolator.value.get("set").and_then(Value::as_array);
    set.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned)
}

/// The capabilities of an app, by name.
pub fn capabilities(app: &App) -> Result<Vec<String>> {
    let retained: Vec<String> = of(app, RETAIN).flat_map(set_of).collect();
    let removed: Vec<String> = of(app, REMOVE).flat_map(set_of).collect();
    if of(app, RETAIN).next().is_some() && of(app, REMOVE).next().is_some() {
        return Err(Failure::new(format!("cannot have both {RETAIN} and {REMOVE}")));
    }
    for name in retained.iter().chain(&removed) {
        caps::number(name)?;
    }
    let default = || caps::DEFAULT.iter().map(|&name| name.to_owned()).filter(|name| !removed.contains(name)).collect();
    let mut names: Vec<String> = if of(app, RETAIN).next().is_some() { retained } else { default() };
    names.sort();
    names.dedup();
    Ok(names)
}

/// Whether the app asks for a filter of its system calls.
pub fn filters_system_calls(app: &App) -> bool {
    SECCOMP.iter().any(|name| of(app, name).next().is_some())
}

/// Whether the app may never gain privileges: any instance decides.
pub fn no_new_privileges(app: &App) -> bool {
    of(app, "os/linux/no-new-privileges").any(|isolator| isolator.value == Value::Bool(true))
}

/// The last value asked for.
pub fn oom_score_adj(app: &App) -> Option<i32> {
    of(app, "os/linux/oom-score-adj").next_back()?.value.as_i64()?.try_into().ok()
}

/// Memory and processor limits; the last instance of each counts.
pub fn limits(app: &App) -> Result<Limits> {
    let limit = |name: &str, scale: i128| -> Result<Option<i64>> {
        let Some(value) =
            of(app, name).next_back().and_then(|isolator| isolator.value.get("limit")).filter(|value| !value.is_null())
        else {
            return Ok(None);
        };
        let number = quantity::scaled(value, scale);
        number.map(Some).ok_or_else(|| Failure::new(format!("isolator {name}: limit {value} is not a quantity")))
    };
    let cpu = limit("resource/cpu", 1000)?;
    if let Some(millis) = cpu.filter(|&millis| millis > i64::MAX / 100) {
        return Err(Failure::new(format!("cpu limit exceeds the maximum millivalue: {millis}")));
    }
    let cpu_shares = of(app, "os/linux/cpu-shares").next_back().and_then(|isolator| isolator.value.as_i64());
    Ok(Limits { memory: limit("resource/memory", 1)?, cpu, cpu_shares })
}

/// Names of isolators that have no effect because nobody here knows them.
pub fn unknown(app: &App) -> impl Iterator<Item = &str> {
    app.isolators.iter().map(|isolator| isolator.name.as_str()).filter(|name| !KNOWN.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_that_asks_for_a_filter_is_known() {
        let filtered = app(r#"[{"name":"os/linux/seccomp-retain-set","value":{"set":["read"]}}]"#);
        assert!(filters_system_calls(&filtered));
        assert!(!filters_system_calls(&app("[]")));
        assert_eq!(unknown(&filtered).count(), 0);
    }

    fn app(isolators: &str) -> App {
        serde_json::from_str(&format!(r#"{{"user":"0","group":"0","isolators":{isolators}}}"#)).unwrap()
    }

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
    fn retaining_and_removing_at_once_is_refused() {
        let both = app(r#"[{"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_KILL"]}},
                {"name":"os/linux/capabilities-remove-set","value":{"set":["CAP_KILL"]}}]"#);

        assert_eq!(
            capabilities(&both).unwrap_err().to_string(),
            "cannot have both os/linux/capabilities-retain-set and os/linux/capabilities-remove-set"
        );
    }

    #[test]
    fn of_several_limits_the_last_counts() {
        let app = app(
            r#"[{"name":"resource/memory","value":{"limit":"1G"}},{"name":"resource/memory","value":{"limit":"64Mi"}},
                {"name":"resource/cpu","value":{"limit":"250m"}},{"name":"os/linux/cpu-shares","value":512}]"#,
        );

        assert_eq!(limits(&app).unwrap(), Limits { memory: Some(64 << 20), cpu: Some(250), cpu_shares: Some(512) });
    }
}
