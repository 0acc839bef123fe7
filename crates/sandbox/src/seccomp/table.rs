//! Names and numbers of system calls on the machine that this is built for, with every ABI that its kernel runs beside its own.

/// The columns of the table.
const TABLE: &str = include_str!("syscalls.tbl");

/// One calling convention of the kernel.
#[derive(Debug)]
pub struct Abi {
    /// `AUDIT_ARCH_*`, which a filter sees (linux/audit.h).
    pub audit: u32,
    /// Which column of the table has its numbers.
    column: usize,
    /// Added to a number of that column.
    offset: u32,
    /// Whether socketcall(2) and ipc(2) stand for other calls there.
    pub multiplexes: bool,
}

/// What x32 adds to a number; it shares amd64's architecture.
const X32: u32 = 0x4000_0000;

const AMD64: [Abi; 3] = [
    Abi { audit: 0xc000_003e, column: 1, offset: 0, multiplexes: false },
    Abi { audit: 0xc000_003e, column: 3, offset: X32, multiplexes: false },
    Abi { audit: 0x4000_0003, column: 2, offset: 0, multiplexes: true },
];

const ARM64: [Abi; 2] = [
    Abi { audit: 0xc000_00b7, column: 4, offset: 0, multiplexes: false },
    Abi { audit: 0x4000_0028, column: 5, offset: 0, multiplexes: false },
];

/// The ABIs of a machine by the compiler's name for it; those of one architecture stand together.
pub fn abis(machine: &str) -> &'static [Abi] {
    match machine {
        "x86_64" => &AMD64,
        "aarch64" => &ARM64,
        // A filter without any ABI ends every process: better than one that lets unknown numbers pass.
        _ => &[],
    }
}

/// The rows: a name and its columns.
fn rows() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '))
}

/// The name as the table has it; none for a call that no machine has.
pub fn name(text: &str) -> Option<&'static str> {
    rows().map(|(name, _)| name).find(|&name| name == text)
}

/// Every call of an ABI: its name and its number.
pub fn calls(abi: &Abi) -> impl Iterator<Item = (&'static str, u32)> + '_ {
    rows().filter_map(|(name, columns)| {
        let number: u32 = columns.split(' ').nth(abi.column - 1)?.parse().ok()?;
        Some((name, number + abi.offset))
    })
}

/// The name of a call by what a filter sees of it.
pub fn name_of(machine: &str, audit: u32, number: u32) -> Option<&'static str> {
    let mut abis = abis(machine).iter().filter(|abi| abi.audit == audit);
    abis.find_map(|abi| calls(abi).find(|&(_, known)| known == number).map(|(name, _)| name))
}
