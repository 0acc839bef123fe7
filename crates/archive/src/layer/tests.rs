use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::Path,
};

use rustix::fs::XattrFlags;

use super::*;
use crate::{
    Error,
    testing::{Random, Scratch, Tar, bzip2, gzip, is_root, xz, zstd},
};

fn digest_of(bytes: &[u8], algorithm: Algorithm) -> Digest {
    let mut hasher = hash::Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

fn request(scratch: &Scratch, tar: &[u8], packed: &[u8]) -> Ingest {
    Ingest {
        digest: Some(digest_of(packed, Algorithm::Sha256)),
        size: Some(packed.len() as u64),
        diff_id: Some(digest_of(tar, Algorithm::Sha256)),
        limit: 1 << 30,
        blob: Some(scratch.path().to_owned()),
        render: None,
    }
}

fn flavor() -> Flavor {
    if rustix::process::geteuid().is_root() { Flavor::Trusted } else { Flavor::User }
}

/// Renders one plain tar as a layer; the directory is its tree.
fn render(scratch: &Scratch, name: &str, tar: Vec<u8>) -> Result<Rendered, Error> {
    let directory = scratch.dir(name);
    let wanted = Ingest {
        blob: None,
        render: Some(RenderTarget { directory, flavor: flavor() }),
        ..request(scratch, &tar, &tar)
    };
    Ok(ingest(Reading(tar.as_slice()), &wanted)?.rendered.unwrap())
}

fn flat(scratch: &Scratch, name: &str, layers: &[Vec<u8>]) -> Result<TreeStats, Error> {
    let layers = layers.iter().enumerate().map(|(position, tar)| FlatLayer {
        blob: scratch.blob(&format!("{name}-{position}"), &gzip(tar)).0,
        diff_id: digest_of(tar, Algorithm::Sha256),
        limit: 1 << 30,
    });
    let target = scratch.dir(name);
    let scratch = scratch.path().join(format!("{name}-scratch"));
    let stats = flatten(&FlattenRequest { layers: layers.collect(), target, scratch: scratch.clone(), shift: None });
    assert!(!scratch.exists(), "the scratch directory is gone");
    stats
}

fn is_opaque(path: &Path) -> bool {
    crate::list_xattrs(path).unwrap().iter().any(|xattr| xattr.name.to_bytes() == flavor().opaque().as_bytes())
}

fn is_whiteout(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|stat| stat.file_type().is_char_device() && stat.rdev() == 0)
}

/// All names below a directory with what they are.
fn listing(root: &Path) -> BTreeMap<String, String> {
    fn walk(root: &Path, at: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(at).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let stat = fs::symlink_metadata(&path).unwrap();
            let what = if stat.is_dir() {
                walk(root, &path, found);
                format!("dir {:o}", stat.permissions().mode() & 0o7777)
            } else if stat.is_symlink() {
                format!("-> {}", fs::read_link(&path).unwrap().display())
            } else if stat.is_file() {
                format!("{:?}", fs::read_to_string(&path).unwrap())
            } else {
                format!("{:?} {}", stat.file_type(), stat.rdev())
            };
            found.insert(path.strip_prefix(root).unwrap().display().to_string(), what);
        }
    }
    let mut found = BTreeMap::new();
    walk(root, root, &mut found);
    found
}

fn code(result: Result<impl std::fmt::Debug, Error>) -> &'static str {
    result.unwrap_err().code()
}

#[test]
fn a_layer_of_any_compression_is_verified_and_kept_as_it_came() {
    let scratch = Scratch::new();
    let tar = Tar::new().dir("etc").file("etc/hosts", b"127.0.0.1 localhost").end();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3][..], &zstd(&tar)].concat();
    let (head, tail) = tar.split_at(700);
    let members = [gzip(head), gzip(tail)].concat();
    let frames = [zstd(head), skippable[..11].to_vec(), zstd(tail)].concat();
    for packed in [tar.clone(), gzip(&tar), bzip2(&tar), xz(&tar), zstd(&tar), skippable, members, frames] {
        let layer = ingest(Reading(packed.as_slice()), &request(&scratch, &tar, &packed)).unwrap();
        assert_eq!(layer.digest, digest_of(&packed, Algorithm::Sha256));
        assert_eq!((layer.size, layer.inflated), (packed.len() as u64, tar.len() as u64));
        let mut written = Vec::new();
        let file = fs::File::from(layer.blob.unwrap());
        std::os::unix::fs::FileExt::read_at(&file, &mut [0; 1], 0).unwrap();
        std::io::Read::read_to_end(&mut std::io::Seek::rewind(&mut &file).map(|()| &file).unwrap(), &mut written)
            .unwrap();
        assert_eq!(written, packed);
    }
}

#[test]
fn digests_may_be_by_sha512_and_an_empty_layer_is_one() {
    let scratch = Scratch::new();
    for tar in [Vec::new(), vec![0; 1024], Tar::new().file("x", b"x").end()] {
        let wanted = Ingest {
            digest: Some(digest_of(&tar, Algorithm::Sha512)),
            diff_id: Some(digest_of(&tar, Algorithm::Sha512)),
            ..request(&scratch, &tar, &tar)
        };
        assert_eq!(ingest(Reading(tar.as_slice()), &wanted).unwrap().diff_id.to_string().len(), "sha512:".len() + 128);
    }
}

#[test]
fn bytes_that_are_not_what_was_announced_are_told_before_anything_else() {
    let scratch = Scratch::new();
    let tar = Tar::new().file("a", b"a").end();
    let packed = gzip(&tar);
    let good = request(&scratch, &tar, &packed);
    let with = |bytes: &[u8]| code(ingest(Reading(bytes), &good));
    let mut flipped = packed.clone();
    flipped[20] ^= 1;
    assert_eq!(with(&flipped), "RKT_LAYER_DIGEST", "though the stream is corrupt as well");
    assert_eq!(with(&packed[..packed.len() - 1]), "RKT_LAYER_SIZE", "though the stream is truncated as well");
    assert_eq!(with(&[&packed[..], b"x"].concat()), "RKT_LAYER_SIZE");
    let lie = Ingest { diff_id: Some(digest_of(b"other", Algorithm::Sha256)), ..good.clone() };
    assert_eq!(code(ingest(Reading(packed.as_slice()), &lie)), "RKT_LAYER_DIFF_ID");
    let cut = &packed[..packed.len() - 4];
    let honest = request(&scratch, &tar, cut);
    assert_eq!(code(ingest(Reading(cut), &honest)), "RKT_ARCHIVE_TRUNCATED", "with a digest that fits the cut bytes");
}

#[test]
fn an_endless_body_and_a_bomb_end_early() {
    let scratch = Scratch::new();
    let tar = Tar::new().file("zeros", &vec![0; 4 << 20]).end();
    let packed = gzip(&tar);
    let endless = std::io::repeat(0x1f);
    assert_eq!(code(ingest(Reading(endless), &request(&scratch, &tar, &packed))), "RKT_LAYER_SIZE");
    let bounded = Ingest { limit: 1 << 20, ..request(&scratch, &tar, &packed) };
    assert_eq!(code(ingest(Reading(packed.as_slice()), &bounded)), "RKT_LAYER_TOO_LARGE");
}

#[test]
fn what_is_pushed_arrives_and_a_sender_that_goes_away_is_an_abort() {
    let scratch = Scratch::new();
    let tar = Tar::new().file("noise", &Random(7).bytes(12 << 20)).end();
    let wanted = request(&scratch, &tar, &tar);
    let (sender, feed) = channel();
    let layer = std::thread::scope(|scope| {
        let receiver = scope.spawn(|| ingest(feed, &wanted));
        for piece in tar.chunks(1 << 20) {
            if !sender.push(piece.to_vec()) {
                let (drained, wait) = std::sync::mpsc::channel();
                sender.when_drained(Box::new(move || drained.send(()).unwrap()));
                wait.recv().unwrap();
            }
        }
        sender.end();
        receiver.join().unwrap()
    });
    assert_eq!(layer.unwrap().size, tar.len() as u64);

    let (sender, feed) = channel();
    sender.push(tar[..1000].to_vec());
    drop(sender);
    assert_eq!(code(ingest(feed, &wanted)), "RKT_LAYER_ABORTED");
}

#[test]
fn whiteouts_and_opaque_directories_have_the_form_of_overlayfs() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let tar = Tar::new()
        .file("etc/.wh.passwd", b"")
        .file("opt/.wh..wh..opq", b"")
        .file("opt/new", b"new")
        .file("kept/own", b"own")
        .file("kept/.wh.own", b"")
        .file("late/.wh.dir", b"")
        .dir("late/dir")
        .file("early/dir/file", b"file")
        .file("early/.wh.dir", b"")
        .file("replaced/.wh.file", b"")
        .file("replaced/file", b"here")
        .file("below/.wh.dir", b"")
        .file("below/dir/file", b"here")
        .file(".wh..wh.plnk/1.2", b"")
        .file(".wh..wh.aufs", b"")
        .end();
    assert!(matches!(render(&scratch, "layer", tar).unwrap(), Rendered::Whole { .. }));
    let at = |path: &str| scratch.path().join("layer").join(path);
    assert!(is_whiteout(&at("etc/passwd")));
    assert!(is_opaque(&at("opt")) && at("opt/new").exists());
    assert!(at("kept/own").is_file(), "a whiteout does not hide what its own layer brings");
    assert!(at("late/dir").is_dir() && is_opaque(&at("late/dir")));
    assert!(at("early/dir/file").is_file() && is_opaque(&at("early/dir")));
    assert_eq!(fs::read(at("replaced/file")).unwrap(), b"here");
    assert!(at("below/dir/file").is_file() && is_opaque(&at("below/dir")));
    assert!(listing(&at("")).keys().all(|name| !name.contains(".wh.")), "no marker is stored");
}

#[test]
fn a_marker_that_hides_nothing_is_refused() {
    let scratch = Scratch::new();
    for (name, path) in
        [("bare", "etc/.wh."), ("dot", "etc/.wh.."), ("dots", "etc/.wh..."), ("inside", ".wh.etc/passwd")]
    {
        assert_eq!(code(render(&scratch, name, Tar::new().file(path, b"").end())), "RKT_LAYER_ENTRY", "{path}");
    }
}

#[test]
fn names_stay_below_the_layers_root_whatever_links_it_has() {
    let scratch = Scratch::new();
    let outside = scratch.dir("outside");
    let target = outside.to_str().unwrap();
    // As the root of all, the layer has no directory where the link leads.
    let through = Tar::new().symlink("out", target).file("out/file", b"escaped").end();
    assert_eq!(code(render(&scratch, "absolute", through)), "RKT_LAYER_ENTRY");
    let up = Tar::new().symlink("out", "../../../outside").file("out/file", b"escaped").end();
    assert_eq!(code(render(&scratch, "up", up)), "RKT_LAYER_ENTRY");
    assert_eq!(
        code(render(&scratch, "dotdot", Tar::new().file("../outside/file", b"escaped").end())),
        "RKT_LAYER_ENTRY"
    );
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);

    // Links inside are followed as if the layer were the root: this is what Debian's bin -> usr/bin needs.
    let inside = Tar::new().dir("usr/bin").symlink("bin", "/usr/bin").file("/bin/sh", b"shell").end();
    render(&scratch, "inside", inside).unwrap();
    assert_eq!(fs::read(scratch.path().join("inside/usr/bin/sh")).unwrap(), b"shell");

    let secret = scratch.blob("secret", b"secret").0;
    let link = Tar::new().hard_link("stolen", secret.to_str().unwrap()).end();
    assert!(matches!(render(&scratch, "link", link).unwrap(), Rendered::NeedsParents { entry } if entry == "stolen"));
    let link = Tar::new().hard_link("stolen", "../secret").end();
    assert_eq!(code(render(&scratch, "link-up", link)), "RKT_RENDER_LINK_TARGET");
    let link = Tar::new().symlink("dir", "..").hard_link("stolen", "dir/secret").end();
    assert!(matches!(render(&scratch, "link-through", link).unwrap(), Rendered::NeedsParents { .. }));
}

#[test]
fn a_name_that_comes_again_replaces_what_was_there() {
    let scratch = Scratch::new();
    let tar = Tar::new()
        .file("a", b"first")
        .file("a", b"second")
        .dir("b")
        .file("b/inner", b"x")
        .file("b", b"file")
        .file("c", b"file")
        .dir("c")
        .symlink("d", "a")
        .dir("d")
        .dir("e")
        .file("e/kept", b"x")
        .dir("e")
        .symlink("f", "missing")
        .file("f", b"not through the link")
        .hard_link("a", "a")
        .end();
    render(&scratch, "layer", tar).unwrap();
    let found = listing(&scratch.path().join("layer"));
    let expected = [
        ("a", "\"second\""),
        ("b", "\"file\""),
        ("c", "dir 755"),
        ("d", "dir 755"),
        ("e", "dir 755"),
        ("e/kept", "\"x\""),
        ("f", "\"not through the link\""),
    ];
    assert_eq!(found, expected.map(|(name, what)| (name.to_owned(), what.to_owned())).into());
}

#[test]
fn what_speaks_to_overlayfs_or_the_hosts_modules_is_dropped() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let records: [(&str, &[u8]); 6] = [
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.security.selinux", b"system_u"),
        ("SCHILY.xattr.user.mine", b"kept\0\n"),
        ("SCHILY.xattr.security.capability", &capability),
    ];
    let tar = Tar::new()
        .pax(&records[..5])
        .dir("dir")
        .pax(&records)
        .file("file", b"")
        .pax(&[("LIBARCHIVE.xattr.user.theirs", b"bWluZQ")])
        .file("libarchive", b"")
        .entry(b'3', "whiteout", b"", |header| {
            header.set_device_major(0).unwrap();
            header.set_device_minor(0).unwrap();
        })
        .entry(b'3', "null", b"", |header| {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        })
        .end();
    render(&scratch, "layer", tar).unwrap();
    let names = |path: &str| -> Vec<String> {
        let found = crate::list_xattrs(&scratch.path().join("layer").join(path)).unwrap();
        found.into_iter().map(|xattr| xattr.name.into_string().unwrap()).collect()
    };
    assert_eq!(names("dir"), ["user.mine"]);
    assert_eq!(names("file"), ["security.capability", "user.mine"]);
    assert_eq!(names("libarchive"), ["user.theirs"]);
    assert!(!scratch.path().join("layer/whiteout").exists());
    assert_eq!(fs::metadata(scratch.path().join("layer/null")).unwrap().rdev(), rustix::fs::makedev(1, 3));
}

#[test]
fn modes_owners_times_and_odd_names_are_as_in_the_archive() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let tar = Tar::new()
        .entry(b'5', "tmp", b"", |header| header.set_mode(0o1777))
        .entry(b'5', "sgid", b"", |header| {
            header.set_mode(0o2775);
            header.set_gid(50);
        })
        .file("sgid/file", b"x")
        .entry(b'0', "suid", b"x", |header| {
            header.set_mode(0o4755);
            header.set_uid(7);
        })
        .entry(b'0', "open", b"x", |header| header.set_mode(0o666))
        .entry(b'6', "fifo", b"", |header| header.set_mode(0o622))
        .pax(&[("path", b"odd\xff\n")])
        .file("x", b"")
        .end();
    render(&scratch, "layer", tar).unwrap();
    let stat = |path: &str| fs::symlink_metadata(scratch.path().join("layer").join(path)).unwrap();
    assert_eq!(stat("tmp").mode() & 0o7777, 0o1777);
    assert_eq!((stat("sgid").mode() & 0o7777, stat("sgid").gid()), (0o2775, 50));
    assert_eq!(stat("sgid/file").gid(), 0, "the bit is not inherited while the tree is made");
    assert_eq!((stat("suid").mode() & 0o7777, stat("suid").uid()), (0o4755, 7));
    assert_eq!(stat("open").mode() & 0o7777, 0o666, "whatever the umask is");
    assert_eq!(stat("fifo").mode() & 0o7777, 0o622);
    assert_eq!(
        (stat("tmp").mtime(), stat("sgid").mtime(), stat("suid").mtime()),
        (1_000_000_000, 1_000_000_000, 1_000_000_000)
    );
    use std::os::unix::ffi::OsStrExt;
    let odd = scratch.path().join("layer").join(std::ffi::OsStr::from_bytes(b"odd\xff\n"));
    assert!(odd.exists());
}

#[test]
fn a_layer_tells_which_directories_it_does_not_describe() {
    let scratch = Scratch::new();
    let tar = Tar::new().file("a/b/file", b"").dir("a/b").file("c/d", b"").end();
    let Rendered::Whole { implied, .. } = render(&scratch, "layer", tar).unwrap() else { panic!("it is whole") };
    assert_eq!(implied, [b"".to_vec(), b"a".to_vec(), b"c".to_vec()]);
}

fn layers() -> Vec<Vec<u8>> {
    let base = Tar::new()
        .dir("etc")
        .file("etc/passwd", b"root")
        .file("etc/gone", b"x")
        .entry(b'5', "tmp", b"", |header| header.set_mode(0o1777))
        .dir("opt")
        .file("opt/old", b"old")
        .dir("opt/sub")
        .file("opt/sub/old", b"old")
        .dir("usr/bin")
        .file("usr/bin/tool", b"tool")
        .symlink("bin", "usr/bin")
        .file("was-file", b"x")
        .dir("was-dir")
        .file("was-dir/x", b"x");
    let middle = Tar::new()
        .file("etc/.wh.gone", b"")
        .file("opt/sub/new", b"new")
        .file("opt/.wh..wh..opq", b"")
        .file("tmp/file", b"in a directory that no entry describes")
        .dir("was-file")
        .file("was-dir", b"now a file")
        .file("fresh/.wh.nothing", b"")
        .hard_link("usr/bin/same", "usr/bin/tool");
    let top = Tar::new().file("etc/gone", b"back").file(".wh.fresh", b"").file("bin/own", b"own");
    [base, middle, top].map(Tar::end).into()
}

#[test]
fn layers_laid_on_each_other_are_one_tree() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    flat(&scratch, "flat", &layers()).unwrap();
    let expected = [
        ("bin", "-> usr/bin"),
        ("etc", "dir 755"),
        ("etc/gone", "\"back\""),
        ("etc/passwd", "\"root\""),
        ("opt", "dir 755"),
        ("opt/sub", "dir 755"),
        ("opt/sub/new", "\"new\""),
        ("tmp", "dir 1777"),
        ("tmp/file", "\"in a directory that no entry describes\""),
        ("usr", "dir 755"),
        ("usr/bin", "dir 755"),
        ("usr/bin/own", "\"own\""),
        ("usr/bin/same", "\"tool\""),
        ("usr/bin/tool", "\"tool\""),
        ("was-dir", "\"now a file\""),
        ("was-file", "dir 755"),
    ];
    let root = scratch.path().join("flat");
    assert_eq!(listing(&root), expected.map(|(name, what)| (name.to_owned(), what.to_owned())).into());
    let inode = |path: &str| fs::metadata(root.join(path)).unwrap().ino();
    assert_eq!(inode("usr/bin/same"), inode("usr/bin/tool"), "a hard link into a lower layer");
    assert!(!is_opaque(&root.join("opt")));
    for name in ["etc", "opt", "tmp", "usr/bin", "was-file"] {
        let time = fs::metadata(root.join(name)).unwrap().mtime();
        assert_eq!(time, 1_000_000_000, "{name} has the time that the layers say");
    }
}

#[test]
fn a_link_to_what_no_layer_has_is_refused_and_so_is_a_lie_about_a_layer() {
    let scratch = Scratch::new();
    let bad = Tar::new().hard_link("link", "nowhere").end();
    assert_eq!(code(flat(&scratch, "link", &[Tar::new().dir("etc").end(), bad])), "RKT_RENDER_LINK_TARGET");

    let tar = Tar::new().file("a", b"a").end();
    let (blob, _) = scratch.blob("lie", &tar);
    let diff_id = digest_of(b"other", Algorithm::Sha256);
    let layers = vec![FlatLayer { blob, diff_id, limit: 1 << 20 }];
    let request = FlattenRequest { layers, target: scratch.dir("t"), scratch: scratch.path().join("s"), shift: None };
    assert_eq!(code(flatten(&request)), "RKT_LAYER_DIFF_ID");
}

#[test]
fn a_name_leads_through_a_link_of_a_lower_layer_to_where_it_points_below_the_root() {
    let scratch = Scratch::new();
    let base = Tar::new()
        .dir("usr")
        .entry(b'5', "usr/lib", b"", |header| header.set_mode(0o711))
        .file("usr/lib/old", b"old")
        .file("usr/lib/gone", b"gone")
        .symlink("lib", "usr/lib")
        .symlink("lib64", "/usr/lib")
        .symlink("up", "../../usr/lib")
        .symlink("dead", "nowhere")
        .symlink("plain", "usr/lib")
        .end();
    let top = Tar::new()
        .file("lib/one", b"1")
        .file("lib/.wh.gone", b"")
        .file("lib64/sub/two", b"2")
        .file("up/three", b"3")
        .file("dead/four", b"4")
        .dir("plain")
        .file("plain/five", b"5")
        .end();
    flat(&scratch, "flat", &[base, top]).unwrap();
    let found = listing(&scratch.path().join("flat"));
    let expected = [
        ("dead", "dir 755"),
        ("dead/four", "\"4\""),
        ("lib", "-> usr/lib"),
        ("lib64", "-> /usr/lib"),
        // an entry of its own replaces a link
        ("plain", "dir 755"),
        ("plain/five", "\"5\""),
        ("up", "-> ../../usr/lib"),
        ("usr", "dir 755"),
        ("usr/lib", "dir 711"),
        ("usr/lib/old", "\"old\""),
        ("usr/lib/one", "\"1\""),
        ("usr/lib/sub", "dir 755"),
        ("usr/lib/sub/two", "\"2\""),
        ("usr/lib/three", "\"3\""),
    ];
    assert_eq!(found, expected.map(|(name, what)| (name.to_owned(), what.to_owned())).into());
}

#[test]
fn a_full_directory_of_links_is_no_way_out_while_flattening() {
    let scratch = Scratch::new();
    let outside = scratch.dir("outside");
    let base = Tar::new().symlink("etc", outside.to_str().unwrap()).end();
    let top = Tar::new().file("etc/file", b"x").end();
    flat(&scratch, "flat", &[base, top]).unwrap();
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert!(scratch.path().join("flat/etc").symlink_metadata().unwrap().is_dir());
}

#[test]
fn random_damage_is_refused_or_harmless() {
    let scratch = Scratch::new();
    let outside = scratch.dir("outside");
    let tar = Tar::new()
        .dir("a")
        .symlink("a/link", outside.to_str().unwrap())
        .file("a/.wh.x", b"")
        .file("a/link/file", b"x")
        .hard_link("b", "a/file")
        .end();
    let mut random = Random(11);
    for round in 0..300 {
        let mut bytes = tar.clone();
        for _ in 0..3 {
            let at = random.below(bytes.len());
            bytes[at] = random.next().to_le_bytes()[0];
        }
        let _ = render(&scratch, &format!("round-{round}"), bytes);
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
}

#[test]
fn an_attribute_of_a_lower_directory_does_not_outlive_its_entry() {
    let scratch = Scratch::new();
    let probe = scratch.dir("probe");
    if rustix::fs::setxattr(&probe, "user.x", b"", XattrFlags::empty()).is_err() {
        eprintln!("skipped: no user attributes here");
        return;
    }
    let base = Tar::new().pax(&[("SCHILY.xattr.user.old", b"1")]).dir("dir").end();
    let top = Tar::new().pax(&[("SCHILY.xattr.user.new", b"2")]).dir("dir").end();
    flat(&scratch, "flat", &[base, top]).unwrap();
    let found = crate::list_xattrs(&scratch.path().join("flat/dir")).unwrap();
    let names: Vec<_> = found.iter().map(|xattr| xattr.name.to_bytes().to_vec()).collect();
    assert_eq!(names, [b"user.new"]);
}
