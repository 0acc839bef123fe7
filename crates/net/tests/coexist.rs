//! Pods beside the rules of others: the distribution's, Docker's, firewalld's, in nftables and in both variants of iptables.

mod support;

use net::cni::{Call, Verb};
use serde_json::{Value, json};
use support::{Host, Space, add, ask, del, perform, serve_addresses, sh};

fn conf() -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "type": "ptp", "ipMasq": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "172.16.28.0/24"}], [{"subnet": "fd28::/64"}]],
                 "routes": [{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]}
    })
}

struct Scene {
    host: Host,
    world: Space,
    pod: Space,
    calls: Vec<(&'static str, Call)>,
}

impl Scene {
    /// A host with rules of somebody else, then a pod with a port.
    fn new(rules: &str) -> Self {
        let host = Host::new();
        sh(rules);
        let (world, pod) = (host.neighbour(), Space::new());
        world.within(|| (serve_addresses("0.0.0.0:80"), serve_addresses("[::]:81")));
        pod.within(|| (serve_addresses("0.0.0.0:80"), serve_addresses("[::]:81")));
        world.sh("ip route add 172.16.28.0/24 via 10.99.0.1");
        let mut scene = Self { host, world, pod, calls: vec![] };
        let ptp = scene.host.call(&scene.pod, "pod", conf());
        let answer = add("ptp", &ptp);
        let mut portmap = ptp.clone();
        portmap.conf["prevResult"] = answer.to_json("1.1.0");
        portmap.conf["runtimeConfig"] = json!({"portMappings": [{"hostPort": 8080, "containerPort": 80}]});
        add("portmap", &portmap);
        scene.calls = vec![("portmap", portmap), ("ptp", ptp)];
        scene
    }

    fn is_open(&self) {
        assert_eq!(self.pod.within(|| ask("10.99.0.2:80")).expect("to the world"), "10.99.0.1");
        assert_eq!(self.pod.within(|| ask("[fd99::2]:81")).expect("to the world, IPv6"), "fd99::1");
        assert_eq!(self.world.within(|| ask("10.99.0.1:8080")).expect("by the port"), "10.99.0.2");
        self.world.within(|| ask("172.16.28.2:80")).expect_err("new connections to the pod's own address stay dropped");
    }

    fn end(self) {
        for (kind, call) in &self.calls {
            del(kind, call);
        }
    }
}

#[test]
fn a_distributions_chain_with_policy_drop_gets_rules_and_loses_them() {
    skip_unless_possible!("nft");
    let rules = "nft -f - <<'X'
table inet filter {
  chain forward { type filter hook forward priority 0; policy drop;
    tcp dport 25 counter drop
  }
}
X";
    let scene = Scene::new(rules);
    let listed = sh("nft list chain inet filter forward");
    let before: Vec<&str> = listed.lines().filter(|line| line.contains("rkt id")).collect();
    assert_eq!(before.len(), 6, "{listed}");
    assert!(listed.find("dport 25") < listed.find("rkt id"), "the administrator's rules come first: {listed}");
    scene.is_open();

    scene.end();

    assert!(!sh("nft list ruleset").contains("rkt"));
    assert!(sh("nft list ruleset").contains("dport 25"));
}

#[test]
fn a_last_rule_that_rejects_stays_the_last_and_one_that_accepts_needs_nothing() {
    skip_unless_possible!("nft");
    let rules = "nft -f - <<'X'
table ip filter2 { chain forwarding {
  type filter hook forward priority 5
  counter reject
  }
}
table ip6 filter2 { chain forwarding {
  type filter hook forward priority 5
  counter drop
  }
}
table inet other { chain forwarding {
  type filter hook forward priority 7
  ct state invalid drop
  }
}
table inet firewalld {
  chain refuse_all {
    reject
  }
  chain filter_FORWARD {
    type filter hook forward priority 10
    jump refuse_all
  }
}
X";
    let scene = Scene::new(rules);
    scene.is_open();
    for chain in ["ip filter2 forwarding", "ip6 filter2 forwarding", "inet firewalld filter_FORWARD"] {
        let listed = sh(&format!("nft list chain {chain}"));
        let last = listed.lines().rev().find(|line| {
            line.contains("reject") || line.contains("drop") || line.contains("accept") || line.contains("jump")
        });
        assert!(!last.unwrap().contains("accept"), "{listed}");
    }
    assert!(!sh("nft list chain inet other forwarding").contains("rkt"));
    scene.end();
    assert!(!sh("nft list ruleset").contains("rkt"));
}

#[test]
fn chains_of_iptables_nft_stay_readable_for_iptables() {
    skip_unless_possible!("iptables-nft", "nft");
    let docker = "for i in iptables-nft ip6tables-nft; do
        $i -N DOCKER-USER; $i -A FORWARD -m comment --comment x -m conntrack --ctstate INVALID -j DROP
        $i -A FORWARD -j DOCKER-USER; $i -A DOCKER-USER -j RETURN; $i -P FORWARD DROP
        $i -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE || true; done";
    let scene = Scene::new(docker);
    scene.is_open();

    let listed = sh("iptables-nft -S FORWARD");
    let comment = "-m comment --comment \"rkt id: \\\"pod\\\" if: \\\"eth0\\\" net: \\\"net\\\"\"";
    for rule in [
        format!("-A FORWARD -s 172.16.28.2/32 {comment} -j ACCEPT"),
        format!("-A FORWARD -d 172.16.28.2/32 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT {comment} -j ACCEPT"),
    ] {
        assert!(listed.contains(&rule), "{rule} is not in\n{listed}");
    }
    let v6 = sh("ip6tables-nft -S FORWARD");
    assert!(v6.contains("-A FORWARD -s fd28::2/128"), "{v6}");
    sh("iptables-nft-save > /dev/null && iptables-nft -A FORWARD -s 1.2.3.4 -j ACCEPT");

    scene.end();

    let listed = sh("iptables-nft -S FORWARD; ip6tables-nft -S FORWARD");
    assert!(!listed.contains("rkt") && listed.contains("1.2.3.4"), "{listed}");
}

#[test]
fn the_old_iptables_is_changed_by_its_own_program() {
    skip_unless_possible!("iptables-legacy");
    let scene = Scene::new(
        "for i in iptables-legacy ip6tables-legacy; do $i -P FORWARD DROP; $i -A FORWARD -p tcp --dport 25 -j DROP; done",
    );
    scene.is_open();
    let listed = sh("iptables-legacy -S FORWARD");
    assert_eq!(listed.matches("rkt id").count(), 2, "{listed}");

    let mut gc = scene.calls[1].1.clone();
    gc.conf["cni.dev/valid-attachments"] = json!([{"containerID": "pod", "ifname": "eth0"}]);
    perform("ptp", Verb::Gc, &gc).unwrap();
    assert_eq!(sh("iptables-legacy -S FORWARD"), listed);
    gc.conf["cni.dev/valid-attachments"] = json!([]);
    perform("ptp", Verb::Gc, &gc).unwrap();

    let listed = sh("iptables-legacy -S FORWARD; ip6tables-legacy -S FORWARD");
    assert!(!listed.contains("rkt") && listed.contains("--dport 25"), "{listed}");
    scene.end();
}
