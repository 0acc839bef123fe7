//! Plans by example: a folder a case with the pod manifest, the arguments and the kind of host, and the plan that comes of them.
//! `UPDATE_PLANS=1 cargo test -p stage1` writes the plans anew, to be read in review.

use super::*;
use sandbox::cgroup;
use sandbox::lsm::Modules;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const UUID: &str = "0b2e1d1c-6c0f-4e0e-9a51-2f6f8d9f7a11";

const VERSION_1: (&str, &str) = (
    "4:blkio:/\n3:memory:/own\n2:devices:/\n1:cpu,cpuacct:/own\n0::/\n",
    "1 0 0:1 / /cg/memory rw - cgroup cgroup rw,memory\n\
     2 0 0:2 / /cg/devices rw - cgroup cgroup rw,devices\n\
     3 0 0:3 / /cg/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
     5 0 0:5 / /cg/blkio rw - cgroup cgroup rw,blkio\n\
     4 0 0:4 / /cg/unified rw - cgroup2 cgroup2 rw\n",
);

const VERSION_2: (&str, &str) = ("0::/user.slice/session.scope\n", "1 0 0:1 / /cg rw - cgroup2 cgroup2 rw\n");

fn facts(kind: &str) -> Facts {
    let (cgroup, mountinfo, controllers) = match kind {
        "v1" => (VERSION_1.0, VERSION_1.1, ""),
        "v2" | "v2-shared" => (VERSION_2.0, VERSION_2.1, "cpuset cpu io memory hugetlb pids"),
        _ => ("", "", ""),
    };
    // Another process: the kernel gives 2 to one of its own.
    let read = |path: &Path| match path.file_name().and_then(|name| name.to_str()) {
        Some("cgroup.procs") => if kind == "v2-shared" { "2" } else { "" }.to_owned(),
        _ => controllers.to_owned(),
    };
    let hierarchies = cgroup::discover(cgroup, mountinfo, read);
    Facts {
        hierarchies,
        undelegated: false,
        tun: kind == "v1",
        ids: None,
        owns_network: true,
        terminal: kind == "none",
        term: "xterm-256color".to_owned(),
        first_number: 0,
        sockets: Vec::new(),
        least_oom_score_adj: if kind == "v1" { -1000 } else { 0 },
        process_context: None,
        file_context: None,
        modules: Modules::default(),
        boot_id: UUID.to_owned(),
        block_devices: || vec!["8:0".to_owned(), "253:0".to_owned()],
    }
}

/// A pod directory with that manifest; every image has one program and the users `root` and `web`.
fn make_pod(name: &str, manifest: &str) -> PathBuf {
    let base = std::env::temp_dir().join(format!("rkt-plan-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&base);
    let stage1 = base.join("stage1/rootfs");
    fs::create_dir_all(stage1.join("etc")).unwrap();
    fs::write(stage1.join("etc/hosts-fallback"), "127.0.0.1 localhost\n").unwrap();
    fs::write(stage1.join("etc/rkt-hosts"), "10.0.0.1 given\n").unwrap();
    fs::write(stage1.join("etc/rkt-resolv.conf"), "nameserver 10.0.0.2\n").unwrap();
    let networks = stage1.join("etc/rkt/net.d");
    fs::create_dir_all(&networks).unwrap();
    fs::write(networks.join("99-default.conf"), r#"{"name":"default","type":"ptp"}"#).unwrap();
    fs::write(base.join("pod"), manifest).unwrap();
    for app in pod_names(manifest) {
        let directory = stage1.join("opt/stage2").join(app);
        fs::create_dir_all(directory.join("rootfs/bin")).unwrap();
        fs::create_dir_all(directory.join("rootfs/etc")).unwrap();
        let program = directory.join("rootfs/bin/tool");
        fs::write(&program, "").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        fs::write(directory.join("rootfs/etc/passwd"), "root:x:0:0::/:/bin/sh\nweb:x:33:33::/:/bin/sh\n").unwrap();
        fs::write(directory.join("rootfs/etc/group"), "root:x:0:\nweb:x:34:\n").unwrap();
        let manifest = r#"{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/tool"}"#;
        fs::write(directory.join("manifest"), manifest).unwrap();
    }
    base
}

fn pod_names(manifest: &str) -> Vec<String> {
    let value: serde_json::Value = serde_json::from_str(manifest).unwrap();
    value["apps"].as_array().unwrap().iter().map(|app| app["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_case_has_the_plan_that_was_reviewed() {
    let cases = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/native/decide/cases");
    let mut seen = 0;
    for entry in fs::read_dir(&cases).unwrap() {
        let case = entry.unwrap().path();
        let read = |name: &str| fs::read_to_string(case.join(name)).unwrap();
        let name = case.file_name().unwrap().to_str().unwrap().to_owned();
        let base = make_pod(&name, &read("pod"));
        let mut arguments: Vec<String> = read("arguments").split_whitespace().map(str::to_owned).collect();
        arguments.push(UUID.to_owned());

        let options = RunOptions::parse(&arguments, true).unwrap();
        let plan = decide(&Pod::load(&base).unwrap(), &options, &facts(read("facts").trim())).unwrap();

        let text = serde_json::to_string_pretty(&plan).unwrap().replace(base.to_str().unwrap(), "POD") + "\n";
        let expected = case.join("plan.json");
        if std::env::var_os("UPDATE_PLANS").is_some() {
            fs::write(&expected, &text).unwrap();
        }
        assert_eq!(text, fs::read_to_string(&expected).unwrap(), "the plan of {name}");
        fs::remove_dir_all(base).unwrap();
        seen += 1;
    }
    assert!(seen >= 4);
}

#[test]
fn a_hosts_file_gets_the_name_once() {
    let once = names::add_host("::1 six\n127.0.0.1 localhost\n", "box");

    assert_eq!(once, "::1 six\n127.0.0.1 localhost box\n");
    assert_eq!(names::add_host(&once, "box"), once);
    assert_eq!(names::add_host("", "box"), "127.0.0.1\tbox\n");
}

#[test]
fn a_pods_network_is_limited_by_the_pod_and_by_its_apps_together() {
    let limited = |number: &str| {
        format!(r#"[{{"name":"resource/network-bandwidth","value":{{"default":true,"limit":"{number}"}}}}]"#)
    };
    let decided = |words: &str, pod: &str, apps: &[&str]| {
        let app = |(index, limit): (usize, &&str)| {
            let isolators = if limit.is_empty() { "[]".to_owned() } else { limited(limit) };
            format!(
                r#"{{"name":"a{index}","image":{{"id":"sha512-1"}},"app":{{"exec":["/bin/tool"],"user":"0","group":"0","isolators":{isolators}}}}}"#
            )
        };
        let apps: Vec<String> = apps.iter().enumerate().map(app).collect();
        let isolators = if pod.is_empty() { "[]".to_owned() } else { limited(pod) };
        let apps = apps.join(",");
        let manifest =
            format!(r#"{{"acKind":"PodManifest","acVersion":"0.8.11","apps":[{apps}],"isolators":{isolators}}}"#);
        let base = make_pod("bandwidth", &manifest);
        let words: Vec<String> = words.split_whitespace().chain([UUID]).map(str::to_owned).collect();
        let plan =
            decide(&Pod::load(&base).unwrap(), &RunOptions::parse(&words, true).unwrap(), &facts("none")).unwrap();
        fs::remove_dir_all(base).unwrap();
        let of_it = |text: &String| text.contains("resource/network-bandwidth");
        (plan.bandwidth, plan.warnings.into_iter().filter(of_it).collect::<Vec<_>>())
    };
    let contained = "--net=default --local-config=/nonexistent";
    let no_effect = |app: &str, why: &str| {
        vec![format!("app \"{app}\": isolator \"resource/network-bandwidth\" has no effect {why}")]
    };

    assert_eq!(decided(contained, "", &["1M", "2M"]), (Some(3_000_000), vec![]));
    assert_eq!(decided(contained, "2M", &["1M", "2M"]), (Some(2_000_000), vec![]));
    assert_eq!(decided(contained, "9M", &["1M"]), (Some(1_000_000), vec![]));
    assert_eq!(decided(contained, "9M", &[""]), (Some(9_000_000), vec![]));
    assert_eq!(decided(contained, "", &["1M", ""]), (None, no_effect("a0", "beside apps without it")));
    assert_eq!(decided(contained, "", &["9E", "9E"]), (Some(i64::MAX.unsigned_abs()), vec![]));
    let mutable = format!("{contained} --mutable");
    assert_eq!(decided(&mutable, "1M", &[]), (Some(1_000_000), vec![]));
    assert_eq!(decided(&mutable, "", &["1M"]), (None, no_effect("a0", "in a pod that has its network already")));
    let host = "resource/network-bandwidth isolator set but the pod has the network of the host, skipping";
    assert_eq!(decided("--net=host", "1M", &[""]), (None, vec![host.to_owned()]));
    assert_eq!(decided("--net=host", "", &[""]), (None, vec![]));
}

#[test]
fn networks_are_refused_by_name_and_the_host_is_none() {
    let manifest = r#"{"acKind":"PodManifest","acVersion":"0.8.11","apps":[{"name":"a","image":{"id":"sha512-1"},"app":{"exec":["/bin/tool"],"user":"0","group":"0"}}]}"#;
    let base = make_pod("networks", manifest);
    let network = |list: &str| {
        let words = [format!("--net={list}"), "--local-config=/nonexistent".to_owned(), UUID.to_owned()];
        let options = RunOptions::parse(&words, true).unwrap();
        networks::decide(&Pod::load(&base).unwrap(), &options, &[], false)
            .map(|decided| (decided.network, decided.attachments.len(), decided.notes))
            .map_err(|failure| failure.to_string())
    };

    assert_eq!(network("host,default"), Ok((Network::Host, 0, vec![])));
    let alone = vec!["networking namespace with loopback only".to_owned()];
    assert_eq!(network("none"), Ok((Network::Contained, 0, alone)));
    assert_eq!(network("default:IP=10.1.1.1"), Ok((Network::Contained, 1, vec![])));
    assert_eq!(network("a,default,b").unwrap_err(), "failed to setup network: networks not found: a, b");
    fs::remove_dir_all(base).unwrap();
}
