//! Frames: a length, six numbers, a body.

use crate::procedure::VERSION;
use crate::xdr::{DecodeError, Reader};

/// The longest accepted frame. A list of 16,384 domains takes 1 MiB, a domain's XML a few KiB.
const MAX_FRAME_BYTES: usize = 8 * 1024 * 1024;
/// Size of the length and the six numbers, in bytes.
const HEADER: usize = 28;

/// The type of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A request.
    Call,
    /// The answer to a call.
    Reply,
    /// An unsolicited message: an event or a ping.
    Message,
}

impl Kind {
    const fn number(self) -> u32 {
        match self {
            Self::Call => 0,
            Self::Reply => 1,
            Self::Message => 2,
        }
    }
}

/// A frame with a parsed header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) program: u32,
    pub(crate) procedure: i32,
    pub(crate) kind: Kind,
    pub(crate) serial: u32,
    /// True for an error reply.
    pub(crate) failed: bool,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// Appends the frame to the output.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(HEADER + self.body.len()).unwrap_or(u32::MAX);
        let numbers = [length, self.program, VERSION, self.procedure.cast_unsigned()];
        let rest = [self.kind.number(), self.serial, u32::from(self.failed)];
        for number in numbers.iter().chain(&rest) {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(&self.body);
    }

    fn read(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let program = reader.u32()?;
        if reader.u32()? != VERSION {
            return Err(DecodeError("a frame of another version of the protocol"));
        }
        let procedure = reader.i32()?;
        let kind = match reader.u32()? {
            0 => Kind::Call,
            1 => Kind::Reply,
            2 => Kind::Message,
            _ => return Err(DecodeError("a frame of an unexpected kind")),
        };
        let serial = reader.u32()?;
        let failed = match reader.u32()? {
            0 => false,
            1 => true,
            _ => return Err(DecodeError("a frame with an unexpected status")),
        };
        let body = bytes
            .get(HEADER - 4..)
            .ok_or(DecodeError("a frame shorter than its header"))?
            .to_vec();
        Ok(Self {
            program,
            procedure,
            kind,
            serial,
            failed,
            body,
        })
    }
}

/// A buffer of received bytes, until they form frames.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    bytes: Vec<u8>,
    /// Number of consumed bytes.
    taken: usize,
}

impl Inbox {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        if self.taken > 0 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Returns the next frame, if it is complete.
    pub(crate) fn take(&mut self) -> Result<Option<Frame>, DecodeError> {
        let waiting = self.bytes.get(self.taken..).unwrap_or_default();
        let Some(length) = waiting.first_chunk::<4>() else {
            self.shrink();
            return Ok(None);
        };
        let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
        if length > MAX_FRAME_BYTES {
            return Err(DecodeError("a frame longer than 8 MiB"));
        }
        if length < HEADER {
            return Err(DecodeError("a frame shorter than its header"));
        }
        let Some(frame) = waiting.get(4..length) else {
            return Ok(None);
        };
        let frame = Frame::read(frame)?;
        self.taken += length;
        Ok(Some(frame))
    }

    /// Releases the memory of a long answer, which would otherwise be held until the end of the connection.
    fn shrink(&mut self) {
        if self.taken == self.bytes.len() && self.bytes.capacity() > 256 * 1024 {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_frame() -> impl Strategy<Value = Frame> {
        let kind = prop_oneof![Just(Kind::Call), Just(Kind::Reply), Just(Kind::Message)];
        let body = proptest::collection::vec(any::<u8>(), 0..120);
        (
            any::<u32>(),
            any::<i32>(),
            kind,
            any::<u32>(),
            any::<bool>(),
            body,
        )
            .prop_map(|(program, procedure, kind, serial, failed, body)| Frame {
                program,
                procedure,
                kind,
                serial,
                failed,
                body,
            })
    }

    proptest! {
        /// Checks that frames are independent of how the bytes are split on their way.
        #[test]
        fn frames_survive_any_cutting(
            frames in proptest::collection::vec(any_frame(), 0..6),
            cut in 1_usize..70,
        ) {
            let mut bytes = Vec::new();
            for frame in &frames {
                frame.write(&mut bytes);
            }
            let mut inbox = Inbox::default();
            let mut decoded = Vec::new();
            for part in bytes.chunks(cut) {
                inbox.push(part);
                while let Some(frame) = inbox.take().unwrap() {
                    decoded.push(frame);
                }
            }
            prop_assert_eq!(decoded, frames);
        }

        #[test]
        fn hostile_bytes_never_panic(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..8)) {
            let mut inbox = Inbox::default();
            for part in parts {
                inbox.push(&part);
                while let Ok(Some(_)) = inbox.take() {}
            }
        }
    }

    #[test]
    fn frames_that_cannot_be_are_refused() {
        let mut good = Vec::new();
        let frame = Frame {
            program: 1,
            procedure: 2,
            kind: Kind::Reply,
            serial: 3,
            failed: false,
            body: vec![],
        };
        frame.write(&mut good);
        let with = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[at] = byte;
            bytes
        };
        for (case, bytes) in [
            ("length of nothing", with(3, 4)),
            ("length of gigabytes", with(0, 0x7f)),
            ("another version", with(11, 2)),
            ("a stream", with(19, 3)),
            ("a status of streams", with(27, 2)),
        ] {
            let mut inbox = Inbox::default();
            inbox.push(&bytes);
            assert!(inbox.take().is_err(), "{case}");
        }
    }

    #[test]
    fn a_long_answer_is_not_kept() {
        let mut bytes = Vec::new();
        let frame = Frame {
            program: 1,
            procedure: 2,
            kind: Kind::Reply,
            serial: 3,
            failed: false,
            body: vec![0; 1024 * 1024],
        };
        frame.write(&mut bytes);
        let mut inbox = Inbox::default();
        inbox.push(&bytes);
        assert!(inbox.take().unwrap().is_some());
        assert!(inbox.take().unwrap().is_none());
        assert!(inbox.bytes.capacity() < 64 * 1024);
    }
}
