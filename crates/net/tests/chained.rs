//! The other plugins: macvlan, ipvlan, static, firewall, tuning, bandwidth, flannel.

mod support;

use net::cni::{Answer, Call, Verb};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use support::{Host, Space, add, ask, del, perform, serve_addresses, sh};

fn bridge(name: &str, subnet: &str) -> Value {
    json!({
        "cniVersion": "1.1.0", "name": name, "type": "bridge", "bridge": name, "isDefaultGateway": true,
        "ipam": {"type": "host-local", "subnet": subnet}
    })
}

fn after(host: &Host, pod: &Space, id: &str, answer: &Answer, conf: Value) -> Call {
    let mut call = host.call(pod, id, conf);
    call.conf["prevResult"] = answer.to_json("1.1.0");
    call
}

#[test]
fn pods_on_macvlan_reach_each_other_and_their_neighbours_with_static_addresses() {
    skip_unless_possible!();
    let host = Host::new();
    let world = host.neighbour();
    world.within(|| serve_addresses("0.0.0.0:80"));
    let (one, two) = (Space::new(), Space::new());
    let conf = |address: &str| {
        json!({
            "cniVersion": "1.1.0", "name": "net", "type": "macvlan", "master": "wan", "mtu": 1300,
            "ipam": {"type": "static", "addresses": [{"address": address}], "routes": [{"dst": "10.50.0.0/16", "gw": "10.99.0.2"}]}
        })
    };

    let mut call = host.call(&one, "one", conf("10.99.0.11/24"));
    call.args = "MAC=0a:00:00:00:00:09".to_owned();
    let answer = add("macvlan", &call);
    add("macvlan", &host.call(&two, "two", conf("10.99.0.12/24")));
    two.within(|| serve_addresses("0.0.0.0:80"));

    assert_eq!(answer.interfaces[0].mac, "0a:00:00:00:00:09");
    assert!(one.sh("ip -d link show eth0").contains("macvlan mode bridge"));
    assert!(one.sh("ip route").contains("10.50.0.0/16 via 10.99.0.2 dev eth0"));
    assert!(one.sh("ip link").contains("mtu 1300"));
    assert_eq!(one.within(|| ask("10.99.0.2:80")).unwrap(), "10.99.0.11");
    assert_eq!(one.within(|| ask("10.99.0.12:80")).unwrap(), "10.99.0.11");
    call.conf["prevResult"] = answer.to_json("1.1.0");
    perform("macvlan", Verb::Check, &call).unwrap();
    del("macvlan", &call);
    del("macvlan", &call);
    assert!(!one.sh("ip link").contains("eth0"));
}

#[test]
fn macvlan_takes_the_link_of_the_default_route_and_says_what_it_cannot_do() {
    skip_unless_possible!();
    let host = Host::new();
    let pod = Space::new();
    let _world = host.neighbour();
    let conf = |more: Value| {
        let mut conf = json!({"cniVersion": "1.0.0", "name": "net", "type": "macvlan"});
        conf.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        conf
    };
    let fails =
        |more: Value| perform("macvlan", Verb::Add, &host.call(&pod, "one", conf(more))).unwrap_err().to_string();

    assert!(fails(json!({})).starts_with("\"master\" is missing, and there is no default route"));
    assert_eq!(fails(json!({"master": "nosuch"})), "master link \"nosuch\" not found");
    assert_eq!(fails(json!({"master": "wan", "mode": "odd"})), "unknown macvlan mode: \"odd\"");
    assert_eq!(fails(json!({"master": "wan", "mtu": 9000})), "invalid MTU 9000, must be [0, master MTU(1500)]");
    sh("ip route add default via 10.99.0.2");
    let answer = add("macvlan", &host.call(&pod, "one", conf(json!({"mode": "private"}))));
    assert!(answer.ips.is_empty());
    assert!(pod.sh("ip -d link show eth0").contains("mode private"));
}

#[test]
fn ipvlan_works_or_names_what_the_kernel_lacks() {
    skip_unless_possible!();
    let host = Host::new();
    let world = host.neighbour();
    world.within(|| serve_addresses("0.0.0.0:80"));
    let pod = Space::new();
    let conf = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "ipvlan", "master": "wan",
        "ipam": {"type": "static", "addresses": [{"address": "10.99.0.11/24"}]}
    });

    match perform("ipvlan", Verb::Add, &host.call(&pod, "one", conf)) {
        Ok(_) => assert_eq!(pod.within(|| ask("10.99.0.2:80")).unwrap(), "10.99.0.11"),
        Err(error) => {
            let message = "failed to create ipvlan \"eth0\": this kernel has no links of type ipvlan";
            assert!(error.msg.starts_with(message), "{error}");
            eprintln!("skipped: the kernel has no ipvlan");
        }
    }
}

#[test]
fn a_firewalls_policy_keeps_bridges_apart_and_isolated_pods_too() {
    skip_unless_possible!();
    let host = Host::new();
    let pods: Vec<Space> = (0..5).map(|_| Space::new()).collect();
    let networks = [
        ("br1", "10.1.0.0/24", "same-bridge"),
        ("br1", "10.1.0.0/24", "same-bridge"),
        ("br2", "10.2.0.0/24", "isolated"),
        ("br2", "10.2.0.0/24", "isolated"),
        ("br3", "10.3.0.0/24", "open"),
    ];
    let mut calls = Vec::new();
    for (index, (pod, (name, subnet, policy))) in pods.iter().zip(networks).enumerate() {
        let id = format!("pod{index}");
        let answer = add("bridge", &host.call(pod, &id, bridge(name, subnet)));
        let conf = json!({"cniVersion": "1.1.0", "name": name, "type": "firewall", "ingressPolicy": policy});
        let call = after(&host, pod, &id, &answer, conf);
        assert_eq!(add("firewall", &call), answer);
        perform("firewall", Verb::Check, &call).unwrap();
        pod.within(|| serve_addresses("0.0.0.0:80"));
        calls.push(call);
    }
    let reach = |from: usize, to: &str| pods[from].within(|| ask(to)).is_ok();

    assert!(reach(0, "10.1.0.3:80"), "the same bridge");
    assert!(!reach(0, "10.2.0.2:80") && !reach(2, "10.1.0.2:80"), "other bridges with a policy");
    assert!(!reach(2, "10.2.0.3:80"), "isolated on its own bridge");
    assert!(reach(4, "10.1.0.2:80") && reach(0, "10.3.0.2:80"), "bridges without one");
    assert!(ask("10.2.0.2:80").is_ok(), "the host");
    for call in &calls {
        del("firewall", call);
        del("firewall", call);
    }
    assert!(net::nft::Nft::open().unwrap().tables().unwrap().is_empty());
    let error = perform(
        "firewall",
        Verb::Status,
        &Call { conf: json!({"cniVersion": "1.1.0", "ingressPolicy": "odd"}), ..calls[0].clone() },
    );
    assert_eq!(error.unwrap_err().msg, "unknown ingress policy: \"odd\"");
}

#[test]
fn tuning_sets_parameters_and_the_link_and_undoes_the_links() {
    skip_unless_possible!();
    let host = Host::new();
    let pod = Space::new();
    let answer = add("bridge", &host.call(&pod, "one", bridge("br1", "10.1.0.0/24")));
    let before = pod.sh("ip -o link show eth0");
    let conf = json!({
        "cniVersion": "1.1.0", "name": "br1", "type": "tuning", "dataDir": host.directory.join("tuning"),
        "sysctl": {"net.ipv4.conf.IFNAME.arp_filter": "1", "net.ipv4.ip_local_port_range": "2000 3000"},
        "mac": "0a:00:00:00:00:42", "mtu": 1234, "promisc": true, "allmulti": true, "txQLen": 77
    });
    let call = after(&host, &pod, "one", &answer, conf);

    let tuned = add("tuning", &call);

    assert_eq!(tuned.interfaces[2].mac, "0a:00:00:00:00:42");
    let link = pod.sh("ip -o link show eth0");
    for word in ["mtu 1234", "0a:00:00:00:00:42", "PROMISC", "ALLMULTI", "qlen 77"] {
        assert!(link.contains(word), "{word} is not in {link}");
    }
    assert_eq!(
        pod.sh("cat /proc/sys/net/ipv4/conf/eth0/arp_filter /proc/sys/net/ipv4/ip_local_port_range"),
        "1\n2000\t3000\n"
    );
    assert!(pod.sh("ip route").contains("default via 10.1.0.1"), "routes stay");
    perform("tuning", Verb::Check, &call).unwrap();
    pod.sh("echo 0 > /proc/sys/net/ipv4/conf/eth0/arp_filter");
    assert_eq!(
        perform("tuning", Verb::Check, &call).unwrap_err().msg,
        "tuning: sysctl net/ipv4/conf/eth0/arp_filter is \"0\", not \"1\""
    );
    del("tuning", &call);
    del("tuning", &call);
    assert_eq!(pod.sh("ip -o link show eth0"), before);
    let mut outside = call.clone();
    outside.conf["sysctl"] = json!({"kernel.hostname": "x"});
    assert_eq!(perform("tuning", Verb::Add, &outside).unwrap_err().msg, "invalid net sysctl key: \"kernel.hostname\"");
}

/// Bytes a second that a pod is sent by its host, or sends, over half a second.
fn throughput(from: &dyn Fn(&mut dyn FnMut()), to: &str) -> f64 {
    use std::io::{Read, Write};
    let mut rate = 0.0;
    from(&mut || {
        let mut stream = std::net::TcpStream::connect(to).unwrap();
        let began = Instant::now();
        let mut sent = 0_usize;
        while began.elapsed() < Duration::from_millis(1200) {
            sent += stream.write(&[0; 16384]).unwrap();
        }
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).unwrap();
        rate = sent as f64 / began.elapsed().as_secs_f64();
    });
    rate
}

/// A server that reads all that it is sent.
fn sink(at: &str) {
    use std::io::Read;
    let listener = std::net::TcpListener::bind(at).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut buffer = vec![0; 65536];
            while stream.read(&mut buffer).is_ok_and(|length| length > 0) {}
        }
    });
}

#[test]
fn bandwidth_holds_back_both_directions_and_goes_with_the_pod() {
    skip_unless_possible!();
    let host = Host::new();
    let before = host.links();
    let pod = Space::new();
    let attach = host.call(&pod, "one", bridge("br1", "10.1.0.0/24"));
    let answer = add("bridge", &attach);
    let conf = json!({
        "cniVersion": "1.1.0", "name": "br1", "type": "bandwidth",
        "runtimeConfig": {"bandwidth": {"ingressRate": 8_000_000, "ingressBurst": 800_000, "egressRate": 16_000_000, "egressBurst": 800_000}}
    });
    let call = after(&host, &pod, "one", &answer, conf);
    sink("0.0.0.0:90");
    pod.within(|| sink("0.0.0.0:90"));

    let limited = add("bandwidth", &call);

    assert_eq!(limited.interfaces.len(), 4);
    perform("bandwidth", Verb::Check, &call).unwrap();
    let ingress = throughput(&|work| work(), "10.1.0.2:90");
    let egress = throughput(&|work| pod.within(work), "10.1.0.1:90");
    assert!((300_000.0..1_600_000.0).contains(&ingress), "1 MB/s wanted, {ingress} is");
    assert!((600_000.0..3_200_000.0).contains(&egress), "2 MB/s wanted, {egress} is");
    del("bandwidth", &call);
    del("bandwidth", &call);
    del("bridge", &attach);
    let mut left = host.links();
    left.retain(|name| name != "br1");
    assert_eq!(left, before);
}

#[test]
fn flannel_has_its_subnet_made_by_a_bridge_and_cleans_up_by_what_it_recorded() {
    skip_unless_possible!();
    let host = Host::new();
    let pod = Space::new();
    let env = host.directory.join("subnet.env");
    std::fs::write(
        &env,
        "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.72.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n",
    )
    .unwrap();
    let conf = json!({
        "cniVersion": "0.4.0", "name": "flannel.1", "type": "flannel", "subnetFile": env, "dataDir": host.directory.join("flannel"),
        "ipam": {"dataDir": host.directory.join("networks")},
        "delegate": {"bridge": "br5", "isDefaultGateway": true}
    });
    let call = host.call(&pod, "one", conf);

    let answer = add("flannel", &call);

    assert_eq!(answer.ips[0].address.to_string(), "10.5.72.2/24");
    assert!(pod.sh("ip route").contains("10.5.0.0/16 via 10.5.72.1 dev eth0"));
    assert!(pod.sh("ip link show eth0").contains("mtu 1450"));
    assert!(net::nft::Nft::open().unwrap().tables().unwrap().iter().any(|table| table.name == "rkt"), "ipMasq");
    std::fs::remove_file(&env).unwrap();
    del("flannel", &call);
    del("flannel", &call);
    assert_eq!((host.leases("flannel.1"), host.links()), (vec![], vec!["br5".to_owned(), "lo".to_owned()]));
    assert!(net::nft::Nft::open().unwrap().tables().unwrap().is_empty());
    assert!(perform("flannel", Verb::Add, &call).unwrap_err().msg.contains("which flannel's daemon writes"));
    let mut wrong = call.clone();
    wrong.conf["delegate"]["name"] = json!("x");
    std::fs::write(
        &env,
        "FLANNEL_NETWORK=10.5.0.0/16\nFLANNEL_SUBNET=10.5.72.1/24\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n",
    )
    .unwrap();
    assert_eq!(
        perform("flannel", Verb::Add, &wrong).unwrap_err().msg,
        "'delegate' dictionary must not have 'name' field, it'll be set by flannel"
    );
}
