//! The result of an ADD in every version of the protocol, as one type.

use super::{CniError, Conf, at_least, code};
use crate::Prefix;
use serde_json::{Map, Value, json};
use std::net::IpAddr;

/// What an ADD made, in the terms of version 1.1.0.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The links, on the host and in the pod.
    pub interfaces: Vec<Interface>,
    /// The addresses.
    pub ips: Vec<Ip>,
    /// The routes in the pod.
    pub routes: Vec<Route>,
    /// What names are resolved with.
    pub dns: Dns,
}

/// A link.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Interface {
    /// Its name where it lives.
    pub name: String,
    /// `aa:bb:cc:dd:ee:ff`, or empty.
    pub mac: String,
    /// Bytes.
    pub mtu: Option<u32>,
    /// `CNI_NETNS` for a link in the pod, empty for one on the host.
    pub sandbox: String,
    /// Of a link that is no kernel link.
    pub socket_path: String,
    /// Of a physical device.
    pub pci_id: String,
}

/// An address.
#[derive(Clone, Debug, PartialEq)]
pub struct Ip {
    /// With the prefix of its network.
    pub address: Prefix,
    /// The way out.
    pub gateway: Option<IpAddr>,
    /// Index into [`Answer::interfaces`].
    pub interface: Option<usize>,
}

/// A route.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// Where to.
    pub dst: Prefix,
    /// Through whom; without, the first gateway of the same family, else on the link.
    pub gw: Option<IpAddr>,
    /// Bytes.
    pub mtu: Option<u32>,
    /// Bytes.
    pub advmss: Option<u32>,
    /// Metric.
    pub priority: Option<u32>,
    /// Routing table; the main one if absent.
    pub table: Option<u32>,
    /// As rtnetlink numbers them: 0 global, 253 link, 254 host.
    pub scope: Option<u8>,
}

impl Route {
    /// A route with nothing but a destination and perhaps a gateway.
    pub fn new(dst: Prefix, gw: Option<IpAddr>) -> Self {
        Self { dst, gw, mtu: None, advmss: None, priority: None, table: None, scope: None }
    }

    /// A route as configurations and results write it.
    pub fn from_json(value: &Value) -> Result<Self, CniError> {
        let conf = Conf::of(value);
        Ok(Self {
            dst: prefix_of(conf, "dst")?.ok_or_else(|| decoding("a route without \"dst\""))?,
            gw: address_of(conf, "gw")?,
            mtu: conf.number32("mtu")?,
            advmss: conf.number32("advmss")?,
            priority: conf.number32("priority")?,
            table: conf.number32("table")?,
            scope: conf.number32("scope")?.and_then(|scope| u8::try_from(scope).ok()),
        })
    }
}

/// What names are resolved with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dns {
    /// Addresses of servers.
    pub nameservers: Vec<String>,
    /// The own domain, or empty.
    pub domain: String,
    /// Domains to search.
    pub search: Vec<String>,
    /// As resolv.conf(5) has them.
    pub options: Vec<String>,
}

impl Dns {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The `dns` object of a configuration or result.
    pub fn from_conf(conf: Conf<'_>) -> Result<Self, CniError> {
        let owned = |texts: Vec<&str>| texts.into_iter().map(str::to_owned).collect();
        Ok(Self {
            nameservers: owned(conf.texts("nameservers")?),
            domain: conf.text("domain")?.unwrap_or_default().to_owned(),
            search: owned(conf.texts("search")?),
            options: owned(conf.texts("options")?),
        })
    }

    fn to_json(&self) -> Value {
        let mut object = Map::new();
        put_list(&mut object, "nameservers", &self.nameservers);
        put_text(&mut object, "domain", &self.domain);
        put_list(&mut object, "search", &self.search);
        put_list(&mut object, "options", &self.options);
        Value::Object(object)
    }
}

impl Answer {
    /// Reads a result. `version` counts when the result names none of its own.
    pub fn from_json(value: &Value, version: &str) -> Result<Self, CniError> {
        if !value.is_object() {
            return Err(decoding("the result is no object"));
        }
        let conf = Conf::of(value);
        let version = conf.text("cniVersion")?.filter(|version| !version.is_empty()).unwrap_or(version);
        let dns = Dns::from_conf(conf.object("dns")?)?;
        let old = conf.get("ip4").is_some() || conf.get("ip6").is_some();
        if old || !at_least(version, "0.3.0") {
            return Self::from_old(conf, dns);
        }
        let interfaces = conf.list("interfaces")?.iter().map(interface_from).collect::<Result<Vec<_>, _>>()?;
        let mut ips = Vec::new();
        for value in conf.list("ips")? {
            let ip = Conf::of(value);
            let interface = match ip.get("interface").map(Value::as_i64) {
                None | Some(Some(..=-1)) => None,
                Some(Some(index)) if (index as u64) < interfaces.len() as u64 => Some(index as usize),
                _ => return Err(decoding("an address names an interface that is not in the result")),
            };
            let address = prefix_of(ip, "address")?.ok_or_else(|| decoding("an address without \"address\""))?;
            ips.push(Ip { address, gateway: address_of(ip, "gateway")?, interface });
        }
        let routes = conf.list("routes")?.iter().map(Route::from_json).collect::<Result<_, _>>()?;
        Ok(Self { interfaces, ips, routes, dns })
    }

    fn from_old(conf: Conf<'_>, dns: Dns) -> Result<Self, CniError> {
        let mut answer = Self { dns, ..Self::default() };
        for key in ["ip4", "ip6"] {
            let family = conf.object(key)?;
            let Some(address) = prefix_of(family, "ip")? else { continue };
            if address.is_v6() != (key == "ip6") {
                return Err(decoding(format!("\"{key}\" holds {address}, of the other family")));
            }
            answer.ips.push(Ip { address, gateway: address_of(family, "gateway")?, interface: None });
            for route in family.list("routes")? {
                answer.routes.push(Route::from_json(route)?);
            }
        }
        Ok(answer)
    }

    /// The result as `version` writes it. What that version cannot say is left out: before 0.3.0 all but the first address of each
    /// family and every interface, before 1.1.0 the newer fields.
    pub fn to_json(&self, version: &str) -> Value {
        let mut object = Map::new();
        object.insert("cniVersion".to_owned(), Value::from(version));
        if !at_least(version, "0.3.0") {
            for (key, v6) in [("ip4", false), ("ip6", true)] {
                if let Some(family) = self.family(v6) {
                    object.insert(key.to_owned(), family);
                }
            }
            object.insert("dns".to_owned(), self.dns.to_json());
            return Value::Object(object);
        }
        let full = at_least(version, "1.1.0");
        if !self.interfaces.is_empty() {
            let interfaces = self.interfaces.iter().map(|interface| interface.to_json(full)).collect();
            object.insert("interfaces".to_owned(), interfaces);
        }
        if !self.ips.is_empty() {
            let ips = self.ips.iter().map(|ip| ip.to_json(!at_least(version, "1.0.0"))).collect();
            object.insert("ips".to_owned(), ips);
        }
        if !self.routes.is_empty() {
            object.insert("routes".to_owned(), self.routes.iter().map(|route| route.to_json(full)).collect());
        }
        object.insert("dns".to_owned(), self.dns.to_json());
        Value::Object(object)
    }

    fn family(&self, v6: bool) -> Option<Value> {
        let ip = self.ips.iter().find(|ip| ip.address.is_v6() == v6)?;
        let mut family = Map::new();
        family.insert("ip".to_owned(), Value::from(ip.address.to_string()));
        if let Some(gateway) = ip.gateway {
            family.insert("gateway".to_owned(), Value::from(gateway.to_string()));
        }
        let routes: Vec<Value> =
            self.routes.iter().filter(|route| route.dst.is_v6() == v6).map(|route| route.to_json(false)).collect();
        if !routes.is_empty() {
            family.insert("routes".to_owned(), Value::from(routes));
        }
        Some(Value::Object(family))
    }
}

impl Interface {
    fn to_json(&self, full: bool) -> Value {
        let mut object = Map::new();
        object.insert("name".to_owned(), Value::from(self.name.as_str()));
        put_text(&mut object, "mac", &self.mac);
        put_text(&mut object, "sandbox", &self.sandbox);
        if full {
            put_number(&mut object, "mtu", self.mtu);
            put_text(&mut object, "socketPath", &self.socket_path);
            put_text(&mut object, "pciID", &self.pci_id);
        }
        Value::Object(object)
    }
}

impl Ip {
    fn to_json(&self, with_version: bool) -> Value {
        let mut object = json!({"address": self.address.to_string()});
        if with_version {
            object["version"] = Value::from(if self.address.is_v6() { "6" } else { "4" });
        }
        if let Some(gateway) = self.gateway {
            object["gateway"] = Value::from(gateway.to_string());
        }
        if let Some(interface) = self.interface {
            object["interface"] = Value::from(interface);
        }
        object
    }
}

impl Route {
    fn to_json(&self, full: bool) -> Value {
        let mut object = Map::new();
        object.insert("dst".to_owned(), Value::from(self.dst.to_string()));
        if let Some(gw) = self.gw {
            object.insert("gw".to_owned(), Value::from(gw.to_string()));
        }
        if full {
            put_number(&mut object, "mtu", self.mtu);
            put_number(&mut object, "advmss", self.advmss);
            put_number(&mut object, "priority", self.priority);
            put_number(&mut object, "table", self.table);
            put_number(&mut object, "scope", self.scope.map(u32::from));
        }
        Value::Object(object)
    }
}

fn interface_from(value: &Value) -> Result<Interface, CniError> {
    let conf = Conf::of(value);
    let text = |key: &str| Ok::<_, CniError>(conf.text(key)?.unwrap_or_default().to_owned());
    Ok(Interface {
        name: text("name")?,
        mac: text("mac")?,
        mtu: conf.number32("mtu")?,
        sandbox: text("sandbox")?,
        socket_path: text("socketPath")?,
        pci_id: text("pciID")?,
    })
}

fn prefix_of(conf: Conf<'_>, key: &str) -> Result<Option<Prefix>, CniError> {
    conf.text(key)?.map(|text| text.parse().map_err(decoding)).transpose()
}

fn address_of(conf: Conf<'_>, key: &str) -> Result<Option<IpAddr>, CniError> {
    match conf.text(key)? {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|_| decoding(format!("invalid IP address: {text}"))),
    }
}

fn decoding(msg: impl Into<String>) -> CniError {
    CniError::new(code::DECODING, msg)
}

fn put_text(object: &mut Map<String, Value>, key: &str, text: &str) {
    if !text.is_empty() {
        object.insert(key.to_owned(), Value::from(text));
    }
}

fn put_list(object: &mut Map<String, Value>, key: &str, list: &[String]) {
    if !list.is_empty() {
        object.insert(key.to_owned(), Value::from(list));
    }
}

fn put_number(object: &mut Map<String, Value>, key: &str, number: Option<u32>) {
    if let Some(number) = number {
        object.insert(key.to_owned(), Value::from(number));
    }
}

#[cfg(test)]
mod tests;
