//! Measures an import: `cargo run --release -p archive --example ingest [-- MIB [CODEC]]`.
//!
//! Makes an image of MIB mebibytes (2048; half of it compresses, half does not) under the directory for temporary files,
//! packs it with CODEC (`tar`, `gzip`, `bzip2`, `xz`, `zstd`) by the system's program, imports and then renders it, each in
//! a process of its own, and prints time, speed and peak memory of each.

use std::{
    error::Error,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::Command,
    time::Instant,
};

type Outcome = Result<(), Box<dyn Error>>;

const FILE: usize = 64 << 10;

fn main() -> Outcome {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["--ingest", source, directory] => ingest(Path::new(source), Path::new(directory)),
        ["--render", blob, sha512, directory] => render(Path::new(blob), sha512, Path::new(directory)),
        [] => bench(2048, "tar"),
        [mib] => bench(mib.parse()?, "tar"),
        [mib, codec, ..] => bench(mib.parse()?, codec),
    }
}

fn bench(mib: usize, codec: &str) -> Outcome {
    let directory = std::env::temp_dir().join(format!("rkt-bench-{}", std::process::id()));
    std::fs::create_dir(&directory)?;
    let result = (|| -> Outcome {
        let tar = directory.join("image.tar");
        write_image(&tar, mib)?;
        let packed = if codec == "tar" { tar.clone() } else { pack(&tar, codec)? };
        again(&["--ingest".as_ref(), packed.as_ref(), directory.as_ref()])?;
        let image = archive::ingest(File::open(&packed)?, &directory)?;
        let target = directory.join("rootfs");
        std::fs::create_dir(&target)?;
        again(&["--render".as_ref(), tar.as_ref(), image.sha512.as_ref(), target.as_ref()])
    })();
    archive::remove_tree(&directory)?;
    result
}

fn again(args: &[&std::ffi::OsStr]) -> Outcome {
    let status = Command::new(std::env::current_exe()?).args(args).status()?;
    if status.success() { Ok(()) } else { Err(format!("{args:?}: {status}").into()) }
}

fn pack(tar: &Path, codec: &str) -> Result<std::path::PathBuf, Box<dyn Error>> {
    let packed = tar.with_extension(codec);
    let status = Command::new(codec).args(["-1", "-c"]).arg(tar).stdout(File::create(&packed)?).status()?;
    if status.success() { Ok(packed) } else { Err(format!("{codec}: {status}").into()) }
}

/// An ACI of files of 64 KiB, a hundred in a directory.
fn write_image(path: &Path, mib: usize) -> Outcome {
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    entry(&mut out, b'0', "manifest", b"{}")?;
    entry(&mut out, b'5', "rootfs/", b"")?;
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut content = vec![0; FILE];
    for index in 0..(mib << 20) / (FILE + 512) {
        for word in content[..FILE / 2].chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        entry(&mut out, b'0', &format!("rootfs/dir{}/file{index}", index / 100), &content)?;
    }
    out.write_all(&[0; 1024])?;
    Ok(out.flush()?)
}

fn entry(out: &mut impl Write, flag: u8, path: &str, data: &[u8]) -> Outcome {
    let mut header = tar::Header::new_ustar();
    header.set_path(path)?;
    header.set_entry_type(tar::EntryType::new(flag));
    header.set_mode(0o755);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000_000);
    header.set_size(data.len() as u64);
    header.set_cksum();
    out.write_all(header.as_bytes())?;
    out.write_all(data)?;
    Ok(out.write_all(&[0; 512][..(512 - data.len() % 512) % 512])?)
}

fn ingest(source: &Path, directory: &Path) -> Outcome {
    let start = Instant::now();
    let image = archive::ingest(File::open(source)?, directory)?;
    report("ingest", image.size, start)
}

fn render(blob: &Path, sha512: &str, directory: &Path) -> Outcome {
    let start = Instant::now();
    let source = archive::RenderSource { blob: blob.into(), sha512: sha512.into(), own: None, inherited: Vec::new() };
    let request = archive::RenderRequest { images: vec![source], target: directory.into(), shift: None };
    let stats = archive::render(&request)?;
    report("render", stats.bytes, start)?;
    let start = Instant::now();
    let digest = archive::digest_tree(directory)?;
    report(&digest[..13], stats.bytes, start)
}

fn report(what: &str, bytes: u64, start: Instant) -> Outcome {
    let seconds = start.elapsed().as_secs_f64();
    let status = std::fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default().trim();
    println!("{what}: {bytes} bytes in {seconds:.2} s, {:.0} MB/s, peak memory {peak}", bytes as f64 / 1e6 / seconds);
    Ok(())
}
