//! A pod directory made by hand, and the entrypoints called as stage0 calls them.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const STAGE1: &str = env!("CARGO_BIN_EXE_stage1");
const BUSYBOX: &str = "/bin/busybox";
const HOSTS: &str = include_str!("../../../../flavors/native/rootfs/etc/hosts-fallback");

/// Why pods cannot run here.
pub fn why_not() -> Option<&'static str> {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let uid = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    if uid.split_whitespace().nth(1) != Some("0") {
        return Some("pods need root");
    }
    if !Path::new(BUSYBOX).exists() {
        return Some("no /bin/busybox (Debian's busybox-static)");
    }
    None
}

/// One app; JSON texts where a test has something to say.
#[derive(Clone)]
pub struct App {
    pub name: &'static str,
    pub exec: Vec<String>,
    pub user: &'static str,
    pub group: &'static str,
    pub mounts: &'static str,
    pub mount_points: &'static str,
    pub isolators: &'static str,
    pub handlers: &'static str,
    pub environment: &'static str,
    pub read_only_root: bool,
}

impl App {
    /// An app that runs a script.
    pub fn sh(name: &'static str, script: &str) -> Self {
        Self {
            name,
            exec: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()],
            user: "0",
            group: "0",
            mounts: "null",
            mount_points: "null",
            isolators: "null",
            handlers: "null",
            environment: "null",
            read_only_root: false,
        }
    }

    fn json(&self) -> String {
        let exec: Vec<String> = self.exec.iter().map(|word| serde_json::to_string(word).unwrap()).collect();
        format!(
            r#"{{"name":"{}","image":{{"id":"sha512-00"}},"readOnlyRootFS":{},"mounts":{},"app":{{"exec":[{}],"user":"{}",
                "group":"{}","supplementaryGIDs":{},"mountPoints":{},"isolators":{},"eventHandlers":{},"environment":{}}}}}"#,
            self.name,
            self.read_only_root,
            self.mounts,
            exec.join(","),
            self.user,
            self.group,
            if self.group == "web" { "[5]" } else { "null" },
            self.mount_points,
            self.isolators,
            self.handlers,
            self.environment
        )
    }
}

/// A pod directory, removed with the value.
pub struct Pod {
    pub uuid: String,
    base: PathBuf,
    apps: Vec<App>,
}

impl Pod {
    pub fn new(apps: &[App]) -> Self {
        Self::of_flavor("native", apps)
    }

    pub fn of_flavor(flavor: &str, apps: &[App]) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let uuid = format!("{:08x}-0000-4000-8000-{number:012x}", std::process::id());
        let base = std::env::temp_dir().join(format!("rkt-stage1-{uuid}"));
        let pod = Self { uuid, base, apps: apps.to_vec() };
        let stage1 = pod.path("stage1/rootfs");
        for directory in ["dev", "etc", "proc", "rkt/env", "rkt/status", "sys"] {
            fs::create_dir_all(stage1.join(directory)).unwrap();
        }
        fs::write(stage1.join("etc/hosts-fallback"), HOSTS).unwrap();
        symlink(flavor, stage1.join("flavor")).unwrap();
        fs::copy(STAGE1, stage1.join("run")).unwrap();
        for name in ["enter", "gc", "plan", "stop"] {
            fs::hard_link(stage1.join("run"), stage1.join(name)).unwrap();
        }
        for app in apps {
            pod.make_app(app);
        }
        pod.set_volumes("null");
        pod
    }

    fn make_app(&self, app: &App) {
        let directory = self.path(&format!("stage1/rootfs/opt/stage2/{}", app.name));
        let root = directory.join("rootfs");
        for name in ["bin", "etc", "data"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
        for tool in [
            "cat", "env", "grep", "hostname", "id", "ls", "mkdir", "mknod", "readlink", "sh", "sleep", "stat", "touch",
            "tr",
        ] {
            symlink("busybox", root.join("bin").join(tool)).unwrap();
        }
        fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
        fs::write(root.join("etc/group"), "root:x:0:\nweb:x:77:\n").unwrap();
        let manifest = r#"{"acKind":"ImageManifest","acVersion":"0.8.11","name":"example.com/busybox"}"#;
        fs::write(directory.join("manifest"), manifest).unwrap();
    }

    /// Writes the pod manifest, with these volumes.
    pub fn set_volumes(&self, volumes: &str) {
        let apps: Vec<String> = self.apps.iter().map(App::json).collect();
        let manifest = format!(
            r#"{{"acKind":"PodManifest","acVersion":"2.0.0","apps":[{}],"volumes":{volumes}}}"#,
            apps.join(",")
        );
        fs::write(self.path("pod"), manifest).unwrap();
    }

    /// A path of the pod directory.
    pub fn path(&self, path: &str) -> PathBuf {
        self.base.join(&self.uuid).join(path)
    }

    pub fn exists(&self, path: &str) -> bool {
        self.path(path).symlink_metadata().is_ok()
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// A new directory outside of the pod.
    pub fn scratch(&self, name: &str) -> PathBuf {
        let path = self.base.join(name);
        fs::create_dir_all(&path).unwrap();
        path
    }

    pub fn link_in_root(&self, app: &str, path: &str, target: &str) {
        symlink(target, self.path(&format!("stage1/rootfs/opt/stage2/{app}/rootfs/{path}"))).unwrap();
    }

    pub fn app_status(&self, app: &str) -> Option<i32> {
        fs::read_to_string(self.path(&format!("stage1/rootfs/rkt/status/{app}"))).ok()?.trim().parse().ok()
    }

    pub fn pid(&self) -> i32 {
        self.read("pid").trim().parse().unwrap()
    }

    /// `run` as stage0 starts it: in a mount namespace of its own, with the lock; `before` runs in the shell that execs it.
    fn command(&self, before: &str, options: &[&str]) -> Command {
        let script = format!(
            "mount --bind . . && mount --make-private . && cd \"$PWD\" && exec 9<. && flock -n 9 && export RKT_LOCK_FD=9 || exit 99\n\
             {before} exec stage1/rootfs/run \"$@\""
        );
        let mut command = Command::new("unshare");
        command
            .args(["-m", "--propagation", "unchanged", "sh", "-c", &script, "sh"])
            .args(options)
            .arg(&self.uuid)
            .current_dir(self.base.join(&self.uuid))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts the pod; answers when the apps run, or when `run` has ended.
    pub fn start_under(&self, before: &str, options: &[&str]) -> Running {
        let child = self.command(before, options).spawn().unwrap();
        let mut running = Running { child: Some(child) };
        let ready = self.path("stage1/rootfs/rkt/supervisor-status");
        // The flavor without a supervisor says only its pid.
        let fly = fs::read_link(self.path("stage1/rootfs/flavor")).unwrap().to_str() == Some("fly");
        let ready = if fly { self.path("pid") } else { ready };
        until("the apps run", Duration::from_secs(20), || ready.symlink_metadata().is_ok() || !running.is_alive());
        running
    }

    pub fn start(&self, options: &[&str]) -> Running {
        self.start_under("", options)
    }

    pub fn run_under(&self, before: &str, options: &[&str]) -> Ended {
        self.start_under(before, options).wait()
    }

    /// Runs the pod with the output on a terminal, the input elsewhere.
    pub fn run_on(&self, terminal: &OwnedFd, options: &[&str]) -> Ended {
        let output = || Stdio::from(terminal.try_clone().unwrap());
        Ended::of(self.command("", options).stdout(output()).stderr(output()).output().unwrap())
    }

    /// Runs the pod with input and output on a terminal.
    pub fn run_at(&self, terminal: &OwnedFd, options: &[&str]) -> Ended {
        let stream = || Stdio::from(terminal.try_clone().unwrap());
        Ended::of(self.command("", options).stdin(stream()).stdout(stream()).output().unwrap())
    }

    pub fn run(&self, options: &[&str]) -> Ended {
        self.run_under("", options)
    }

    /// Calls an entrypoint of the host, in the pod directory.
    pub fn entrypoint(&self, name: &str, arguments: &[&str]) -> Ended {
        let mut command = Command::new(self.path("stage1/rootfs").join(name));
        command.args(arguments).current_dir(self.base.join(&self.uuid)).stdin(Stdio::null());
        Ended::of(command.output().unwrap())
    }

    /// The directories of cgroups that still carry the pod's name.
    pub fn cgroups_left(&self) -> Vec<String> {
        let lease = fs::read_to_string(self.path("cgroups")).unwrap_or_default();
        lease.lines().filter(|line| Path::new(line).exists()).map(str::to_owned).collect()
    }

    /// The values of those files that some cgroup of the app has.
    pub fn cgroup_values(&self, app: &str, files: &[&str]) -> Vec<String> {
        let lease = fs::read_to_string(self.path("cgroups")).unwrap_or_default();
        let directory = |line: &str| Path::new(line).join(format!("system.slice/{app}.service"));
        let value = |file: &&str| lease.lines().find_map(|line| fs::read_to_string(directory(line).join(file)).ok());
        files.iter().filter_map(value).map(|text| text.trim().to_owned()).collect()
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        // A test that failed may have left cgroups.
        self.entrypoint("gc", &[&self.uuid]);
        let _ = fs::remove_dir_all(&self.base);
    }
}

/// A pod that runs; killed with the value.
pub struct Running {
    child: Option<Child>,
}

impl Running {
    fn child(&mut self) -> &mut Child {
        self.child.as_mut().unwrap()
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.as_ref().unwrap().id()).unwrap()
    }

    pub fn is_alive(&mut self) -> bool {
        self.child().try_wait().unwrap().is_none()
    }

    /// Asks `run` itself to end.
    pub fn terminate(&self) {
        kill(self.pid(), 15);
    }

    pub fn wait(mut self) -> Ended {
        Ended::of(self.child.take().unwrap().wait_with_output().unwrap())
    }

    pub fn stop(self) -> Ended {
        self.terminate();
        self.wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a process left.
#[derive(Debug)]
pub struct Ended {
    pub status: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            status: output.status.code(),
            signal: output.status.signal(),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// The lines of an app on the console, without what stands before them.
    pub fn app_lines(&self, app: &str) -> Vec<String> {
        let of_app = |line: &str| {
            let (_, line) = line.split_once("] ")?;
            let (label, text) = line.split_once("]: ")?;
            label.starts_with(&format!("{app}[")).then(|| text.to_owned())
        };
        self.stdout.lines().filter_map(of_app).collect()
    }
}

pub fn kill(pid: i32, signal: i32) {
    let status = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status().unwrap();
    assert!(status.success());
}

/// Waits until something is so.
pub fn until(what: &str, patience: Duration, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < patience, "{what}: not within {patience:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// How many processes of the host have exactly this command line and have not ended.
pub fn host_processes(words: &[&str]) -> usize {
    let wanted: Vec<u8> = words.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    let entries = fs::read_dir("/proc").unwrap().flatten();
    entries.filter(|entry| fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == wanted)).count()
}

/// The signals that a child of this process begins with ignored: those of whoever runs the tests, without Rust's own SIGPIPE.
pub fn ignored_signals() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & !(1 << 12)
}

/// Both ends of a terminal of the host.
pub fn terminal() -> (OwnedFd, OwnedFd) {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let leader = openpt(flags).unwrap();
    unlockpt(&leader).unwrap();
    let follower = ioctl_tiocgptpeer(&leader, flags).unwrap();
    (leader, follower)
}

/// What was written to a terminal whose other end is closed.
pub fn read_terminal(leader: OwnedFd) -> String {
    let mut text = Vec::new();
    let mut chunk = [0; 4096];
    // The end of a terminal is the error EIO.
    while let Ok(count) = rustix::io::read(&leader, &mut chunk) {
        text.extend_from_slice(&chunk[..count]);
    }
    String::from_utf8_lossy(&text).into_owned()
}
