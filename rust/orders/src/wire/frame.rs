//! The frame: its header, its fields, and the writer that is their inverse.

use kernels::crc32c;

use super::{ACK_WANTED, HEADER, MAX_FRAME, TEST, WireCode, WireError, auth::AuthKey, field};

/// What stands in front of every message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Number of the message's type.
    pub kind: u8,
    /// [`ACK_WANTED`] and [`TEST`].
    pub flags: u16,
    /// Counts a source's frames.
    pub sequence: u64,
    /// When it was sent, by the sender's clock.
    pub sent_unix_ns: u64,
    /// Who sent it.
    pub source_id: u32,
}

impl Header {
    /// Whether the sender wants to hear of it.
    pub const fn wants_ack(&self) -> bool {
        self.flags & ACK_WANTED != 0
    }
}

const MAGIC: &[u8; 4] = b"XLO1";
const VERSION: u8 = 1;

/// Types that may stand more than once.
const REPEATED: [u16; 4] = [field::TX_REF, field::FILL, field::SWAP_LEG, field::BUNDLE_REF];

/// How long the frame is that a stream's bytes start with; None while too little of it is there to say. Wrong from the
/// first byte on is refused at the first byte.
pub fn frame_length(bytes: &[u8]) -> Result<Option<usize>, WireError> {
    let start = &bytes[..bytes.len().min(4)];
    if start != &MAGIC[..start.len()] {
        return Err(WireError::new(WireCode::Magic, 0));
    }
    if bytes.get(4).is_some_and(|version| *version != VERSION) {
        return Err(WireError::new(WireCode::Version, 4));
    }
    let Some(body) = bytes.get(32..36) else { return Ok(None) };
    let length = HEADER + u32::from_le_bytes(exactly(body)) as usize;
    if length > MAX_FRAME { Err(WireError::new(WireCode::TooLong, 32)) } else { Ok(Some(length)) }
}

/// A frame whose form is right: checksum, fields in order, padding, reserved bytes. What the fields say is for
/// [`super::Message`].
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    bytes: &'a [u8],
    /// The header's values.
    pub header: Header,
}

impl<'a> Frame<'a> {
    /// Reads exactly one frame.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, WireError> {
        let length = frame_length(bytes)?.ok_or(WireError::new(WireCode::Length, bytes.len()))?;
        if length != bytes.len() {
            return Err(WireError::new(WireCode::Length, 32));
        }
        let body = &bytes[HEADER..];
        if crc32c(crc32c(0, &bytes[..36]), body) != u32_at(bytes, 36) {
            return Err(WireError::new(WireCode::Checksum, 36));
        }
        let flags = u16_at(bytes, 6);
        if flags & !(ACK_WANTED | TEST) != 0 {
            return Err(WireError::new(WireCode::Flags, 6));
        }
        if u16_at(bytes, 30) != 0 {
            return Err(WireError::new(WireCode::Reserved, 30));
        }
        let header = Header {
            kind: bytes[5],
            flags,
            sequence: u64_at(bytes, 8),
            sent_unix_ns: u64_at(bytes, 16),
            source_id: u32_at(bytes, 24),
        };
        let frame = Self { bytes, header };
        frame.check_fields()?;
        Ok(frame)
    }

    fn check_fields(&self) -> Result<(), WireError> {
        let (mut offset, mut count, mut last) = (HEADER, 0u16, None);
        while offset < self.bytes.len() {
            let left = self.bytes.len() - offset;
            if left < 4 {
                return Err(WireError::new(WireCode::FieldLength, offset));
            }
            let kind = u16_at(self.bytes, offset);
            let length = usize::from(u16_at(self.bytes, offset + 2));
            let padded = length.next_multiple_of(4);
            if left - 4 < padded {
                return Err(WireError::new(WireCode::FieldLength, offset + 2));
            }
            if last.is_some_and(|last| kind < last || kind == last && !REPEATED.contains(&kind)) {
                return Err(WireError::new(WireCode::FieldOrder, offset));
            }
            let padding = offset + 4 + length;
            if let Some(at) = (padding..offset + 4 + padded).find(|at| self.bytes[*at] != 0) {
                return Err(WireError::new(WireCode::Reserved, at));
            }
            // At most 16,384 fields of four bytes fit into a frame.
            count += 1;
            last = Some(kind);
            offset += 4 + padded;
        }
        if count != u16_at(self.bytes, 28) {
            return Err(WireError::new(WireCode::FieldCount, 28));
        }
        Ok(())
    }

    /// The fields, in order.
    pub fn fields(&self) -> Fields<'a> {
        Fields { bytes: self.bytes, offset: HEADER }
    }

    /// The whole frame.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

/// One field of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Number of its type.
    pub kind: u16,
    /// Where its value starts in the frame.
    pub offset: usize,
    /// The value, without padding.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// The refusal of a byte of the value.
    pub(super) fn refuse(&self, code: WireCode, at: usize) -> WireError {
        WireError::new(code, self.offset + at)
    }
}

/// Walks the fields of a frame that was checked.
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        if self.offset == self.bytes.len() {
            return None;
        }
        let kind = u16_at(self.bytes, self.offset);
        let length = usize::from(u16_at(self.bytes, self.offset + 2));
        let offset = self.offset + 4;
        self.offset = offset + length.next_multiple_of(4);
        Some(Field { kind, offset, value: &self.bytes[offset..offset + length] })
    }
}

/// Builds a frame field by field, in ascending type.
#[derive(Debug)]
pub struct FrameWriter {
    bytes: Vec<u8>,
    count: u16,
    last: u16,
}

impl FrameWriter {
    /// Starts a frame.
    pub fn new(header: &Header) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&[VERSION, header.kind]);
        bytes.extend_from_slice(&header.flags.to_le_bytes());
        bytes.extend_from_slice(&header.sequence.to_le_bytes());
        bytes.extend_from_slice(&header.sent_unix_ns.to_le_bytes());
        bytes.extend_from_slice(&header.source_id.to_le_bytes());
        bytes.resize(HEADER, 0);
        Self { bytes, count: 0, last: 0 }
    }

    /// Appends a field whose value `write` appends.
    ///
    /// # Panics
    ///
    /// Where types don't ascend or the frame grows above [`MAX_FRAME`]: both are bugs of the caller.
    pub fn field(&mut self, kind: u16, write: impl FnOnce(&mut Vec<u8>)) -> &mut Self {
        assert!(kind > self.last || kind == self.last && REPEATED.contains(&kind), "field {kind:#06x} out of order");
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&kind.to_le_bytes());
        self.bytes.extend_from_slice(&[0; 2]);
        write(&mut self.bytes);
        let length = self.bytes.len() - start - 4;
        self.bytes.resize(start + 4 + length.next_multiple_of(4), 0);
        assert!(self.bytes.len() <= MAX_FRAME, "frame of {} bytes", self.bytes.len());
        self.bytes[start + 2..start + 4].copy_from_slice(&(length as u16).to_le_bytes());
        self.count += 1;
        self.last = kind;
        self
    }

    /// The frame, authenticated where a key is given.
    pub fn finish(mut self, auth: Option<&AuthKey>) -> Vec<u8> {
        let sealed = self.bytes.len();
        if let Some(key) = auth {
            self.field(field::AUTH, |value| {
                value.extend_from_slice(&key.id().to_le_bytes());
                value.extend_from_slice(&[0; 32]);
            });
        }
        let body = (self.bytes.len() - HEADER) as u32;
        self.bytes[28..30].copy_from_slice(&self.count.to_le_bytes());
        self.bytes[32..36].copy_from_slice(&body.to_le_bytes());
        if let Some(key) = auth {
            let code = key.code(&self.bytes[..HEADER], &self.bytes[HEADER..sealed]);
            self.bytes[sealed + 8..].copy_from_slice(&code);
        }
        let sum = crc32c(crc32c(0, &self.bytes[..36]), &self.bytes[HEADER..]);
        self.bytes[36..40].copy_from_slice(&sum.to_le_bytes());
        self.bytes
    }
}

/// The first `N` bytes of what is known to hold them.
pub(super) fn exactly<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes.first_chunk().expect("the length was checked")
}

macro_rules! readers {
    ($($name:ident: $number:ty;)*) => {$(
        pub(super) fn $name(bytes: &[u8], at: usize) -> $number {
            <$number>::from_le_bytes(exactly(&bytes[at..]))
        }
    )*};
}

readers! {
    u16_at: u16;
    u32_at: u32;
    i32_at: i32;
    u64_at: u64;
    u128_at: u128;
    i128_at: i128;
}
