//! Ports and VLANs of bridges.

use super::Rtnl;
use crate::netlink::{Message, flag};
use sandbox::Result;

const NEWLINK: u16 = 16;
const SETLINK: u16 = 19;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const HEADER: usize = 16;
const AF_BRIDGE: u8 = 7;

const LINKINFO: u16 = 18;
const AF_SPEC: u16 = 26;
const EXT_MASK: u16 = 29;
const PROTINFO: u16 = 12;
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const BR_VLAN_FILTERING: u16 = 7;
const PORT_MODE: u16 = 4;
const PORT_ISOLATED: u16 = 33;
const VLAN_INFO: u16 = 2;
const BRVLAN: u32 = 2;

/// What a port of a bridge does; absent members stay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Port {
    /// Sends a frame back out of the port that it came from.
    pub hairpin: Option<bool>,
    /// Talks to no other isolated port.
    pub isolated: Option<bool>,
}

/// A VLAN of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VlanInfo {
    /// 1 to 4094.
    pub id: u16,
    /// `BRIDGE_VLAN_INFO_*`: 2 the port's own, 4 untagged, 1 of the bridge itself.
    pub flags: u16,
}

impl VlanInfo {
    /// Untagged frames of the port are of this VLAN.
    pub const PVID: u16 = 2;
    /// Frames of this VLAN leave the port untagged.
    pub const UNTAGGED: u16 = 4;
    /// Of the bridge itself.
    pub const SELF: u16 = 0x8000;
}

impl Rtnl {
    /// Changes a port of a bridge.
    pub fn change_port(&mut self, index: u32, port: Port) -> Result<()> {
        let mut message = Message::new(SETLINK, flag::REQUEST | flag::ACK, &header(index));
        message.nest(PROTINFO, |info| {
            for (kind, wanted) in [(PORT_MODE, port.hairpin), (PORT_ISOLATED, port.isolated)] {
                if let Some(on) = wanted {
                    info.u8(kind, u8::from(on));
                }
            }
        });
        self.socket.request(message, || format!("failed to change bridge port {index}"))
    }

    /// Has a bridge keep VLANs apart.
    pub fn filter_vlans(&mut self, index: u32) -> Result<()> {
        let mut head = header(index);
        head[0] = 0;
        let mut message = Message::new(NEWLINK, flag::REQUEST | flag::ACK, &head);
        message.nest(LINKINFO, |info| {
            info.text(INFO_KIND, "bridge").nest(INFO_DATA, |data| {
                data.u8(BR_VLAN_FILTERING, 1);
            });
        });
        match self.socket.try_request(message)? {
            None => Ok(()),
            Some(refusal) if refusal.errno == libc::EOPNOTSUPP => {
                Err(refusal.into_failure("the bridges of this kernel have no VLANs".to_owned()))
            }
            Some(refusal) => Err(refusal.into_failure(format!("failed to filter VLANs on bridge {index}"))),
        }
    }

    /// Makes a port, or with [`VlanInfo::SELF`] the bridge itself, a member of a VLAN.
    pub fn add_vlan(&mut self, index: u32, vlan: VlanInfo) -> Result<()> {
        let message = vlan_message(SETLINK, index, vlan);
        self.socket.request(message, || format!("failed to add vlan {} to link {index}", vlan.id))
    }

    /// Ends a membership.
    pub fn remove_vlan(&mut self, index: u32, vlan: VlanInfo) -> Result<()> {
        let message = vlan_message(DELLINK, index, vlan);
        self.socket.request(message, || format!("failed to remove vlan {} from link {index}", vlan.id))
    }

    /// The VLANs of a port.
    pub fn vlans(&mut self, index: u32) -> Result<Vec<VlanInfo>> {
        let mut head = [0; HEADER];
        head[0] = AF_BRIDGE;
        let mut message = Message::new(GETLINK, flag::REQUEST | flag::DUMP, &head);
        message.u32(EXT_MASK, BRVLAN);
        let replies = self.socket.query(message, || "list vlans".to_owned())?;
        let mut vlans = Vec::new();
        for reply in replies.iter().filter(|reply| reply.u32_at(4) == index) {
            for (kind, bytes) in reply.attributes(HEADER).nested(AF_SPEC) {
                if let (VLAN_INFO, &[a, b, c, d]) = (kind, bytes) {
                    vlans.push(VlanInfo { flags: u16::from_ne_bytes([a, b]), id: u16::from_ne_bytes([c, d]) });
                }
            }
        }
        Ok(vlans)
    }
}

fn vlan_message(kind: u16, index: u32, vlan: VlanInfo) -> Message {
    const BRIDGE_FLAGS: u16 = 0;
    const FLAG_SELF: u16 = 2;
    let mut message = Message::new(kind, flag::REQUEST | flag::ACK, &header(index));
    message.nest(AF_SPEC, |spec| {
        if vlan.flags & VlanInfo::SELF != 0 {
            spec.u16(BRIDGE_FLAGS, FLAG_SELF);
        }
        let [a, b] = (vlan.flags & !VlanInfo::SELF).to_ne_bytes();
        let [c, d] = vlan.id.to_ne_bytes();
        spec.attr(VLAN_INFO, &[a, b, c, d]);
    });
    message
}

/// struct ifinfomsg
fn header(index: u32) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[0] = AF_BRIDGE;
    bytes[4..8].copy_from_slice(&index.to_ne_bytes());
    bytes
}
