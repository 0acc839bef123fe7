use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::testing::{Scratch, is_root};

#[test]
fn a_tree_goes_and_an_absent_one_is_gone() {
    let scratch = Scratch::new();
    let tree = scratch.dir("tree");
    std::fs::create_dir_all(tree.join("a/b/c")).unwrap();
    std::fs::write(tree.join("a/b/c/file"), b"x").unwrap();
    std::fs::write(tree.join("file"), b"x").unwrap();
    remove_tree(&tree).unwrap();
    assert!(!tree.exists());
    remove_tree(&tree).unwrap();
    remove_tree(&tree.join("nowhere/at/all")).unwrap();
}

#[test]
fn links_are_removed_not_followed() {
    let scratch = Scratch::new();
    let outside = scratch.dir("outside");
    std::fs::write(outside.join("kept"), b"x").unwrap();
    let tree = scratch.dir("tree");
    symlink(&outside, tree.join("link")).unwrap();
    symlink(&outside, scratch.path().join("top")).unwrap();
    remove_tree(&tree).unwrap();
    remove_tree(&scratch.path().join("top")).unwrap();
    assert!(outside.join("kept").exists());
    assert!(std::fs::symlink_metadata(scratch.path().join("top")).is_err());
}

#[test]
fn directories_without_permissions_are_no_hindrance() {
    let scratch = Scratch::new();
    let tree = scratch.dir("tree");
    let closed = tree.join("closed");
    std::fs::create_dir_all(closed.join("inner")).unwrap();
    std::fs::write(closed.join("inner/file"), b"x").unwrap();
    for path in [closed.join("inner"), closed, tree.clone()] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o000)).unwrap();
    }
    remove_tree(&tree).unwrap();
    assert!(!tree.exists());
}

#[test]
fn depth_costs_neither_descriptors_nor_stack() {
    let scratch = Scratch::new();
    let tree = scratch.dir("tree");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = fs::open(&tree, flags, Mode::empty()).unwrap();
    // 5,000 levels of 200 bytes: no path reaches the bottom.
    let name = "d".repeat(200);
    for _ in 0..5000 {
        fs::mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
        at = fs::openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
    }
    drop(fs::openat(&at, "file", OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RUSR).unwrap());
    drop(at);
    remove_tree(&tree).unwrap();
    assert!(!tree.exists());
}

#[test]
fn immutable_and_append_only_files_go_too() {
    let scratch = Scratch::new();
    let tree = scratch.dir("tree");
    std::fs::create_dir(tree.join("dir")).unwrap();
    std::fs::write(tree.join("dir/file"), b"x").unwrap();
    for path in [tree.join("dir/file"), tree.join("dir")] {
        let file = std::fs::File::open(path).unwrap();
        if let Err(error) = fs::ioctl_setflags(&file, IFlags::IMMUTABLE) {
            eprintln!("skipped: this file system or user has no immutable files ({error})");
            return;
        }
    }
    remove_tree(&tree).unwrap();
    assert!(!tree.exists());
}

/// In a mount namespace of its own, so that a failure leaves no mount.
#[test]
fn a_mount_stops_the_removal_and_is_named() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let tree = scratch.dir("tree");
    std::fs::create_dir_all(tree.join("dir/mounted")).unwrap();
    std::fs::write(tree.join("dir/bound"), b"").unwrap();
    let precious = scratch.dir("precious");
    std::fs::write(precious.join("file"), b"x").unwrap();
    if let Some(report) = std::env::var_os("RKT_TEST_TREE") {
        let error = remove_tree(Path::new(&report)).unwrap_err();
        println!("{} {error}", error.code());
        return;
    }
    for (what, on) in [("precious", "dir/mounted"), ("precious/file", "dir/bound")] {
        let script = format!(
            "mount --bind {0}/{what} {0}/tree/{on} && exec \"$0\" --exact --nocapture {1}",
            scratch.path().display(),
            "tree::remove::tests::a_mount_stops_the_removal_and_is_named"
        );
        let output = std::process::Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .arg(std::env::current_exe().unwrap())
            .env("RKT_TEST_TREE", &tree)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let expected =
            format!("RKT_TREE_MOUNTED cannot remove {}/{on}: a file system is mounted there", tree.display());
        assert!(text.contains(&expected), "{text} {}", String::from_utf8_lossy(&output.stderr));
        assert!(precious.join("file").exists());
        // What stood before the mount is gone: make it anew.
        std::fs::create_dir_all(tree.join("dir/mounted")).unwrap();
        std::fs::write(tree.join("dir/bound"), b"").unwrap();
    }
}
