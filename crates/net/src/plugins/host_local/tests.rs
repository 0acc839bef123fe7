use super::*;
use serde_json::json;
use std::fs;

struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("rkt-host-local-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn call(&self, verb: Verb, id: &str, args: &str, ipam: Value) -> Call {
        let mut conf = json!({"cniVersion": "1.1.0", "name": "net", "type": "host-local", "ipam": ipam});
        conf["ipam"]["dataDir"] = Value::from(self.0.to_str().unwrap());
        let (container_id, ifname, args) = (id.to_owned(), "eth0".to_owned(), args.to_owned());
        Call { verb, container_id, netns: None, ifname, args, path: Vec::new(), conf }
    }

    fn add(&self, id: &str, args: &str, ipam: &Value) -> Result<Vec<String>, String> {
        let answer = super::call(&self.call(Verb::Add, id, args, ipam.clone())).map_err(|error| error.to_string())?;
        Ok(answer.unwrap().ips.iter().map(|ip| ip.address.to_string()).collect())
    }

    fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.0.join("net"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn addresses_go_round_and_stand_in_files_of_the_reference_format() {
    let directory = Directory::new("round");
    let ipam = json!({"subnet": "10.0.0.0/29"});

    assert_eq!(directory.add("a", "", &ipam).unwrap(), ["10.0.0.2/29"]);
    assert_eq!(directory.add("b", "", &ipam).unwrap(), ["10.0.0.3/29"]);
    assert_eq!(fs::read_to_string(directory.0.join("net/10.0.0.3")).unwrap(), "b\r\neth0");
    super::call(&directory.call(Verb::Del, "a", "", ipam.clone())).unwrap();
    super::call(&directory.call(Verb::Del, "a", "", ipam.clone())).unwrap();

    assert_eq!(directory.add("c", "", &ipam).unwrap(), ["10.0.0.4/29"], "an address is not given again at once");
    assert_eq!(directory.files(), ["10.0.0.3", "10.0.0.4", "last_reserved_ip.0", "lock"]);
}

#[test]
fn a_full_range_says_so_and_takes_no_address_of_another_set() {
    let directory = Directory::new("full");
    let ipam = json!({"ranges": [[{"subnet": "fd00::/64"}], [{"subnet": "10.0.0.0/30"}]]});
    assert_eq!(directory.add("a", "", &ipam).unwrap(), ["fd00::2/64", "10.0.0.2/30"]);

    let message = directory.add("b", "", &ipam).unwrap_err();

    assert_eq!(message, "no IP addresses available in network: net; all of 10.0.0.1-10.0.0.2 are taken");
    assert!(!directory.files().contains(&"fd00::3".to_owned()));
    let status = super::call(&directory.call(Verb::Status, "", "", ipam)).unwrap_err();
    assert_eq!((status.code, status.msg.as_str()), (50, "all addresses of 10.0.0.1-10.0.0.2 are taken"));
}

#[test]
fn requested_addresses_are_given_or_refused_by_name() {
    let directory = Directory::new("requested");
    let ipam = json!({"subnet": "10.0.0.0/24"});
    let refused = |address: &str| format!("requested IP address \"{address}\" is not available in network: net");

    assert_eq!(directory.add("a", "IP=10.0.0.42", &ipam).unwrap(), ["10.0.0.42/24"]);
    assert_eq!(directory.add("b", "IP=10.0.0.42", &ipam).unwrap_err(), refused("10.0.0.42") + "; a has it");
    assert_eq!(directory.add("b", "IP=10.0.0.1", &ipam).unwrap_err(), refused("10.0.0.1"));
    assert_eq!(directory.add("b", "IP=10.0.9.1", &ipam).unwrap_err(), refused("10.0.9.1"));
    assert_eq!(directory.add("b", "IP=10.0.0.5,10.0.0.6", &ipam).unwrap_err(), refused("10.0.0.6"));
    assert_eq!(directory.add("b", "IP=x", &ipam).unwrap_err(), "invalid IP address requested: x");
    assert_eq!(directory.add("b", "FOO=x", &ipam).unwrap_err(), "CNI_ARGS: unknown args [FOO]");
    assert_eq!(
        directory.add("a", "", &ipam).unwrap_err(),
        "10.0.0.42 has been allocated to a, duplicate allocation is not allowed"
    );
    assert_eq!(directory.add("b", "IP=10.0.0.42;IP=1", &json!({})).unwrap_err(), "no IP ranges specified");
}

#[test]
fn routes_gateway_and_resolv_conf_come_with_the_address() {
    let directory = Directory::new("routes");
    let resolv = directory.0.join("resolv.conf");
    fs::write(&resolv, "# x\nnameserver 10.0.0.1\nsearch a b\noptions ndots:2\ndomain d\n").unwrap();
    let ipam = json!({"subnet": "10.0.0.0/24", "gateway": "10.0.0.254", "routes": [{"dst": "0.0.0.0/0"}], "resolvConf": resolv});

    let answer = super::call(&directory.call(Verb::Add, "a", "", ipam)).unwrap().unwrap();

    assert_eq!(
        answer.to_json("0.2.0"),
        json!({
            "cniVersion": "0.2.0",
            "ip4": {"ip": "10.0.0.1/24", "gateway": "10.0.0.254", "routes": [{"dst": "0.0.0.0/0"}]},
            "dns": {"nameservers": ["10.0.0.1"], "search": ["a", "b"], "options": ["ndots:2"], "domain": "d"},
        })
    );
}

#[test]
fn reservations_whose_owner_is_gone_are_given_back() {
    let directory = Directory::new("reclaim");
    let ipam = json!({"subnet": "10.0.0.0/24"});
    for id in ["a", "b", "c"] {
        directory.add(id, "", &ipam).unwrap();
    }
    fs::write(directory.0.join("net/10.0.0.9"), "").unwrap(); // what a power cut leaves
    fs::write(directory.0.join("net/10.0.0.10"), "b").unwrap(); // by a plugin of the first rkt

    let gone = reclaim(Some(&directory.0), "net", &|_, owner| owner.container_id == "b").unwrap();

    let addresses: Vec<String> = gone.iter().map(|(address, _)| address.to_string()).collect();
    assert_eq!(addresses, ["10.0.0.2", "10.0.0.4", "10.0.0.9"]);
    assert_eq!(directory.files(), ["10.0.0.10", "10.0.0.3", "last_reserved_ip.0", "lock"]);
    assert!(super::call(&directory.call(Verb::Check, "b", "", ipam.clone())).is_ok());
    assert!(super::call(&directory.call(Verb::Check, "a", "", ipam.clone())).is_err());
    let mut gc = directory.call(Verb::Gc, "", "", ipam);
    gc.conf["cni.dev/valid-attachments"] = json!([{"containerID": "b", "ifname": "eth1"}]);
    super::call(&gc).unwrap();
    assert_eq!(directory.files(), ["10.0.0.10", "last_reserved_ip.0", "lock"]);
    assert!(reclaim(Some(&directory.0), "nothing", &|_, _| false).unwrap().is_empty());
    assert!(!directory.0.join("nothing").exists());
}
