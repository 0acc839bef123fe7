//! The plain log that a pod may ask for (stage1-abi §3.3).

use crate::abi::pod::{Pod, PodApp};
use sandbox::plan::PlainLog;
use sandbox::{Failure, Result};

const MODE: &str = "coreos.com/rkt/experiment/logmode";
const DIRECTORY: &str = "coreos.com/rkt/experiment/kubernetes-log-dir";
const PATH: &str = "coreos.com/rkt/experiment/kubernetes-log-path";

/// Where the lines of the app go beside its log.
pub fn plain(pod: &Pod, app: &PodApp) -> Result<Option<PlainLog>> {
    let of_pod = |name: &str| pod.annotations.iter().find(|one| one.name == name).map(|one| one.value.as_str());
    match of_pod(MODE) {
        None | Some("") => return Ok(None),
        Some("k8s-plain") => {}
        Some(other) => return Err(Failure::new(format!("unknown log mode \"{other}\""))),
    }
    let name = app.runtime.annotation(PATH).filter(|name| !name.is_empty()).ok_or_else(|| {
        Failure::new("kubernetes-log-path annotation needs to be specified when k8s-plain logging mode is used")
    })?;
    if name.contains('/') || name == "." || name == ".." {
        return Err(Failure::new("log path is not inside /rkt/kubernetes/log, refusing path traversal"));
    }
    Ok(Some(PlainLog { directory: of_pod(DIRECTORY).map(Into::into), name: name.to_owned() }))
}
