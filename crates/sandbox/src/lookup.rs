//! Which file a command means inside an app's root (stage1-abi §3.10), and why one cannot be started (§4.7).

use crate::tree::Root;
use crate::{Failure, Result};
use rustix::fs::{FileType, OFlags};
use std::io::Read;

/// As deep as interpreters of interpreters are followed.
const MAX_INTERPRETERS: usize = 8;

/// The longest `#!` line that the kernel reads.
const MAX_SHEBANG: usize = 256;

/// The path, inside the root, of the command `name`: absolute as it is, with a slash below the working directory, else the first
/// candidate of `path` (the app's `PATH`) that is an executable file.
pub fn find(root: &Root, name: &str, working_directory: &str, path: Option<&str>) -> Result<String> {
    if name.starts_with('/') {
        return Ok(name.to_owned());
    }
    if name.contains('/') {
        return Ok(join(working_directory, name));
    }
    let directories: Vec<String> = match path {
        Some(path) => path.split(':').map(|directory| join(working_directory, directory)).collect(),
        None => vec![working_directory.to_owned(), "/bin".to_owned(), "/usr/bin".to_owned()],
    };
    let found =
        directories.iter().map(|directory| join(directory, name)).find(|candidate| is_executable(root, candidate));
    found.ok_or_else(|| {
        Failure::new(format!("unable to find \"{name}\" in {:?}", directories.join(":")))
            .of(format!("error looking up \"{name}\""))
    })
}

fn join(directory: &str, name: &str) -> String {
    if name.starts_with('/') {
        return name.to_owned();
    }
    format!("{}/{name}", directory.trim_end_matches('/')).trim_end_matches('/').to_owned()
}

fn is_executable(root: &Root, path: &str) -> bool {
    let Ok(fd) = root.open(path, OFlags::PATH) else { return false };
    rustix::fs::fstat(fd)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile && stat.st_mode & 0o111 != 0)
}

/// Why the file cannot be started, in the words of the reference; none when nothing is wrong with it.
pub fn diagnose(root: &Root, path: &str) -> Option<String> {
    let mut path = path.to_owned();
    for _ in 0..MAX_INTERPRETERS {
        match examine(root, &path) {
            Ok(Some(interpreter)) => path = interpreter,
            Ok(None) => return None,
            Err(reason) => return Some(reason),
        }
    }
    Some("Excessive interpreter recursion, giving up".to_owned())
}

/// The interpreter that a file asks for.
fn examine(root: &Root, path: &str) -> std::result::Result<Option<String>, String> {
    if !path.starts_with('/') {
        return Err(format!("Path must be absolute: \"{path}\""));
    }
    let fd = root.open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY).map_err(|failure| {
        let cause = failure.errno().map_or_else(|| failure.to_string(), crate::sys::error_text);
        format!("Unable to open \"{path}\": {cause}")
    })?;
    let stat = rustix::fs::fstat(&fd).map_err(|error| format!("Unable to open \"{path}\": {error}"))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(format!("\"{path}\" is not a regular file"));
    }
    if stat.st_mode & 0o111 == 0 {
        return Err(format!("\"{path}\" is not executable"));
    }
    let mut head = Vec::new();
    // Program headers of real files lie right behind the ELF header, the interpreter's name soon after.
    let read = std::fs::File::from(fd).take(64 << 10).read_to_end(&mut head);
    read.map_err(|error| format!("Unable to read \"{path}\": {error}"))?;
    interpreter(&head, path)
}

/// The interpreter that the beginning of a file names.
fn interpreter(head: &[u8], path: &str) -> std::result::Result<Option<String>, String> {
    if let Some(line) = head.strip_prefix(b"#!") {
        let end = line.iter().position(|&byte| byte == b'\n').unwrap_or(line.len());
        if end + 2 > MAX_SHEBANG {
            return Err("Shebang line too long".to_owned());
        }
        let line = String::from_utf8_lossy(&line[..end]);
        let undetermined = || format!("Unable to determine interpreter for \"{path}\"");
        return line.split_ascii_whitespace().next().map(|word| Some(word.to_owned())).ok_or_else(undetermined);
    }
    if !head.starts_with(b"\x7fELF") {
        return Err("Unsupported file type".to_owned());
    }
    elf_interpreter(head)
}

fn elf_interpreter(head: &[u8]) -> std::result::Result<Option<String>, String> {
    const PT_INTERP: u64 = 3;
    let unsupported = || "Unsupported ELF format".to_owned();
    match head.get(6) {
        Some(1) => {}
        Some(version) => return Err(format!("Unsupported ELF version: {version}")),
        None => return Err(unsupported()),
    }
    // Little-endian files only; others are for machines that are not ours.
    let wide = match (head.get(4), head.get(5)) {
        (Some(2), Some(1)) => true,
        (Some(1), Some(1)) => false,
        _ => return Err(unsupported()),
    };
    let number = |at: usize, size: usize| -> std::result::Result<u64, String> {
        let bytes = at.checked_add(size).and_then(|end| head.get(at..end)).ok_or_else(unsupported)?;
        Ok(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    };
    let at = |value: u64| usize::try_from(value).map_err(|_| unsupported());
    let (table, size, count) = if wide {
        (at(number(32, 8)?)?, at(number(54, 2)?)?, number(56, 2)?)
    } else {
        (at(number(28, 4)?)?, at(number(42, 2)?)?, number(44, 2)?)
    };
    for index in 0..count {
        let header =
            at(index)?.checked_mul(size).and_then(|offset| offset.checked_add(table)).ok_or_else(unsupported)?;
        if number(header, 4)? != PT_INTERP {
            continue;
        }
        let (offset, length) = if wide {
            (at(number(header + 8, 8)?)?, at(number(header + 32, 8)?)?)
        } else {
            (at(number(header + 4, 4)?)?, at(number(header + 16, 4)?)?)
        };
        let name = offset.checked_add(length).and_then(|end| head.get(offset..end)).ok_or_else(unsupported)?;
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        return Ok(Some(String::from_utf8_lossy(name).into_owned()));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn image() -> (std::path::PathBuf, Root) {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("rkt-lookup-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(path.join("usr/bin")).unwrap();
        std::fs::create_dir_all(path.join("opt")).unwrap();
        let program = |name: &str, content: &str, mode: u32| {
            std::fs::write(path.join(name), content).unwrap();
            std::fs::set_permissions(path.join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        program("usr/bin/tool", "#!/bin/nosuch -x\n", 0o755);
        program("usr/bin/data", "text", 0o644);
        program("opt/odd", "\x01\x02", 0o755);
        symlink("/usr/bin/tool", path.join("opt/link")).unwrap();
        symlink("/bin/sh", path.join("opt/outside")).unwrap();
        let root = Root::open_at(&path).unwrap();
        (path, root)
    }

    #[test]
    fn a_bare_name_is_searched_in_path_below_the_root_and_links_are_followed_there() {
        let (path, root) = image();

        assert_eq!(find(&root, "tool", "/", None).unwrap(), "/usr/bin/tool");
        assert_eq!(find(&root, "link", "/", Some("/nowhere:/opt")).unwrap(), "/opt/link");
        assert_eq!(find(&root, "link", "/", Some("opt")).unwrap(), "/opt/link");
        // /bin/sh exists on the host and not in this root; data has no execute bit.
        assert!(find(&root, "outside", "/", Some("/opt")).is_err());
        assert_eq!(
            find(&root, "data", "/w", Some("/usr/bin:x")).unwrap_err().to_string(),
            "error looking up \"data\": unable to find \"data\" in \"/usr/bin:/w/x\""
        );
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn a_name_with_a_slash_is_not_searched() {
        let (path, root) = image();

        assert_eq!(find(&root, "/any/where", "/w", None).unwrap(), "/any/where");
        assert_eq!(find(&root, "./run", "/w", None).unwrap(), "/w/./run");
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn the_reason_why_a_file_cannot_start_is_the_documented_one() {
        let (path, root) = image();
        let reason = |name: &str| diagnose(&root, name).unwrap();

        assert_eq!(reason("/bin/x"), "Unable to open \"/bin/x\": No such file or directory");
        assert_eq!(reason("/usr/bin/tool"), "Unable to open \"/bin/nosuch\": No such file or directory");
        assert_eq!(reason("/usr/bin/data"), "\"/usr/bin/data\" is not executable");
        assert_eq!(reason("/opt"), "\"/opt\" is not a regular file");
        assert_eq!(reason("/opt/odd"), "Unsupported file type");
        assert_eq!(reason("x"), "Path must be absolute: \"x\"");
        std::fs::remove_dir_all(path).unwrap();
    }

    #[test]
    fn an_elf_file_that_lies_about_its_tables_is_refused_and_nothing_panics() {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(64, 0xff);

        assert!(elf_interpreter(&file).is_err());
        for length in 0..64 {
            let _ = elf_interpreter(&file[..length]);
        }
    }
}
