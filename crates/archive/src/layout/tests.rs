use super::*;
use crate::testing::Tar;

fn check(tar: Tar) -> Result<Vec<u8>, Error> {
    let bytes = tar.end();
    read_aci(&mut Reader::new(bytes.as_slice()))
}

fn refusal(tar: Tar) -> (&'static str, String) {
    let error = check(tar).unwrap_err();
    (error.code(), error.to_string())
}

#[test]
fn an_aci_has_a_manifest_and_a_rootfs_wherever_they_stand() {
    let manifest =
        check(Tar::new().dir("./").dir("./rootfs/").file("./rootfs/manifest", b"no").file("manifest", b"{}"));
    assert_eq!(manifest.unwrap(), b"{}");
}

#[test]
fn what_is_missing_is_named() {
    assert_eq!(refusal(Tar::new().dir("rootfs")).0, "RKT_ACI_NO_MANIFEST");
    assert_eq!(refusal(Tar::new().file("manifest", b"{}")).0, "RKT_ACI_NO_ROOTFS");
    assert_eq!(refusal(Tar::new().file("manifest", b"{}").file("rootfs/a", b"")).0, "RKT_ACI_NO_ROOTFS");
    assert_eq!(refusal(Tar::new().file("manifest", b"{}").symlink("rootfs", "/")).0, "RKT_ACI_NO_ROOTFS");
    assert_eq!(refusal(Tar::new().symlink("manifest", "/etc/shadow").dir("rootfs")).0, "RKT_ACI_NO_MANIFEST");
}

#[test]
fn a_manifest_of_more_than_16_mib_is_refused_before_it_is_read() {
    let tar = Tar::new().entry(b'0', "manifest", b"", |header| header.set_size(MAX_MANIFEST + 1));
    assert_eq!(refusal(tar).1, "the entry \"manifest\" has 16777217 bytes, more than 16777216");
}

#[test]
fn other_names_are_refused() {
    for name in ["etc", "rootfs2/x", "rootfs-extra", "manifest2", "Rootfs"] {
        let (code, message) = refusal(Tar::aci().file(name, b""));
        assert_eq!(code, "RKT_ACI_UNEXPECTED_ENTRY", "{name}");
        assert!(message.contains(&format!("\"{name}\"")), "{message}");
    }
    assert_eq!(refusal(Tar::aci().entry(b'D', "rootfs/x", b"", |_| {})).0, "RKT_ACI_UNEXPECTED_ENTRY");
}

#[test]
fn nothing_may_be_there_twice() {
    assert_eq!(refusal(Tar::aci().file("manifest", b"{}")).0, "RKT_ACI_DUPLICATE_ENTRY");
    assert_eq!(refusal(Tar::aci().dir("./rootfs/")).0, "RKT_ACI_DUPLICATE_ENTRY");
    let twice = refusal(Tar::aci().file("rootfs/a", b"1").file("./rootfs//a", b"2"));
    assert_eq!(twice, ("RKT_ACI_DUPLICATE_ENTRY", "duplicate file entry \"./rootfs//a\"".to_owned()));
    assert_eq!(refusal(Tar::aci().dir("rootfs/a").dir("rootfs/a/")).0, "RKT_ACI_DUPLICATE_ENTRY");
    let through_a_link =
        Tar::aci().symlink("rootfs/bin", "usr/bin").file("rootfs/usr/bin/sh", b"").file("rootfs/bin/sh", b"");
    assert_eq!(refusal(through_a_link).0, "RKT_ACI_DUPLICATE_ENTRY");
}

#[test]
fn a_directory_may_be_named_after_what_is_in_it() {
    assert!(check(Tar::aci().file("rootfs/a/b", b"").dir("rootfs/a")).is_ok());
}

#[test]
fn a_name_is_not_both_file_and_directory() {
    let file_first = refusal(Tar::aci().file("rootfs/a", b"").file("rootfs/a/b", b""));
    assert_eq!(file_first.0, "RKT_ACI_DUPLICATE_ENTRY");
    assert!(file_first.1.contains("\"rootfs/a/b\" needs \"rootfs/a\" to be a directory"), "{}", file_first.1);
    for tar in [
        Tar::aci().file("rootfs/a/b", b"").file("rootfs/a", b""),
        Tar::aci().dir("rootfs/a").file("rootfs/a", b""),
        Tar::aci().file("rootfs/a", b"").dir("rootfs/a"),
        Tar::aci().file("rootfs/a/b", b"").symlink("rootfs/a", "b"),
    ] {
        assert_eq!(refusal(tar), ("RKT_ACI_DUPLICATE_ENTRY", "\"rootfs/a\" is both a file and a directory".to_owned()));
    }
}

#[test]
fn names_that_leave_the_image_are_refused() {
    for name in ["/rootfs/a", "/etc/passwd", "../a", "rootfs/../../a", "rootfs/..", "rootfs/a/../b"] {
        let (code, message) = refusal(Tar::aci().file(name, b""));
        assert_eq!(code, "RKT_ACI_ESCAPE", "{name}");
        assert!(message.contains(&format!("\"{name}\"")), "{message}");
    }
}

#[test]
fn links_that_leave_the_image_are_refused_as_soon_as_something_goes_through_them() {
    for target in ["/etc", "../../etc", "..", "a/../../x"] {
        let link = Tar::aci().symlink("rootfs/link", target);
        assert!(check(link.clone()).is_ok(), "the link alone may point anywhere: {target}");
        let (code, message) = refusal(link.clone().file("rootfs/link/passwd", b""));
        assert_eq!(code, "RKT_ACI_ESCAPE", "{target}");
        assert!(message.contains("rootfs/link/passwd") && message.contains("\"rootfs/link\""), "{message}");
        assert_eq!(refusal(link.hard_link("rootfs/hard", "rootfs/link/passwd")).0, "RKT_ACI_ESCAPE", "{target}");
    }
}

#[test]
fn links_that_stay_inside_may_be_gone_through() {
    let tar =
        Tar::aci().symlink("rootfs/bin", "usr/bin").file("rootfs/bin/sh", b"").symlink("rootfs/usr/lib", "../lib");
    assert!(check(tar.file("rootfs/usr/lib/libc.so", b"")).is_ok());
}

#[test]
fn hard_links_must_name_something_below_rootfs() {
    for target in ["/etc/shadow", "../etc/shadow", "manifest", "rootfs", "etc/shadow", "rootfs/../manifest"] {
        let (code, message) = refusal(Tar::aci().hard_link("rootfs/h", target));
        assert_eq!(code, "RKT_ACI_ESCAPE", "{target}");
        assert!(message.contains("\"rootfs/h\"") && message.contains(target), "{message}");
    }
}
