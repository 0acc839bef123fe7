use super::*;
use crate::cni::Verb;
use serde_json::json;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

/// A plugin that is a shell script, in a directory of its own.
fn plugin(name: &str, script: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("rkt-plugin-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn call() -> Call {
    Call {
        verb: Verb::Add,
        container_id: "pod".to_owned(),
        netns: Some("/var/run/netns/cni-1".into()),
        ifname: "eth0".to_owned(),
        args: "IP=1.2.3.4".to_owned(),
        path: vec!["/a".into(), "b/c".into()],
        conf: json!({}),
    }
}

fn run_script(name: &str, script: &str, input: &[u8]) -> Result<String, CniError> {
    let path = plugin(name, script);
    let result = run(&path, &call(), input, Duration::from_secs(3));
    std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    result.map(|output| String::from_utf8(output).unwrap())
}

#[test]
fn a_plugin_gets_the_environment_and_the_configuration_as_it_was_written() {
    let words = run_script("words", "env | grep ^CNI_ | sort; cat", b"{ \"name\" : 1 }").unwrap();

    assert_eq!(
        words,
        "CNI_ARGS=IP=1.2.3.4\nCNI_COMMAND=ADD\nCNI_CONTAINERID=pod\nCNI_IFNAME=eth0\nCNI_NETNS=/var/run/netns/cni-1\n\
         CNI_PATH=/a:b/c\nCNI_VERSION=0.1.0\n{ \"name\" : 1 }"
    );
}

#[test]
fn a_plugin_that_does_not_read_or_leaves_something_running_is_no_trouble() {
    let much = vec![b' '; 1 << 20];

    assert_eq!(run_script("deaf", "echo ok", &much).unwrap(), "ok\n");
    assert_eq!(run_script("parent", "(sleep 20) & echo ok", b"").unwrap(), "ok\n");
}

#[test]
fn what_a_plugin_says_of_its_failure_is_passed_on() {
    let failed = |name: &str, script: &str| run_script(name, script, b"").unwrap_err().to_string();

    let json = r#"echo '{"code": 7, "msg": "no such thing", "details": "really"}'; exit 1"#;
    assert_eq!(failed("polite", json), "no such thing; really");
    assert_eq!(
        failed("rude", "echo oops; exit 3"),
        "netplugin failed but error parsing its diagnostic message \"oops\": exit status: 3"
    );
    let killed = failed("killed", "kill -9 $$");
    assert!(killed.ends_with("message \"\": signal: 9 (SIGKILL)"), "{killed}");
    let missing = run(Path::new("/nonexistent/plugin"), &call(), b"", Duration::from_secs(1)).unwrap_err();
    assert_eq!(missing.to_string(), "cannot execute /nonexistent/plugin: no such file or directory");
}

#[test]
fn a_plugin_that_hangs_or_floods_is_ended_with_all_that_it_started() {
    let marker = std::env::temp_dir().join(format!("rkt-plugin-marker-{}", std::process::id()));

    let late = run_script("late", &format!("(sleep 4; touch {}) & sleep 60", marker.display()), b"").unwrap_err();
    assert_eq!(late.to_string(), "it did not end within 3 seconds and was killed");
    let flood = run_script("flood", "yes", b"").unwrap_err();
    assert_eq!(flood.to_string(), "it printed more than 1048576 bytes and was killed");

    std::thread::sleep(Duration::from_secs(2));
    assert!(!marker.exists());
}
