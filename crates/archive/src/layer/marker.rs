//! What a name in a layer means (OCI image specification, "Whiteouts").

/// A name by its meaning; paths are clean and below the root.
#[derive(Debug, PartialEq, Eq)]
pub enum Marker<'a> {
    /// No marker: an entry.
    Entry,
    /// Hides this path of lower layers.
    Whiteout { parent: &'a [u8], name: &'a [u8] },
    /// Hides all that lower layers have in this directory.
    Opaque { directory: &'a [u8] },
    /// What AUFS left: nothing.
    Leftover,
}

const WHITEOUT: &[u8] = b".wh.";
const META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Reads a name.
///
/// # Errors
/// Why no layer may have it.
pub fn marker(path: &[u8]) -> Result<Marker<'_>, String> {
    let mut end = 0;
    let mut parent: &[u8] = b"";
    for component in path.split(|byte| *byte == b'/') {
        let last = end + component.len() == path.len();
        match component.strip_prefix(WHITEOUT) {
            None => {}
            Some(_) if last && component == OPAQUE => return Ok(Marker::Opaque { directory: parent }),
            Some(_) if component.starts_with(META) => return Ok(Marker::Leftover),
            Some(b"" | b"." | b"..") => return Err("it is a whiteout of nothing".to_owned()),
            Some(name) if last => return Ok(Marker::Whiteout { parent, name }),
            Some(_) => return Err("it lies in a whiteout".to_owned()),
        }
        end += component.len();
        parent = &path[..end];
        end += 1;
    }
    Ok(Marker::Entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_what_they_hide() {
        let whiteout = |parent: &'static [u8], name: &'static [u8]| Ok(Marker::Whiteout { parent, name });
        assert_eq!(marker(b"etc/passwd"), Ok(Marker::Entry));
        assert_eq!(marker(b"etc/.wh.passwd"), whiteout(b"etc", b"passwd"));
        assert_eq!(marker(b".wh.etc"), whiteout(b"", b"etc"));
        assert_eq!(marker(b"etc/.wh..wh..opq"), Ok(Marker::Opaque { directory: b"etc" }));
        assert_eq!(marker(b".wh..wh..opq"), Ok(Marker::Opaque { directory: b"" }));
        assert_eq!(marker(b".wh..wh.plnk/12.34"), Ok(Marker::Leftover));
        assert_eq!(marker(b".wh..wh.aufs"), Ok(Marker::Leftover));
        assert_eq!(marker(b"etc/.wh..hidden"), whiteout(b"etc", b".hidden"));
        for bad in [&b"etc/.wh."[..], b".wh..", b"a/.wh...", b".wh.a/b"] {
            assert!(marker(bad).is_err(), "{}", bad.escape_ascii());
        }
    }
}
