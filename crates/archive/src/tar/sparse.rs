//! Maps of sparse files: where the stored data belong.
//!
//! GNU tar writes them in four ways: in the header and blocks behind it (old GNU), as PAX records (0.0 and 0.1), and as
//! decimal lines in front of the data (1.0).

use super::{
    header::{BLOCK, number},
    pax::decimal,
};

/// Most runs of one file: 16 MiB of memory. More fragmented files are stored whole by every tar.
pub const MAX_SEGMENTS: usize = 1 << 20;

type Segments = Vec<(u64, u64)>;

/// Where an entry's map is.
#[derive(Debug, Clone)]
pub enum Form {
    /// In the PAX records.
    Listed(Segments),
    /// In the header and blocks that follow it.
    OldGnu,
    /// In front of the data, padded to whole blocks.
    InData,
}

/// Refuses maps that overlap, leave the file, or do not take up exactly the stored data.
pub fn check(segments: &[(u64, u64)], stored: u64, size: u64) -> Result<(), String> {
    let mut end = 0;
    let mut sum = 0_u64;
    for (offset, length) in segments {
        if *offset < end {
            return Err("a sparse map whose runs overlap".to_owned());
        }
        end = offset.checked_add(*length).filter(|end| *end <= size).ok_or("a sparse map that leaves its file")?;
        sum = sum.saturating_add(*length);
    }
    if sum == stored { Ok(()) } else { Err("a sparse map that does not fit its data".to_owned()) }
}

/// The old GNU map: four runs in the header, 21 in each block behind it.
pub struct OldGnuMap {
    segments: Segments,
    continues: bool,
}

impl OldGnuMap {
    pub fn new(header: &[u8; BLOCK]) -> Result<Self, String> {
        let mut map = Self { segments: Vec::new(), continues: header[482] != 0 };
        map.take(&header[386..482])?;
        Ok(map)
    }

    pub fn continues(&self) -> bool {
        self.continues
    }

    pub fn extend(&mut self, block: &[u8; BLOCK]) -> Result<(), String> {
        self.take(&block[..504])?;
        self.continues = block[504] != 0;
        if self.segments.len() > MAX_SEGMENTS { Err("a sparse map that is too long".to_owned()) } else { Ok(()) }
    }

    fn take(&mut self, field: &[u8]) -> Result<(), String> {
        for pair in field.chunks_exact(24).take_while(|pair| pair[0] != 0) {
            let read = |field: &[u8]| number(field).and_then(|n| u64::try_from(n).ok()).ok_or("a bad sparse map");
            self.segments.push((read(&pair[..12])?, read(&pair[12..])?));
        }
        Ok(())
    }

    pub fn into_segments(self) -> Segments {
        self.segments
    }
}

/// The map of format 1.0: the count of runs, then offset and length of each, one number a line.
#[derive(Default)]
pub struct DataMap {
    line: Vec<u8>,
    count: Option<u64>,
    numbers: Vec<u64>,
}

impl DataMap {
    pub fn is_complete(&self) -> bool {
        self.count.is_some_and(|count| self.numbers.len() as u64 == 2 * count)
    }

    pub fn extend(&mut self, block: &[u8; BLOCK]) -> Result<(), String> {
        for byte in block {
            if self.is_complete() {
                break; // padding
            }
            if *byte != b'\n' {
                self.line.push(*byte);
                if self.line.len() > 20 {
                    return Err("a bad sparse map".to_owned());
                }
                continue;
            }
            let number = decimal(&self.line).ok_or("a bad sparse map")?;
            self.line.clear();
            if self.count.is_some() {
                self.numbers.push(number);
            } else if number > MAX_SEGMENTS as u64 {
                return Err("a sparse map that is too long".to_owned());
            } else {
                self.count = Some(number);
            }
        }
        Ok(())
    }

    pub fn into_segments(self) -> Segments {
        self.numbers.as_chunks::<2>().0.iter().map(|[offset, length]| (*offset, *length)).collect()
    }
}
