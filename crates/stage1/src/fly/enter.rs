//! The entrypoint `enter`: the same root, ids and environment as the app.

use super::run::{app_section, assume, enter_root};
use crate::abi::environment;
use crate::abi::options::Words;
use crate::abi::pod;
use rustix::fs::{Mode, OFlags};
use sandbox::inherited::Inherited;
use sandbox::plan::{Exec, User};
use sandbox::spawn::Command;
use sandbox::tree::Root;
use sandbox::{Context, Failure, Result, users};
use std::path::Path;

/// Becomes the command; answers a status only when it could not.
pub fn enter(arguments: &[String], inherited: &Inherited) -> i32 {
    match become_command(arguments, inherited) {
        Ok(never) => match never {},
        Err(failure) => crate::report("enter", &failure),
    }
}

fn become_command(arguments: &[String], inherited: &Inherited) -> Result<std::convert::Infallible> {
    let (mut pid, mut name) = (String::new(), String::new());
    let mut words = Words::new(arguments);
    words.options(|option, value| {
        match option {
            "pid" => pid = value.text()?,
            "appname" | "app" => name = value.text()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    let Some(file) = words.rest().first() else { return Err(Failure::new("no command to execute")) };
    let pid: u32 = pid.parse().map_err(|_| Failure::new("option --pid: not a number"))?;
    let directory = std::env::current_dir().context(|| "find the pod")?;
    let names: Vec<String> = pod::load_manifest(&directory)?.apps.into_iter().map(|app| app.name).collect();
    if !names.contains(&name) {
        return Err(Failure::new(format!("pod has no app \"{name}\"")));
    }
    let app = app_section(&directory, &name)?;
    let open = |path: String| {
        rustix::fs::open(&path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
            .context(|| format!("open {path}"))
    };
    let root = Root::from(open(format!("/proc/{pid}/root"))?);
    // An overlay is mounted where only the pod sees it: there, through the process's own view of the pod directory.
    let text = env_file(&directory, &name)?;
    let variables = environment::decode(&String::from_utf8_lossy(&text));
    let uid = users::resolve_user(&root, &app.user, None)?;
    let gid = users::resolve_group(&root, &app.group, None)?;
    let mut groups = vec![gid];
    groups.extend(app.supplementary_gids.iter().filter_map(|&number| u32::try_from(number).ok()));
    let command = Command::new(&Exec { file: file.clone(), argv: words.rest().to_vec() }, &variables)?;
    enter_root(&root, "/")?;
    assume(&User { uid, gid, groups })?;
    inherited.restore();
    let error = command.execute();
    Err(Failure::system(format!("can't execute \"{file}\""), error))
}

/// The app's environment file: below stage1's root, or in the upper directory of its overlay.
fn env_file(directory: &Path, name: &str) -> Result<Vec<u8>> {
    const MAX: u64 = 1 << 20;
    let path = format!("rkt/env/{name}");
    let read = |root: &Path| Root::open_at(root).and_then(|root| root.read(&path, MAX));
    if let Some(text) = read(&directory.join("stage1/rootfs"))? {
        return Ok(text);
    }
    let tree = pod::read_file(&directory.join("stage1TreeStoreID"), 1 << 10)?;
    let tree = String::from_utf8_lossy(&tree).trim().to_owned();
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if tree.is_empty() || !tree.bytes().all(legal) {
        return Err(Failure::new("stage1TreeStoreID holds no tree id"));
    }
    let text = read(&directory.join("overlay").join(tree).join("upper"))?;
    text.ok_or_else(|| Failure::new(format!("app \"{name}\" has no environment file")))
}
