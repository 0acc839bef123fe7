use super::*;
use crate::testing::Tar;

type Read = Vec<(Entry, Vec<u8>)>;

/// All entries with their content, holes as zeros.
fn read(bytes: &[u8]) -> Result<Read, Error> {
    let mut reader = Reader::new(bytes);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = vec![0; usize::try_from(entry.size).unwrap()];
        reader.read_data(&entry, &mut |offset, run| {
            let offset = usize::try_from(offset).unwrap();
            content[offset..offset + run.len()].copy_from_slice(run);
            Ok(())
        })?;
        entries.push((entry, content));
    }
    reader.finish(true)?;
    Ok(entries)
}

fn code(bytes: &[u8]) -> &'static str {
    read(bytes).map_or_else(|error| error.code(), |_| "")
}

#[test]
fn all_types_of_entries_are_told_apart() {
    let bytes = Tar::new()
        .file("f", b"content")
        .dir("d")
        .symlink("s", "f")
        .hard_link("h", "f")
        .entry(b'6', "p", b"", |_| {})
        .entry(b'3', "c", b"", |header| {
            header.set_device_major(1).unwrap();
            header.set_device_minor(3).unwrap();
        })
        .entry(0, "old/", b"", |_| {})
        .entry(b'7', "contiguous", b"x", |_| {})
        .entry(b'Z', "unknown", b"data", |_| {})
        .end();

    let kinds: Vec<Kind> = read(&bytes).unwrap().into_iter().map(|(entry, _)| entry.kind).collect();

    let link = || b"f".to_vec();
    assert_eq!(
        kinds,
        [
            Kind::File,
            Kind::Directory,
            Kind::SymbolicLink(link()),
            Kind::HardLink(link()),
            Kind::Fifo,
            Kind::CharacterDevice(1, 3),
            Kind::Directory,
            Kind::File,
            Kind::Unknown(b'Z'),
        ]
    );
}

#[test]
fn long_names_come_from_gnu_and_pax_headers_and_pax_wins() {
    let long = "a/".repeat(150) + "end";
    let bytes = Tar::new()
        .entry(b'L', "././@LongLink", format!("{long}\0").as_bytes(), |_| {})
        .entry(b'K', "././@LongLink", format!("{long}/target\0").as_bytes(), |_| {})
        .symlink("short", "short")
        .pax(&[("path", b"from-pax"), ("linkpath", b"link-from-pax")])
        .entry(b'L', "././@LongLink", b"from-gnu\0", |_| {})
        .symlink("short", "short")
        .symlink("after", "short")
        .end();

    let entries = read(&bytes).unwrap();

    assert_eq!(entries[0].0.path, long.as_bytes());
    assert_eq!(entries[0].0.kind, Kind::SymbolicLink(format!("{long}/target").into_bytes()));
    assert_eq!(entries[1].0.path, b"from-pax");
    assert_eq!(entries[1].0.kind, Kind::SymbolicLink(b"link-from-pax".to_vec()));
    assert_eq!(entries[2].0.path, b"after", "extended headers are for one entry");
}

#[test]
fn pax_sets_owners_times_sizes_and_attributes() {
    let bytes = Tar::new()
        .pax(&[
            ("uid", b"3000000"),
            ("gid", b"3000001"),
            ("mtime", b"1234567890.5"),
            ("atime", b"1234567891.000000001"),
            ("size", b"4"),
            ("SCHILY.xattr.user.note", b"line\nline\0"),
        ])
        .entry(b'0', "f", b"abcd", |header| header.set_size(0))
        .end();
    // The data lie behind the header whatever its size field said.
    let entries = read(&bytes).unwrap();
    let (entry, content) = &entries[0];
    assert_eq!((entry.uid, entry.gid, content.as_slice()), (3_000_000, 3_000_001, &b"abcd"[..]));
    assert_eq!(entry.mtime, Timestamp { seconds: 1_234_567_890, nanoseconds: 500_000_000 });
    assert_eq!(entry.atime, Some(Timestamp { seconds: 1_234_567_891, nanoseconds: 1 }));
    assert_eq!(entry.xattrs, [(b"user.note".to_vec(), b"line\nline\0".to_vec())]);
}

#[test]
fn global_headers_are_skipped() {
    let bytes = Tar::new().entry(b'g', "pax_global_header", b"20 path=everywhere!\n", |_| {}).file("f", b"").end();
    assert_eq!(read(&bytes).unwrap()[0].0.path, b"f");
}

/// 10 bytes at 1000 and 5 at 5000 of a file of 8192.
fn sparse_content() -> Vec<u8> {
    let mut content = vec![0; 8192];
    content[1000..1010].copy_from_slice(b"0123456789");
    content[5000..5005].copy_from_slice(b"abcde");
    content
}

const STORED: &[u8] = b"0123456789abcde";

fn octal(number: u64) -> [u8; 12] {
    format!("{number:011o}\0").into_bytes().try_into().unwrap()
}

#[test]
fn sparse_files_of_old_gnu_form() {
    let bytes = Tar::new()
        .entry(b'S', "f", STORED, |header| {
            let gnu = header.as_gnu_mut().unwrap();
            for (sparse, (offset, length)) in gnu.sparse.iter_mut().zip([(1000, 10), (5000, 5), (8192, 0)]) {
                sparse.offset = octal(offset);
                sparse.numbytes = octal(length);
            }
            gnu.realsize = octal(8192);
        })
        .file("next", b"1")
        .end();
    let entries = read(&bytes).unwrap();
    assert_eq!(entries[0].1, sparse_content());
    assert_eq!(entries[1].1, b"1");
}

#[test]
fn sparse_files_of_old_gnu_form_with_further_blocks() {
    let stored: Vec<u8> = (0..30).collect();
    let run = |index: u64| [octal(index * 1000), octal(1)].concat();
    let block = (4..25).flat_map(run).chain([1]).chain([0; 7]).collect::<Vec<u8>>();
    let last = (25..30).flat_map(run).collect::<Vec<u8>>();
    let mut tar = Tar::new().entry(b'S', "f", b"", |header| {
        header.set_size(30);
        let gnu = header.as_gnu_mut().unwrap();
        for (index, sparse) in gnu.sparse.iter_mut().enumerate() {
            sparse.offset = octal(index as u64 * 1000);
            sparse.numbytes = octal(1);
        }
        gnu.isextended = [1];
        gnu.realsize = octal(30_000);
    });
    tar = tar.raw(&block).raw(&last).raw(&stored);
    let entries = read(&tar.file("next", b"1").end()).unwrap();
    let expected: Vec<u8> = (0..30_000).map(|at| if at % 1000 == 0 { (at / 1000) as u8 } else { 0 }).collect();
    assert_eq!(entries[0].1, expected);
    assert_eq!(entries[1].1, b"1");
}

#[test]
fn sparse_files_of_the_pax_forms() {
    let form_0_0 = Tar::new()
        .pax(&[
            ("GNU.sparse.size", b"8192"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", b"1000"),
            ("GNU.sparse.numbytes", b"10"),
            ("GNU.sparse.offset", b"5000"),
            ("GNU.sparse.numbytes", b"5"),
        ])
        .file("f", STORED);
    let form_0_1 = Tar::new()
        .pax(&[
            ("GNU.sparse.size", b"8192"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.name", b"f"),
            ("GNU.sparse.map", b"1000,10,5000,5"),
        ])
        .file("GNUSparseFile.0/f", STORED);
    let mut data = b"2\n1000\n10\n5000\n5\n".to_vec();
    data.resize(512, 0);
    data.extend_from_slice(STORED);
    let form_1_0 = Tar::new()
        .pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"f"),
            ("GNU.sparse.realsize", b"8192"),
        ])
        .file("GNUSparseFile.0/f", &data);

    for (form, tar) in [("0.0", form_0_0), ("0.1", form_0_1), ("1.0", form_1_0)] {
        let entries = read(&tar.file("next", b"1").end()).unwrap();
        assert_eq!(entries[0].0.path, b"f", "{form}");
        assert_eq!(entries[0].0.segments.as_deref(), Some(&[(1000, 10), (5000, 5)][..]), "{form}");
        assert_eq!(entries[0].1, sparse_content(), "{form}");
        assert_eq!(entries[1].1, b"1", "{form}");
    }
}

#[test]
fn sparse_maps_that_lie_are_refused() {
    for map in ["1000,10,1005,5", "8190,10,9000,5", "0,99999999", "1,2,3", "1000,10", "9223372036854775807,15"] {
        let tar = Tar::new().pax(&[("GNU.sparse.size", b"8192"), ("GNU.sparse.map", map.as_bytes())]).file("f", STORED);
        assert_eq!(code(&tar.end()), "RKT_ARCHIVE_CORRUPT", "{map}");
    }
}

#[test]
fn sizes_in_headers_allocate_nothing() {
    let huge = |flag| Tar::new().entry(flag, "f", b"x", |header| header.set_size(1 << 40)).end();
    assert_eq!(code(&huge(b'x')), "RKT_ARCHIVE_CORRUPT");
    assert_eq!(code(&huge(b'L')), "RKT_ARCHIVE_CORRUPT");
    let mut reader = Reader::new(huge(b'0').as_slice().to_vec().leak() as &[u8]);
    let entry = reader.next_entry().unwrap().unwrap();
    assert_eq!(entry.size, 1 << 40);
    let error = reader.next_entry().unwrap_err();
    assert_eq!(error.code(), "RKT_ARCHIVE_TRUNCATED");
    assert!(error.to_string().contains("inside entry \"f\""), "{error}");
}

#[test]
fn an_archive_cut_anywhere_is_truncated() {
    let bytes = Tar::new().pax(&[("path", b"long")]).file("f", &[7; 700]).dir("d").end();
    let content = bytes.len() - 1024;
    for length in 0..content + 1 {
        assert_eq!(code(&bytes[..length]), "RKT_ARCHIVE_TRUNCATED", "{length} of {}", bytes.len());
    }
    assert!(read(&bytes[..content + 512]).is_ok(), "one zero block is an end");
}

#[test]
fn data_behind_the_end_are_refused() {
    let mut bytes = Tar::new().file("f", b"x").end();
    bytes.resize(bytes.len() + 10_240, 0);
    assert!(read(&bytes).is_ok(), "padding is no data");
    bytes.push(1);
    assert_eq!(code(&bytes), "RKT_ARCHIVE_CORRUPT");
}

#[test]
fn a_wrong_checksum_names_its_place() {
    let mut bytes = Tar::new().file("a", b"x").file("b", b"y").end();
    bytes[1024] = b'c';
    let error = read(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "the archive is corrupt at byte 1024: a header with a wrong checksum");
}

#[test]
fn padding_that_the_last_entry_lacks_is_missed_by_the_strict_alone() {
    let whole = Tar::new().file("f", b"content").open();
    let bytes = &whole[..512 + b"content".len()];
    let mut reader = Reader::new(bytes);

    assert!(reader.next_entry().unwrap().is_some());
    assert!(reader.next_entry().unwrap().is_none());
    reader.finish(false).unwrap();
    assert_eq!(code(bytes), "RKT_ARCHIVE_TRUNCATED");
}
