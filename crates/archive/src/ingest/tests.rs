use std::io::{Seek, SeekFrom as At, Write};

use super::*;
use crate::testing::{Random, Scratch, Tar, bzip2, gzip, is_root, sha512, xz, zstd};

fn file_with(scratch: &Scratch, bytes: &[u8]) -> File {
    File::open(scratch.blob("source", bytes).0).unwrap()
}

fn aci() -> Vec<u8> {
    Tar::aci().file("rootfs/data", &Random(1).bytes(300_000)).end()
}

#[test]
fn every_compression_gives_the_same_image() {
    let plain = aci();
    let codecs: [(&str, Vec<u8>); 5] = [
        ("tar", plain.clone()),
        ("gzip", gzip(&plain)),
        ("bzip2", bzip2(&plain)),
        ("xz", xz(&plain)),
        ("zstd", zstd(&plain)),
    ];
    for (codec, bytes) in codecs {
        let scratch = Scratch::new();
        let image = ingest(file_with(&scratch, &bytes), scratch.path()).unwrap();
        assert_eq!(image.sha512, sha512(&plain), "{codec}");
        assert_eq!(image.size, plain.len() as u64, "{codec}");
        assert_eq!(image.manifest, br#"{"acKind":"ImageManifest"}"#, "{codec}");
        let mut written = Vec::new();
        let mut file = File::from(image.file);
        file.seek(At::Start(0)).unwrap();
        file.read_to_end(&mut written).unwrap();
        assert!(written == plain, "{codec}");
        assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 1, "{codec}: the image has no name yet");
    }
}

#[test]
fn streams_of_many_members_are_one_image() {
    let plain = aci();
    let (front, back) = plain.split_at(100_000);
    for (codec, pack) in [("gzip", gzip as fn(&[u8]) -> Vec<u8>), ("bzip2", bzip2), ("xz", xz), ("zstd", zstd)] {
        let scratch = Scratch::new();
        let image = ingest(file_with(&scratch, &[pack(front), pack(back)].concat()), scratch.path()).unwrap();
        assert_eq!(image.sha512, sha512(&plain), "{codec}");
    }
}

#[test]
fn truncated_streams_are_called_truncated() {
    let plain = aci();
    for (codec, bytes) in [("gzip", gzip(&plain)), ("bzip2", bzip2(&plain)), ("xz", xz(&plain)), ("zstd", zstd(&plain))]
    {
        for cut in [1, 5, bytes.len() / 2] {
            let scratch = Scratch::new();
            let error = ingest(file_with(&scratch, &bytes[..bytes.len() - cut]), scratch.path()).unwrap_err();
            assert_eq!(error.code(), "RKT_ARCHIVE_TRUNCATED", "{codec} cut by {cut}: {error}");
            assert_eq!(error.to_string(), format!("the {codec} stream is truncated"));
        }
    }
}

#[test]
fn damaged_streams_and_trailing_garbage_are_called_corrupt() {
    let plain = aci();
    for (codec, bytes) in [("gzip", gzip(&plain)), ("bzip2", bzip2(&plain)), ("xz", xz(&plain)), ("zstd", zstd(&plain))]
    {
        let scratch = Scratch::new();
        let garbage = [bytes.as_slice(), b"garbage that is long enough to be no header"].concat();
        let error = ingest(file_with(&scratch, &garbage), scratch.path()).unwrap_err();
        assert_eq!(error.code(), "RKT_ARCHIVE_CORRUPT", "{codec}, garbage: {error}");
        if codec == "zstd" {
            continue; // has no checksum unless asked for
        }
        let mut damaged = bytes;
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0x55;
        let error = ingest(file_with(&scratch, &damaged), scratch.path()).unwrap_err();
        assert_eq!(error.code(), "RKT_ARCHIVE_CORRUPT", "{codec}, damaged: {error}");
    }
}

#[test]
fn other_files_are_refused_by_their_first_bytes() {
    for bytes in [&b""[..], b"hello", b"{\"acKind\": \"ImageManifest\"}", &[0; 4096]] {
        let scratch = Scratch::new();
        let error = ingest(file_with(&scratch, bytes), scratch.path()).unwrap_err();
        assert_eq!(error.code(), "RKT_ARCHIVE_TYPE_UNKNOWN");
        assert_eq!(error.to_string(), "the file is neither a tar nor a gzip, bzip2, xz or zstd stream");
    }
}

#[test]
fn a_file_is_read_from_its_start_and_a_pipe_from_where_it_is() {
    let scratch = Scratch::new();
    let plain = aci();
    let mut file = file_with(&scratch, &plain);
    file.seek(At::Start(1000)).unwrap();
    assert_eq!(ingest(&file, scratch.path()).unwrap().sha512, sha512(&plain));
    assert_eq!(file.stream_position().unwrap(), 1000, "the caller's offset is the caller's");

    let (reader, mut writer) = std::io::pipe().unwrap();
    let bytes = gzip(&plain);
    let feeder = thread::spawn(move || writer.write_all(&bytes));
    assert_eq!(ingest(&reader, scratch.path()).unwrap().sha512, sha512(&plain));
    feeder.join().unwrap().unwrap();
}

#[test]
fn a_bad_archive_ends_the_import_of_an_endless_stream() {
    let scratch = Scratch::new();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let feeder = thread::spawn(move || {
        let head = Tar::new().file("not-an-aci", b"").open();
        writer.write_all(&head)?;
        loop {
            writer.write_all(&head)?;
        }
        #[allow(unreachable_code, reason = "the loop ends by an error")]
        Ok::<_, io::Error>(())
    });
    let error = ingest(&reader, scratch.path()).unwrap_err();
    assert_eq!(error.code(), "RKT_ACI_UNEXPECTED_ENTRY");
    drop(reader);
    assert_eq!(feeder.join().unwrap().unwrap_err().kind(), io::ErrorKind::BrokenPipe);
}

#[test]
fn a_missing_directory_is_named() {
    let scratch = Scratch::new();
    let error = ingest(file_with(&scratch, &aci()), &scratch.path().join("absent")).unwrap_err();
    assert_eq!((error.code(), error.errno()), ("RKT_IO", 2));
    assert!(error.to_string().contains("absent"), "{error}");
}

/// On a tmpfs of 1 MiB in a mount namespace of its own.
#[test]
fn a_full_disk_is_called_so_and_nothing_stays_on_it() {
    const NAME: &str = "ingest::tests::a_full_disk_is_called_so_and_nothing_stays_on_it";
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    let small = scratch.dir("small");
    if let Some(small) = std::env::var_os("RKT_TEST_SMALL") {
        let bytes = Tar::aci().file("rootfs/data", &vec![7; 4 << 20]).end();
        let error = ingest(file_with(&scratch, &gzip(&bytes)), Path::new(&small)).unwrap_err();
        let files = std::fs::read_dir(&small).unwrap().count();
        let blocks = rustix::fs::statvfs(&small).unwrap();
        let used = blocks.f_blocks - blocks.f_bfree;
        println!(
            "[{} {} {error}: {}, {files} files, {used} blocks]",
            error.code(),
            error.errno(),
            error.cause().unwrap()
        );

        let (blob, sha512) = scratch.blob("blob", &bytes);
        let images = vec![crate::RenderSource { blob, sha512, own: None, inherited: vec![] }];
        let error = crate::render(&crate::RenderRequest { images, target: small.into(), shift: None }).unwrap_err();
        println!("[{} {error}]", error.code());
        return;
    }
    let script =
        format!("mount -t tmpfs -o size=1m none {} && exec \"$0\" --exact --nocapture {NAME}", small.display());
    let output = std::process::Command::new("unshare")
        .args(["--mount", "sh", "-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env("RKT_TEST_SMALL", &small)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let imported = format!(
        "[RKT_NO_SPACE 28 cannot write the image in {}: no space left on device, 0 files, 0 blocks]",
        small.display()
    );
    assert!(text.contains(&imported), "{text} {}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("[RKT_NO_SPACE cannot write \"rootfs/data\"]"), "{text}");
}

#[test]
fn a_bomb_is_given_up_at_its_limit() {
    let scratch = Scratch::new();
    let bomb = gzip(&Tar::aci().file("rootfs/big", &vec![0; 3 << 20]).end());
    let error = ingest_within(file_with(&scratch, &bomb), scratch.path(), 1 << 20).unwrap_err();
    assert_eq!(error.code(), "RKT_ARCHIVE_TOO_LARGE");
    assert_eq!(error.to_string(), "the archive inflates to more than 1048576 bytes");
    assert!(ingest_within(file_with(&scratch, &bomb), scratch.path(), 4 << 20).is_ok());
}
