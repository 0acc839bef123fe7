use super::super::select::{Choice, Selection};
use super::*;

/// Configuration directories with the given files: `place/NAME`, text.
struct Place(PathBuf);

impl Place {
    fn with(files: &[(&str, &str)]) -> Self {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let base = std::env::temp_dir().join(format!("rkt-net-conf-{}-{number}", std::process::id()));
        for (name, text) in files {
            let path = base.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        Self(base)
    }

    fn select(&self, list: &str) -> Result<Selection> {
        let directories =
            Directories { builtin: self.0.join("builtin"), system: self.0.join("system"), local: self.0.join("local") };
        let words: Vec<String> = list.split(',').map(str::to_owned).collect();
        let Choice::Networks(wanted) = Choice::parse(&words) else { panic!("{list} is no list of networks") };
        wanted.find(&directories)
    }

    fn refused(&self, list: &str) -> String {
        self.select(list).unwrap_err().to_string().replace(self.0.to_str().unwrap(), "")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn shape(selection: &Selection) -> Vec<String> {
    let each = |one: &super::super::select::Attachment| {
        format!(
            "{} {} {} {}",
            one.ifname,
            one.network.name,
            one.network.kinds().collect::<Vec<_>>().join("+"),
            one.args
        )
    };
    selection.attachments.iter().map(each).collect()
}

#[test]
fn networks_are_attached_in_the_order_of_their_files_and_the_administrators_win() {
    let place = Place::with(&[
        ("builtin/99-default.conf", r#"{"name":"default","type":"ptp"}"#),
        ("system/20-b.conf", r#"{"name":"b","type":"bridge"}"#),
        ("system/50-default.conf", r#"{"name":"default","type":"bridge"}"#),
        ("local/10-default.conf", r#"{"Name":"default","Type":"macvlan"}"#),
        ("local/30-c.conflist", r#"{"name":"c","plugins":[{"type":"ptp"},{"type":"tuning"}]}"#),
        ("local/40-b.conf.disabled", "nothing"),
        ("local/60-again.conf", r#"{"name":"c","type":"ptp"}"#),
    ]);

    let all = place.select("all,b:IP=10.0.0.9").unwrap();

    assert_eq!(shape(&all), ["eth0 default macvlan ", "eth1 b bridge IP=10.0.0.9", "eth2 c ptp+tuning "]);
    let notes: Vec<String> = all.notes.iter().map(|note| note.replace(place.0.to_str().unwrap(), "")).collect();
    assert_eq!(
        notes,
        [
            "overriding \"default\" network with one from /system",
            "\"c\" network already defined, ignoring 60-again.conf",
            "overriding \"default\" network with one from /local",
        ]
    );
    assert_eq!(shape(&place.select("b").unwrap()), ["eth0 b bridge "]);
}

#[test]
fn what_is_wrong_is_said_with_the_file() {
    let place = Place::with(&[("local/a.conf", r#"{"name":"a","type":"ptp"}"#)]);
    assert_eq!(place.refused("a,x,y"), "networks not found: x, y");

    let cases = [
        ("x.conf", "{", "not JSON: "),
        ("x.conf", "[]", "not a JSON object"),
        ("x.conf", r#"{"type":"ptp"}"#, "it has no \"name\""),
        ("x.conf", r#"{"name":"../up","type":"ptp"}"#, "\"../up\" cannot be the name of a network"),
        ("x.conf", r#"{"name":"x"}"#, "a plugin has no \"type\""),
        ("x.conf", r#"{"name":"x","type":"../../bin/sh"}"#, "\"../../bin/sh\" cannot be the type of a plugin"),
        ("x.conf", r#"{"name":"x","type":"ptp","cniVersion":"9.0.0"}"#, "cniVersion 9.0.0 is not spoken here"),
        ("x.conflist", r#"{"name":"x","plugins":[]}"#, "no plugins in the list"),
        ("x.conflist", r#"{"name":"x"}"#, "no plugins in the list"),
        ("x.conflist", r#"{"name":"x","plugins":{}}"#, "failed to load netconf: \"plugins\" is not a list"),
    ];
    for (file, text, why) in cases {
        let place = Place::with(&[(&format!("local/{file}"), text)]);
        let message = place.refused("x");
        let start = format!("error loading network definitions: error loading /local/{file}: {why}");
        assert!(message.starts_with(&start), "{message}");
    }
}

#[test]
fn the_newest_version_that_is_allowed_is_used() {
    let version = |text: &str| Network::parse("x.conflist", text.as_bytes().to_vec()).unwrap().version;

    assert_eq!(version(r#"{"name":"x"}"#), "0.1.0");
    assert_eq!(version(r#"{"name":"x","cniVersion":"0.4.0","cniVersions":["1.0.0","0.3.1","7.0.0"]}"#), "1.0.0");
}

#[test]
fn a_list_takes_its_neighbours_unless_it_is_complete() {
    let neighbour = ("local/x/50-more.conf", r#"{"type":"tuning"}"#);
    let open = r#"{"name":"x","cniVersion":"1.1.0","plugins":[{"type":"ptp"}]}"#;
    let complete = r#"{"name":"x","cniVersion":"1.1.0","loadOnlyInlinedPlugins":true,"plugins":[{"type":"ptp"}]}"#;

    let place = Place::with(&[("local/x.conflist", open), neighbour]);
    let selection = place.select("x").unwrap();
    assert_eq!(shape(&selection), ["eth0 x ptp+tuning "]);
    let copy = Network::parse("x.conflist", selection.attachments[0].network.text.clone()).unwrap();
    assert_eq!(
        copy.kinds().collect::<Vec<_>>(),
        ["ptp", "tuning"],
        "the copy by which the pod is attached and detached"
    );
    let place = Place::with(&[("local/x.conflist", complete), neighbour]);
    assert_eq!(shape(&place.select("x").unwrap()), ["eth0 x ptp "]);
}
