//! Who an app is and what it executes, both looked up in its own root.

use crate::abi::pod::PodApp;
use sandbox::idmap::IdMap;
use sandbox::plan::{Exec, User};
use sandbox::tree::Root;
use sandbox::{Failure, Result, lookup, users};

/// The sentence under which the reference reports what is wrong with an app's user, group or command.
fn immutable(cause: Failure) -> Failure {
    cause.of("cannot initialize immutable environment")
}

pub fn command(app: &PodApp, root: &Root, words: &[String], working_directory: &str) -> Result<Exec> {
    let Some(name) = words.first().filter(|name| !name.is_empty()) else {
        return Err(immutable(Failure::new(format!(
            "image \"{}\" has an empty \"exec\" (try --exec=BINARY)",
            app.image.name
        ))));
    };
    let path =
        app.app.environment.iter().find(|variable| variable.name == "PATH").map(|variable| variable.value.as_str());
    let file = lookup::find(root, name, working_directory, path).map_err(immutable)?;
    let mut argv = words.to_vec();
    argv[0].clone_from(&file);
    Ok(Exec { file, argv })
}

/// The ids of an app; all have to be among those of the pod, where it has not all there are.
pub fn user(app: &PodApp, root: &Root, ids: Option<IdMap>) -> Result<User> {
    resolve(app, root, ids).map_err(|failure| failure.of(format!("app \"{}\"", app.name()))).map_err(immutable)
}

fn resolve(app: &PodApp, root: &Root, ids: Option<IdMap>) -> Result<User> {
    let uid = users::resolve_user(root, &app.app.user, ids)?;
    let docker_like = app.image.is_docker()
        && app.image.app.as_ref().is_some_and(|image| image.user == image.group && image.group == app.app.group);
    let gid = match users::resolve_group(root, &app.app.group, ids) {
        // Docker has users without a group of their name.
        Err(_) if docker_like => uid,
        other => other?,
    };
    let mut groups = vec![gid];
    for &number in &app.app.supplementary_gids {
        groups.push(users::resolve_group(root, &number.to_string(), ids)?);
    }
    Ok(User { uid, gid, groups })
}
