use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};

use super::*;
use crate::{
    digest_tree,
    testing::{Random, Scratch, is_root},
    tree_stats,
};

#[test]
fn a_copy_is_the_same_tree() {
    let scratch = Scratch::new();
    let from = scratch.dir("from");
    std::fs::create_dir_all(from.join("a/b")).unwrap();
    std::fs::write(from.join("a/file"), Random(3).bytes(300_000)).unwrap();
    std::fs::hard_link(from.join("a/file"), from.join("a/b/second")).unwrap();
    symlink("../nowhere", from.join("a/link")).unwrap();
    fs::mknodat(fs::CWD, from.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::setxattr(from.join("a/file"), "user.note", b"kept", XattrFlags::empty()).unwrap();
    if is_root() {
        fs::mknodat(fs::CWD, from.join("null"), FileType::CharacterDevice, Mode::RUSR, fs::makedev(1, 3)).unwrap();
        std::os::unix::fs::lchown(from.join("a/link"), Some(12), Some(34)).unwrap();
        std::os::unix::fs::chown(from.join("a/b"), Some(56), Some(78)).unwrap();
    }
    std::fs::set_permissions(from.join("a/file"), std::fs::Permissions::from_mode(0o4751)).unwrap();
    std::fs::set_permissions(from.join("a"), std::fs::Permissions::from_mode(0o555)).unwrap();

    let to = scratch.path().join("to");
    let stats = copy_tree(&from, &to, None).unwrap();

    assert_eq!(digest_tree(&to).unwrap(), digest_tree(&from).unwrap());
    assert_eq!(stats, tree_stats(&to).unwrap());
    let times = |path: &str| {
        let stat = |root: &Path| {
            std::fs::symlink_metadata(root.join(path)).map(|stat| (stat.mtime(), stat.mtime_nsec())).unwrap()
        };
        (stat(&from), stat(&to))
    };
    for path in ["", "a", "a/file", "a/link", "pipe"] {
        assert_eq!(times(path).0, times(path).1, "{path}");
    }
    assert!(std::fs::metadata(to.join("pipe")).unwrap().file_type().is_fifo());
}

#[test]
fn holes_stay_holes() {
    let scratch = Scratch::new();
    let from = scratch.dir("from");
    let file = std::fs::File::create(from.join("sparse")).unwrap();
    file.set_len(64 << 20).unwrap();
    std::os::unix::fs::FileExt::write_at(&file, b"data", 32 << 20).unwrap();
    let to = scratch.path().join("to");
    copy_tree(&from, &to, None).unwrap();
    let copied = std::fs::metadata(to.join("sparse")).unwrap();
    assert_eq!(copied.len(), 64 << 20);
    assert!(copied.blocks() * 512 < 1 << 20, "{} blocks", copied.blocks());
    assert_eq!(std::fs::read(to.join("sparse")).unwrap(), std::fs::read(from.join("sparse")).unwrap());
}

#[test]
fn owners_are_shifted_once() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let from = scratch.dir("from");
    std::fs::write(from.join("a"), b"").unwrap();
    std::fs::hard_link(from.join("a"), from.join("b")).unwrap();
    std::os::unix::fs::chown(from.join("a"), Some(1000), Some(1001)).unwrap();
    let shift = Shift { base: 65_536, count: 65_536 };
    copy_tree(&from, &scratch.path().join("to"), Some(shift)).unwrap();
    let copied = std::fs::metadata(scratch.path().join("to/b")).unwrap();
    assert_eq!((copied.uid(), copied.gid(), copied.nlink()), (66_536, 66_537, 2));
    let error = copy_tree(&from, &scratch.path().join("small"), Some(Shift { base: 65_536, count: 1000 })).unwrap_err();
    assert_eq!(error.code(), "RKT_RENDER_OWNER_RANGE");
    assert!(error.to_string().contains("/from/a: uid 1000 or gid 1001 are out of range 1000"), "{error}");
}

#[test]
fn the_target_must_not_exist() {
    let scratch = Scratch::new();
    let error = copy_tree(&scratch.dir("from"), &scratch.dir("to"), None).unwrap_err();
    assert_eq!(error.errno(), Errno::EXIST.raw_os_error());
}
