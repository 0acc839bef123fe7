//! What isolators mean (appc §6, stage1-abi §3.5, §3.6). stage0 has checked the form of each value; what only a flavor can tell is
//! told here, before anything of the pod is there.

mod capabilities;
mod labels;
mod limits;
mod seccomp;

pub use labels::labels;
pub use limits::{CPU_PERIOD, NETWORK_BANDWIDTH, Resources};

use super::manifest::{App, Isolator};
use sandbox::Result;
use sandbox::seccomp::SystemCalls;
use serde_json::Value;

/// What the operator has waived (`--insecure-options`).
#[derive(Clone, Copy, Debug, Default)]
pub struct Waived {
    pub capabilities: bool,
    pub seccomp: bool,
}

/// What the processes of an app may do.
#[derive(Debug, PartialEq, Eq)]
pub struct Privileges {
    /// Bounding set by name; none leaves the caller's.
    pub capabilities: Option<Vec<String>>,
    /// Whether they may never gain more.
    pub no_new_privileges: bool,
    /// The filter; none lets every system call through.
    pub system_calls: Option<SystemCalls>,
}

impl Privileges {
    /// Whether they have CAP_SYS_ADMIN, as far as the caller has it.
    pub fn administers(&self) -> bool {
        self.capabilities.as_ref().is_none_or(|names| names.iter().any(|name| name == "CAP_SYS_ADMIN"))
    }
}

/// The privileges of an app; a failure names the isolator.
pub fn privileges(app: &App, waived: Waived) -> Result<Privileges> {
    let capabilities = capabilities::capabilities(app)?;
    let mut privileges = Privileges {
        capabilities: (!waived.capabilities).then_some(capabilities),
        no_new_privileges: no_new_privileges(app),
        system_calls: None,
    };
    let system_calls = seccomp::system_calls(app, privileges.administers())?;
    privileges.system_calls = system_calls.filter(|_| !waived.seccomp);
    Ok(privileges)
}

fn of<'a>(isolators: &'a [Isolator], name: &str) -> impl DoubleEndedIterator<Item = &'a Isolator> {
    isolators.iter().filter(move |isolator| isolator.name == name)
}

fn set_of(isolator: &Isolator) -> impl Iterator<Item = &str> {
    let set = isolator.value.get("set").and_then(Value::as_array);
    set.into_iter().flatten().filter_map(Value::as_str)
}

/// Any instance decides.
fn no_new_privileges(app: &App) -> bool {
    of(&app.isolators, "os/linux/no-new-privileges").any(|isolator| isolator.value == Value::Bool(true))
}

/// The parameters of the kernel that a pod asks for.
pub fn sysctls(isolators: &[Isolator]) -> Option<&serde_json::Map<String, Value>> {
    of(isolators, "os/unix/sysctl").next_back()?.value.as_object()
}

/// Isolators that mean nothing where they stand: those of a pod in an app (`in_app`), and those of an app in a pod. What nobody knows at
/// all stage0 has named.
pub fn without_effect(isolators: &[Isolator], in_app: bool) -> impl Iterator<Item = &str> {
    const OF_PODS: [&str; 1] = ["os/unix/sysctl"];
    const OF_APPS: [&str; 7] = [
        "os/linux/capabilities-retain-set",
        "os/linux/capabilities-remove-set",
        "os/linux/seccomp-retain-set",
        "os/linux/seccomp-remove-set",
        "os/linux/no-new-privileges",
        "os/linux/oom-score-adj",
        "os/linux/cpu-shares",
    ];
    isolators.iter().map(|isolator| isolator.name.as_str()).filter(move |name| {
        let elsewhere: &[&str] = if in_app { &OF_PODS } else { &OF_APPS };
        elsewhere.contains(name)
    })
}

/// The last value asked for.
pub fn oom_score_adj(app: &App) -> Option<i32> {
    of(&app.isolators, "os/linux/oom-score-adj").next_back()?.value.as_i64()?.try_into().ok()
}

#[cfg(test)]
pub fn app(isolators: &str) -> App {
    serde_json::from_str(&format!(r#"{{"user":"0","group":"0","isolators":{isolators}}}"#)).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_waived_is_not_there_and_is_checked_all_the_same() {
        let all = Waived { capabilities: true, seccomp: true };
        let nothing = Privileges { capabilities: None, no_new_privileges: false, system_calls: None };

        assert_eq!(privileges(&app("null"), all).unwrap(), nothing);
        let bogus = app(r#"[{"name":"os/linux/seccomp-remove-set","value":{"set":["bogus"]}}]"#);
        assert!(privileges(&bogus, all).is_err());
    }
}
