//! `dhcp daemon`: keeps the leases of pods, on behalf of the plugin, for as long as they run.

use super::SOCKET;
use super::lease::{Client, Lease, Patience};
use super::rpc;
use crate::cni::{Answer, Call, CniError};
use crate::sys;
use rustix::event::{PollFd, PollFlags, poll};
use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How the daemon was called.
#[derive(Debug)]
struct Options {
    socket: PathBuf,
    pidfile: Option<PathBuf>,
    /// What stands before the paths of namespaces: where the host's file system is mounted.
    host: PathBuf,
    patience: Patience,
}

impl Options {
    fn parse(words: &[String]) -> Result<Self, String> {
        let mut options = Self {
            socket: PathBuf::from(SOCKET),
            pidfile: None,
            host: PathBuf::new(),
            patience: Patience { whole: Duration::from_secs(10), pause: Duration::from_secs(62), broadcast: false },
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let name = word.trim_start_matches('-');
            let (name, value) =
                name.split_once('=').map_or((name, None), |(name, value)| (name, Some(value.to_owned())));
            if !word.starts_with('-') {
                return Err(format!("unexpected argument {word:?}"));
            }
            if name == "broadcast" {
                options.patience.broadcast = value.is_none_or(|value| value == "true");
                continue;
            }
            let value =
                value.or_else(|| words.next().cloned()).ok_or_else(|| format!("flag needs an argument: {word}"))?;
            match name {
                "socketpath" => options.socket = PathBuf::from(value),
                "pidfile" => options.pidfile = Some(PathBuf::from(value)).filter(|path| !path.as_os_str().is_empty()),
                "hostprefix" => options.host = PathBuf::from(value),
                "timeout" => options.patience.whole = duration(&value)?,
                "resendmax" => options.patience.pause = duration(&value)?,
                "resendtimeout" => drop(duration(&value)?), // an ADD waits for `timeout` in all
                _ => return Err(format!("flag provided but not defined: {word}")),
            }
        }
        Ok(options)
    }
}

/// A duration as Go writes them: `10s`, `1m30s`, `500ms`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("invalid duration {text:?}");
    let (mut rest, mut whole) = (text, 0.0);
    while !rest.is_empty() {
        let split = rest.find(|letter: char| letter.is_ascii_alphabetic()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(split);
        let end = tail.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(tail.len());
        let (unit, next) = tail.split_at(end);
        let unit = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        whole += number.parse::<f64>().map_err(|_| wrong())? * unit;
        rest = next;
    }
    Duration::try_from_secs_f64(whole).map_err(|_| wrong())
}

/// The leases, by container, network and link.
#[derive(Debug, Default)]
struct Leases {
    held: Mutex<HashMap<String, Held>>,
    changed: Condvar,
}

#[derive(Clone, Debug)]
struct Held {
    client: Client,
    lease: Lease,
}

impl Leases {
    fn held(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs the daemon until SIGINT or SIGTERM; answers its exit status.
pub fn main(words: &[String]) -> i32 {
    let options = match Options::parse(words) {
        Ok(options) => options,
        Err(reason) => {
            eprintln!("dhcp daemon: {reason}");
            return 2;
        }
    };
    match run(&options) {
        Ok(()) => 0,
        Err(reason) => {
            eprintln!("dhcp daemon: {reason}");
            1
        }
    }
}

fn run(options: &Options) -> Result<(), String> {
    let ends = sys::ending_signals().map_err(|error| format!("wait for signals: {error}"))?;
    let activated = sys::activated_listener();
    let ours = activated.is_none();
    let listener = match activated {
        Some(listener) => listener,
        None => listen(&options.socket)?,
    };
    if let Some(pidfile) = &options.pidfile {
        fs::write(pidfile, std::process::id().to_string())
            .map_err(|error| format!("write {}: {error}", pidfile.display()))?;
    }
    let leases = Arc::new(Leases::default());
    loop {
        let mut fds = [PollFd::new(&listener, PollFlags::IN), PollFd::new(&ends, PollFlags::IN)];
        match poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(format!("wait for clients: {error}")),
        }
        if !fds[1].revents().is_empty() {
            break;
        }
        if fds[0].revents().is_empty() {
            continue;
        }
        let Ok((stream, _)) = listener.accept() else { continue };
        let (leases, host, patience) = (Arc::clone(&leases), options.host.clone(), options.patience);
        std::thread::spawn(move || {
            let serve = |method: &str, call: &Call| match method {
                "DHCP.Allocate" => allocate(&leases, &host, patience, call),
                "DHCP.Release" => release(&leases, call),
                _ => Err(CniError::internal(format!("rpc: can't find method {method}"))),
            };
            if let Err(error) = rpc::serve(stream, serve) {
                eprintln!("dhcp daemon: a client left: {error}");
            }
        });
    }
    if ours {
        let _ = fs::remove_file(&options.socket);
    }
    if let Some(pidfile) = &options.pidfile {
        let _ = fs::remove_file(pidfile);
    }
    Ok(())
}

fn listen(socket: &Path) -> Result<UnixListener, String> {
    let failed = |error| format!("listen on {}: {error}", socket.display());
    if let Some(directory) = socket.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    }
    if rpc::greet(socket).is_ok() {
        return Err(format!("another daemon listens on {}", socket.display()));
    }
    let _ = fs::remove_file(socket); // of a daemon that was killed
    let listener = UnixListener::bind(socket).map_err(failed)?;
    fs::set_permissions(socket, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

fn key(call: &Call) -> String {
    format!("{}/{}/{}", call.container_id, call.network(), call.ifname)
}

fn allocate(leases: &Arc<Leases>, host: &Path, patience: Patience, call: &Call) -> Result<Answer, CniError> {
    let key = key(call);
    if let Some(held) = leases.held().get(&key) {
        return Ok(held.client.answer(&held.lease));
    }
    let netns = call.netns.as_deref().ok_or_else(|| CniError::internal("the call names no network namespace"))?;
    let netns = if host.as_os_str().is_empty() {
        netns.to_owned()
    } else {
        host.join(netns.strip_prefix("/").unwrap_or(netns))
    };
    let client = Client::of(call, netns, patience)?;
    let lease = client.acquire()?;
    let answer = client.answer(&lease);
    leases.held().insert(key.clone(), Held { client, lease });
    let leases = Arc::clone(leases);
    std::thread::spawn(move || keep(&leases, &key));
    Ok(answer)
}

fn release(leases: &Leases, call: &Call) -> Result<Answer, CniError> {
    let held = leases.held().remove(&key(call));
    leases.changed.notify_all();
    if let Some(held) = held.filter(|held| held.client.is_alive())
        && let Err(error) = held.client.release(&held.lease)
    {
        eprintln!("dhcp daemon: {}: {error}", key(call)); // the server will give it to another when its time is over
    }
    Ok(Answer::default())
}

/// Keeps a lease until it is released, its pod is gone or no server prolongs it.
fn keep(leases: &Leases, key: &str) {
    loop {
        let Some(held) = leases.held().get(key).cloned() else { return };
        let [renew, rebind, end] = held.lease.times();
        if !wait_until(leases, key, renew) {
            return;
        }
        if let Some(lease) = prolong(leases, key, &held, rebind, end) {
            if let Some(held) = leases.held().get_mut(key) {
                held.lease = lease;
            }
            continue;
        }
        if leases.held().remove(key).is_some() && held.client.is_alive() {
            eprintln!("dhcp daemon: {key}: the lease has ended");
            if let Err(failure) = held.client.silence() {
                eprintln!("dhcp daemon: {key}: {failure}");
            }
        }
        return;
    }
}

/// Asks for more time, its own server first, then any, until the lease ends.
fn prolong(leases: &Leases, key: &str, held: &Held, rebind: Instant, end: Instant) -> Option<Lease> {
    let mut pause = Duration::from_secs(1);
    while Instant::now() < end && held.client.is_alive() {
        match held.client.renew(&held.lease, Instant::now() >= rebind) {
            Ok(Some(lease)) => return Some(lease),
            Ok(None) => {}
            Err(error) if error.msg.contains("back") => {
                eprintln!("dhcp daemon: {key}: {error}");
                return None;
            }
            Err(error) => eprintln!("dhcp daemon: {key}: {error}"),
        }
        if !wait_until(leases, key, (Instant::now() + pause).min(end)) {
            return None;
        }
        pause = (pause * 2).min(Duration::from_secs(60));
    }
    None
}

/// Waits; false as soon as the lease is released.
fn wait_until(leases: &Leases, key: &str, until: Instant) -> bool {
    let mut held = leases.held();
    loop {
        if !held.contains_key(key) {
            return false;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        held = leases.changed.wait_timeout(held, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_as_those_of_the_reference_daemon() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let options =
            Options::parse(&words("-pidfile /run/p --socketpath=/run/s -broadcast=true -timeout 1m500ms")).unwrap();
        assert_eq!(options.pidfile.as_deref(), Some(Path::new("/run/p")));
        assert_eq!(options.socket, Path::new("/run/s"));
        assert!(options.patience.broadcast);
        assert_eq!(options.patience.whole, Duration::from_millis(60_500));
        assert_eq!(Options::parse(&words("-frob 1")).unwrap_err(), "flag provided but not defined: -frob");
        assert_eq!(Options::parse(&words("-timeout")).unwrap_err(), "flag needs an argument: -timeout");
        assert_eq!(Options::parse(&words("-timeout 5x")).unwrap_err(), "invalid duration \"5x\"");
    }
}
