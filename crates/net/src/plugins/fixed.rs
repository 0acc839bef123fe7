//! `static`: the addresses that the configuration or the runtime names.

use super::Outcome;
use crate::Prefix;
use crate::cni::{Answer, Args, Call, CniError, Conf, Dns, Ip, Route, Verb, at_least, code};
use std::net::IpAddr;

/// Performs a verb. Nothing is remembered, so a DEL has nothing to do.
pub fn call(call: &Call) -> Outcome {
    match call.verb {
        Verb::Add => answer(call).map(Some),
        Verb::Check => check(call).map(|()| None),
        Verb::Status => answer(call).map(|_| None),
        Verb::Del | Verb::Gc | Verb::Version => Ok(None),
    }
}

fn answer(call: &Call) -> Result<Answer, CniError> {
    let conf = call.conf();
    let ipam = conf.object("ipam")?;
    let args = Args::parse(&call.args, super::ARGS)?;
    let mut ips = Vec::new();
    for address in ipam.list("addresses")? {
        let address = Conf::of(address);
        let gateway = match address.text("gateway")?.filter(|text| !text.is_empty()) {
            None => None,
            Some(text) => Some(parse_gateway(text)?),
        };
        ips.push(Ip { address: parse(address.text("address")?.unwrap_or_default())?, gateway, interface: None });
    }
    for text in
        args.get("IP").into_iter().flat_map(|text| text.split(',')).map(str::trim).filter(|text| !text.is_empty())
    {
        ips.push(Ip { address: parse(text)?, gateway: None, interface: None });
    }
    for text in args.get("GATEWAY").into_iter().flat_map(|text| text.split(',')).map(str::trim) {
        let gateway = parse_gateway(text)?;
        ips.iter_mut().filter(|ip| ip.address.contains(gateway)).for_each(|ip| ip.gateway = Some(gateway));
    }
    for list in [conf.object("args")?.object("cni")?.texts("ips")?, conf.object("runtimeConfig")?.texts("ips")?] {
        if !list.is_empty() {
            let parsed = list.into_iter().map(|text| Ok(Ip { address: parse(text)?, gateway: None, interface: None }));
            ips = parsed.collect::<Result<_, CniError>>()?;
        }
    }
    let count = |v6: bool| ips.iter().filter(|ip| ip.address.is_v6() == v6).count();
    if !at_least(call.version(), "0.3.0") && (count(false) > 1 || count(true) > 1) {
        let message = format!("CNI version {} does not support more than 1 address per family", call.version());
        return Err(CniError::configuration(message));
    }
    let routes = ipam.list("routes")?.iter().map(Route::from_json).collect::<Result<_, _>>()?;
    let dns = Dns::from_conf(ipam.object("dns")?)?;
    Ok(Answer { ips, routes, dns, ..Answer::default() })
}

fn check(call: &Call) -> Result<(), CniError> {
    let have = super::common::required_prev_result(call)?;
    for ip in answer(call)?.ips {
        if !have.ips.iter().any(|other| other.address == ip.address) {
            return Err(CniError::internal(format!("static: failed to find address {} in prevResult", ip.address)));
        }
    }
    Ok(())
}

fn parse(text: &str) -> Result<Prefix, CniError> {
    text.parse().map_err(|_| {
        CniError::configuration(format!("the 'address' field is expected to be in CIDR notation, got: '{text}'"))
    })
}

fn parse_gateway(text: &str) -> Result<IpAddr, CniError> {
    text.parse().map_err(|_| CniError::new(code::DECODING, format!("invalid gateway address: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(conf: Value, args: &str) -> Result<Vec<String>, String> {
        let call = Call {
            verb: Verb::Add,
            container_id: "a".into(),
            netns: None,
            ifname: "eth0".into(),
            args: args.into(),
            path: vec![],
            conf,
        };
        let answer = super::call(&call).map_err(|error| error.msg)?.unwrap();
        let gateway = |ip: &Ip| ip.gateway.map(|gateway| format!(" via {gateway}")).unwrap_or_default();
        Ok(answer.ips.iter().map(|ip| format!("{}{}", ip.address, gateway(ip))).collect())
    }

    #[test]
    fn addresses_come_from_the_configuration_then_arguments_then_the_runtime() {
        let ipam = json!({"addresses": [{"address": "10.0.0.5/24", "gateway": "10.0.0.254"}]});
        let conf = |more: Value| {
            let mut conf = json!({"cniVersion": "1.0.0", "name": "net", "ipam": ipam});
            conf.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            conf
        };

        assert_eq!(of(conf(json!({})), "").unwrap(), ["10.0.0.5/24 via 10.0.0.254"]);
        assert_eq!(
            of(conf(json!({})), "IP=10.1.0.5/24,fd00::5/64;GATEWAY=10.1.0.1,fd00::1").unwrap(),
            ["10.0.0.5/24 via 10.0.0.254", "10.1.0.5/24 via 10.1.0.1", "fd00::5/64 via fd00::1"]
        );
        assert_eq!(of(conf(json!({"args": {"cni": {"ips": ["10.2.0.1/24"]}}})), "").unwrap(), ["10.2.0.1/24"]);
        let both = json!({"args": {"cni": {"ips": ["10.2.0.1/24"]}}, "runtimeConfig": {"ips": ["10.3.0.1/24"]}});
        assert_eq!(of(conf(both), "").unwrap(), ["10.3.0.1/24"]);
        assert_eq!(
            of(conf(json!({})), "IP=10.1.0.5").unwrap_err(),
            "the 'address' field is expected to be in CIDR notation, got: '10.1.0.5'"
        );
        assert_eq!(
            of(conf(json!({"cniVersion": "0.2.0"})), "IP=10.1.0.5/24").unwrap_err(),
            "CNI version 0.2.0 does not support more than 1 address per family"
        );
    }
}
