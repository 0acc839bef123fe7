//! Netlink's wire format (netlink(7)): requests as they are built, replies as they are read.

/// Bytes of a message's header.
pub const HEADER: usize = 16;
const NESTED: u16 = 0x8000;
const KIND: u16 = 0x3fff;

/// A request: a header, the family's own structure, attributes.
#[derive(Clone, Debug)]
pub struct Message(Vec<u8>);

impl Message {
    /// A request of a type with its flags; `family` is the structure that follows the header.
    pub fn new(kind: u16, flags: u16, family: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
        bytes.extend_from_slice(family);
        pad(&mut bytes);
        Self(bytes)
    }

    /// Adds an attribute.
    pub fn attr(&mut self, kind: u16, payload: &[u8]) -> &mut Self {
        self.0.extend_from_slice(&((payload.len() + 4) as u16).to_ne_bytes());
        self.0.extend_from_slice(&kind.to_ne_bytes());
        self.0.extend_from_slice(payload);
        pad(&mut self.0);
        self
    }

    /// Adds an attribute of one byte.
    pub fn u8(&mut self, kind: u16, value: u8) -> &mut Self {
        self.attr(kind, &[value])
    }

    /// Adds an attribute of the host's byte order.
    pub fn u16(&mut self, kind: u16, value: u16) -> &mut Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// Adds an attribute of the host's byte order.
    pub fn u32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// Adds an attribute of network byte order, as netfilter wants it.
    pub fn be32(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_be_bytes())
    }

    /// Adds a string with its final zero.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes = value.as_bytes().to_vec();
        bytes.push(0);
        self.attr(kind, &bytes)
    }

    /// Adds an attribute whose payload are attributes, after the bytes of `prefix`.
    pub fn nest_after(&mut self, kind: u16, prefix: &[u8], fill: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.0.len();
        self.attr(kind, prefix);
        fill(self);
        let length = (self.0.len() - start) as u16;
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Adds an attribute whose payload are attributes.
    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.nest_after(kind | NESTED, &[], fill)
    }

    /// The bytes to send, with a sequence number.
    pub fn finish(mut self, sequence: u32) -> Vec<u8> {
        let length = self.0.len() as u32;
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0[8..12].copy_from_slice(&sequence.to_ne_bytes());
        self.0
    }

    /// The flags of the header.
    pub fn flags(&self) -> u16 {
        u16::from_ne_bytes([self.0[6], self.0[7]])
    }
}

fn pad(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// A reply: its type, and what follows the header.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The message's type.
    pub kind: u16,
    /// The family's structure and the attributes.
    pub payload: Vec<u8>,
}

impl Reply {
    /// The attributes behind a structure of `skip` bytes.
    pub fn attributes(&self, skip: usize) -> Attributes<'_> {
        Attributes(self.payload.get(skip.next_multiple_of(4)..).unwrap_or(&[]))
    }

    /// A number at an offset of the structure.
    pub fn u32_at(&self, offset: usize) -> u32 {
        number(self.payload.get(offset..offset + 4).unwrap_or(&[]))
    }
}

/// Attributes of a reply, in order.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a>(pub &'a [u8]);

impl<'a> Attributes<'a> {
    /// The payload of the first attribute of a kind.
    pub fn get(self, kind: u16) -> Option<&'a [u8]> {
        self.into_iter().find(|(found, _)| *found == kind).map(|(_, payload)| payload)
    }

    /// A number in the host's byte order.
    pub fn u32(self, kind: u16) -> Option<u32> {
        self.get(kind).map(number)
    }

    /// A number in network byte order.
    pub fn be64(self, kind: u16) -> Option<u64> {
        let bytes: [u8; 8] = self.get(kind)?.try_into().ok()?;
        Some(u64::from_be_bytes(bytes))
    }

    /// A number in network byte order.
    pub fn be32(self, kind: u16) -> Option<u32> {
        let bytes: [u8; 4] = self.get(kind)?.try_into().ok()?;
        Some(u32::from_be_bytes(bytes))
    }

    /// A string without its final zero.
    pub fn text(self, kind: u16) -> Option<String> {
        let bytes = self.get(kind)?;
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        Some(String::from_utf8_lossy(&bytes[..end]).into_owned())
    }

    /// The attributes inside an attribute; none if it is absent.
    pub fn nested(self, kind: u16) -> Attributes<'a> {
        Attributes(self.get(kind).unwrap_or(&[]))
    }
}

impl<'a> IntoIterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        Iter(self.0)
    }
}

/// See [`Attributes`]. Ends at the first malformed one.
#[derive(Debug)]
pub struct Iter<'a>(&'a [u8]);

impl<'a> Iterator for Iter<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, _) = self.0.split_at_checked(4)?;
        let length = usize::from(u16::from_ne_bytes([head[0], head[1]]));
        let kind = u16::from_ne_bytes([head[2], head[3]]) & KIND;
        let payload = self.0.get(4..length)?;
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((kind, payload))
    }
}

/// The number in the host's byte order that up to four bytes are.
pub fn number(bytes: &[u8]) -> u32 {
    match *bytes {
        [a, b, c, d, ..] => u32::from_ne_bytes([a, b, c, d]),
        [a, b, ..] => u32::from(u16::from_ne_bytes([a, b])),
        [a] => u32::from(a),
        [] => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_aligned_nested_and_read_back() {
        let mut message = Message::new(16, 5, &[1; 16]);
        message.text(3, "eth0").nest(18, |link| {
            link.text(1, "veth");
            link.nest_after(2, &[9; 5], |data| {
                data.u32(1, 77);
            });
        });
        let bytes = message.finish(42);
        let reply = Reply { kind: 16, payload: bytes[HEADER..].to_vec() };
        let attributes = reply.attributes(16);

        assert_eq!(number(&bytes), bytes.len() as u32);
        assert_eq!(attributes.text(3).as_deref(), Some("eth0"));
        assert_eq!(attributes.nested(18).text(1).as_deref(), Some("veth"));
        assert_eq!(Attributes(&attributes.nested(18).get(2).unwrap()[8..]).u32(1), Some(77));
    }

    #[test]
    fn malformed_attributes_end_the_list() {
        for bytes in [&[9, 0, 1, 0, 5][..], &[3, 0, 1, 0], &[0, 0], &[255, 255, 1, 0, 1, 1, 1, 1]] {
            assert_eq!(Attributes(bytes).into_iter().count(), 0);
        }
    }
}
