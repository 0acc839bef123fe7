//! Names and hardware addresses of links.

use crate::cni::{Args, Call, CniError, code};
use crate::netlink::rt::{Link, LinkChange, NewLink, Rtnl};
use sandbox::{Context, Failure, Result};
use std::os::fd::AsFd;

/// A veth whose other end is a link of the pod.
#[derive(Debug)]
pub struct Veth {
    /// The end on the host.
    pub host: Link,
    /// The end in the pod.
    pub pod: Link,
}

/// How a veth is made.
#[derive(Clone, Copy, Debug, Default)]
pub struct VethOptions<'a> {
    /// What the host's end is for.
    pub alias: &'a str,
    /// Bytes, of both ends.
    pub mtu: Option<u32>,
    /// Hardware address of the pod's end.
    pub mac: Option<[u8; 6]>,
    /// Leave the pod's end down.
    pub pod_down: bool,
}

/// Makes a veth: one end on the host, set up, with a random name; the other in the pod.
pub fn add_veth(host: &mut Rtnl, pod: &mut super::Pod, ifname: &str, options: VethOptions<'_>) -> Result<Veth> {
    const TRIES: usize = 10;
    for _ in 0..TRIES {
        let name = random_name("veth")?;
        if host.find_link(&name)?.is_some() {
            continue;
        }
        let near = NewLink { name: &name, mtu: options.mtu, ..NewLink::default() };
        let far = NewLink {
            name: ifname,
            mtu: options.mtu,
            mac: options.mac,
            namespace: Some(pod.namespace.as_fd()),
            ..NewLink::default()
        };
        host.add_veth(&near, &far)?;
        let mut finish = |host: &mut Rtnl| -> Result<Veth> {
            let veth = Veth { host: host.link(&name)?, pod: pod.rtnl.link(ifname)? };
            let up = LinkChange { up: Some(true), ..LinkChange::default() };
            quiet_v6(&name)?;
            // Not while it is made: an end that is not connected yet cannot be set up.
            host.change_link(veth.host.index, &LinkChange { alias: Some(options.alias), ..up })?;
            if !options.pod_down {
                pod.rtnl.change_link(veth.pod.index, &up)?;
            }
            Ok(veth)
        };
        let ends = finish(host);
        if ends.is_err()
            && let Some(link) = host.find_link(&name)?
        {
            host.remove_link(link.index)?;
        }
        return ends;
    }
    Err(Failure::new("failed to find a free name for a veth"))
}

/// Has a link of this host take no advice from a pod, and have its link-local address at once: while duplicates of it are looked
/// for, nothing that the host forwards can reach the link. To be called before the link is up.
pub fn quiet_v6(name: &str) -> Result<()> {
    super::sysctl::set_if_there(&format!("ipv6/conf/{name}/accept_ra"), "0")?;
    super::sysctl::set_if_there(&format!("ipv6/conf/{name}/accept_dad"), "0")
}

/// A prefix and eight random hexadecimal digits.
pub fn random_name(prefix: &str) -> Result<String> {
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).context(|| "get random bytes")?;
    Ok(format!("{prefix}{:08x}", u32::from_ne_bytes(bytes)))
}

/// The hardware address that a call asks for: `CNI_ARGS` `MAC`, over it `args.cni.mac`, over it `runtimeConfig.mac`; else `mac` of
/// the configuration.
pub fn requested_mac(call: &Call) -> std::result::Result<Option<[u8; 6]>, CniError> {
    let args = Args::parse(&call.args, crate::plugins::ARGS)?;
    let conf = call.conf();
    let texts = [
        conf.object("runtimeConfig")?.text("mac")?,
        conf.object("args")?.object("cni")?.text("mac")?,
        args.get("MAC"),
        conf.text("mac")?,
    ];
    match texts.into_iter().flatten().find(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => parse_mac(text)
            .map(Some)
            .ok_or_else(|| CniError::new(code::DECODING, format!("\"{text}\" is no hardware address"))),
    }
}

/// Six bytes of `aa:bb:cc:dd:ee:ff`.
pub fn parse_mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Option<Vec<u8>> = text
        .split([':', '-'])
        .map(|part| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok()).flatten())
        .collect();
    bytes?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::parse_mac;

    #[test]
    fn hardware_addresses_are_read() {
        assert_eq!(parse_mac("0a:1b:2C:00:ff:9e"), Some([0x0a, 0x1b, 0x2c, 0, 0xff, 0x9e]));
        for text in
            ["", "0a:1b:2c:00:ff", "0a:1b:2c:00:ff:9e:01", "0a:1b:2c:0:ff:9e", "xx:1b:2c:00:ff:9e", "é:1b:2c:00:ff:9e"]
        {
            assert_eq!(parse_mac(text), None, "{text}");
        }
    }
}
