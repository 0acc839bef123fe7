//! One lease: got, kept and given back (RFC 2131, section 4.4).

use super::packet::{Reply, Request, kind, option};
use super::wire::{Wire, unicast};
use crate::cni::{Answer, Args, Call, CniError, Conf, Dns, Ip, Route, code};
use crate::netlink::rt::{LinkChange, Rtnl};
use crate::ns::Namespace;
use crate::plugins::common::links::parse_mac;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a daemon waits for servers.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For an address, at most.
    pub whole: Duration,
    /// Between two messages, at most.
    pub pause: Duration,
    /// Servers are to answer to everybody.
    pub broadcast: bool,
}

/// Whose a lease is and how it is asked for.
#[derive(Clone, Debug)]
pub struct Client {
    netns: PathBuf,
    ifname: String,
    mac: [u8; 6],
    /// Options of every message, the client's identifier among them.
    options: Vec<(u8, Vec<u8>)>,
    parameters: Vec<u8>,
    priority: Option<u32>,
    patience: Patience,
}

/// An address for a time.
#[derive(Clone, Debug)]
pub struct Lease {
    reply: Reply,
    since: Instant,
}

impl Client {
    /// The client of a call.
    pub fn of(call: &Call, netns: PathBuf, patience: Patience) -> Result<Self, CniError> {
        const LONGEST: usize = 254;
        let ipam = call.conf().object("ipam")?;
        let mut id = vec![0];
        id.extend(format!("{}/{}/{}", call.container_id, call.network(), call.ifname).bytes().take(LONGEST));
        let mut options = vec![(option::CLIENT_ID, id)];
        let args = Args::parse(&format!("IgnoreUnknown=1;{}", call.args), &[])?;
        for provided in ipam.list("provide")? {
            let provided = Conf::of(provided);
            let number = number(provided)?;
            let value = match provided.text("fromArg")?.filter(|name| !name.is_empty()) {
                Some(name) => args.get(name).unwrap_or_default(),
                None => provided.text("value")?.unwrap_or_default(),
            };
            options.retain(|(known, _)| *known != number);
            if !value.is_empty() {
                options.push((number, value.as_bytes().to_vec()));
            }
        }
        let mut parameters = vec![
            option::MASK,
            option::ROUTER,
            option::CLASSLESS_ROUTES,
            option::STATIC_ROUTES,
            option::DNS,
            option::DOMAIN,
        ];
        for (index, requested) in ipam.list("request")?.iter().map(Conf::of).enumerate() {
            if index == 0 && requested.flag("skipDefault")? {
                parameters.clear();
            }
            let number = number(requested)?;
            if !parameters.contains(&number) {
                parameters.push(number);
            }
        }
        let mut client = Self {
            netns,
            ifname: call.ifname.clone(),
            mac: [0; 6],
            options,
            parameters,
            priority: ipam.number32("priority")?,
            patience,
        };
        let link = Rtnl::within(&client.namespace()?)?.link(&client.ifname)?;
        client.mac = parse_mac(&link.mac)
            .ok_or_else(|| CniError::internal(format!("\"{}\" has no hardware address", link.name)))?;
        Ok(client)
    }

    fn namespace(&self) -> sandbox::Result<Namespace> {
        Namespace::open(&self.netns)
    }

    fn request<'a>(&self, kind: u8, transaction: u32, began: Instant, options: &'a [(u8, Vec<u8>)]) -> Request<'a> {
        Request {
            kind,
            transaction,
            seconds: u16::try_from(began.elapsed().as_secs()).unwrap_or(u16::MAX),
            broadcast: self.patience.broadcast,
            own: Ipv4Addr::UNSPECIFIED,
            mac: self.mac,
            options,
        }
    }

    fn options(&self, more: &[(u8, Vec<u8>)]) -> Vec<(u8, Vec<u8>)> {
        let parameters = (option::PARAMETERS, self.parameters.clone());
        [&self.options[..], &[parameters], more].concat()
    }

    /// Gets an address. The link is set up for that.
    pub fn acquire(&self) -> Result<Lease, CniError> {
        let namespace = self.namespace()?;
        let mut rtnl = Rtnl::within(&namespace)?;
        let link = rtnl.link(&self.ifname)?;
        rtnl.change_link(link.index, &LinkChange { up: Some(true), ..LinkChange::default() })?;
        let wire = Wire::open(&namespace, &link)?;
        let (began, transaction) = (Instant::now(), transaction()?);
        let none = |what: &str| CniError::new(code::LATER, format!("no DHCP server {what} on \"{}\"", self.ifname));
        let mut pause = Duration::from_secs(1);
        while began.elapsed() < self.patience.whole {
            let discover = self.request(kind::DISCOVER, transaction, began, &self.options(&[])).encode();
            wire.broadcast(Ipv4Addr::UNSPECIFIED, &discover)?;
            let left = self.patience.whole.saturating_sub(began.elapsed());
            let wait = pause.min(self.patience.pause).min(left);
            pause *= 2;
            let offer = wire.receive(wait, |reply| of(reply, transaction, &[kind::OFFER]))?;
            let Some(offer) = offer else { continue };
            let chosen = [
                (option::REQUESTED_IP, offer.address.to_vec()),
                (option::SERVER, offer.get(option::SERVER).unwrap_or_default().to_vec()),
            ];
            let request = self.request(kind::REQUEST, transaction, began, &self.options(&chosen)).encode();
            wire.broadcast(Ipv4Addr::UNSPECIFIED, &request)?;
            match wire.receive(Duration::from_secs(2), |reply| of(reply, transaction, &[kind::ACK, kind::NAK]))? {
                Some(reply) if reply.kind == kind::ACK => return Ok(Lease { reply, since: Instant::now() }),
                Some(refusal) => {
                    let why = refusal.text(option::MESSAGE);
                    eprintln!("dhcp: {} refuses {}: {why}", self.ifname, Ipv4Addr::from(offer.address));
                }
                None => {}
            }
        }
        Err(none("answers"))
    }

    /// Asks for more time: the server that gave it, or with `everybody` any server. None if nobody answered; an error if a server
    /// wants the address back.
    pub fn renew(&self, lease: &Lease, everybody: bool) -> Result<Option<Lease>, CniError> {
        let namespace = self.namespace()?;
        let transaction = transaction()?;
        let options = self.options(&[]);
        let own = Ipv4Addr::from(lease.reply.address);
        let request = Request { own, ..self.request(kind::REQUEST, transaction, Instant::now(), &options) }.encode();
        let wanted = |reply: &Reply| of(reply, transaction, &[kind::ACK, kind::NAK]);
        let patience = Duration::from_secs(5);
        let reply = if everybody {
            let link = Rtnl::within(&namespace)?.link(&self.ifname)?;
            let wire = Wire::open(&namespace, &link)?;
            wire.broadcast(own, &request)?;
            wire.receive(patience, wanted)?
        } else {
            unicast(&namespace, own, lease.server(), &request, patience, wanted)?
        };
        match reply {
            Some(reply) if reply.kind == kind::ACK => Ok(Some(Lease { reply, since: Instant::now() })),
            Some(_) => Err(CniError::internal(format!("the DHCP server wants {own} back"))),
            None => Ok(None),
        }
    }

    /// Gives an address back. No server answers that.
    pub fn release(&self, lease: &Lease) -> Result<(), CniError> {
        let own = Ipv4Addr::from(lease.reply.address);
        let server = (option::SERVER, lease.server().octets().to_vec());
        let options = [&self.options[..1], &[server]].concat();
        let request = Request { own, ..self.request(kind::RELEASE, transaction()?, Instant::now(), &options) }.encode();
        let namespace = self.namespace()?;
        unicast(&namespace, own, lease.server(), &request, Duration::ZERO, |_| None::<()>)?;
        Ok(())
    }

    /// Sets the link down: its address is somebody else's from now on.
    pub fn silence(&self) -> sandbox::Result<()> {
        let mut rtnl = Rtnl::within(&self.namespace()?)?;
        let link = rtnl.link(&self.ifname)?;
        rtnl.change_link(link.index, &LinkChange { up: Some(false), ..LinkChange::default() })
    }

    /// Whether the pod's namespace is still there.
    pub fn is_alive(&self) -> bool {
        self.namespace().is_ok()
    }

    /// The lease as address management's result.
    pub fn answer(&self, lease: &Lease) -> Answer {
        let reply = &lease.reply;
        let route = |(dst, gw): (crate::Prefix, Ipv4Addr)| Route {
            priority: self.priority,
            ..Route::new(dst, Some(IpAddr::V4(gw)).filter(|gw| !gw.is_unspecified()))
        };
        let gateway = reply.addresses(option::ROUTER).first().map(|router| IpAddr::V4(*router));
        let words = |number| reply.text(number).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        Answer {
            ips: vec![Ip { address: reply.prefix(), gateway, interface: None }],
            routes: reply.routes().into_iter().map(route).collect(),
            dns: Dns {
                nameservers: reply.addresses(option::DNS).iter().map(ToString::to_string).collect(),
                domain: words(option::DOMAIN).into_iter().next().unwrap_or_default(),
                ..Dns::default()
            },
            ..Answer::default()
        }
    }
}

impl Lease {
    fn server(&self) -> Ipv4Addr {
        self.reply.addresses(option::SERVER).first().copied().unwrap_or(Ipv4Addr::BROADCAST)
    }

    /// When to ask the server, when to ask everybody, and when it ends.
    pub fn times(&self) -> [Instant; 3] {
        const AN_HOUR: u32 = 3600;
        let whole = self.reply.seconds(option::LEASE_TIME).unwrap_or(AN_HOUR);
        let renew = self.reply.seconds(option::RENEWAL_TIME).unwrap_or(whole / 2);
        let rebind = self.reply.seconds(option::REBINDING_TIME).unwrap_or((u64::from(whole) * 85 / 100) as u32);
        [renew.min(whole), rebind.min(whole), whole].map(|seconds| self.since + Duration::from_secs(seconds.into()))
    }
}

fn of(reply: &Reply, transaction: u32, kinds: &[u8]) -> Option<Reply> {
    (reply.transaction == transaction && kinds.contains(&reply.kind)).then(|| reply.clone())
}

fn transaction() -> sandbox::Result<u32> {
    use sandbox::Context;
    let mut bytes = [0; 4];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()).context(|| "get random bytes")?;
    Ok(u32::from_ne_bytes(bytes))
}

/// An option by its number or by the name that dhclient gives it.
fn number(conf: Conf<'_>) -> Result<u8, CniError> {
    let name = conf.text("option")?.unwrap_or_default();
    let known = [
        ("subnet-mask", option::MASK),
        ("routers", option::ROUTER),
        ("domain-name-servers", option::DNS),
        ("host-name", option::HOST_NAME),
        ("domain-name", option::DOMAIN),
        ("domain-search", option::SEARCH),
        ("vendor-class-identifier", option::VENDOR_CLASS),
        ("dhcp-client-identifier", option::CLIENT_ID),
        ("user-class", option::USER_CLASS),
    ];
    let found = known.iter().find(|(known, _)| *known == name).map(|(_, number)| *number).or_else(|| name.parse().ok());
    found.ok_or_else(|| CniError::configuration(format!("unknown DHCP option \"{name}\"")))
}
