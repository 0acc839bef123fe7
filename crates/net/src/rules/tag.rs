//! Whose a rule is.

use crate::cni::Call;

/// An attachment as rules name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    text: String,
    hash: u64,
}

impl Tag {
    /// Longest comment that the `nft` program takes.
    const LONGEST: usize = 127;

    /// The tag of an attachment.
    pub fn of(call: &Call) -> Self {
        Self::new(call.network(), &call.container_id, &call.ifname)
    }

    /// The tag of an attachment by its parts.
    pub fn new(network: &str, container_id: &str, ifname: &str) -> Self {
        let whole = format!("{network} {container_id} {ifname}");
        let hash = hash(whole.as_bytes());
        let mut text = format!("rkt id: \"{container_id}\" if: \"{ifname}\" net: \"{}\"", label(network));
        if text.len() > Self::LONGEST {
            let mut end = Self::LONGEST - "… ".len() - 16;
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            text = format!("{}… {hash:016x}", &text[..end]);
        }
        Self { text, hash }
    }

    /// The comment that a rule bears.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A name for a chain of this attachment.
    pub fn chain(&self, prefix: &str) -> String {
        format!("{prefix}-{:016x}", self.hash)
    }

    /// Whether a comment means an attachment of this network that is in none of `valid` (container ids and link names).
    pub fn is_stale(comment: &str, network: &str, valid: &[(String, String)]) -> bool {
        comment.starts_with("rkt id: ")
            && comment.ends_with(&format!(" net: \"{}\"", label(network)))
            && !valid.iter().any(|(id, ifname)| Self::new(network, id, ifname).text == comment)
    }
}

/// The name of a network as comments have it: a long one is cut, and told from others by its hash.
fn label(network: &str) -> String {
    const LONGEST: usize = 40;
    if network.len() <= LONGEST {
        return network.to_owned();
    }
    let mut end = LONGEST / 2;
    while !network.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}… {:016x}", &network[..end], hash(network.as_bytes()))
}

/// FNV-1a.
pub fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::Tag;

    #[test]
    fn a_tag_names_its_attachment_and_fits_a_comment() {
        let tag = Tag::new("default", "5f5a1d5d", "eth0");
        let long = Tag::new(&"ü".repeat(100), "5f5a1d5d", "eth0");
        let other = Tag::new(&"ü".repeat(101), "5f5a1d5d", "eth0");

        assert_eq!(tag.text(), "rkt id: \"5f5a1d5d\" if: \"eth0\" net: \"default\"");
        assert!(long.text().len() <= 127 && long != other && long.text() != other.text());
        assert!(Tag::is_stale(tag.text(), "default", &[("other".into(), "eth0".into())]));
        assert!(!Tag::is_stale(tag.text(), "default", &[("5f5a1d5d".into(), "eth0".into())]));
        assert!(!Tag::is_stale(tag.text(), "fault", &[]));
        assert!(
            Tag::is_stale(long.text(), &"ü".repeat(100), &[]) && !Tag::is_stale(long.text(), &"ü".repeat(101), &[])
        );
        assert!(!Tag::is_stale("name: \"default\" id: \"x\"", "default", &[]));
    }
}
