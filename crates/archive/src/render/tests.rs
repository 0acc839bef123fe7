use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};

use super::*;
use crate::{
    list_xattrs,
    testing::{Random, Scratch, Tar, is_root},
    tree_stats,
};

struct Rendered {
    _scratch: Scratch,
    root: PathBuf,
    stats: TreeStats,
}

impl Rendered {
    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.root.join(path)).unwrap()
    }

    fn stat(&self, path: &str) -> std::fs::Metadata {
        std::fs::symlink_metadata(self.root.join(path)).unwrap()
    }

    fn has(&self, path: &str) -> bool {
        std::fs::symlink_metadata(self.root.join(path)).is_ok()
    }
}

#[derive(Default)]
struct Image<'a> {
    tar: Tar,
    own: Option<&'a [&'a str]>,
    inherited: &'a [&'a [&'a str]],
}

fn list(paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

fn render_images(images: Vec<Image<'_>>, shift: Option<Shift>) -> Result<Rendered, Error> {
    let scratch = Scratch::new();
    let images = images.into_iter().enumerate().map(|(index, image)| {
        let (blob, sha512) = scratch.blob(&format!("blob{index}"), &image.tar.end());
        let own = image.own.map(list);
        RenderSource { blob, sha512, own, inherited: image.inherited.iter().map(|paths| list(paths)).collect() }
    });
    let images = images.collect();
    let root = scratch.dir("rootfs");
    let stats = render(&RenderRequest { images, target: root.clone(), shift })?;
    Ok(Rendered { _scratch: scratch, root, stats })
}

fn render_one(tar: Tar) -> Result<Rendered, Error> {
    render_images(vec![Image { tar, ..Image::default() }], None)
}

fn refusal(result: Result<Rendered, Error>) -> (&'static str, String) {
    let error = result.err().unwrap();
    (error.code(), error.to_string())
}

#[test]
fn files_keep_mode_times_and_setuid_whatever_the_umask() {
    let tar = Tar::aci()
        .pax(&[("mtime", b"1234567890.123456789"), ("atime", b"1000000000.5")])
        .entry(b'0', "rootfs/bin/su", b"program", |header| header.set_mode(0o4777))
        .pax(&[("mtime", b"1111111111.25")])
        .entry(b'5', "rootfs/bin", b"", |header| header.set_mode(0o2775))
        .file("rootfs/deep/er/file", b"");
    let tree = render_one(tar).unwrap();

    let file = tree.stat("bin/su");
    assert_eq!(file.permissions().mode() & 0o7777, 0o4777);
    assert_eq!((file.mtime(), file.mtime_nsec()), (1_234_567_890, 123_456_789));
    assert_eq!((file.atime(), file.atime_nsec()), (1_000_000_000, 500_000_000));
    let directory = tree.stat("bin");
    assert_eq!(directory.permissions().mode() & 0o7777, 0o2775);
    assert_eq!((directory.mtime(), directory.mtime_nsec()), (1_111_111_111, 250_000_000));
    assert_eq!(tree.stat("deep").permissions().mode() & 0o7777, 0o755, "parents without an entry");
    assert_eq!(tree.stat("").mtime(), 1_000_000_000);
    assert!(!tree.has("manifest"));
    assert_eq!(tree.stats, tree_stats(&tree.root).unwrap());
    assert_eq!(tree.stats.entries, 5);
}

#[test]
fn links_devices_and_pipes_are_what_they_were() {
    if !is_root() {
        return;
    }
    let device = |header: &mut tar::Header| {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_mode(0o666);
        header.set_uid(7);
    };
    let tar = Tar::aci()
        .file("rootfs/a", b"content")
        .hard_link("rootfs/b", "rootfs/a")
        .hard_link("rootfs/c", "./rootfs/b")
        .symlink("rootfs/s", "../../outside")
        .entry(b'3', "rootfs/null", b"", device)
        .entry(b'4', "rootfs/block", b"", device)
        .entry(b'6', "rootfs/pipe", b"", |header| header.set_mode(0o600));
    let tree = render_one(tar).unwrap();

    assert_eq!((tree.stat("a").ino(), tree.stat("a").nlink()), (tree.stat("c").ino(), 3));
    assert_eq!(std::fs::read_link(tree.root.join("s")).unwrap(), Path::new("../../outside"));
    assert!(tree.stat("null").file_type().is_char_device());
    assert_eq!((tree.stat("null").rdev(), tree.stat("null").uid()), (fs::makedev(1, 3), 7));
    assert_eq!(tree.stat("null").permissions().mode() & 0o7777, 0o666);
    assert!(tree.stat("block").file_type().is_block_device());
    assert!(tree.stat("pipe").file_type().is_fifo());
    assert_eq!(tree.stats, tree_stats(&tree.root).unwrap());
}

/// cap_net_bind_service, effective and permitted, version 2 (linux/capability.h).
const CAPABILITY: [u8; 20] = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

#[test]
fn capabilities_and_user_attributes_are_set_on_files_others_not() {
    if !is_root() {
        return;
    }
    let tar = Tar::aci()
        .pax(&[
            ("SCHILY.xattr.security.capability", &CAPABILITY),
            ("SCHILY.xattr.user.note", b"a\nb"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ])
        .entry(b'0', "rootfs/f", b"x", |header| header.set_uid(1000))
        .pax(&[("SCHILY.xattr.user.note", b"no")])
        .dir("rootfs/d");
    let tree = render_one(tar.clone()).unwrap();

    let found: Vec<_> =
        list_xattrs(&tree.root.join("f")).unwrap().into_iter().map(|xattr| (xattr.name, xattr.value)).collect();
    assert_eq!(
        found,
        [(c"security.capability".to_owned(), CAPABILITY.to_vec()), (c"user.note".to_owned(), b"a\nb".to_vec())]
    );
    assert_eq!(list_xattrs(&tree.root.join("d")).unwrap(), []);

    let shift = Some(Shift { base: 0x0007_0000, count: 65536 });
    let shifted = render_images(vec![Image { tar, ..Image::default() }], shift).unwrap();
    let found = list_xattrs(&shifted.root.join("f")).unwrap();
    let expected = [&[1, 0, 0, 3][..], &CAPABILITY[4..], &0x0007_0000_u32.to_le_bytes()].concat();
    assert_eq!(found[0].value, expected, "capabilities belong to the root of the user namespace");
}

#[test]
fn owners_are_shifted_and_checked() {
    if !is_root() {
        return;
    }
    let shift = Some(Shift { base: 131_072, count: 65_536 });
    let owned = |uid| Tar::aci().entry(b'0', "rootfs/a/f", b"", |header| header.set_uid(uid));
    let tree = render_images(vec![Image { tar: owned(65_535), ..Image::default() }], shift).unwrap();
    assert_eq!((tree.stat("a/f").uid(), tree.stat("a/f").gid()), (196_607, 131_072));
    assert_eq!((tree.stat("a").uid(), tree.stat("").uid()), (131_072, 131_072));

    let (code, message) = refusal(render_images(vec![Image { tar: owned(65_536), ..Image::default() }], shift));
    assert_eq!(code, "RKT_RENDER_OWNER_RANGE");
    assert!(
        message.contains("\"rootfs/a/f\"") && message.contains("uid 65536 or gid 0 are out of range 65536"),
        "{message}"
    );
}

#[test]
fn sparse_files_have_holes_on_disk() {
    let tar = Tar::aci()
        .pax(&[("GNU.sparse.size", b"104857600"), ("GNU.sparse.map", b"52428800,4")])
        .file("rootfs/sparse", b"data");
    let tree = render_one(tar).unwrap();
    assert_eq!(tree.stat("sparse").len(), 100 << 20);
    assert!(tree.stat("sparse").blocks() * 512 < 1 << 20, "{} blocks", tree.stat("sparse").blocks());
    let content = std::fs::read(tree.root.join("sparse")).unwrap();
    assert_eq!(&content[52_428_800..52_428_804], b"data");
}

#[test]
fn the_upper_image_wins_and_the_lower_one_adds() {
    let upper = Tar::aci()
        .file("rootfs/etc/both", b"upper")
        .file("rootfs/hidden", b"a file over a directory")
        .symlink("rootfs/lib", "usr/lib");
    let lower = Tar::new()
        .entry(b'5', "rootfs", b"", |header| header.set_mode(0o700))
        .entry(b'5', "rootfs/etc", b"", |header| header.set_mode(0o711))
        .file("rootfs/etc/both", b"lower")
        .file("rootfs/etc/lower", b"lower")
        .dir("rootfs/hidden")
        .file("rootfs/hidden/file", b"lower")
        .file("rootfs/lib/libc.so", b"lower");
    let images = vec![Image { tar: upper, ..Image::default() }, Image { tar: lower, ..Image::default() }];
    let tree = render_images(images, None).unwrap();

    assert_eq!(tree.text("etc/both"), "upper");
    assert_eq!(tree.text("etc/lower"), "lower");
    assert_eq!(tree.stat("etc").permissions().mode() & 0o7777, 0o711, "a directory that only the lower one names");
    assert_eq!(tree.text("hidden"), "a file over a directory");
    assert!(!tree.has("usr"), "nothing goes through a link of the upper image");
    assert_eq!(tree.stat("").permissions().mode() & 0o7777, 0o700, "the lowest image's rootfs counts");
}

#[test]
fn a_lower_link_does_not_replace_a_directory_that_the_upper_image_needs() {
    let upper = Tar::aci().file("rootfs/bin/tool", b"upper");
    let lower = Tar::aci().symlink("rootfs/bin", "usr/bin").file("rootfs/bin/sh", b"lower");
    let images = vec![Image { tar: upper, ..Image::default() }, Image { tar: lower, ..Image::default() }];
    let tree = render_images(images, None).unwrap();
    assert!(tree.stat("bin").is_dir());
    assert_eq!((tree.text("bin/tool"), tree.text("bin/sh")), ("upper".to_owned(), "lower".to_owned()));
}

#[test]
fn an_own_whitelist_spares_directories_an_inherited_one_does_not() {
    let tar = || {
        Tar::aci()
            .dir("rootfs/d")
            .dir("rootfs/e")
            .file("rootfs/d/a", b"")
            .file("rootfs/d/b", b"")
            .symlink("rootfs/l", "gone")
    };
    let own = render_images(vec![Image { tar: tar(), own: Some(&["d/a/", "/l"]), ..Image::default() }], None).unwrap();
    assert_eq!(["d", "e", "d/a", "d/b", "l"].map(|path| own.has(path)), [true, true, true, false, true]);

    let inherited = Image { tar: tar(), own: None, inherited: &[&["/d/a", "/d/b", "/e"], &["/d/b", "/l", "/e"]] };
    let tree = render_images(vec![inherited], None).unwrap();
    assert_eq!(["d", "e", "d/a", "d/b", "l"].map(|path| tree.has(path)), [true, true, false, true, false]);

    let empty = render_images(vec![Image { tar: tar(), own: Some(&[]), ..Image::default() }], None).unwrap();
    assert!(empty.has("d/b"), "an empty whitelist is none");
}

#[test]
fn a_hard_link_whose_target_was_filtered_out_names_both() {
    let tar = Tar::aci().file("rootfs/target", b"").hard_link("rootfs/link", "rootfs/target");
    let (code, message) = refusal(render_images(vec![Image { tar, own: Some(&["/link"]), ..Image::default() }], None));
    assert_eq!(code, "RKT_RENDER_LINK_TARGET");
    assert!(message.contains("\"rootfs/link\"") && message.contains("\"rootfs/target\""), "{message}");
}

#[test]
fn a_hard_link_joins_the_file_that_an_upper_image_gave() {
    let upper = Tar::aci().file("rootfs/a", b"upper");
    let lower = Tar::aci().file("rootfs/a", b"lower").hard_link("rootfs/b", "rootfs/a");
    let images = vec![Image { tar: upper, ..Image::default() }, Image { tar: lower, ..Image::default() }];
    let tree = render_images(images, None).unwrap();
    assert_eq!(tree.text("b"), "upper");
    assert_eq!(tree.stat("a").nlink(), 2);
}

#[test]
fn names_through_links_of_the_same_image_stay_inside() {
    let tar = Tar::aci().symlink("rootfs/bin", "usr/bin").file("rootfs/bin/sh", b"shell");
    assert_eq!(render_one(tar).unwrap().text("usr/bin/sh"), "shell");
}

#[test]
fn nothing_escapes_through_links_and_names() {
    let scratch = Scratch::new();
    let outside = scratch.dir("outside");
    let absolute = outside.to_str().unwrap();
    let attacks = [
        Tar::aci().symlink("rootfs/l", absolute).file("rootfs/l/evil", b""),
        Tar::aci().symlink("rootfs/l", "../outside").file("rootfs/l/evil", b""),
        Tar::aci().symlink("rootfs/a", ".").symlink("rootfs/a/b", "../outside").file("rootfs/b/evil", b""),
        Tar::aci().symlink("rootfs/a", "b").symlink("rootfs/b", "..").file("rootfs/a/outside/evil", b""),
        Tar::aci().file("rootfs/../../outside/evil", b""),
        Tar::aci().file("../outside/evil", b""),
        Tar::aci().symlink("rootfs/l", absolute).hard_link("rootfs/h", "rootfs/l/secret"),
        Tar::aci().hard_link("rootfs/h", "../outside/secret"),
        Tar::aci().hard_link("rootfs/h", "rootfs/../outside/secret"),
    ];
    std::fs::write(outside.join("secret"), b"secret").unwrap();
    for (index, tar) in attacks.into_iter().enumerate() {
        let (blob, sha512) = scratch.blob("blob", &tar.end());
        let target = scratch.dir(&format!("target{index}"));
        let images = vec![RenderSource { blob, sha512, own: None, inherited: vec![] }];
        let error = render(&RenderRequest { images, target, shift: None }).unwrap_err();
        assert!(
            matches!(error.code(), "RKT_ACI_ESCAPE" | "RKT_RENDER_LINK_TARGET"),
            "{index}: {} {error}",
            error.code()
        );
        assert_eq!(std::fs::read_dir(&outside).unwrap().count(), 1, "{index}");
        assert_eq!(std::fs::metadata(outside.join("secret")).unwrap().nlink(), 1, "{index}");
    }
}

#[test]
fn a_link_that_replaces_a_directory_after_it_was_used_is_refused() {
    let tar = Tar::aci().dir("rootfs/d").file("rootfs/d/a", b"").symlink("rootfs/d", "/etc").file("rootfs/d/b", b"");
    // The first entry of a name counts, as in the reference: the link is left out.
    let tree = render_one(tar).unwrap();
    assert!(tree.stat("d").is_dir() && tree.has("d/b"));
    let implied = Tar::aci().file("rootfs/d/a", b"").symlink("rootfs/d", "/etc");
    assert_eq!(refusal(render_one(implied)).0, "RKT_ACI_DUPLICATE_ENTRY");
}

#[test]
fn a_blob_must_have_its_hash_whatever_is_wrong_with_it() {
    let scratch = Scratch::new();
    let bytes = Tar::aci().file("rootfs/f", b"content").end();
    let (blob, sha512) = scratch.blob("blob", &bytes);
    let mut index = 0;
    let mut run = |sha512: &str| {
        index += 1;
        let images = vec![RenderSource { blob: blob.clone(), sha512: sha512.to_owned(), own: None, inherited: vec![] }];
        render(&RenderRequest { images, target: scratch.dir(&format!("target{index}")), shift: None })
    };
    run(&sha512[..64]).unwrap();
    run(&sha512).unwrap();
    let expected = &sha512[..64];
    for at in [2000, 1536, bytes.len() - 1] {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        std::fs::write(&blob, &damaged).unwrap();
        let error = run(expected).unwrap_err();
        let found = &crate::testing::sha512(&damaged)[..64];
        assert_eq!(error.code(), "RKT_IMAGE_HASH_MISMATCH", "byte {at}: {error}");
        assert_eq!(
            error.to_string(),
            format!("image hash does not match expected (sha512-{found} != sha512-{expected})")
        );
    }
    std::fs::write(&blob, &bytes).unwrap();
    assert_eq!(run("").unwrap_err().code(), "RKT_IMAGE_HASH_MISMATCH", "an empty digest verifies nothing");
}

#[test]
fn the_target_must_be_empty() {
    let scratch = Scratch::new();
    let target = scratch.dir("target");
    std::fs::write(target.join("x"), b"").unwrap();
    let error = render(&RenderRequest { images: vec![], target, shift: None }).unwrap_err();
    assert_eq!(error.code(), "RKT_RENDER_TARGET_NOT_EMPTY");
}

#[test]
fn an_unsupported_type_names_its_entry() {
    let (code, message) = refusal(render_one(Tar::aci().entry(b'V', "rootfs/volume", b"", |_| {})));
    assert_eq!(
        (code, message.as_str()),
        ("RKT_RENDER_UNSUPPORTED_TYPE", "could not extract file \"rootfs/volume\": unsupported type: V")
    );
}

#[test]
fn extracting_gives_manifest_and_rootfs_or_what_is_in_it() {
    let scratch = Scratch::new();
    let (blob, sha512) =
        scratch.blob("blob", &Tar::aci().file("rootfs/f", b"content").hard_link("rootfs/h", "rootfs/f").end());
    let whole = scratch.path().join("whole");
    let stats = crate::extract(&blob, &sha512, &whole, false).unwrap();
    assert_eq!(std::fs::read(whole.join("manifest")).unwrap(), br#"{"acKind":"ImageManifest"}"#);
    assert_eq!(std::fs::read(whole.join("rootfs/h")).unwrap(), b"content");
    assert_eq!((stats.entries, stats), (4, tree_stats(&whole).unwrap()));
    let inner = scratch.dir("inner");
    crate::extract(&blob, &sha512, &inner, true).unwrap();
    assert_eq!(std::fs::read(inner.join("f")).unwrap(), b"content");
    assert!(!inner.join("manifest").exists());
    assert_eq!(crate::extract(&blob, &sha512, &inner, true).unwrap_err().code(), "RKT_RENDER_TARGET_NOT_EMPTY");
}

/// Archives mutated at random never write outside of the target, never panic, and never hang. The seed is fixed, so that
/// a failure comes back.
#[test]
fn mutated_archives_stay_inside() {
    let scratch = Scratch::new();
    let cage = scratch.dir("cage");
    std::fs::write(cage.join("secret"), b"secret").unwrap();
    let mut random = Random(0x7274_6b32);
    let names = ["a", "b", "a/b", "b/a", "a/b/c", "l", "l/a", "l/l", "../secret", "x/../../secret"];
    let targets = ["a", "b", "..", "../..", ".", "l", "/", "../secret", "a/../..", "/proc/self/root", "../target"];
    let mut rendered = 0;
    for round in 0..400 {
        let mut tar = Tar::aci();
        for _ in 0..random.below(12) + 1 {
            let name = format!("rootfs/{}", names[random.below(names.len())]);
            let target = targets[random.below(targets.len())];
            tar = match random.below(6) {
                0 => tar.dir(&name),
                1 | 2 => tar.symlink(&name, target),
                3 => tar.hard_link(&name, &format!("rootfs/{}", target.trim_start_matches('/'))),
                4 => tar.pax(&[("path", name.as_bytes())]).file("short", b"pwned"),
                _ => tar.file(&name, b"pwned"),
            };
        }
        let mut bytes = tar.end();
        if round % 2 == 0 {
            for _ in 0..random.below(4) {
                let block = random.below(bytes.len() / 512) * 512;
                let at = block + random.below(512);
                bytes[at] = random.next().to_le_bytes()[0];
                let sum: u32 =
                    (0..512).map(|i| if (148..156).contains(&i) { 32 } else { u32::from(bytes[block + i]) }).sum();
                bytes[block + 148..block + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
        }
        let (blob, sha512) = scratch.blob("blob", &bytes);
        let target = cage.join("target");
        std::fs::create_dir(&target).unwrap();
        let images = vec![RenderSource { blob: blob.clone(), sha512, own: None, inherited: vec![] }];
        let result = render(&RenderRequest { images, target: target.clone(), shift: None });
        rendered += usize::from(result.is_ok());
        let _ = crate::ingest(std::fs::File::open(&blob).unwrap(), scratch.path());

        let mut left: Vec<_> = std::fs::read_dir(&cage).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["secret", "target"], "round {round}");
        let secret = std::fs::metadata(cage.join("secret")).unwrap();
        assert_eq!(
            (std::fs::read(cage.join("secret")).unwrap().as_slice(), secret.nlink()),
            (&b"secret"[..], 1),
            "round {round}"
        );
        crate::remove_tree(&target).unwrap();
    }
    assert!(rendered > 20, "most were too wrong to try anything: {rendered}");
    assert!(scratch.path().join("blob").exists());
}
