//! Go's `net/rpc` over HTTP, as the reference plugin and its daemon speak it on a unix socket.

use super::gob::{Decoder, Encoder, Value};
use crate::cni::{Answer, Call, CniError, Dns, Ip, Route, Verb, code};
use crate::{Prefix, address};
use serde_json::json;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a daemon may be silent: as long as any plugin.
const PATIENCE: Duration = Duration::from_secs(60);

const CONNECT: &str = "CONNECT /_goRPC_ HTTP/1.0\n\n";
const CONNECTED: &str = "HTTP/1.0 200 Connected to Go RPC\n\n";

/// Has the daemon do something.
pub fn ask(socket: &Path, method: &str, call: &Call) -> Result<Answer, CniError> {
    let failed = |error: io::Error| {
        let hint = "is the daemon running? (dhcp daemon)".to_owned();
        CniError {
            details: hint,
            ..CniError::new(code::IO, format!("failed to talk to {}: {error}", socket.display()))
        }
    };
    let (response, body) = exchange(socket, method, call).map_err(failed)?;
    let error = response.text_at("Error");
    if error.is_empty() { answer(&body) } else { Err(CniError::internal(format!("error calling {method}: {error}"))) }
}

/// Whether a daemon listens.
pub fn greet(socket: &Path) -> io::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(CONNECT.as_bytes())?;
    let head = read_head(&mut stream)?;
    if head.starts_with("HTTP/1.0 200") {
        Ok(stream)
    } else {
        Err(io::Error::other(format!("unexpected answer {head:?}")))
    }
}

fn exchange(socket: &Path, method: &str, call: &Call) -> io::Result<(Value, Value)> {
    let stream = greet(socket)?;
    let mut encoder = Encoder::new(&stream);
    encoder.write(&Value::of("Request", vec![("ServiceMethod", Value::text(method)), ("Seq", Value::Uint(0))]))?;
    let netns = call.netns.as_deref().map(std::path::absolute).transpose()?.unwrap_or_default();
    let path = call.path.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":");
    encoder.write(&Value::of(
        "CmdArgs",
        vec![
            ("ContainerID", Value::text(&call.container_id)),
            ("Netns", Value::text(&netns.to_string_lossy())),
            ("IfName", Value::text(&call.ifname)),
            ("Args", Value::text(&call.args)),
            ("Path", Value::text(&path)),
            ("StdinData", Value::Bytes(call.conf.to_string().into_bytes())),
        ],
    ))?;
    let mut decoder = Decoder::new(&stream);
    let mut next = || decoder.read()?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof));
    Ok((next()?, next()?))
}

/// Serves one client until it leaves. `serve` gets the method and the call.
pub fn serve(mut stream: UnixStream, serve: impl Fn(&str, &Call) -> Result<Answer, CniError>) -> io::Result<()> {
    let head = read_head(&mut stream)?;
    if !head.starts_with("CONNECT /_goRPC_ ") {
        return stream.write_all(b"HTTP/1.0 405 must CONNECT\n\n");
    }
    stream.write_all(CONNECTED.as_bytes())?;
    let (mut decoder, mut encoder) = (Decoder::new(&stream), Encoder::new(&stream));
    while let Some(request) = decoder.read()? {
        let Some(args) = decoder.read()? else { break };
        let method = request.text_at("ServiceMethod");
        let sequence = match request.get("Seq") {
            Some(Value::Uint(sequence)) => *sequence,
            _ => 0,
        };
        let result = call_of(&args).and_then(|call| Ok((serve(&method, &call)?, call)));
        let response = |error: &str| {
            Value::of(
                "Response",
                vec![
                    ("ServiceMethod", Value::text(&method)),
                    ("Seq", Value::Uint(sequence)),
                    ("Error", Value::text(error)),
                ],
            )
        };
        match result {
            Ok((answer, call)) => {
                encoder.write(&response(""))?;
                encoder.write(&result_of(&answer, call.version()))?;
            }
            Err(error) => {
                encoder.write(&response(&error.to_string()))?;
                encoder.write(&Value::of("InvalidRequest", Vec::new()))?;
            }
        }
    }
    Ok(())
}

/// The head of a request or an answer of HTTP, up to the empty line.
fn read_head(stream: &mut UnixStream) -> io::Result<String> {
    const LONGEST: usize = 4096;
    let mut head = Vec::new();
    // A byte at a time: what follows is not HTTP any more.
    while !head.ends_with(b"\n\n") && !head.ends_with(b"\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
        if head.len() > LONGEST {
            return Err(io::Error::other("the head of the answer is too long"));
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn call_of(args: &Value) -> Result<Call, CniError> {
    let conf = serde_json::from_slice(args.bytes_at("StdinData"))
        .map_err(|error| CniError::new(code::DECODING, format!("error parsing netconf: {error}")))?;
    let netns = args.text_at("Netns");
    Ok(Call {
        verb: Verb::Add,
        container_id: args.text_at("ContainerID"),
        netns: (!netns.is_empty()).then(|| netns.into()),
        ifname: args.text_at("IfName"),
        args: args.text_at("Args"),
        path: Vec::new(),
        conf,
    })
}

/// A `Result` of the reference library's newest package.
fn result_of(answer: &Answer, version: &str) -> Value {
    let network = |prefix: Prefix| {
        let bytes = |address| Value::Bytes(address::octets(address));
        Value::of("IPNet", vec![("IP", bytes(prefix.address)), ("Mask", bytes(prefix.mask()))])
    };
    let optional = |address: Option<IpAddr>| Value::Bytes(address.map(address::octets).unwrap_or_default());
    let ip = |address: Prefix, gateway| {
        Value::of("IPConfig", vec![("Address", network(address)), ("Gateway", optional(gateway))])
    };
    let route = |dst: Prefix, gw, priority: Option<u32>| {
        Value::of(
            "Route",
            vec![("Dst", network(dst)), ("GW", optional(gw)), ("Priority", Value::Int(priority.unwrap_or(0).into()))],
        )
    };
    let texts =
        |texts: &[String]| Value::List(texts.iter().map(|text| Value::text(text)).collect(), Box::new(Value::text("")));
    let ips = answer.ips.iter().map(|own| ip(own.address, own.gateway)).collect();
    let routes = answer.routes.iter().map(|own| route(own.dst, own.gw, own.priority)).collect();
    let dns = &answer.dns;
    Value::of(
        "Result",
        vec![
            ("CNIVersion", Value::text(version)),
            ("IPs", Value::List(ips, Box::new(ip(Prefix::any(false), None)))),
            ("Routes", Value::List(routes, Box::new(route(Prefix::any(false), None, None)))),
            (
                "DNS",
                Value::of(
                    "DNS",
                    vec![
                        ("Nameservers", texts(&dns.nameservers)),
                        ("Domain", Value::text(&dns.domain)),
                        ("Search", texts(&dns.search)),
                        ("Options", texts(&dns.options)),
                    ],
                ),
            ),
        ],
    )
}

fn answer(result: &Value) -> Result<Answer, CniError> {
    let malformed = || CniError::new(code::DECODING, "the DHCP daemon's answer holds an odd address");
    let network = |value: Option<&Value>| {
        let value = value?;
        let address = any_address(value.bytes_at("IP"))?;
        let length = value.bytes_at("Mask").iter().map(|byte| byte.leading_ones() as u8).sum::<u8>();
        Some(Prefix { address, length: if address.is_ipv4() { length.min(32) } else { length.min(128) } })
    };
    let mut answer = Answer::default();
    for ip in result.list_at("IPs") {
        let address = network(ip.get("Address")).ok_or_else(malformed)?;
        answer.ips.push(Ip { address, gateway: any_address(ip.bytes_at("Gateway")), interface: None });
    }
    for route in result.list_at("Routes") {
        let priority = match route.get("Priority") {
            Some(Value::Int(priority)) => u32::try_from(*priority).ok().filter(|priority| *priority > 0),
            _ => None,
        };
        let dst = network(route.get("Dst")).ok_or_else(malformed)?;
        answer.routes.push(Route { priority, ..Route::new(dst, any_address(route.bytes_at("GW"))) });
    }
    if let Some(dns) = result.get("DNS") {
        let texts = |key: &str| {
            let text = |value: &Value| if let Value::Text(text) = value { text.clone() } else { String::new() };
            json!(dns.list_at(key).iter().map(text).collect::<Vec<_>>())
        };
        let dns = json!({
            "nameservers": texts("Nameservers"), "domain": dns.text_at("Domain"), "search": texts("Search"), "options": texts("Options"),
        });
        answer.dns = Dns::from_conf(crate::cni::Conf::of(&dns))?;
    }
    Ok(answer)
}

/// An address of 4 or 16 bytes. Go writes those of IPv4 in either form.
fn any_address(bytes: &[u8]) -> Option<IpAddr> {
    match address::from_octets(bytes)? {
        IpAddr::V6(address) => Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4)),
        address => Some(address),
    }
}
