//! What a configuration says of the bridge and the port.

use crate::cni::{Call, CniError, Conf};
use crate::plugins::common::{ipam, links};
use serde_json::Value;

/// The options of the plugin, checked.
#[derive(Clone, Debug)]
pub struct Options {
    /// The bridge's name.
    pub bridge: String,
    /// The bridge gets the gateways' addresses.
    pub is_gateway: bool,
    /// They are the way out.
    pub is_default_gateway: bool,
    /// A different address of the bridge is replaced.
    pub force_address: bool,
    /// Bytes, of the bridge and the veth.
    pub mtu: Option<u32>,
    /// Frames may leave by the port that they came by.
    pub hairpin: bool,
    /// The bridge itself takes every frame.
    pub promiscuous: bool,
    /// The port talks to no other isolated one.
    pub isolated: bool,
    /// The port's own VLAN.
    pub vlan: Option<u16>,
    /// The VLANs that it carries tagged.
    pub trunk: Vec<u16>,
    /// Whether it stays in the bridge's default VLAN.
    pub keep_default_vlan: bool,
    /// Hardware address of the pod's end.
    pub mac: Option<[u8; 6]>,
    /// Look for duplicates of IPv6 addresses.
    pub detect_duplicates: bool,
    /// Frames from another hardware address than the pod's are dropped.
    pub guards_sender: bool,
    /// The pod's end stays down.
    pub pod_down: bool,
}

impl Options {
    /// The options of a call.
    pub fn of(call: &Call) -> Result<Self, CniError> {
        let conf = call.conf();
        let is_default_gateway = conf.flag("isDefaultGateway")?;
        let options = Self {
            bridge: conf.text("bridge")?.filter(|name| !name.is_empty()).unwrap_or("cni0").to_owned(),
            is_gateway: conf.flag("isGateway")? || is_default_gateway,
            is_default_gateway,
            force_address: conf.flag("forceAddress")?,
            mtu: conf.number32("mtu")?.filter(|mtu| *mtu > 0),
            hairpin: conf.flag("hairpinMode")?,
            promiscuous: conf.flag("promiscMode")?,
            isolated: conf.flag("portIsolation")?,
            vlan: vlan(conf, "vlan", 0)?.filter(|id| *id > 0),
            trunk: trunk(conf)?,
            keep_default_vlan: conf.flag("preserveDefaultVlan")?,
            mac: links::requested_mac(call)?,
            detect_duplicates: conf.flag("enabledad")?,
            guards_sender: conf.flag("macspoofchk")?,
            pod_down: conf.flag("disableContainerInterface")?,
        };
        if options.hairpin && options.promiscuous {
            return Err(CniError::configuration("cannot set hairpin mode and promiscuous mode at the same time"));
        }
        if options.pod_down && ipam::is_wanted(call)? {
            return Err(CniError::configuration("cannot use IPAM when disableContainerInterface flag is set"));
        }
        Ok(options)
    }

    /// Whether the bridge keeps VLANs apart.
    pub fn has_vlans(&self) -> bool {
        self.vlan.is_some() || !self.trunk.is_empty()
    }
}

fn vlan(conf: Conf<'_>, key: &str, lowest: u16) -> Result<Option<u16>, CniError> {
    let Some(number) = conf.number(key)? else { return Ok(None) };
    let id = u16::try_from(number).ok().filter(|id| (lowest..=4094).contains(id));
    let wrong = || {
        CniError::configuration(format!("invalid VLAN ID {number} in \"{key}\" (must be between {lowest} and 4094)"))
    };
    id.map(Some).ok_or_else(wrong)
}

fn trunk(conf: Conf<'_>) -> Result<Vec<u16>, CniError> {
    let mut ids = Vec::new();
    for item in conf.list("vlanTrunk")? {
        let item: Conf<'_> = Conf::of(item as &Value);
        match (vlan(item, "minID", 1)?, vlan(item, "maxID", 1)?) {
            (Some(low), Some(high)) if low <= high => ids.extend(low..=high),
            (None, None) => {}
            (Some(_), Some(_)) => return Err(CniError::configuration("minID is greater than maxID in vlanTrunk")),
            _ => {
                return Err(CniError::configuration(
                    "minID and maxID should be configured simultaneously in vlanTrunk",
                ));
            }
        }
        ids.extend(vlan(item, "id", 1)?);
    }
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}
