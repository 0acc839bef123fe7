//! Output of apps: lines to the log, which never drops one, and to the console, which drops lines when it is blocked and says how
//! many. Apps are never held up by a console.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::SendFlags;
use rustix::time::{ClockId, clock_gettime};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

/// What may wait for a blocked console.
const MAX_PENDING: usize = 64 << 10;

/// A line longer than this is written in parts.
const MAX_LINE: usize = 8 << 10;

/// How the console is written to without ever waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Never blocks.
    File,
    /// An open file description of our own, non-blocking.
    Reopened,
    /// A socket, written to with a flag.
    Socket,
    /// Neither is possible: small writes, after asking.
    Careful,
}

/// The console of a pod: what the caller sees.
#[derive(Debug)]
pub struct Console {
    fd: OwnedFd,
    kind: Kind,
    pending: Vec<u8>,
    dropped: u64,
    broken: bool,
}

impl Console {
    /// A console over an inherited descriptor, whose own flags are never changed: other processes hold it too.
    pub fn over(inherited: BorrowedFd<'_>) -> std::io::Result<Self> {
        let stat = rustix::fs::fstat(inherited)?;
        let duplicate = || sandbox::sys::duplicate_from(inherited, 3);
        let (fd, kind) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Fifo | FileType::CharacterDevice => {
                let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&inherited));
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
                match rustix::fs::open(path, flags, Mode::empty()) {
                    Ok(fd) => (fd, Kind::Reopened),
                    Err(_) => (duplicate()?, Kind::Careful),
                }
            }
            FileType::Socket => (duplicate()?, Kind::Socket),
            _ => (duplicate()?, Kind::File),
        };
        Ok(Self { fd, kind, pending: Vec::new(), dropped: 0, broken: false })
    }

    /// Whether something waits until the console can be written to.
    pub fn is_blocked(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Shows whole lines, or counts them as dropped.
    pub fn show(&mut self, lines: &[u8]) {
        if self.broken {
            return;
        }
        if !self.pending.is_empty() && self.pending.len() + lines.len() > MAX_PENDING {
            self.dropped += lines.iter().filter(|&&byte| byte == b'\n').count() as u64;
            return;
        }
        self.pending.extend_from_slice(lines);
        self.flush();
    }

    /// Writes what can be written now.
    pub fn flush(&mut self) {
        loop {
            if self.pending.is_empty() {
                if self.dropped == 0 {
                    return;
                }
                let notice =
                    format!("{} rkt: {} lines were dropped, the console was blocked\n", kernel_time(), self.dropped);
                self.dropped = 0;
                self.pending = notice.into_bytes();
            }
            match self.write_some() {
                Ok(count) => drop(self.pending.drain(..count)),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Err(_) => {
                    self.broken = true;
                    self.pending = Vec::new();
                    return;
                }
            }
        }
    }

    fn write_some(&self) -> rustix::io::Result<usize> {
        match self.kind {
            Kind::File | Kind::Reopened => rustix::io::write(&self.fd, &self.pending),
            Kind::Socket => rustix::net::send(&self.fd, &self.pending, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Kind::Careful => {
                if !wait_writable(self.fd.as_fd(), Duration::ZERO) {
                    return Err(Errno::AGAIN);
                }
                rustix::io::write(&self.fd, &self.pending[..self.pending.len().min(512)])
            }
        }
    }

    /// Gives the console a last chance to take what waits.
    pub fn finish(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        self.flush();
        while self.is_blocked() && wait_writable(self.fd.as_fd(), until.saturating_duration_since(Instant::now())) {
            self.flush();
        }
    }
}

impl AsFd for Console {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn wait_writable(fd: BorrowedFd<'_>, patience: Duration) -> bool {
    let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
    matches!(poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::OUT)], Some(&timeout)), Ok(ready) if ready > 0)
}

/// One output stream of an app, cut into lines.
pub struct Lines {
    source: OwnedFd,
    /// `stdout` or `stderr`, as the log says it.
    stream: &'static str,
    buffer: Vec<u8>,
    /// Where bytes go as they are, instead of becoming lines.
    raw: Option<Console>,
}

impl Lines {
    /// Bytes of what is read from `source` for the caller's own terminal, which no process of a pod may hold.
    pub fn raw(source: OwnedFd, terminal: Console) -> Self {
        Self { raw: Some(terminal), ..Self::new(source, "") }
    }

    /// Writes what a blocked terminal left; answers whether something is left still.
    pub fn flush_raw(&mut self) -> bool {
        self.raw.as_mut().is_some_and(|raw| {
            raw.flush();
            raw.is_blocked()
        })
    }

    /// Lines of what is read from `source`, which is non-blocking.
    pub fn new(source: OwnedFd, stream: &'static str) -> Self {
        Self { source, stream, buffer: Vec::new(), raw: None }
    }

    /// Reads what is there, hands complete lines on, and answers whether more may come.
    pub fn pump(&mut self, label: &str, log: Option<&mut File>, console: &mut Console) -> bool {
        let mut chunk = [0; 16 << 10];
        let open = match rustix::io::read(&self.source, &mut chunk) {
            Ok(0) | Err(Errno::IO) => false,
            Ok(count) => {
                self.buffer.extend_from_slice(&chunk[..count]);
                true
            }
            Err(Errno::AGAIN | Errno::INTR) => return true,
            Err(_) => false,
        };
        self.hand_on(label, log, console, !open);
        open
    }

    /// Reads all that is left, without waiting for more.
    pub fn drain(&mut self, label: &str, mut log: Option<&mut File>, console: &mut Console) {
        while has_input(self.source.as_fd()) && self.pump(label, log.as_deref_mut(), console) {}
        self.hand_on(label, log, console, true);
    }

    fn hand_on(&mut self, label: &str, log: Option<&mut File>, console: &mut Console, end: bool) {
        if let Some(raw) = &mut self.raw {
            raw.show(&self.buffer);
            self.buffer.clear();
            if end {
                raw.finish(Duration::from_secs(1));
            }
            return;
        }
        let (mut shown, mut logged) = (Vec::new(), Vec::new());
        let mut at = 0;
        loop {
            let rest = &self.buffer[at..];
            let (line, next, whole) = match rest.iter().take(MAX_LINE).position(|&byte| byte == b'\n') {
                Some(length) => (&rest[..length], length + 1, true),
                None if rest.len() >= MAX_LINE => (&rest[..MAX_LINE], MAX_LINE, false),
                None if end && !rest.is_empty() => (rest, rest.len(), true),
                None => break,
            };
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            shown.extend_from_slice(format!("{} {label}: ", kernel_time()).as_bytes());
            shown.extend_from_slice(line);
            shown.push(b'\n');
            let tag = if whole { 'F' } else { 'P' };
            logged.extend_from_slice(format!("{} {} {tag} ", wall_time(), self.stream).as_bytes());
            logged.extend_from_slice(line);
            logged.push(b'\n');
            at += next;
        }
        self.buffer.drain(..at);
        if shown.is_empty() {
            return;
        }
        if let Some(log) = log {
            // A full disk must not end the pod; the console still shows the lines.
            let _ = log.write_all(&logged);
        }
        console.show(&shown);
    }
}

impl AsFd for Lines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

/// A line of our own about an app, on the console and in the app's log.
pub fn notice(text: &str, log: Option<&mut File>, console: &mut Console) {
    if let Some(log) = log {
        // As with the app's own lines, a full disk must not end the pod.
        let _ = log.write_all(format!("{} stderr F rkt: {text}\n", wall_time()).as_bytes());
    }
    console.show(format!("{} rkt: {text}\n", kernel_time()).as_bytes());
}

fn has_input(fd: BorrowedFd<'_>) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timeout)), Ok(ready) if ready > 0)
}

/// The kernel's clock as dmesg(1) shows it.
fn kernel_time() -> String {
    let now = clock_gettime(ClockId::Monotonic);
    format!("[{:5}.{:06}]", now.tv_sec, now.tv_nsec / 1000)
}

/// The time of day in RFC 3339 with nanoseconds.
fn wall_time() -> String {
    let now = clock_gettime(ClockId::Realtime);
    let (year, month, day) = civil(now.tv_sec.div_euclid(86400));
    let second = now.tv_sec.rem_euclid(86400);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:09}Z", now.tv_nsec)
}

/// The date of a day counted from 1970-01-01, in the Gregorian calendar. Years begin in March, so that a leap day is the last.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (year_of_era + era * 400 + later, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    #[test]
    fn dates_are_right_around_leap_days_and_centuries() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(-1), (1969, 12, 31));
        assert_eq!(civil(11_016), (2000, 2, 29));
        assert_eq!(civil(20_779), (2026, 11, 22));
    }

    #[test]
    fn a_blocked_console_drops_lines_counts_them_and_the_log_has_all() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut console = Console::over(writer.as_fd()).unwrap();
        let (source, app) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let path = std::env::temp_dir().join(format!("rkt-console-{}", std::process::id()));
        let mut log = File::create(&path).unwrap();
        let mut lines = Lines::new(source, "stdout");
        let total = 3000;
        for number in 0..total {
            rustix::io::write(&app, format!("{number} {}\n", "x".repeat(90)).as_bytes()).unwrap();
            assert!(lines.pump("app[1]", Some(&mut log), &mut console));
        }

        let logged = std::fs::read_to_string(&path).unwrap();
        assert_eq!(logged.lines().count(), total);
        assert!(console.is_blocked() && console.dropped > 0);
        let dropped = console.dropped;
        let mut shown = Vec::new();
        let mut chunk = vec![0; 1 << 16];
        while console.is_blocked() || has_input(reader.as_fd()) {
            let count = rustix::io::read(&reader, &mut chunk).unwrap();
            shown.extend_from_slice(&chunk[..count]);
            console.flush();
        }
        let shown = String::from_utf8(shown).unwrap();
        assert_eq!(shown.lines().filter(|line| line.contains("app[1]: ")).count() as u64 + dropped, total as u64);
        assert!(shown.contains(&format!("rkt: {dropped} lines were dropped")));
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn a_long_line_is_logged_in_parts_and_the_last_line_needs_no_newline() {
        let (_reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut console = Console::over(writer.as_fd()).unwrap();
        let (source, app) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let path = std::env::temp_dir().join(format!("rkt-parts-{}", std::process::id()));
        let mut log = File::create(&path).unwrap();
        let mut lines = Lines::new(source, "stderr");
        rustix::io::write(&app, "y".repeat(MAX_LINE + 5).as_bytes()).unwrap();
        drop(app);

        while lines.pump("app[1]", Some(&mut log), &mut console) {}

        let logged = std::fs::read_to_string(&path).unwrap();
        let tags: Vec<&str> = logged.lines().filter_map(|line| line.split(' ').nth(2)).collect();
        assert_eq!(tags, ["P", "F"]);
        assert!(logged.lines().next().is_some_and(|line| line.contains(" stderr P yyy")));
        std::fs::remove_file(path).unwrap();
    }
}
