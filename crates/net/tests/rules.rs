//! The rules of many pods that come and go at the same time.

mod support;

use net::Prefix;
use net::nft::{Family, Nft};
use net::ns::Namespace;
use net::rules::ports::Forward;
use net::rules::{Rules, Tag};
use std::net::{IpAddr, Ipv4Addr};
use support::Host;

const STANDING: u16 = 60;
const THREADS: u16 = 6;
/// So many come and go together: the kernel's tables grow and shrink.
const TOGETHER: u16 = 30;
const ROUNDS: u16 = 3;

/// A pod of its own for each number.
struct Pod {
    tag: Tag,
    address: Prefix,
    forwards: [Forward; 2],
}

impl Pod {
    fn new(number: u16) -> Self {
        let pod_ip = IpAddr::from(Ipv4Addr::from(0x0a00_0000 + u32::from(number)));
        let host_ip = Some(IpAddr::V4(Ipv4Addr::LOCALHOST)).filter(|_| number.is_multiple_of(2));
        let forward = |port| Forward { protocol: 6, host_ip, host_port: port, pod_ip, pod_port: 80 };
        Self {
            tag: Tag::new("net", &format!("pod-{number}"), "eth0"),
            address: Prefix { address: pod_ip, length: 8 },
            forwards: [forward(10_000 + number), forward(30_000 + number)],
        }
    }

    fn come(&self, rules: &mut Rules) {
        rules.masquerade(&self.tag, &[self.address]).unwrap();
        rules.forward(&self.tag, &self.forwards, &[self.address], true, false).unwrap().unwrap();
    }

    fn go(&self, rules: &mut Rules) {
        rules.remove_masquerade(&self.tag).unwrap();
        rules.remove_forwards(&self.tag, &self.forwards).unwrap();
    }

    fn is_there(&self, rules: &mut Rules) -> bool {
        rules.has_masquerade(&self.tag, &[self.address]).unwrap()
            && rules.missing_forward(&self.tag, &self.forwards).unwrap().is_none()
    }
}

#[test]
fn each_pod_takes_its_own_rules_away_and_no_others_and_the_last_one_the_table() {
    skip_unless_possible!();
    let _host = Host::new();
    let home = Namespace::current().unwrap();
    let mut rules = Rules::open().unwrap();
    let standing: Vec<Pod> = (0..STANDING).map(Pod::new).collect();
    let at_once = |work: &(dyn Fn(u16, &mut Rules) + Sync)| {
        std::thread::scope(|scope| {
            for thread in 0..THREADS {
                let home = &home;
                scope.spawn(move || home.within(|| work(thread, &mut Rules::open().unwrap())).unwrap());
            }
        });
    };
    standing.iter().for_each(|pod| pod.come(&mut rules));

    at_once(&|thread, rules| {
        let pods: Vec<Pod> = (0..TOGETHER).map(|pod| Pod::new(STANDING + thread * TOGETHER + pod)).collect();
        for _ in 0..ROUNDS {
            pods.iter().for_each(|pod| pod.come(rules));
            pods.iter().for_each(|pod| pod.go(rules));
        }
    });

    assert!(standing.iter().all(|pod| pod.is_there(&mut rules)));
    let comments = |set: &str| {
        let elements = Nft::open().unwrap().elements(Family::Inet, "rkt", set).unwrap();
        elements.into_iter().filter_map(|element| element.comment).collect::<Vec<_>>()
    };
    let left: Vec<String> = ["from4", "to4", "ports4", "ports4_at"].into_iter().flat_map(comments).collect();
    let own = |comment: &&String| standing.iter().any(|pod| pod.tag.text() == comment.as_str());
    assert_eq!(left.iter().filter(|comment| !own(comment)).collect::<Vec<_>>(), Vec::<&String>::new());

    at_once(&|thread, rules| {
        standing.iter().skip(thread.into()).step_by(THREADS.into()).for_each(|pod| pod.go(rules));
    });

    assert_eq!(Nft::open().unwrap().tables().unwrap(), []);
}
