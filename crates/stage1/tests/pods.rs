//! Real pods of the flavor `native`: a pod directory made by hand, started as stage0 starts it. Needs root and a static busybox;
//! a machine that lacks one of them skips with its reason.

mod support;

use std::time::Duration;
use support::{App, Pod, host_processes, until};

macro_rules! skip_unless_possible {
    () => {
        if let Some(reason) = support::why_not() {
            eprintln!("skipped: {reason}");
            return;
        }
    };
}

#[test]
fn a_pod_of_successful_apps_ends_with_0_and_their_output_is_shown_and_logged() {
    skip_unless_possible!();
    let pod = Pod::new(&[App::sh("one", "echo from one"), App::sh("two", "echo from two >&2")]);

    let ended = pod.run(&["--net=host"]);

    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert_eq!((pod.app_status("one"), pod.app_status("two")), (Some(0), Some(0)));
    assert!(
        ended
            .stdout
            .lines()
            .any(|line| line.starts_with('[') && line.contains("] one[") && line.ends_with("]: from one"))
    );
    assert!(pod.read("logs/one.log").ends_with(" stdout F from one\n"));
    assert!(pod.read("logs/two.log").ends_with(" stderr F from two\n"));
    assert_eq!(pod.cgroups_left(), Vec::<String>::new());
}

#[test]
fn the_first_app_that_fails_ends_the_pod_and_one_that_was_stopped_cleanly_records_0() {
    skip_unless_possible!();
    let apps = [App::sh("good", "exit 0"), App::sh("bad", "sleep 0.1; exit 5"), App::sh("late", "sleep 600; exit 6")];
    let pod = Pod::new(&apps);

    let ended = pod.run(&["--net=host"]);

    assert_eq!(ended.status, Some(5), "{}", ended.stderr);
    assert_eq!(["good", "bad", "late"].map(|app| pod.app_status(app)), [Some(0), Some(5), Some(0)]);
}

#[test]
fn an_app_that_a_signal_ends_records_128_and_its_number() {
    skip_unless_possible!();
    let pod = Pod::new(&[App::sh("app", "kill -SEGV $$")]);

    assert_eq!(pod.run(&["--net=host"]).status, Some(139));
    assert_eq!(pod.app_status("app"), Some(139));
}

#[test]
fn an_executable_that_is_not_there_gives_203_and_says_which() {
    skip_unless_possible!();
    let pod = Pod::new(&[App { exec: vec!["/bin/nosuch".to_owned()], ..App::sh("app", "") }]);

    let ended = pod.run(&["--net=host"]);

    assert_eq!(ended.status, Some(203));
    assert!(
        ended.stdout.contains("Error: Unable to open \"/bin/nosuch\": No such file or directory"),
        "{}",
        ended.stdout
    );
}

#[test]
fn what_is_wrong_with_a_pod_is_said_before_anything_starts() {
    skip_unless_possible!();
    let cases: [(&[&str], App, &str); 6] = [
        (&["--net=foo"], App::sh("app", ""), "stage1: failed to setup network: networks not found: foo"),
        (&["--frob"], App::sh("app", ""), "stage1: unknown option --frob"),
        (&["--net=none", "--ipc=odd"], App::sh("app", ""), "stage1: unknown value for --ipc parameter: odd"),
        (
            &["--net=none"],
            App { user: "ghost", ..App::sh("app", "") },
            "stage1: cannot initialize immutable environment: app \"app\": \"ghost\" user not found",
        ),
        (
            &["--net=none"],
            App {
                mounts: r#"[{"volume":"v","path":"/v","appVolume":{"name":"v","kind":"host","source":"/no/such"}}]"#,
                ..App::sh("app", "")
            },
            "stage1: app \"app\": volume \"v\": stat /no/such: no such file or directory",
        ),
        (
            &["--net=none"],
            App {
                isolators: r#"[{"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_BOGUS"]}}]"#,
                ..App::sh("app", "")
            },
            "Failed to parse capability CAP_BOGUS.",
        ),
    ];
    for (options, app, message) in cases {
        let pod = Pod::new(&[app]);

        let ended = pod.run(options);

        assert_eq!(ended.status, Some(254));
        assert!(ended.stderr.contains(message), "{message} is not in {}", ended.stderr);
        assert!(!pod.exists("pid"));
    }
}

#[test]
fn an_app_sees_what_the_contract_promises() {
    skip_unless_possible!();
    let script = "echo host=$(hostname) name=$AC_APP_NAME path=$PATH pwd=$PWD
        echo etc=$(cat /etc/hostname); grep -c rkt- /etc/hosts
        grep -E '^(CapBnd|CapEff|CapPrm|CapInh|CapAmb|NoNewPrivs)' /proc/self/status | tr '\\t' ' '
        for n in null zero full random urandom tty console ptmx; do [ -c /dev/$n ] && echo dev=$n; done
        [ -d /dev/shm ] && [ -d /dev/pts ] && [ -d /dev/mqueue ] && echo dirs
        echo to-stdout > /dev/stdout
        [ -t 0 ] || echo no-terminal
        echo cgroup-names=$(grep -cE 'scope|slice|/[.][.]' /proc/self/cgroup)
        stat -c fw=%A /sys/firmware
        ls -d /sys/class > /dev/null && echo class
        mknod /n1 c 1 3 && echo mknod-null
        mknod /n2 c 10 237 2>/dev/null || echo no-mknod-loop
        echo 1 2>/dev/null > /proc/sys/kernel/panic || echo no-sysctl
        ls /proc/1/root 2>/dev/null || echo no-root-of-pid-1";
    let pod = Pod::new(&[App::sh("app", script)]);

    let seen = pod.run(&["--net=none"]).app_lines("app");

    let expected = [
        format!(
            "host=rkt-{0} name=app path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin pwd=/",
            pod.uuid
        ),
        format!("etc=rkt-{}", pod.uuid),
        "1".to_owned(),
    ];
    assert_eq!(seen[..3], expected);
    for claim in [
        "CapBnd: 00000000a80425fb",
        "CapEff: 00000000a80425fb",
        "CapPrm: 00000000a80425fb",
        "CapInh: 0000000000000000",
        "CapAmb: 0000000000000000",
        "NoNewPrivs: 0",
        "dev=null",
        "dev=zero",
        "dev=full",
        "dev=random",
        "dev=urandom",
        "dev=tty",
        "dev=console",
        "dev=ptmx",
        "dirs",
        "to-stdout",
        "no-terminal",
        "cgroup-names=0",
        "fw=d---------",
        "class",
        "mknod-null",
        "no-mknod-loop",
        "no-sysctl",
        "no-root-of-pid-1",
    ] {
        assert!(seen.iter().any(|line| line == claim), "{claim} is not in {seen:#?}");
    }
}

#[test]
fn an_app_has_the_descriptors_signals_and_umask_that_the_caller_had() {
    skip_unless_possible!();
    let script = "ls /proc/self/fd | tr '\\n' ' '; echo; grep -E '^Sig(Ign|Blk)' /proc/self/status | tr '\\t' ' '; umask; ulimit -Sn";
    let pod = Pod::new(&[App::sh("app", script)]);

    let seen =
        pod.run_under("trap '' USR1; umask 027; ulimit -Sn 64; exec 7</dev/null;", &["--net=host"]).app_lines("app");

    // 3 is the directory that ls reads.
    let ignored = u64::from_str_radix(seen[2].trim_start_matches("SigIgn: "), 16).unwrap();
    // Of the C library's own two signals, whoever starts a process decides.
    let own = 0x1_8000_0000;
    assert_eq!(ignored & !own, (support::ignored_signals() | 0x200) & !own);
    assert_eq!([&seen[0], &seen[1], &seen[3]], ["0 1 2 3 ", "SigBlk: 0000000000000000", "0027"]);
    assert_eq!(seen[4], "64");
}

#[test]
fn capabilities_user_groups_and_no_new_privs_are_what_the_app_asks_for() {
    skip_unless_possible!();
    let app = App {
        user: "1234",
        group: "web",
        isolators: r#"[{"name":"os/linux/capabilities-retain-set","value":{"set":["CAP_KILL"]}},
                       {"name":"os/linux/no-new-privileges","value":true}, {"name":"os/linux/oom-score-adj","value":77}]"#,
        ..App::sh(
            "app",
            "id -u; id -g; id -G; grep -E 'CapBnd|CapEff|NoNew' /proc/self/status | tr '\\t' ' '; cat /proc/self/oom_score_adj; echo x > /dev/stdout",
        )
    };
    let pod = Pod::new(&[app]);

    let seen = pod.run(&["--net=host"]).app_lines("app");

    assert_eq!(
        seen,
        ["1234", "77", "77 5", "CapEff: 0000000000000000", "CapBnd: 0000000000000020", "NoNewPrivs: 1", "77", "x"]
    );
}

#[test]
fn volumes_are_shared_read_only_where_asked_and_implicit_ones_warn_once() {
    skip_unless_possible!();
    let writer = App {
        mounts: r#"[{"volume":"shared","path":"/shared/deep"},{"volume":"host","path":"/h"},{"volume":"file","path":"/etc/one"}]"#,
        mount_points: r#"[{"name":"tmp","path":"/implicit"}]"#,
        ..App::sh(
            "writer",
            "echo data > /shared/deep/file; stat -c %a:%u:%g /shared/deep; cat /h/given /etc/one; echo x 2>/dev/null > /h/new || echo ro; touch /implicit/x && echo implicit; touch /shared/deep/done; sleep 0.3",
        )
    };
    let reader = App {
        mounts: r#"[{"volume":"shared","path":"/s"}]"#,
        ..App::sh("reader", "while [ ! -e /s/done ]; do sleep 0.02; done; cat /s/file")
    };
    let pod = Pod::new(&[writer, reader]);
    let host = pod.scratch("host");
    std::fs::write(host.join("given"), "given\n").unwrap();
    pod.set_volumes(&format!(
        r#"[{{"name":"shared","kind":"empty","mode":"0751","uid":7,"gid":8}},
            {{"name":"host","kind":"host","source":"{0}","readOnly":true}},
            {{"name":"file","kind":"host","source":"{0}/given"}}]"#,
        host.display()
    ));

    let ended = pod.run(&["--net=host"]);

    assert_eq!(ended.app_lines("writer"), ["751:7:8", "given", "given", "ro", "implicit"]);
    assert_eq!(ended.app_lines("reader"), ["data"]);
    assert_eq!(ended.stderr.matches("warning: no volume specified for mount point \"tmp\"").count(), 1);
    assert!(pod.exists("sharedVolumes/writer-tmp/x"));
}

#[test]
fn a_read_only_root_cannot_be_written_and_its_volumes_can() {
    skip_unless_possible!();
    let app = App {
        read_only_root: true,
        mount_points: r#"[{"name":"data","path":"/data"}]"#,
        ..App::sh(
            "app",
            "echo x 2>/dev/null > /file || echo ro; echo x > /data/file && echo rw; echo x > /dev/shm/f && echo shm",
        )
    };
    let pod = Pod::new(&[app]);

    assert_eq!(pod.run(&["--net=host"]).app_lines("app"), ["ro", "rw", "shm"]);
}

#[test]
fn links_of_an_image_lead_no_mount_and_no_file_out_of_its_root() {
    skip_unless_possible!();
    let app = App {
        mount_points: r#"[{"name":"v","path":"/out/volume"}]"#,
        ..App::sh("app", "[ -c /dev/null ] && echo dev; echo x > /out/volume/x && echo volume")
    };
    let pod = Pod::new(&[app]);
    let outside = pod.scratch("outside");
    let passwd = std::fs::read("/etc/passwd").unwrap();
    pod.link_in_root("app", "dev", outside.join("dev").to_str().unwrap());
    pod.link_in_root("app", "out", &format!("../../../../../../../../../..{}", outside.display()));
    pod.link_in_root("app", "etc/hosts", "/../../../../../../../../etc/passwd-of-rkt-test");
    pod.link_in_root("app", "run", outside.to_str().unwrap());

    let ended = pod.run(&["--net=host"]);

    assert_eq!(ended.app_lines("app"), ["dev", "volume"], "{}", ended.stderr);
    assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 0);
    assert!(!std::path::Path::new("/etc/passwd-of-rkt-test").exists());
    assert_eq!(std::fs::read("/etc/passwd").unwrap(), passwd);
}

#[test]
fn handlers_run_as_root_around_the_app_in_its_root() {
    skip_unless_possible!();
    let app = App {
        user: "1234",
        handlers: r#"[{"name":"pre-start","exec":["/bin/sh","-c","echo pre $(id -u)"]},{"name":"post-stop","exec":["/bin/sh","-c","echo post $(id -u) $AC_APP_NAME; [ -d /data ] && echo root"]}]"#,
        ..App::sh("app", "echo main $(id -u)")
    };
    let pod = Pod::new(&[app]);

    let ended = pod.run(&["--net=host"]);

    assert_eq!(ended.app_lines("app"), ["pre 0", "main 1234", "post 0 app", "root"]);
    assert_eq!(ended.status, Some(0));
}

#[test]
fn limits_are_set_in_the_cgroup_of_the_app() {
    skip_unless_possible!();
    let isolators = r#"[{"name":"resource/memory","value":{"limit":"64Mi"}},{"name":"resource/cpu","value":{"limit":"250m"}},{"name":"os/linux/cpu-shares","value":512}]"#;
    let pod = Pod::new(&[App { isolators, ..App::sh("app", "sleep 600") }]);
    let running = pod.start(&["--net=host"]);

    let values =
        pod.cgroup_values("app", &["memory.limit_in_bytes", "cpu.cfs_quota_us", "cpu.shares", "memory.max", "cpu.max"]);

    running.stop();
    if values.is_empty() {
        eprintln!("skipped: no memory and cpu controllers");
        return;
    }
    let version_1 = ["67108864", "25000", "512"];
    assert!(values == version_1 || values == ["67108864", "25000 100000"], "{values:?}");
}

#[test]
fn stop_ends_a_pod_orderly_and_returns_when_it_is_gone() {
    skip_unless_possible!();
    let script = "trap 'echo bye; exit 0' TERM; : > /trapped; sleep 7601 & wait";
    let pod = Pod::new(&[App::sh("app", script), App::sh("other", "sleep 7601")]);
    let running = pod.start(&["--net=host"]);
    // Ready is the shell, not its trap.
    until("the trap", Duration::from_secs(10), || pod.exists("stage1/rootfs/opt/stage2/app/rootfs/trapped"));

    let stopped = pod.entrypoint("stop", &[&pod.uuid]);
    assert_eq!(host_processes(&["sleep", "7601"]), 0);

    assert_eq!(stopped.status, Some(0), "{}", stopped.stderr);
    let ended = running.wait();
    assert_eq!(ended.status, Some(0));
    assert_eq!(ended.app_lines("app"), ["bye"]);
    assert_eq!((pod.app_status("app"), pod.app_status("other")), (Some(0), Some(0)));
}

#[test]
fn a_forced_stop_kills_the_pod_and_run_ends_by_the_signal() {
    skip_unless_possible!();
    let pod = Pod::new(&[App::sh("app", "trap '' TERM; sleep 600")]);
    let running = pod.start(&["--net=host"]);

    assert_eq!(pod.entrypoint("stop", &["--force", &pod.uuid]).status, Some(0));

    let ended = running.wait();
    assert_eq!((ended.status, ended.signal), (None, Some(9)));
    assert_eq!(pod.app_status("app"), None);
}

#[test]
fn a_kill_of_either_process_of_the_supervisor_leaves_no_process_and_gc_no_cgroup() {
    skip_unless_possible!();
    for outside in [true, false] {
        let marker = if outside { "7391" } else { "7392" };
        let pod = Pod::new(&[App::sh("app", &format!("sleep {marker} & sleep {marker}"))]);
        let running = pod.start(&["--net=host"]);
        support::until("the processes run", Duration::from_secs(5), || host_processes(&["sleep", marker]) == 2);

        support::kill(if outside { running.pid() } else { pod.pid() }, 9);
        running.wait();

        support::until("the processes are gone", Duration::from_secs(5), || host_processes(&["sleep", marker]) == 0);
        assert_eq!(pod.entrypoint("gc", &[&pod.uuid]).status, Some(0));
        assert_eq!(pod.entrypoint("gc", &["--debug", "--local-config", "/etc/rkt", &pod.uuid]).status, Some(0));
        assert_eq!(pod.cgroups_left(), Vec::<String>::new());
    }
}

#[test]
fn enter_is_the_apps_surroundings_and_passes_status_and_signal_on() {
    skip_unless_possible!();
    let app =
        App { environment: r#"[{"name":"GIVEN","value":"by manifest"}]"#, ..App::sh("app", "mkdir /mark; sleep 600") };
    let pod = Pod::new(&[app, App::sh("other", "sleep 600")]);
    let running = pod.start(&["--net=host"]);
    support::until("the app runs", Duration::from_secs(5), || pod.exists("stage1/rootfs/opt/stage2/app/rootfs/mark"));
    let pid = format!("--pid={}", pod.pid());
    let enter = |app: &str, words: &[&str]| {
        let arguments = [&[pid.as_str(), app, "--"][..], words].concat();
        pod.entrypoint("enter", &arguments)
    };

    let seen = enter(
        "--appname=app",
        &[
            "/bin/sh",
            "-c",
            "echo $GIVEN $AC_APP_NAME; id -u; hostname; ls -d /mark; grep CapEff /proc/self/status | tr '\\t' ' '; [ \"$(cat /proc/self/cgroup)\" = \"$(cat /proc/2/cgroup)\" ] && echo in-cgroup; ls /proc/self/fd | tr '\\n' ' '",
        ],
    );
    let host = format!("rkt-{}", pod.uuid);
    let expected = ["by manifest app", "0", &host, "/mark", "CapEff: 00000000a80425fb", "in-cgroup", "0 1 2 3 "];
    assert_eq!(seen.stdout.lines().collect::<Vec<_>>(), expected, "{}", seen.stderr);
    assert_eq!(enter("--appname=app", &["sh", "-c", "exit 3"]).status, Some(3));
    assert_eq!(enter("--appname=app", &["sh", "-c", "kill -KILL $$"]).signal, Some(9));
    assert_eq!(enter("--appname=other", &["ls", "-d", "/mark"]).status, Some(1));
    let unknown = enter("--appname=zz", &["sh"]);
    assert_eq!(
        (unknown.status, unknown.stderr.as_str()),
        (Some(6), "Error: Unable to fopen \"/rkt/env/zz\": No such file or directory\n")
    );
    let missing = enter("--appname=app", &["/bin/nosuch"]);
    assert_eq!(
        (missing.status, missing.stderr.as_str()),
        (Some(203), "Error: Unable to open \"/bin/nosuch\": No such file or directory\n")
    );
    running.stop();
}

#[test]
fn the_supervisor_is_ready_once_the_apps_run_and_says_so_to_the_init_system() {
    skip_unless_possible!();
    let pod = Pod::new(&[App::sh("app", "env; sleep 600")]);
    let socket = pod.scratch("notify").join("socket");
    let listener = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    listener.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let running = pod.start_under(&format!("export NOTIFY_SOCKET={};", socket.display()), &["--net=host"]);
    let mut buffer = [0; 64];

    let count = listener.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"READY=1");
    assert_eq!(std::fs::read_link(pod.path("stage1/rootfs/rkt/supervisor-status")).unwrap().to_str(), Some("ready"));
    running.terminate();
    let count = listener.recv(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"STOPPING=1");
    let ended = running.wait();
    assert_eq!(ended.status, Some(0));
    assert!(!ended.stdout.contains("NOTIFY_SOCKET"));
}

#[test]
fn an_interactive_pod_without_a_terminal_has_the_callers_streams() {
    skip_unless_possible!();
    let pod = Pod::new(&[App::sh("app", "read line; echo got $line; echo err >&2; exit 4")]);

    let ended = pod.run_under("echo typed |", &["--net=host", "--interactive"]);

    assert_eq!((ended.status, ended.stdout.as_str()), (Some(4), "got typed\n"), "{}", ended.stderr);
    assert!(ended.stderr.ends_with("err\n"));
}

#[test]
fn an_app_never_holds_the_callers_terminal() {
    skip_unless_possible!();
    let pod = Pod::new(&[App::sh("app", "[ -t 1 ] || echo no terminal; echo err >&2; exit 3")]);
    let (leader, follower) = support::terminal();

    let ended = pod.run_on(&follower, &["--net=host", "--interactive"]);

    drop(follower);
    assert_eq!(ended.status, Some(3));
    assert_eq!(support::read_terminal(leader), "no terminal\r\nerr\r\n");
}

#[test]
fn a_terminal_of_the_pod_stands_for_the_callers() {
    skip_unless_possible!();
    let app = App {
        user: "1234",
        ..App::sh("app", "read line; [ -t 0 ] && [ -t 1 ] && echo got $line on $(readlink /proc/self/fd/0)")
    };
    let pod = Pod::new(&[app]);
    let (leader, follower) = support::terminal();
    rustix::io::write(&leader, b"word\n").unwrap();

    let ended = pod.run_at(&follower, &["--net=host", "--interactive"]);

    drop(follower);
    assert_eq!(ended.status, Some(0), "{}", ended.stderr);
    assert!(support::read_terminal(leader).contains("got word on /dev/pts/0"));
}
