//! The entrypoint `run`.

use super::mounts;
use super::{PGID, PID};
use crate::abi::options::RunOptions;
use crate::abi::pod::{self, Pod};
use crate::abi::{environment, volumes};
use rustix::fs::{Gid, Uid};
use sandbox::inherited::Inherited;
use sandbox::plan::{Exec, User};
use sandbox::spawn::Command;
use sandbox::tree::Root;
use sandbox::{Context, Failure, Result, lookup, users};
use std::path::Path;

/// Becomes the app; answers a status only when it could not.
pub fn run(arguments: &[String], inherited: &Inherited) -> i32 {
    let options = match RunOptions::parse(arguments, false) {
        Ok(options) => options,
        Err(failure) => {
            crate::report("run", &failure);
            return 2;
        }
    };
    match become_app(&options, inherited) {
        Ok(never) => match never {},
        Err(failure) => crate::report("run", &failure),
    }
}

fn become_app(options: &RunOptions, inherited: &Inherited) -> Result<std::convert::Infallible> {
    if !options.metadata_token.is_empty() {
        println!("Warning: -mds-token not supported; ignoring");
    }
    if !options.hostname.is_empty() {
        println!("Warning: -hostname not supported; ignoring");
    }
    let directory = std::env::current_dir().context(|| "find the current directory")?;
    // Stays open in the app: with its end the lock falls.
    std::mem::forget(pod::lock_descriptor()?);
    let pod = Pod::load(&directory)?;
    let [app] = &pod.apps[..] else {
        return Err(Failure::new("fly only supports 1 application per Pod for now"));
    };
    let Some(name) = app.app.exec.first().filter(|name| !name.is_empty()) else {
        return Err(Failure::new(format!("image \"{}\" has an empty \"exec\" (try --exec=BINARY)", app.image.name)));
    };
    let mounted = mounts::of_app(&pod, app)?;
    volumes::create_empty(&pod, &mounted.empty, None)?;
    let path = pod.stage1().join(app.root().trim_start_matches('/'));
    let user = user(app, &Root::open_at(&path)?)?;
    let root = mounts::perform(&path, &mounted.mounts, options, &pod.stage1())?;
    let variables = environment::of_app(&app.app, &[]);
    let stage1 = Root::open_at(pod.stage1())?;
    stage1.write(&format!("rkt/env/{}", app.name()), environment::encode(&variables).as_bytes(), 0o644)?;
    let pid = std::process::id();
    if let Some(group) = crate::sys::process_group() {
        pod::write_file(&directory, PGID, format!("{}\n", group.as_raw_nonzero()).as_bytes(), 0o644)?;
    }
    pod::write_file(&directory, PID, format!("{pid}\n").as_bytes(), 0o644)?;
    let working_directory = if app.app.working_directory.is_empty() { "/" } else { &app.app.working_directory };
    let search =
        app.app.environment.iter().find(|variable| variable.name == "PATH").map(|variable| variable.value.as_str());
    let file = lookup::find(&root, name, working_directory, search)?;
    let mut argv = app.app.exec.clone();
    argv[0].clone_from(&file);
    let command = Command::new(&Exec { file: file.clone(), argv }, &variables)?;
    enter_root(&root, working_directory)?;
    assume(&user)?;
    inherited.restore();
    let error = command.execute();
    Err(Failure::system(format!("can't execute \"{file}\""), error))
}

/// chroot(2) and chdir(2).
pub fn enter_root(root: &Root, working_directory: &str) -> Result<()> {
    rustix::process::fchdir(root).context(|| "enter the app's root")?;
    rustix::process::chroot(".").context(|| "can't chroot")?;
    rustix::process::chdir(working_directory)
        .context(|| format!("can't change to working directory \"{working_directory}\""))
}

/// Ids in the order in which they can be changed.
pub fn assume(user: &User) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    let groups: Vec<Gid> = user.groups.iter().map(|&gid| Gid::from_raw(gid)).collect();
    rustix::thread::set_thread_res_gid(gid, gid, gid).context(|| "can't set gid")?;
    rustix::thread::set_thread_groups(&groups).context(|| "can't set supplementary groups")?;
    rustix::thread::set_thread_res_uid(uid, uid, uid).context(|| "can't set uid")
}

/// The ids of the app, out of its own files.
pub fn user(app: &pod::PodApp, root: &Root) -> Result<User> {
    let uid = users::resolve_user(root, &app.app.user, None)?;
    let gid = users::resolve_group(root, &app.app.group, None)?;
    let mut groups = vec![gid];
    for &number in &app.app.supplementary_gids {
        groups.push(u32::try_from(number).map_err(|_| Failure::new("Invalid uid or gid"))?);
    }
    Ok(User { uid, gid, groups })
}

/// The pod of the current directory with its manifests, as an entrypoint on the host sees it: nothing of it is mounted there.
pub fn app_section(directory: &Path, name: &str) -> Result<crate::abi::manifest::App> {
    let manifest = pod::load_manifest(directory)?;
    let runtime = manifest.apps.into_iter().find(|app| app.name == name);
    if let Some(app) = runtime.and_then(|app| app.app) {
        return Ok(app);
    }
    let path = directory.join("appsinfo").join(name).join("manifest");
    let bytes = pod::read_file(&path, 16 << 20)?;
    let image: crate::abi::manifest::ImageManifest =
        serde_json::from_slice(&bytes).context(|| format!("parse {}", path.display()))?;
    image.app.ok_or_else(|| Failure::new(format!("app \"{name}\" has no app section")))
}
