//! Labels of security modules, by the isolators of an app and its pod and by what stage0 has given the pod (appc §6.3, stage1-abi §9.2).

use super::of;
use crate::abi::manifest::Isolator;
use sandbox::lsm::{self, Labels, Modules};
use sandbox::{Failure, Result};
use serde_json::Value;

const SELINUX: &str = "os/linux/selinux-context";
const APPARMOR: &str = "os/linux/apparmor-profile";

/// The labels of an app: its own isolators, else the pod's, else `given`, the context that stage0 made for the pod. A module that this
/// kernel does not have, and a profile that is not loaded, are refused: who asks for confinement is not to run without.
pub fn labels(app: &[Isolator], pod: &[Isolator], given: Option<&str>, modules: Modules) -> Result<Labels> {
    let last = |name: &str| of(app, name).next_back().or_else(|| of(pod, name).next_back());
    let refused = |isolator: &str, why: &str| Failure::new(format!("isolator {isolator}: {why}"));
    let selinux = match last(SELINUX) {
        Some(_) if !modules.selinux => return Err(refused(SELINUX, "SELinux is not enabled on this host")),
        Some(isolator) => Some(context(&isolator.value).ok_or_else(|| refused(SELINUX, "a part of it is missing"))?),
        None => given.map(str::to_owned),
    };
    let apparmor = match last(APPARMOR) {
        Some(_) if !modules.apparmor => return Err(refused(APPARMOR, "AppArmor is not enabled on this host")),
        Some(isolator) => {
            let profile = isolator.value.get("profile").and_then(Value::as_str).unwrap_or_default();
            if lsm::has_profile(profile) == Some(false) {
                return Err(refused(APPARMOR, &format!("the profile \"{profile}\" is not loaded")));
            }
            Some(profile.to_owned())
        }
        None => None,
    };
    Ok(Labels { selinux, apparmor })
}

fn context(value: &Value) -> Option<String> {
    let parts: Option<Vec<&str>> =
        ["user", "role", "type", "level"].into_iter().map(|part| value.get(part).and_then(Value::as_str)).collect();
    parts.map(|parts| parts.join(":"))
}

#[cfg(test)]
mod tests {
    use super::super::app;
    use super::*;

    const HERE: Modules = Modules { selinux: true, apparmor: true };

    fn selinux(level: &str) -> Vec<Isolator> {
        let value = format!(r#"{{"user":"u","role":"r","type":"t","level":"{level}"}}"#);
        app(&format!(r#"[{{"name":"os/linux/selinux-context","value":{value}}}]"#)).isolators
    }

    #[test]
    fn an_apps_own_context_goes_before_the_pods_and_that_before_the_one_that_was_given() {
        let of = |app: &[Isolator], pod: &[Isolator]| labels(app, pod, Some("given"), HERE).unwrap().selinux;

        assert_eq!(of(&selinux("s0:c1"), &selinux("s0:c2")).as_deref(), Some("u:r:t:s0:c1"));
        assert_eq!(of(&[], &selinux("s0:c2")).as_deref(), Some("u:r:t:s0:c2"));
        assert_eq!(of(&[], &[]).as_deref(), Some("given"));
    }

    #[test]
    fn confinement_that_the_kernel_does_not_have_is_refused() {
        let profile = app(r#"[{"name":"os/linux/apparmor-profile","value":{"profile":"docker-default"}}]"#).isolators;
        let refused = |app: &[Isolator]| labels(app, &[], None, Modules::default()).unwrap_err().to_string();

        assert_eq!(refused(&selinux("s0")), "isolator os/linux/selinux-context: SELinux is not enabled on this host");
        assert_eq!(refused(&profile), "isolator os/linux/apparmor-profile: AppArmor is not enabled on this host");
        assert_eq!(labels(&[], &[], None, Modules::default()).unwrap(), Labels::default());
    }
}
