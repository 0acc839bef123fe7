//! `loopback`: the pod's own `lo`.

use super::Outcome;
use super::common::Pod;
use crate::cni::{Answer, Call, CniError, Interface, Ip, Verb};
use crate::netlink::rt::LinkChange;

const NAME: &str = "lo";

/// Performs a verb. The link's name is `lo`, whatever the call says.
pub fn call(call: &Call) -> Outcome {
    match call.verb {
        Verb::Add => add(call).map(Some),
        Verb::Del => match Pod::find(call) {
            Some(mut pod) => set(&mut pod, false).map(|()| None),
            None => Ok(None),
        },
        Verb::Check => match Pod::open(call)?.rtnl.link(NAME)? {
            link if link.is_up() => Ok(None),
            _ => Err(CniError::internal("loopback interface lo is down")),
        },
        Verb::Status | Verb::Gc | Verb::Version => Ok(None),
    }
}

fn set(pod: &mut Pod, up: bool) -> Result<(), CniError> {
    let index = pod.rtnl.link(NAME)?.index;
    Ok(pod.rtnl.change_link(index, &LinkChange { up: Some(up), ..LinkChange::default() })?)
}

fn add(call: &Call) -> Result<Answer, CniError> {
    let mut pod = Pod::open(call)?;
    set(&mut pod, true)?;
    if let Some(answer) = call.prev_result()? {
        return Ok(answer);
    }
    let index = pod.rtnl.link(NAME)?.index;
    let addresses = pod.rtnl.addresses(index)?;
    if let Some(other) = addresses.iter().find(|address| !address.prefix.address.is_loopback()) {
        return Err(CniError::internal(format!("loopback interface lo has the address {}", other.prefix)));
    }
    let ips = addresses.iter().map(|found| Ip { address: found.prefix, gateway: None, interface: Some(0) }).collect();
    let mac = "00:00:00:00:00:00".to_owned();
    let interfaces =
        vec![Interface { name: NAME.to_owned(), mac, sandbox: Pod::sandbox(call), ..Interface::default() }];
    Ok(Answer { interfaces, ips, ..Answer::default() })
}
