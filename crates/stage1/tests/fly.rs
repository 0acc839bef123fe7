//! Real pods of the flavor `fly`.

#[allow(dead_code, reason = "what only the other flavor's tests use")]
mod support;

use std::time::Duration;
use support::{App, Pod};

macro_rules! skip_unless_possible {
    () => {
        if let Some(reason) = support::why_not() {
            eprintln!("skipped: {reason}");
            return;
        }
    };
}

#[test]
fn the_app_is_the_process_of_run_in_its_root_with_its_ids_and_the_lock() {
    skip_unless_possible!();
    let script = "id -u; id -g; id -G; echo $PWD $HOME name=$AC_APP_NAME; ls -d /busy* /bin/busybox 2>/dev/null; echo $$; exec 8<&9 && echo lock; [ -c /dev/null ] && [ -e /proc/self ] && echo host; exit 7";
    let pod = Pod::of_flavor("fly", &[App { user: "1234", group: "web", ..App::sh("app", script) }]);

    let ended = pod.run(&["--net=default", "--local-config=/etc/rkt"]);

    let pid = pod.pid().to_string();
    assert_eq!(ended.status, Some(7), "{}", ended.stderr);
    let seen: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(seen, ["1234", "77", "77 5", "/ /root name=", "/bin/busybox", &pid, "lock", "host"]);
    assert_eq!(pod.app_status("app"), None);
}

#[test]
fn what_the_flavor_cannot_do_is_refused_or_ignored_as_documented() {
    skip_unless_possible!();
    let one = || App::sh("app", "exit 0");
    let fails = |apps: &[App], options: &[&str]| {
        let ended = Pod::of_flavor("fly", apps).run(options);
        (ended.status, ended.stderr)
    };

    let several = fails(&[one(), App::sh("other", "")], &[]);
    assert_eq!(several, (Some(254), "run: fly only supports 1 application per Pod for now\n".to_owned()));
    assert_eq!(fails(&[one()], &["--ipc=parent"]).0, Some(2));
    let unbound = App { mount_points: r#"[{"name":"data","path":"/data"}]"#, ..one() };
    assert_eq!(fails(&[unbound], &[]), (Some(254), "run: missing volume for mountpoint \"data\"\n".to_owned()));
    let ignored = Pod::of_flavor("fly", &[one()]).run(&["--hostname=h", "--mds-token=ff"]);
    assert_eq!(ignored.status, Some(0));
    assert!(ignored.stdout.contains("Warning: -hostname not supported; ignoring"));
}

#[test]
fn volumes_are_bound_by_name_and_nothing_of_them_stays_on_the_host() {
    skip_unless_possible!();
    let app = App {
        mounts: r#"[{"volume":"host","path":"/h"}]"#,
        mount_points: r#"[{"name":"empty","path":"/e"}]"#,
        ..App::sh("app", "cat /h/given; echo x 2>/dev/null > /h/new || echo ro; echo x > /e/file && echo rw")
    };
    let pod = Pod::of_flavor("fly", &[app]);
    let host = pod.scratch("host");
    std::fs::write(host.join("given"), "given\n").unwrap();
    pod.set_volumes(&format!(
        r#"[{{"name":"host","kind":"host","source":"{}","readOnly":true}},{{"name":"empty","kind":"empty"}}]"#,
        host.display()
    ));

    let ended = pod.run(&[]);

    assert_eq!(ended.stdout, "given\nro\nrw\n", "{}", ended.stderr);
    assert!(pod.exists("sharedVolumes/empty/file"));
    assert!(!std::fs::read_to_string("/proc/self/mounts").unwrap().contains(&pod.uuid));
}

#[test]
fn enter_has_the_apps_root_ids_and_environment_and_stop_ends_the_app() {
    skip_unless_possible!();
    let app = App {
        user: "1234",
        group: "web",
        environment: r#"[{"name":"GIVEN","value":"v"}]"#,
        ..App::sh("app", "exec sleep 600")
    };
    let pod = Pod::of_flavor("fly", &[app]);
    let running = pod.start(&[]);
    let pid = format!("--pid={}", pod.pid());
    support::until("the app runs", Duration::from_secs(5), || {
        std::fs::read(format!("/proc/{}/cmdline", pod.pid())).is_ok_and(|line| line.starts_with(b"sleep"))
    });

    let entered =
        pod.entrypoint("enter", &[&pid, "--appname=app", "--", "/bin/sh", "-c", "echo $GIVEN; id -u; id -G; exit 5"]);

    assert_eq!((entered.status, entered.stdout.as_str()), (Some(5), "v\n1234\n77 5\n"), "{}", entered.stderr);
    assert_eq!(pod.entrypoint("gc", &[&pod.uuid]).status, Some(0));
    assert_eq!(pod.entrypoint("stop", &[&pod.uuid]).status, Some(0));
    assert_eq!(running.wait().signal, Some(15));
}
