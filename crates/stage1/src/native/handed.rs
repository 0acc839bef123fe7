//! A value that one of our processes hands to another: as a file in memory, whole before it is handed over.

use rustix::fs::{MemfdFlags, memfd_create};
use serde::{Serialize, de::DeserializeOwned};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;

/// A file that holds the value.
pub fn hand_over(value: &impl Serialize) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("handed", MemfdFlags::CLOEXEC)?);
    file.write_all(&serde_json::to_vec(value)?)?;
    file.rewind()?;
    Ok(file.into())
}

/// The value out of it.
pub fn take<T: DeserializeOwned>(fd: OwnedFd) -> io::Result<T> {
    Ok(serde_json::from_str(&io::read_to_string(File::from(fd))?)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_over_is_taken_as_it_was() {
        let value = vec![("name".to_owned(), Some(7)), (String::new(), None)];

        let taken: Vec<(String, Option<i32>)> = take(hand_over(&value).unwrap()).unwrap();

        assert_eq!(taken, value);
        assert!(take::<bool>(hand_over(&value).unwrap()).is_err());
    }
}
