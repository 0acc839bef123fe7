use super::*;

fn dual() -> Answer {
    Answer {
        interfaces: vec![
            Interface { name: "veth0".into(), ..Interface::default() },
            Interface { name: "eth0".into(), sandbox: "/run/netns/x".into(), mtu: Some(1400), ..Interface::default() },
        ],
        ips: vec![
            Ip {
                address: "10.0.0.2/24".parse().unwrap(),
                gateway: Some("10.0.0.1".parse().unwrap()),
                interface: Some(1),
            },
            Ip { address: "fd00::2/64".parse().unwrap(), gateway: None, interface: Some(1) },
        ],
        routes: vec![
            Route { priority: Some(7), ..Route::new("0.0.0.0/0".parse().unwrap(), None) },
            Route::new("::/0".parse().unwrap(), Some("fd00::1".parse().unwrap())),
        ],
        dns: Dns { nameservers: vec!["10.0.0.1".into()], ..Dns::default() },
    }
}

#[test]
fn the_newest_version_says_everything_and_reads_it_back() {
    let json = dual().to_json("1.1.0");

    assert_eq!(Answer::from_json(&json, "0.1.0").unwrap(), dual());
    assert_eq!(json["interfaces"][1], json!({"name": "eth0", "sandbox": "/run/netns/x", "mtu": 1400}));
    assert_eq!(json["routes"][0], json!({"dst": "0.0.0.0/0", "priority": 7}));
}

#[test]
fn versions_between_name_the_family_and_leave_out_newer_fields() {
    for version in ["0.3.0", "0.3.1", "0.4.0"] {
        let json = dual().to_json(version);
        assert_eq!(
            json["ips"][0],
            json!({"version": "4", "address": "10.0.0.2/24", "gateway": "10.0.0.1", "interface": 1})
        );
        assert_eq!(json["interfaces"][1], json!({"name": "eth0", "sandbox": "/run/netns/x"}));
        assert_eq!(json["routes"][0], json!({"dst": "0.0.0.0/0"}));
    }
    assert_eq!(dual().to_json("1.0.0")["ips"][1], json!({"address": "fd00::2/64", "interface": 1}));
}

#[test]
fn the_oldest_versions_have_one_address_a_family_and_no_interfaces() {
    let json = dual().to_json("0.1.0");

    assert_eq!(
        json,
        json!({
            "cniVersion": "0.1.0",
            "ip4": {"ip": "10.0.0.2/24", "gateway": "10.0.0.1", "routes": [{"dst": "0.0.0.0/0"}]},
            "ip6": {"ip": "fd00::2/64", "routes": [{"dst": "::/0", "gw": "fd00::1"}]},
            "dns": {"nameservers": ["10.0.0.1"]},
        })
    );
    let read = Answer::from_json(&json, "1.1.0").unwrap();
    assert_eq!((read.ips.len(), read.routes.len(), read.interfaces.len()), (2, 2, 0));
}

#[test]
fn a_result_without_a_version_has_the_one_of_the_configuration() {
    assert_eq!(Answer::from_json(&json!({"ips": [{"address": "10.0.0.2/24"}]}), "1.0.0").unwrap().ips.len(), 1);
    assert_eq!(Answer::from_json(&json!({"ip4": {"ip": "10.0.0.2/24"}}), "0.1.0").unwrap().ips.len(), 1);
    assert_eq!(Answer::from_json(&json!({}), "0.1.0").unwrap(), Answer::default());
}

#[test]
fn garbage_is_refused_with_the_reason() {
    let cases = [
        (json!([]), "the result is no object"),
        (json!({"ips": [{"address": "10.0.0.2"}]}), "invalid CIDR address: 10.0.0.2"),
        (json!({"ips": [{"gateway": "10.0.0.2"}]}), "an address without \"address\""),
        (
            json!({"ips": [{"address": "10.0.0.2/8", "interface": 0}]}),
            "an address names an interface that is not in the result",
        ),
        (json!({"ip4": {"ip": "fd00::2/64"}}), "\"ip4\" holds fd00::2/64, of the other family"),
        (json!({"routes": [{"gw": "10.0.0.1"}]}), "a route without \"dst\""),
        (json!({"ips": 3}), "failed to load netconf: \"ips\" is not a list"),
    ];
    for (value, reason) in cases {
        assert_eq!(Answer::from_json(&value, "1.0.0").unwrap_err().msg, reason);
    }
}
