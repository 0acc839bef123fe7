//! Where the pod and its apps are in the cgroup hierarchies.

use crate::abi::pod::Pod;
use sandbox::cgroup::{self, Hierarchy};
use sandbox::plan::{CgroupPlace, Cgroups};

pub fn cgroups(pod: &Pod, uuid: &str, hierarchies: &[Hierarchy]) -> Cgroups {
    let scope = cgroup::scope_name(uuid);
    let mut cgroups = Cgroups::default();
    for hierarchy in hierarchies {
        let beside = is_beside(hierarchy);
        let parent = hierarchy.own.parent().filter(|_| beside).unwrap_or(&hierarchy.own);
        let directory = parent.join(&scope);
        let slice = directory.join("system.slice");
        if hierarchy.unified {
            let controllers: Vec<String> = hierarchy.controllers.iter().map(|name| format!("+{name}")).collect();
            if !controllers.is_empty() {
                let text = controllers.join(" ");
                let levels = [&hierarchy.own, &directory, &slice];
                // The cgroup above ours passes them down already.
                for level in levels.into_iter().skip(beside.into()) {
                    cgroups.delegate.push((level.join("cgroup.subtree_control"), text.clone()));
                }
                // Only the root may have both processes and controllers below it.
                cgroups.vacate = (hierarchy.path != "/" && !beside).then(|| directory.join("supervisor"));
            }
        }
        cgroups.hierarchies.push(CgroupPlace {
            controllers: hierarchy.controllers.clone(),
            unified: hierarchy.unified,
            // Version 2 allows no processes beside cgroups that controllers are passed down to.
            supervisor: if hierarchy.unified && !hierarchy.controllers.is_empty() {
                directory.join("init.scope")
            } else {
                directory.clone()
            },
            pod: directory,
            apps: pod.apps.iter().map(|app| slice.join(format!("{}.service", app.name()))).collect(),
        });
    }
    let has = |name: &'static str| move |one: &&Hierarchy| one.controllers.iter().any(|known| known == name);
    let leading = hierarchies.iter().find(has("name=systemd")).or_else(|| hierarchies.iter().find(has("cpu")));
    let leading = leading.or_else(|| hierarchies.iter().find(|one| one.unified));
    cgroups.subcgroup = leading.map(|hierarchy| {
        let own = hierarchy.path.trim_end_matches('/');
        let parent = if is_beside(hierarchy) { own.rsplit_once('/').map_or("", |(above, _)| above) } else { own };
        format!("{parent}/{scope}")
    });
    cgroups
}

/// Whether the pod's cgroup is made beside our own instead of below it: version 2 lets no cgroup with processes in it pass controllers
/// down, and those of others, a shell for example, are not ours to move.
fn is_beside(hierarchy: &Hierarchy) -> bool {
    hierarchy.unified && hierarchy.shared && !hierarchy.controllers.is_empty()
}
