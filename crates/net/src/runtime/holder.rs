//! Who has a port of the host: looked up in /proc, for the sentence that refuses a pod.

use std::path::PathBuf;

/// The pod or the process that a port belongs to, in words.
pub fn holder(protocol: &str, port: u16) -> String {
    let tables = [format!("/proc/net/{protocol}"), format!("/proc/net/{protocol}6")];
    let inodes: Vec<String> = tables
        .iter()
        .filter_map(|table| std::fs::read_to_string(table).ok())
        .flat_map(|text| inodes(&text, port))
        .collect();
    match processes_with(&inodes) {
        Some(pid) => describe(pid),
        None => "another process".to_owned(),
    }
}

/// The sockets of a table of /proc/net that are bound to the port.
fn inodes(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (local, inode) = (fields.get(1)?, fields.get(9)?);
        (local.ends_with(&suffix) && *inode != "0").then(|| (*inode).to_owned())
    };
    table.lines().skip(1).filter_map(line).collect()
}

fn processes_with(inodes: &[String]) -> Option<i32> {
    let links: Vec<PathBuf> = inodes.iter().map(|inode| PathBuf::from(format!("socket:[{inode}]"))).collect();
    let mut pids: Vec<i32> =
        std::fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    pids.sort_unstable();
    pids.into_iter().find(|pid| {
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        descriptors.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|link| links.contains(&link))
    })
}

/// A pod's processes outside work in its directory.
fn describe(pid: i32) -> String {
    let directory = std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
    let uuid = directory.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if directory.parent().is_some_and(|parent| parent.ends_with("pods/run")) && directory.join("pod").exists() {
        return format!("pod {uuid}");
    }
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    format!("{} (pid {pid})", name.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_this_process_has_is_found_by_its_name() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let said = holder("tcp", socket.local_addr().unwrap().port());

        assert!(said.ends_with(&format!("(pid {})", std::process::id())), "{said}");
        assert_eq!(inodes("header\n 0: 0100007F:1F90 0:0 0A 0:0 0:0 0 0 0 4711\n", 8080), ["4711"]);
    }
}
