use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::testing::{Random, Scratch, is_root};

/// Two directories, a large file, a small one with two names, a link.
fn tree(scratch: &Scratch, name: &str) -> std::path::PathBuf {
    let root = scratch.dir(name);
    std::fs::create_dir_all(root.join("dir/sub")).unwrap();
    std::fs::write(root.join("large"), Random(9).bytes(9 << 20)).unwrap();
    std::fs::write(root.join("dir/one"), b"content").unwrap();
    std::fs::hard_link(root.join("dir/one"), root.join("dir/two")).unwrap();
    symlink("one", root.join("dir/link")).unwrap();
    root
}

#[test]
fn the_same_tree_has_the_same_digest_whatever_its_times() {
    let scratch = Scratch::new();
    let (a, b) = (tree(&scratch, "a"), tree(&scratch, "b"));
    let digest = digest_tree(&a).unwrap();
    assert_eq!(digest, digest_tree(&b).unwrap());
    assert!(digest.len() == 14 + 64 && digest.starts_with("merkle-sha512-"), "{digest}");
}

#[test]
fn every_difference_changes_the_digest() {
    type Change = (&'static str, fn(&Path));
    let changes: [Change; 11] = [
        ("a byte in the last piece of a large file", |root| {
            let file = std::fs::File::options().write(true).open(root.join("large")).unwrap();
            std::os::unix::fs::FileExt::write_at(&file, b"x", (9 << 20) - 1).unwrap();
        }),
        ("a longer file", |root| {
            std::fs::File::options().write(true).open(root.join("dir/one")).unwrap().set_len(8).unwrap();
        }),
        ("a mode", |root| {
            std::fs::set_permissions(root.join("dir/one"), std::fs::Permissions::from_mode(0o600)).unwrap()
        }),
        ("the mode of the root", |root| {
            std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o700)).unwrap()
        }),
        ("a name", |root| std::fs::rename(root.join("large"), root.join("larger")).unwrap()),
        ("an empty directory", |root| std::fs::create_dir(root.join("new")).unwrap()),
        ("one entry less", |root| std::fs::remove_dir(root.join("dir/sub")).unwrap()),
        ("a link's text", |root| {
            std::fs::remove_file(root.join("dir/link")).unwrap();
            symlink("two", root.join("dir/link")).unwrap();
        }),
        ("a copy in place of a hard link", |root| {
            std::fs::remove_file(root.join("dir/two")).unwrap();
            std::fs::write(root.join("dir/two"), b"content").unwrap();
        }),
        ("an attribute", |root| {
            fs::setxattr(root.join("dir/one"), "user.x", b"1", fs::XattrFlags::empty()).unwrap();
        }),
        ("a pipe in place of a file", |root| {
            std::fs::remove_file(root.join("dir/two")).unwrap();
            fs::mknodat(fs::CWD, root.join("dir/two"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        }),
    ];
    let scratch = Scratch::new();
    let original = digest_tree(&tree(&scratch, "original")).unwrap();
    let mut seen = vec![original];
    for (index, (what, change)) in changes.into_iter().enumerate() {
        let root = tree(&scratch, &index.to_string());
        change(&root);
        let digest = digest_tree(&root).unwrap();
        assert!(!seen.contains(&digest), "{what}");
        seen.push(digest);
    }
}

#[test]
fn owners_and_devices_count() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let root = tree(&scratch, "a");
    let before = digest_tree(&root).unwrap();
    std::os::unix::fs::chown(root.join("dir"), Some(1), None).unwrap();
    let owned = digest_tree(&root).unwrap();
    let device = |minor| {
        fs::mknodat(fs::CWD, root.join("dev"), FileType::CharacterDevice, Mode::RUSR, fs::makedev(1, minor)).unwrap()
    };
    device(3);
    let null = digest_tree(&root).unwrap();
    std::fs::remove_file(root.join("dev")).unwrap();
    device(5);
    let zero = digest_tree(&root).unwrap();
    assert!(before != owned && owned != null && null != zero);
}
