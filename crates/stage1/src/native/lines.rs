//! Output of apps cut into lines, for the log, which never drops one, and for the console.

use super::clock::kernel_time;
use super::console::Console;
use super::log::Log;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// A line longer than this is written in parts.
const MAX_LINE: usize = 8 << 10;

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
    pub fn pump(&mut self, label: &str, log: Option<&mut Log>, console: &mut Console) -> bool {
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
    pub fn drain(&mut self, label: &str, mut log: Option<&mut Log>, console: &mut Console) {
        while has_input(self.source.as_fd()) && self.pump(label, log.as_deref_mut(), console) {}
        self.hand_on(label, log, console, true);
    }

    fn hand_on(&mut self, label: &str, mut log: Option<&mut Log>, console: &mut Console, end: bool) {
        if let Some(raw) = &mut self.raw {
            raw.show(&self.buffer);
            self.buffer.clear();
            if end {
                raw.finish(Duration::from_secs(1));
            }
            return;
        }
        let mut shown = Vec::new();
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
            if let Some(log) = log.as_deref_mut() {
                log.push(self.stream, line, whole);
            }
            at += next;
        }
        self.buffer.drain(..at);
        if shown.is_empty() {
            return;
        }
        if let Some(log) = log {
            log.flush();
        }
        console.show(&shown);
    }
}

impl AsFd for Lines {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }
}

/// Logs a text of one or more lines that came otherwise than by a stream.
pub fn log_text(log: &mut Log, stream: &str, text: &[u8]) {
    for line in text.split(|&byte| byte == b'\n') {
        let mut parts = line.chunks(MAX_LINE).peekable();
        if parts.peek().is_none() {
            log.push(stream, line, true);
        }
        while let Some(part) = parts.next() {
            log.push(stream, part, parts.peek().is_none());
        }
    }
    log.flush();
}

/// A line of our own about an app, on the console and in the app's log.
pub fn notice(text: &str, log: &mut Log, console: &mut Console) {
    log_text(log, "stderr", format!("rkt: {text}").as_bytes());
    console.show(format!("{} rkt: {text}\n", kernel_time()).as_bytes());
}

fn has_input(fd: BorrowedFd<'_>) -> bool {
    let timeout = Timespec { tv_sec: 0, tv_nsec: 0 };
    matches!(poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&timeout)), Ok(ready) if ready > 0)
}

#[cfg(test)]
mod tests {
    use super::super::log::testing::scratch;
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    #[test]
    fn a_blocked_console_drops_lines_counts_them_and_the_log_has_all() {
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut console = Console::over(writer.as_fd()).unwrap();
        let (source, app) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (path, mut log) = scratch("console", u64::MAX);
        let mut lines = Lines::new(source, "stdout");
        let total = 3000;
        for number in 0..total {
            rustix::io::write(&app, format!("{number} {}\n", "x".repeat(90)).as_bytes()).unwrap();
            assert!(lines.pump("app[1]", Some(&mut log), &mut console));
        }

        let logged = std::fs::read_to_string(path.join("app.log")).unwrap();
        assert_eq!(logged.lines().count(), total);
        assert!(console.is_blocked() && console.dropped() > 0);
        let dropped = console.dropped();
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
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_long_line_is_logged_in_parts_and_the_last_line_needs_no_newline() {
        let (_reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let mut console = Console::over(writer.as_fd()).unwrap();
        let (source, app) = pipe_with(PipeFlags::CLOEXEC).unwrap();
        let (path, mut log) = scratch("parts", u64::MAX);
        let mut lines = Lines::new(source, "stderr");
        rustix::io::write(&app, "y".repeat(MAX_LINE + 5).as_bytes()).unwrap();
        drop(app);

        while lines.pump("app[1]", Some(&mut log), &mut console) {}

        let logged = std::fs::read_to_string(path.join("app.log")).unwrap();
        let tags: Vec<&str> = logged.lines().filter_map(|line| line.split(' ').nth(2)).collect();
        assert_eq!(tags, ["P", "F"]);
        assert!(logged.lines().next().is_some_and(|line| line.contains(" stderr P yyy")));
        std::fs::remove_dir_all(path).unwrap();
    }
}
