//! Where the lines of an app are kept: its log file, which is rotated by size; the host's journal, where there is one; and the plain
//! file that a pod may ask for (stage1-abi §3.3, §4.12).

use super::clock::wall_time;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with};
use sandbox::plan::PlainLog;
use sandbox::tree::Root;
use sandbox::{Context, Failure, Result};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// A file that has grown so large is put aside.
const MAX_SIZE: u64 = 10 << 20;

/// So many files that were put aside are kept: `APP.log.1` is the youngest.
const KEPT: usize = 4;

/// Where the host's journal listens (systemd's native protocol).
const JOURNAL: &str = "/run/systemd/journal/socket";

/// The log of one app. It never waits for anybody but the disk.
#[derive(Debug)]
pub struct Log {
    directory: OwnedFd,
    name: String,
    file: File,
    size: u64,
    /// When to put the file aside.
    limit: u64,
    pending: Vec<u8>,
    plain: Option<File>,
    plain_pending: Vec<u8>,
    journal: Option<Journal>,
}

#[derive(Debug)]
struct Journal {
    socket: OwnedFd,
    /// What every entry begins with.
    fields: String,
    message: Vec<u8>,
}

impl Log {
    /// Opens the log of an app of the pod in `directory`, and what else its lines go to.
    pub fn open(directory: &Path, uuid: &str, app: &str, plain: Option<&PlainLog>) -> Result<Self> {
        let path = directory.join("logs");
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let logs = rustix::fs::open(&path, flags, Mode::empty()).context(|| format!("open {}", path.display()))?;
        let mut log = Self::open_in(logs, app, MAX_SIZE)?;
        log.journal = Journal::connect(uuid, app);
        log.plain = plain.map(|plain| open_plain(directory, plain)).transpose()?;
        Ok(log)
    }

    /// The descriptors of what is open: the directory, the plain file, the journal.
    pub fn descriptors(&self) -> (BorrowedFd<'_>, Option<BorrowedFd<'_>>, Option<BorrowedFd<'_>>) {
        let journal = self.journal.as_ref().map(|journal| journal.socket.as_fd());
        (self.directory.as_fd(), self.plain.as_ref().map(AsFd::as_fd), journal)
    }

    /// The same log out of descriptors that came from another process.
    pub fn received(
        uuid: &str,
        app: &str,
        directory: OwnedFd,
        plain: Option<OwnedFd>,
        journal: Option<OwnedFd>,
    ) -> Result<Self> {
        let mut log = Self::open_in(directory, app, MAX_SIZE)?;
        log.plain = plain.map(File::from);
        log.journal = journal.map(|socket| Journal::over(socket, uuid, app));
        Ok(log)
    }

    fn open_in(directory: OwnedFd, app: &str, limit: u64) -> Result<Self> {
        let name = format!("{app}.log");
        let file = open_file(&directory, &name).context(|| format!("open logs/{name}"))?;
        let size = file.metadata().map_or(0, |meta| meta.len());
        let (pending, plain_pending) = (Vec::new(), Vec::new());
        Ok(Self { directory, name, file, size, limit, pending, plain: None, plain_pending, journal: None })
    }

    /// A line, or a part of one that is too long. It is on its way with the next [`Log::flush`].
    pub fn push(&mut self, stream: &str, line: &[u8], whole: bool) {
        let time = wall_time();
        let tag = if whole { 'F' } else { 'P' };
        // The CRI log format.
        let _ = write!(self.pending, "{time} {stream} {tag} ");
        self.pending.extend_from_slice(line);
        self.pending.push(b'\n');
        if self.plain.is_some() {
            let _ = write!(self.plain_pending, "{time} {stream} ");
            self.plain_pending.extend_from_slice(line);
            self.plain_pending.push(b'\n');
        }
        if let Some(journal) = &mut self.journal {
            journal.tell(stream, line);
        }
    }

    /// Writes what was pushed. A full disk must not end the pod.
    pub fn flush(&mut self) {
        if self.size > 0 && self.size + self.pending.len() as u64 > self.limit {
            self.rotate();
        }
        if self.file.write_all(&self.pending).is_ok() {
            self.size += self.pending.len() as u64;
        }
        self.pending.clear();
        if let Some(plain) = &mut self.plain {
            let _ = plain.write_all(&self.plain_pending);
            self.plain_pending.clear();
        }
    }

    /// Puts the file aside and begins another. When that cannot be, this one goes on.
    fn rotate(&mut self) {
        let aside = |number: usize| match number {
            0 => self.name.clone(),
            number => format!("{}.{number}", self.name),
        };
        for number in (0..KEPT).rev() {
            // Absent is fine.
            let _ = rustix::fs::renameat(&self.directory, aside(number), &self.directory, aside(number + 1));
        }
        if let Ok(file) = open_file(&self.directory, &self.name) {
            self.file = file;
        }
        // Also when it goes on: else every line would try again.
        self.size = 0;
    }
}

fn open_file(directory: &OwnedFd, name: &str) -> rustix::io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::from_raw_mode(0o640)).map(File::from)
}

/// The plain file, which begins empty. Its name is one, not a path.
fn open_plain(pod: &Path, plain: &PlainLog) -> Result<File> {
    let failed = || format!("open the log {}", plain.name);
    let directory = match &plain.directory {
        Some(path) => Root::open_at(path)?,
        None => {
            let stage1 = Root::open_at(pod.join("stage1/rootfs"))?;
            Root::from(stage1.ensure("rkt/kubernetes/log", sandbox::tree::Make::Directory)?)
        }
    };
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&directory, &plain.name, flags, Mode::from_raw_mode(0o644)).context(failed)?;
    let kind = rustix::fs::FileType::from_raw_mode(rustix::fs::fstat(&file).context(failed)?.st_mode);
    if kind != rustix::fs::FileType::RegularFile {
        return Err(Failure::new(format!("{}: it is not a regular file", failed())));
    }
    Ok(File::from(file))
}

impl Journal {
    /// None where the host runs no journal.
    fn connect(uuid: &str, app: &str) -> Option<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None).ok()?;
        connect(&socket, &SocketAddrUnix::new(JOURNAL).ok()?).ok()?;
        Some(Self::over(socket, uuid, app))
    }

    fn over(socket: OwnedFd, uuid: &str, app: &str) -> Self {
        let fields = format!("SYSLOG_IDENTIFIER={app}\nRKT_POD={uuid}\nRKT_APP={app}\n");
        Self { socket, fields, message: Vec::new() }
    }

    /// Sends a line. A journal that does not keep up misses some, which the log file has.
    fn tell(&mut self, stream: &str, line: &[u8]) {
        let priority = if stream == "stderr" { 3 } else { 6 };
        self.message.clear();
        let _ = write!(self.message, "PRIORITY={priority}\n{}MESSAGE=", self.fields);
        self.message.extend_from_slice(line);
        self.message.push(b'\n');
        let _ = send(&self.socket, &self.message, SendFlags::NOSIGNAL);
    }
}

#[cfg(test)]
pub mod testing {
    use super::*;

    /// A log in a directory of its own.
    pub fn scratch(name: &str, limit: u64) -> (std::path::PathBuf, Log) {
        let path = std::env::temp_dir().join(format!("rkt-log-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        let directory = rustix::fs::open(&path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
        (path, Log::open_in(directory, "app", limit).unwrap())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_has_grown_is_put_aside_at_a_line_and_the_oldest_goes() {
        let (path, mut log) = testing::scratch("rotation", 1000);
        for number in 0..100 {
            log.push("stdout", format!("line {number} {}", "x".repeat(50)).as_bytes(), true);
            log.flush();
        }

        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
        let all: String =
            ["app.log.4", "app.log.3", "app.log.2", "app.log.1", "app.log"].into_iter().map(read).collect();
        let numbers: Vec<usize> = all.lines().map(|line| line.split(' ').nth(4).unwrap().parse().unwrap()).collect();
        let first = *numbers.first().unwrap();
        assert_eq!(numbers, (first..100).collect::<Vec<_>>());
        assert!(first > 0 && !path.join("app.log.5").exists());
        assert!(read("app.log.1").len() <= 1000);
        std::fs::remove_dir_all(path).unwrap();
    }
}
