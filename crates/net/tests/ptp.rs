//! `ptp` with `host-local`, and `loopback`, on real links.

mod support;

use net::cni::Verb;
use serde_json::{Value, json};
use support::{Host, Space, add, ask, del, perform, serve_addresses, sh};

fn conf(masquerade: bool) -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "ptp", "ipMasq": masquerade, "mtu": 1400,
        "ipam": {
            "type": "host-local",
            "ranges": [[{"subnet": "172.16.28.0/24"}], [{"subnet": "fd28::/64"}]],
            "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]
        }
    })
}

#[test]
fn a_pod_reaches_its_host_and_other_pods_and_sees_the_documented_routes() {
    skip_unless_possible!();
    let host = Host::new();
    let (one, two) = (Space::new(), Space::new());

    let answer = add("ptp", &host.call(&one, "one", conf(false)));
    add("ptp", &host.call(&two, "two", conf(false)));

    let routes = one.sh("ip route");
    let expected = "default via 172.16.28.1 dev eth0 \n172.16.28.0/24 via 172.16.28.1 dev eth0 src 172.16.28.2 \n172.16.28.1 dev eth0 scope link src 172.16.28.2 \n";
    assert_eq!(routes, expected);
    assert_eq!(answer.ips[0].address.to_string(), "172.16.28.2/24");
    assert_eq!(answer.interfaces[1].sandbox, one.path.to_str().unwrap());
    assert!(one.sh("ip link show eth0").contains("mtu 1400"));
    serve_addresses("0.0.0.0:80");
    serve_addresses("[::]:81");
    two.within(|| (serve_addresses("0.0.0.0:80"), serve_addresses("[::]:81")));
    assert_eq!(one.within(|| ask("172.16.28.1:80")).unwrap(), "172.16.28.2");
    assert_eq!(one.within(|| ask("[fd28::1]:81")).unwrap(), "fd28::2");
    assert_eq!(one.within(|| ask("172.16.28.3:80")).unwrap(), "172.16.28.2");
    assert_eq!(one.within(|| ask("[fd28::3]:81")).unwrap(), "fd28::2");
}

#[test]
fn masquerading_hides_a_pod_behind_its_host_except_from_its_own_subnet() {
    skip_unless_possible!();
    let host = Host::new();
    let world = host.neighbour();
    world.within(|| (serve_addresses("0.0.0.0:80"), serve_addresses("[::]:81")));
    let (hidden, open) = (Space::new(), Space::new());

    add("ptp", &host.call(&hidden, "hidden", conf(true)));
    let mut plain = conf(false);
    plain["name"] = json!("plain");
    plain["ipam"]["ranges"] = json!([[{"subnet": "172.17.0.0/24"}]]);
    plain["ipam"]["routes"] = json!([{"dst": "0.0.0.0/0"}]);
    add("ptp", &host.call(&open, "open", plain));
    world.sh("ip route add 172.17.0.0/24 via 10.99.0.1");

    assert_eq!(hidden.within(|| ask("10.99.0.2:80")).unwrap(), "10.99.0.1");
    assert_eq!(hidden.within(|| ask("[fd99::2]:81")).unwrap(), "fd99::1");
    assert_eq!(open.within(|| ask("10.99.0.2:80")).unwrap(), "172.17.0.2");
}

#[test]
fn a_host_goes_on_to_take_routes_from_its_routers_when_it_begins_to_forward() {
    skip_unless_possible!();
    let host = Host::new();
    let _world = host.neighbour();
    sh("sysctl -qw net.ipv6.conf.all.forwarding=0 net.ipv6.conf.wan.accept_ra=1");

    add("ptp", &host.call(&Space::new(), "one", conf(false)));

    assert_eq!(sh("sysctl -n net.ipv6.conf.all.forwarding net.ipv6.conf.wan.accept_ra"), "1\n2\n");
}

#[test]
fn del_leaves_nothing_and_may_be_repeated_and_comes_after_the_namespace_is_gone() {
    skip_unless_possible!();
    let host = Host::new();
    let before = host.links();
    let (one, two) = (Space::new(), Space::new());
    let calls = [host.call(&one, "one", conf(true)), host.call(&two, "two", conf(true))];
    for call in &calls {
        add("ptp", call);
    }
    assert_eq!(host.leases("net").len(), 4);
    assert!(net::nft::Nft::open().unwrap().tables().unwrap().iter().any(|table| table.name == "rkt"));

    del("ptp", &calls[0]);
    del("ptp", &calls[0]);
    drop(two);
    del("ptp", &calls[1]);

    assert_eq!(host.leases("net"), Vec::<String>::new());
    assert_eq!(net::nft::Nft::open().unwrap().tables().unwrap(), []);
    for _ in 0..100 {
        if host.links() == before {
            break; // the kernel takes its time with a namespace
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert_eq!(host.links(), before);
    assert_eq!(one.sh("ip -o link"), Space::new().sh("ip -o link"));
}

#[test]
fn an_address_leads_to_its_new_pod_while_the_link_of_the_old_one_is_there_and_when_it_goes() {
    skip_unless_possible!();
    let host = Host::new();
    let (old, new) = (Space::new(), Space::new());
    let mut gone = host.call(&old, "old", conf(true));
    add("ptp", &gone);
    gone.netns = None;
    del("ptp", &gone);
    let mut call = host.call(&new, "new", conf(true));
    call.args = "IP=172.16.28.2,fd28::2".to_owned();

    add("ptp", &call);

    serve_addresses("0.0.0.0:80");
    new.within(|| (serve_addresses("0.0.0.0:80"), serve_addresses("[::]:81")));
    let reached = || {
        assert_eq!(ask("172.16.28.2:80").unwrap(), "172.16.28.1");
        assert_eq!(ask("[fd28::2]:81").unwrap(), "fd28::1");
        assert_eq!(new.within(|| ask("172.16.28.1:80")).unwrap(), "172.16.28.2");
    };
    reached();
    old.sh("ip link delete eth0");
    reached();
    assert_eq!(host.links().iter().filter(|name| name.starts_with("veth")).count(), 1);
}

#[test]
fn an_add_that_fails_leaves_nothing() {
    skip_unless_possible!();
    let host = Host::new();
    let before = host.links();
    let pod = Space::new();
    pod.sh("ip link add eth1 type veth peer name other");
    let mut taken = host.call(&pod, "one", conf(true));
    taken.ifname = "eth1".to_owned();
    let mut unroutable = host.call(&pod, "one", conf(true));
    unroutable.conf["ipam"]["routes"] = json!([{"dst": "10.0.0.0/8", "gw": "192.168.77.1"}]);
    let mut same = host.call(&pod, "one", conf(true));
    same.netns = Some("/proc/thread-self/ns/net".into());

    let error = perform("ptp", Verb::Add, &taken).unwrap_err();
    assert_eq!(error.to_string(), "interface name \"eth1\" is already used in the pod");
    let error = perform("ptp", Verb::Add, &unroutable).unwrap_err();
    assert!(error.to_string().contains("failed to add route 10.0.0.0/8 via 192.168.77.1"), "{error}");
    let error = perform("ptp", Verb::Add, &same).unwrap_err();
    assert_eq!(error.code, 8);

    assert_eq!((host.links(), host.leases("net")), (before, vec![]));
    assert_eq!(net::nft::Nft::open().unwrap().tables().unwrap(), []);
    assert!(!pod.sh("ip -o link").contains("eth0"));
}

#[test]
fn check_finds_what_is_missing_and_gc_removes_what_nobody_has() {
    skip_unless_possible!();
    let host = Host::new();
    let (one, two) = (Space::new(), Space::new());
    let mut call = host.call(&one, "one", conf(true));
    call.conf["prevResult"] = add("ptp", &call).to_json("1.1.0");
    add("ptp", &host.call(&two, "two", conf(true)));
    assert_eq!(perform("ptp", Verb::Check, &call), Ok(None));

    one.sh("ip route del default");
    let error = perform("ptp", Verb::Check, &call).unwrap_err();
    assert_eq!(error.msg, "route 0.0.0.0/0 of network \"net\" is missing");
    one.sh("ip addr del 172.16.28.2/24 dev eth0");
    let error = perform("ptp", Verb::Check, &call).unwrap_err();
    assert_eq!(error.msg, "address 172.16.28.2/24 of network \"net\" is missing");

    let mut gc = host.call(&one, "", conf(true));
    gc.conf["cni.dev/valid-attachments"] = json!([{"containerID": "two", "ifname": "eth0"}]);
    perform("ptp", Verb::Gc, &gc).unwrap();
    let mut leases = host.leases("net");
    leases.sort();
    assert_eq!(leases, ["172.16.28.3", "fd28::3"]);
    let elements = net::nft::Nft::open().unwrap().elements(net::nft::Family::Inet, "rkt", "from4").unwrap();
    assert_eq!(elements.len(), 1);
    assert_eq!(elements[0].comment.as_deref(), Some("rkt id: \"two\" if: \"eth0\" net: \"net\""));
}

#[test]
fn a_hundred_pods_at_once_have_a_hundred_addresses_and_leave_nothing() {
    skip_unless_possible!();
    let host = Host::new();
    let before = host.links();
    let pods: Vec<Space> = (0..100).map(|_| Space::new()).collect();
    let calls: Vec<_> =
        pods.iter().enumerate().map(|(index, pod)| host.call(pod, &format!("pod-{index}"), conf(true))).collect();
    let home = net::ns::Namespace::current().unwrap();
    let everywhere = |work: &(dyn Fn(usize) + Sync)| {
        std::thread::scope(|scope| {
            for start in 0..4 {
                let home = &home;
                scope.spawn(move || home.within(|| (start..100).step_by(4).for_each(work)).unwrap());
            }
        });
    };

    let began = std::time::Instant::now();
    everywhere(&|index| drop(add("ptp", &calls[index])));
    let added = began.elapsed();
    let mut leases = host.leases("net");
    leases.sort();
    leases.dedup();
    assert_eq!(leases.len(), 200);
    everywhere(&|index| del("ptp", &calls[index]));
    eprintln!("100 pods: added in {added:?}, all in {:?}", began.elapsed());

    assert_eq!((host.leases("net"), host.links()), (vec![], before));
    assert_eq!(net::nft::Nft::open().unwrap().tables().unwrap(), []);
}

#[test]
fn loopback_is_set_up_and_reported() {
    skip_unless_possible!();
    let host = Host::new();
    let pod = Space::new();
    let call = host.call(&pod, "one", json!({"cniVersion": "1.0.0", "name": "lo", "type": "loopback"}));

    let answer = add("loopback", &call);

    assert_eq!(
        answer.to_json("1.0.0"),
        json!({
            "cniVersion": "1.0.0", "dns": {},
            "interfaces": [{"name": "lo", "mac": "00:00:00:00:00:00", "sandbox": pod.path}],
            "ips": [{"address": "127.0.0.1/8", "interface": 0}, {"address": "::1/128", "interface": 0}],
        })
    );
    pod.within(|| serve_addresses("127.0.0.1:80"));
    assert_eq!(pod.within(|| ask("127.0.0.1:80")).unwrap(), "127.0.0.1");
    perform("loopback", Verb::Check, &call).unwrap();
    del("loopback", &call);
    perform("loopback", Verb::Check, &call).unwrap_err();
}
