//! `bridge` with its options, on real links.

mod support;

use net::cni::Verb;
use serde_json::{Value, json};
use support::{Host, Space, add, ask, del, perform, serve_addresses, sh};

fn conf(more: Value) -> Value {
    let mut conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "bridge", "bridge": "br0",
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd01::/64"}]]}
    });
    conf.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    conf
}

#[test]
fn pods_on_a_bridge_reach_each_other_the_host_and_the_world() {
    skip_unless_possible!();
    let host = Host::new();
    let world = host.neighbour();
    world.within(|| (serve_addresses("0.0.0.0:80"), serve_addresses("[::]:81")));
    serve_addresses("0.0.0.0:80");
    let (one, two) = (Space::new(), Space::new());
    two.within(|| (serve_addresses("0.0.0.0:80"), serve_addresses("[::]:81")));
    let options = json!({"isDefaultGateway": true, "ipMasq": true, "mtu": 1400, "hairpinMode": true});

    let answer = add("bridge", &host.call(&one, "one", conf(options.clone())));
    add("bridge", &host.call(&two, "two", conf(options)));

    assert_eq!(answer.interfaces[0].name, "br0");
    assert_eq!(answer.ips[0].interface, Some(2));
    assert_eq!(answer.routes.len(), 2);
    assert!(one.sh("ip link show eth0").contains("mtu 1400"));
    assert!(sh("ip -d link show master br0").contains("hairpin on"));
    assert_eq!(one.within(|| ask("10.1.0.1:80")).unwrap(), "10.1.0.2");
    assert_eq!(one.within(|| ask("10.1.0.3:80")).unwrap(), "10.1.0.2");
    assert_eq!(one.within(|| ask("[fd01::3]:81")).unwrap(), "fd01::2");
    assert_eq!(one.within(|| ask("10.99.0.2:80")).unwrap(), "10.99.0.1");
    assert_eq!(one.within(|| ask("[fd99::2]:81")).unwrap(), "fd99::1");
}

#[test]
fn a_bridge_keeps_its_hardware_address_and_stays_when_its_pods_go() {
    skip_unless_possible!();
    let host = Host::new();
    let pods: Vec<Space> = (0..4).map(|_| Space::new()).collect();
    let mac = || sh("cat /sys/class/net/br0/address 2> /dev/null || ip -o link show br0 | sed 's/.*ether //; s/ .*//'");
    let calls: Vec<_> = pods
        .iter()
        .enumerate()
        .map(|(index, pod)| host.call(pod, &format!("{index}"), conf(json!({"isGateway": true}))))
        .collect();

    add("bridge", &calls[0]);
    let before = mac();
    for call in &calls[1..] {
        add("bridge", call);
        assert_eq!(mac(), before);
    }
    let mut check = calls[1].clone();
    del("bridge", &calls[1]);
    check.conf["prevResult"] = add("bridge", &calls[1]).to_json("1.1.0");
    perform("bridge", Verb::Check, &check).unwrap();
    sh("for i in $(ip -o link show master br0 | cut -d: -f2 | cut -d@ -f1); do ip link set $i nomaster; done");
    assert!(perform("bridge", Verb::Check, &check).unwrap_err().msg.ends_with("is no port of bridge br0"));
    for call in &calls {
        del("bridge", call);
        del("bridge", call);
    }

    assert_eq!((host.links(), host.leases("net")), (vec!["br0".to_owned(), "lo".to_owned()], vec![]));
}

#[test]
fn what_a_bridge_cannot_be_is_said_and_leaves_nothing() {
    skip_unless_possible!();
    let host = Host::new();
    sh("ip link add other type veth peer name other2; ip link add br0 type bridge; ip addr add 10.1.0.77/24 dev br0");
    let pod = Space::new();
    let before = host.links();
    let fails = |more: Value, message: &str| {
        let error = perform("bridge", Verb::Add, &host.call(&pod, "one", conf(more))).unwrap_err();
        assert_eq!(error.to_string(), message);
        assert_eq!((host.links(), host.leases("net")), (before.clone(), vec![]));
        assert!(!pod.sh("ip -o link").contains("eth0"));
    };

    fails(json!({"bridge": "other"}), "\"other\" already exists but is not a bridge");
    fails(json!({"isGateway": true}), "\"br0\" already has an IP address different from 10.1.0.1/24");
    fails(
        json!({"hairpinMode": true, "promiscMode": true}),
        "cannot set hairpin mode and promiscuous mode at the same time",
    );
    fails(json!({"vlan": 5000}), "invalid VLAN ID 5000 in \"vlan\" (must be between 0 and 4094)");
    fails(json!({"vlanTrunk": [{"minID": 5}]}), "minID and maxID should be configured simultaneously in vlanTrunk");
    fails(json!({"mtu": "big"}), "failed to load netconf: \"mtu\" is not a number of 32 bits");
    let forced = conf(json!({"isGateway": true, "forceAddress": true}));
    add("bridge", &host.call(&pod, "one", forced));
    assert!(!sh("ip addr show br0").contains("10.1.0.77"));
}

#[test]
fn vlans_keep_pods_of_one_bridge_apart_where_the_kernel_can() {
    skip_unless_possible!();
    let host = Host::new();
    if std::process::Command::new("ip")
        .args(["link", "add", "probe", "type", "bridge", "vlan_filtering", "1"])
        .status()
        .is_ok_and(|status| !status.success())
    {
        eprintln!("skipped: the kernel's bridges have no VLANs");
        return;
    }
    sh("ip link del probe");
    let pods = [Space::new(), Space::new(), Space::new()];
    for (pod, id) in pods.iter().zip([5, 5, 6]) {
        let mut own = conf(json!({"vlan": id, "isGateway": id == 5}));
        own["ipam"]["ranges"] = json!([[{"subnet": "10.1.0.0/24"}]]);
        add("bridge", &host.call(pod, &format!("{:?}", pod.path).replace(['/', '"'], ""), own));
        pod.within(|| serve_addresses("0.0.0.0:80"));
    }
    serve_addresses("0.0.0.0:80");

    assert_eq!(pods[0].within(|| ask("10.1.0.3:80")).unwrap(), "10.1.0.2");
    assert_eq!(pods[0].within(|| ask("10.1.0.1:80")).unwrap(), "10.1.0.2", "the VLAN's gateway");
    pods[0].within(|| ask("10.1.0.4:80")).expect_err("another VLAN");
    assert!(host.links().contains(&"br0.5".to_owned()));
}

#[test]
fn isolated_ports_and_links_without_addresses_and_given_hardware_addresses() {
    skip_unless_possible!();
    let host = Host::new();
    let pods = [Space::new(), Space::new()];
    for (pod, id) in pods.iter().zip(["one", "two"]) {
        add("bridge", &host.call(pod, id, conf(json!({"isGateway": true, "portIsolation": true}))));
        pod.within(|| serve_addresses("0.0.0.0:80"));
    }
    pods[0].within(|| ask("10.1.0.3:80")).expect_err("isolated");

    let plain = Space::new();
    let mut conf = json!({"cniVersion": "0.4.0", "name": "l2", "type": "bridge", "bridge": "br1"});
    conf["runtimeConfig"] = json!({"mac": "0a:00:00:00:00:07"});
    let answer = add("bridge", &host.call(&plain, "three", conf));
    assert_eq!((answer.ips.len(), answer.interfaces[2].mac.as_str()), (0, "0a:00:00:00:00:07"));
    assert!(plain.sh("ip link show eth0").contains("state UP"));
}

#[test]
fn a_guarded_port_sends_from_its_pods_hardware_address_only() {
    skip_unless_possible!();
    let host = Host::new();
    serve_addresses("0.0.0.0:80");
    let (guarded, other) = (Space::new(), Space::new());
    let options = json!({"isGateway": true, "macspoofchk": true});
    let call = host.call(&guarded, "guarded", conf(options));
    add("bridge", &call);
    add("bridge", &host.call(&other, "other", conf(json!({"isGateway": true}))));
    let reach = |pod: &Space| pod.within(|| ask("10.1.0.1:80"));
    reach(&guarded).unwrap();

    for pod in [&guarded, &other] {
        pod.sh("ip link set eth0 address 0a:00:00:00:00:99");
    }

    reach(&guarded).unwrap_err();
    reach(&other).unwrap();
    del("bridge", &call);
    del("bridge", &call);
    assert_eq!(net::nft::Nft::open().unwrap().tables().unwrap(), []);
}
