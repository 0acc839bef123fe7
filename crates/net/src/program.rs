//! The plugins as programs: environment and stdin in, stdout out (CNI specification, section 2).

use crate::cni::{Call, CniError, Verb, code};
use crate::plugins;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::PathBuf;

/// If the process was called by the name of a plugin: does what it was called for, and answers its exit status.
pub fn main() -> Option<i32> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let name = words.first()?.to_str()?;
    let kind = name.rsplit('/').next()?;
    plugins::versions(kind)?;
    if kind == "dhcp" && words.get(1).is_some_and(|word| word == "daemon") {
        let words: Vec<String> = words[2..].iter().map(|word| word.to_string_lossy().into_owned()).collect();
        return Some(plugins::dhcp::daemon(&words));
    }
    Some(run(kind))
}

fn run(kind: &str) -> i32 {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    if variable("CNI_COMMAND").is_empty() {
        eprintln!("CNI {kind} plugin of rkt {}", env!("CARGO_PKG_VERSION"));
        eprintln!("CNI protocol versions supported: {}", plugins::versions(kind).unwrap_or_default().join(", "));
        return 0;
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    let conf: Result<Value, CniError> = match read {
        Ok(_) => serde_json::from_str(&text)
            .map_err(|error| CniError::new(code::DECODING, format!("error unmarshalling network config: {error}"))),
        Err(error) => Err(CniError::new(code::IO, format!("error reading from stdin: {error}"))),
    };
    let version = conf.as_ref().ok().and_then(|conf| conf.get("cniVersion")).and_then(Value::as_str);
    let version = version.filter(|version| !version.is_empty()).unwrap_or("0.1.0").to_owned();
    let (output, status) = match perform(kind, &variable, conf) {
        Ok(Some(value)) => (value, 0),
        Ok(None) => return 0,
        Err(error) => (error.to_json(&version), 1),
    };
    match writeln!(std::io::stdout(), "{output}") {
        Ok(()) => status,
        Err(_) => 1, // nobody reads the result: an ADD that nobody knows of has not succeeded
    }
}

fn perform(
    kind: &str,
    variable: &dyn Fn(&str) -> String,
    conf: Result<Value, CniError>,
) -> Result<Option<Value>, CniError> {
    let command = variable("CNI_COMMAND");
    let verb = Verb::parse(&command)
        .ok_or_else(|| CniError::new(code::ENVIRONMENT, format!("unknown CNI_COMMAND: {command}")))?;
    if verb == Verb::Version {
        let versions = plugins::versions(kind).unwrap_or_default();
        let asked = conf.ok().and_then(|conf| conf.get("cniVersion")?.as_str().map(str::to_owned));
        let version = asked.or_else(|| versions.last().map(|version| (*version).to_owned()));
        return Ok(Some(json!({"cniVersion": version, "supportedVersions": versions})));
    }
    let call = read_call(verb, variable, conf?)?;
    let outcome = plugins::call(kind, &call).unwrap_or_else(|| Err(crate::cni::exec::not_found(kind, &call.path)));
    Ok(outcome?.map(|answer| answer.to_json(call.version())))
}

fn read_call(verb: Verb, variable: &dyn Fn(&str) -> String, conf: Value) -> Result<Call, CniError> {
    let required: &[&str] = match verb {
        Verb::Add | Verb::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"],
        Verb::Del => &["CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"],
        Verb::Gc | Verb::Status => &["CNI_PATH"],
        Verb::Version => &[],
    };
    let missing: Vec<&str> = required.iter().copied().filter(|name| variable(name).is_empty()).collect();
    if !missing.is_empty() {
        let message = format!("required env variables [{}] missing", missing.join(","));
        return Err(CniError::new(code::ENVIRONMENT, message));
    }
    let container_id = variable("CNI_CONTAINERID");
    if !container_id.is_empty() && !is_identifier(&container_id) {
        let message = format!("invalid characters in containerID: {container_id}");
        return Err(CniError::new(code::ENVIRONMENT, message));
    }
    let ifname = variable("CNI_IFNAME");
    if !ifname.is_empty() {
        check_link_name(&ifname)?;
    }
    let name = conf.get("name").and_then(Value::as_str).unwrap_or_default();
    if !is_identifier(name) {
        let message = if name.is_empty() {
            "missing network name".to_owned()
        } else {
            format!("invalid characters found in network name: {name}")
        };
        return Err(CniError::configuration(message));
    }
    let netns = Some(PathBuf::from(variable("CNI_NETNS"))).filter(|path| !path.as_os_str().is_empty());
    let path = std::env::split_paths(&variable("CNI_PATH")).filter(|path| !path.as_os_str().is_empty()).collect();
    Ok(Call { verb, container_id, netns, ifname, args: variable("CNI_ARGS"), path, conf })
}

/// Whether a container id or a network's name is well formed.
fn is_identifier(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn check_link_name(name: &str) -> Result<(), CniError> {
    let wrong = if name.len() > 15 {
        "interface name is too long"
    } else if name == "." || name == ".." {
        "interface name is . or .."
    } else if name.contains(['/', ':']) || name.contains(char::is_whitespace) {
        "interface name contains / or : or whitespace characters"
    } else {
        return Ok(());
    };
    Err(CniError { details: name.to_owned(), ..CniError::new(code::ENVIRONMENT, wrong) })
}
