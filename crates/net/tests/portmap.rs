//! `portmap` behind `ptp` and `bridge`, on real connections.

mod support;

use net::cni::{Call, Verb};
use serde_json::{Value, json};
use support::{Host, Space, add, ask, ask_by_udp, del, perform, serve_addresses, serve_addresses_by_udp};

fn ptp() -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "ptp", "ipMasq": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "172.16.28.0/24"}], [{"subnet": "fd28::/64"}]],
                 "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}
    })
}

fn bridge() -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "bridge", "isDefaultGateway": true, "ipMasq": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "172.16.28.0/24"}], [{"subnet": "fd28::/64"}]]}
    })
}

/// Attaches a pod and forwards ports to it; answers the call of the port mapper.
fn expose(host: &Host, pod: &Space, id: &str, conf: Value, mappings: Value) -> Call {
    let kind = conf["type"].as_str().unwrap().to_owned();
    let answer = add(&kind, &host.call(pod, id, conf));
    let mut call = host.call(pod, id, json!({"cniVersion": "1.1.0", "name": "net", "type": "portmap"}));
    call.conf["prevResult"] = answer.to_json("1.1.0");
    call.conf["runtimeConfig"] = json!({"portMappings": mappings});
    assert_eq!(add("portmap", &call), answer);
    call
}

fn reaches_from_everywhere(conf: Value) {
    let host = Host::new();
    let world = host.neighbour();
    let (server, client) = (Space::new(), Space::new());
    server.within(|| {
        serve_addresses("0.0.0.0:80");
        serve_addresses("[::]:81");
        serve_addresses_by_udp("0.0.0.0:53");
    });
    let kind = conf["type"].as_str().unwrap().to_owned();
    let call = expose(
        &host,
        &server,
        "server",
        conf.clone(),
        json!([
            {"hostPort": 8080, "containerPort": 80, "protocol": "tcp"},
            {"hostPort": 8081, "containerPort": 81, "protocol": "tcp"},
            {"hostPort": 5353, "containerPort": 53, "protocol": "udp"},
            {"hostPort": 8082, "containerPort": 80, "protocol": "tcp", "hostIP": "10.99.0.1"},
        ]),
    );
    add(&kind, &host.call(&client, "client", conf));

    assert_eq!(world.within(|| ask("10.99.0.1:8080")).unwrap(), "10.99.0.2", "from outside");
    assert_eq!(world.within(|| ask("[fd99::1]:8081")).unwrap(), "fd99::2", "from outside, IPv6");
    assert_eq!(world.within(|| ask_by_udp("0.0.0.0:0", "10.99.0.1:5353")).unwrap(), "10.99.0.2");
    ask("127.0.0.1:8080").expect("from the host by 127.0.0.1");
    ask("10.99.0.1:8080").expect("from the host by its address");
    ask("[fd99::1]:8081").expect("from the host by its address, IPv6");
    ask_by_udp("0.0.0.0:0", "127.0.0.1:5353").expect("from the host by 127.0.0.1 and UDP");
    client.within(|| ask("10.99.0.1:8080")).expect("from another pod by the host's address");
    client.within(|| ask("172.16.28.1:8080")).expect("from another pod by its gateway");
    client.within(|| ask("[fd99::1]:8081")).expect("from another pod, IPv6");
    server.within(|| ask("10.99.0.1:8080")).expect("from the pod itself by the host's address");
    server.within(|| ask("[fd99::1]:8081")).expect("from the pod itself, IPv6");
    ask("10.99.0.1:8082").expect("a port of one address");
    ask("127.0.0.1:8082").expect_err("a port of one address is not on another");
    perform("portmap", Verb::Check, &call).unwrap();

    del("portmap", &call);
    del("portmap", &call);

    world.within(|| ask("10.99.0.1:8080")).unwrap_err();
    assert_eq!(
        perform("portmap", Verb::Check, &call).unwrap_err().msg,
        "host port 8080/tcp does not lead into the pod"
    );
}

#[test]
fn a_port_of_a_pod_on_ptp_is_reached_from_everywhere() {
    skip_unless_possible!();
    reaches_from_everywhere(ptp());
}

#[test]
fn a_port_of_a_pod_on_a_bridge_is_reached_from_everywhere() {
    skip_unless_possible!();
    reaches_from_everywhere(bridge());
}

#[test]
fn a_range_of_thousands_of_ports_is_forwarded_as_a_whole_and_given_back() {
    skip_unless_possible!();
    let host = Host::new();
    let pod = Space::new();
    let port = |offset: u16| json!({"hostPort": 10_000 + offset, "containerPort": 20_000 + offset, "protocol": "tcp"});

    let call = expose(&host, &pod, "one", ptp(), (0..5000).map(port).collect());

    pod.within(|| (serve_addresses("0.0.0.0:20000"), serve_addresses("[::]:24999")));
    assert_eq!(ask("172.16.28.1:10000").unwrap(), "172.16.28.1");
    assert_eq!(ask("[fd28::1]:14999").unwrap(), "fd28::1");
    perform("portmap", Verb::Check, &call).unwrap();
    del("portmap", &call);
    del("ptp", &host.call(&pod, "one", ptp()));
    assert_eq!(net::nft::Nft::open().unwrap().tables().unwrap(), []);
}

#[test]
fn a_port_that_another_pod_has_is_refused_by_its_name_and_nothing_changes() {
    skip_unless_possible!();
    let host = Host::new();
    let pods = [Space::new(), Space::new()];
    let first = json!([{"hostPort": 8080, "containerPort": 80, "hostIP": "10.99.0.1"}]);
    let call = expose(&host, &pods[0], "first", ptp(), first);
    let answer = add("ptp", &host.call(&pods[1], "second", ptp()));
    let mut second = host.call(&pods[1], "second", call.conf.clone());
    second.conf["prevResult"] = answer.to_json("1.1.0");
    let try_ports = |ports: Value| {
        let mut call = second.clone();
        call.conf["runtimeConfig"]["portMappings"] = ports;
        perform("portmap", Verb::Add, &call).map(drop).map_err(|error| error.to_string())
    };

    let taken = try_ports(json!([{"hostPort": 8090, "containerPort": 80}, {"hostPort": 8080, "containerPort": 80}]));
    assert_eq!(
        taken.unwrap_err(),
        "host port 8080/tcp is forwarded to another pod already; rkt id: \"first\" if: \"eth0\" net: \"net\""
    );
    let elements = net::nft::Nft::open().unwrap().elements(net::nft::Family::Inet, "rkt", "ports4").unwrap();
    assert_eq!(elements, [], "no part of what was refused");
    try_ports(json!([{"hostPort": 8080, "containerPort": 80, "protocol": "udp"}])).expect("another protocol");
    del("portmap", &second);
    try_ports(json!([{"hostPort": 8080, "containerPort": 80, "hostIP": "127.0.0.1"}])).expect("another address");
    del("portmap", &second);
    del("portmap", &call);
    try_ports(json!([{"hostPort": 8080, "containerPort": 80}])).expect("free again");
}

#[test]
fn a_pod_cannot_reach_what_listens_on_the_hosts_loopback() {
    skip_unless_possible!();
    let host = Host::new();
    let pod = Space::new();
    serve_addresses("127.0.0.1:99");
    expose(&host, &pod, "pod", ptp(), json!([{"hostPort": 8080, "containerPort": 80}]));
    pod.sh("echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet
         ip addr del 127.0.0.1/8 dev lo || true; ip route del local 127.0.0.0/8 table local || true
         ip route add 127.0.0.1/32 via 172.16.28.1 dev eth0");

    pod.within(|| ask("127.0.0.1:99")).unwrap_err();

    ask("127.0.0.1:99").unwrap();
}

#[test]
fn a_flow_of_udp_follows_its_port_to_the_next_pod() {
    skip_unless_possible!();
    let host = Host::new();
    let world = host.neighbour();
    let pods = [Space::new(), Space::new()];
    let ports = json!([{"hostPort": 5353, "containerPort": 53, "protocol": "udp"}]);
    let call = expose(&host, &pods[0], "first", ptp(), ports.clone());
    pods[0].within(|| serve_addresses_by_udp("0.0.0.0:53"));
    world.within(|| ask_by_udp("0.0.0.0:4444", "10.99.0.1:5353")).unwrap();

    del("portmap", &call);
    expose(&host, &pods[1], "second", ptp(), ports);
    pods[1].within(|| serve_addresses_by_udp("0.0.0.0:53"));
    pods[0].sh("ip link set eth0 down");

    world.within(|| ask_by_udp("0.0.0.0:4444", "10.99.0.1:5353")).unwrap();
}
