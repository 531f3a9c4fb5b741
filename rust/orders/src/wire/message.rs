//! The seven messages, and which fields each may carry.

use super::{
    AuthKey, Field, Frame, FrameWriter, Header, Identity, Report, Signal, SignalParts, WireCode, WireError,
    auth::check_length,
    field,
    signal::{numbered, sized},
};

numbered! {
    /// What a frame is for.
    MessageKind {
        /// An arbitrage that somebody found.
        Signal = 0x01,
        /// A signal is no longer wanted.
        Cancel = 0x02,
        /// The source is alive.
        Heartbeat = 0x03,
        /// An order has ended, or an ended one is corrected.
        Result = 0x10,
        /// An order went on.
        Update = 0x11,
        /// A frame was taken.
        Ack = 0x12,
        /// A frame was refused.
        Nack = 0x13,
    }
}

/// What a message needs and what else it may carry; skippable fields may stand in all.
struct Form {
    required: &'static [u16],
    optional: &'static [u16],
}

const REPORT: &[u16] =
    &[field::ORDER_STATUS, field::TX_REF, field::FILL, field::SWAP_LEG, field::ERROR, field::BUNDLE_REF];

impl MessageKind {
    const fn form(self) -> Form {
        let (required, optional): (&[u16], &[u16]) = match self {
            Self::Signal => {
                (&[field::IDENTITY, field::ECONOMICS, field::ADDRESSES], &[field::HOPS, field::RAW_CALL, field::LENDER])
            }
            Self::Cancel => (&[field::IDENTITY], &[]),
            Self::Heartbeat => (&[], &[]),
            Self::Result | Self::Update | Self::Ack => (&[], REPORT),
            Self::Nack => (&[field::ERROR], REPORT),
        };
        Form { required, optional }
    }
}

/// From here on an unknown field may be skipped.
const SKIPPABLE: u16 = 0x8000;

/// A frame's content.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is its kind, documented there")]
pub enum Message<'a> {
    Signal(Signal<'a>),
    Cancel(Identity),
    Heartbeat,
    Result(Report),
    Update(Report),
    Ack(Report),
    Nack(Report),
}

impl<'a> Message<'a> {
    /// Reads what a frame says.
    pub fn decode(frame: &Frame<'a>) -> Result<Self, WireError> {
        let kind = MessageKind::from_number(frame.header.kind).ok_or(WireError::new(WireCode::Kind, 5))?;
        let form = kind.form();
        let end = frame.bytes().len();
        for field in frame.fields() {
            let known = form.required.contains(&field.kind) || form.optional.contains(&field.kind);
            if !known && field.kind < SKIPPABLE {
                return Err(WireError::new(WireCode::FieldUnknown, field.offset - 4));
            }
            match field.kind {
                field::AUTH => check_length(&field)?,
                field::TRACE => drop(sized(&field, 24)?),
                _ => {}
            }
        }
        let present = |wanted: &u16| frame.fields().any(|field: Field<'_>| field.kind == *wanted);
        if !form.required.iter().all(present) {
            return Err(WireError::new(WireCode::FieldMissing, end));
        }
        Ok(match kind {
            MessageKind::Signal => Self::Signal(Signal::decode(frame.fields(), end)?),
            MessageKind::Cancel => {
                let first = frame.fields().next().ok_or(WireError::new(WireCode::FieldMissing, end))?;
                Self::Cancel(Identity::decode(&first)?)
            }
            MessageKind::Heartbeat => Self::Heartbeat,
            MessageKind::Result => Self::Result(Report::decode(frame.fields())?),
            MessageKind::Update => Self::Update(Report::decode(frame.fields())?),
            MessageKind::Ack => Self::Ack(Report::decode(frame.fields())?),
            MessageKind::Nack => Self::Nack(Report::decode(frame.fields())?),
        })
    }

    /// Which message it is.
    pub fn kind(&self) -> MessageKind {
        match self {
            Self::Signal(_) => MessageKind::Signal,
            Self::Cancel(_) => MessageKind::Cancel,
            Self::Heartbeat => MessageKind::Heartbeat,
            Self::Result(_) => MessageKind::Result,
            Self::Update(_) => MessageKind::Update,
            Self::Ack(_) => MessageKind::Ack,
            Self::Nack(_) => MessageKind::Nack,
        }
    }

    /// Writes a frame; the header's kind is the message's, whatever it says.
    pub fn encode(&self, header: &Header, auth: Option<&AuthKey>) -> Vec<u8> {
        let mut writer = FrameWriter::new(&Header { kind: self.kind() as u8, ..*header });
        match self {
            Self::Signal(signal) => SignalParts::from(signal).encode(&mut writer),
            Self::Cancel(identity) => drop(writer.field(field::IDENTITY, |out| identity.encode(out))),
            Self::Heartbeat => {}
            Self::Result(report) | Self::Update(report) | Self::Ack(report) | Self::Nack(report) => {
                report.encode(&mut writer);
            }
        }
        writer.finish(auth)
    }
}

impl SignalParts {
    /// Writes the signal's frame.
    pub fn to_frame(&self, header: &Header, auth: Option<&AuthKey>) -> Vec<u8> {
        let mut writer = FrameWriter::new(&Header { kind: MessageKind::Signal as u8, ..*header });
        self.encode(&mut writer);
        writer.finish(auth)
    }
}
