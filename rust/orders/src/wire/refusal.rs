//! Why bytes are no frame: a code and the byte where it was seen.

use std::fmt;

macro_rules! codes {
    ($($code:ident = $number:literal: $text:literal;)*) => {
        /// What was wrong. The numbers are those of the Error field in a Nack; below 100 stand the failures of orders.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u16)]
        pub enum WireCode {
            $(#[doc = $text] $code = $number,)*
        }

        impl WireCode {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$code),*];

            /// What it means, in a few words.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$code => $text,)* }
            }
        }
    };
}

codes! {
    Magic = 101: "the frame does not start with XLO1";
    Version = 102: "version unknown";
    Length = 103: "the length is not the frame's";
    Checksum = 104: "checksum wrong";
    TooLong = 105: "frame above the limit";
    Kind = 106: "message type unknown";
    Flags = 107: "flag unknown";
    Reserved = 108: "reserved byte not zero";
    FieldCount = 109: "number of fields is not the frame's";
    FieldOrder = 110: "fields not in ascending order";
    FieldUnknown = 111: "critical field unknown in this message";
    FieldLength = 112: "length of the field is not its type's";
    FieldMissing = 113: "required field missing";
    Range = 114: "value out of range";
    Text = 115: "text is not UTF-8";
    AuthMissing = 116: "authentication required";
    AuthKey = 117: "authentication key unknown";
    AuthWrong = 118: "authentication code wrong";
}

impl WireCode {
    /// Whether a stream can't be read on after it: where the next frame starts is no longer known.
    pub const fn closes_stream(self) -> bool {
        matches!(self, Self::Magic | Self::Version | Self::Length | Self::Checksum | Self::TooLong)
    }
}

/// A frame that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct WireError {
    /// What was wrong.
    pub code: WireCode,
    /// Where in the frame.
    pub offset: u32,
}

impl WireError {
    /// Says what was wrong at which byte.
    pub const fn new(code: WireCode, offset: usize) -> Self {
        Self { code, offset: offset as u32 }
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (code {}) at byte {}", self.code.text(), self.code as u16, self.offset)
    }
}
