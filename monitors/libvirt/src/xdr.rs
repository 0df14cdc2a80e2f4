//! The part of XDR (RFC 4506) that libvirt's messages use. Every length is checked before anything is allocated.

/// The longest string that libvirt sends.
const MAX_STRING_BYTES: usize = 4 * 1024 * 1024;

/// An error for bytes that violate the format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct DecodeError(pub(crate) &'static str);

/// A writer for the body of a message.
#[derive(Debug, Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn u32(mut self, value: u32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn i32(mut self, value: i32) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    pub(crate) fn fixed(mut self, bytes: &[u8; 16]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Appends a string. A string that exceeds libvirt's limit is cut, and then refused by the daemon.
    pub(crate) fn string(self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let bytes = bytes.get(..MAX_STRING_BYTES).unwrap_or(bytes);
        let mut out = self.u32(u32::try_from(bytes.len()).unwrap_or(0));
        out.0.extend_from_slice(bytes);
        out.0.resize(out.0.len() + padding(bytes.len()), 0);
        out
    }

    pub(crate) fn optional_string(self, text: &str) -> Self {
        self.u32(1).string(text)
    }

    pub(crate) fn none(self) -> Self {
        self.u32(0)
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A reader for the body of a message. Remaining bytes at the end are ignored: newer daemons may add fields.
#[derive(Debug)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .0
            .split_at_checked(length)
            .ok_or(DecodeError("the message ends too early"))?;
        self.0 = rest;
        Ok(head)
    }

    fn four_bytes(&mut self) -> Result<[u8; 4], DecodeError> {
        let bytes = self.take(4)?;
        <[u8; 4]>::try_from(bytes).map_err(|_| DecodeError("the message ends too early"))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        Ok(u32::from_be_bytes(self.four_bytes()?))
    }

    pub(crate) fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.four_bytes()?))
    }

    pub(crate) fn fixed(&mut self) -> Result<[u8; 16], DecodeError> {
        let bytes = self.take(16)?;
        <[u8; 16]>::try_from(bytes).map_err(|_| DecodeError("the message ends too early"))
    }

    /// Reads a string. Bytes that are not UTF-8 are replaced: a name is only shown and compared with itself.
    pub(crate) fn string(&mut self) -> Result<String, DecodeError> {
        let length =
            usize::try_from(self.u32()?).map_err(|_| DecodeError("a string is longer than memory"))?;
        if length > MAX_STRING_BYTES {
            return Err(DecodeError("a string is longer than libvirt's limit"));
        }
        let bytes = self.take(length)?;
        self.take(padding(length))?;
        Ok(String::from_utf8_lossy(bytes).into_owned())
    }

    pub(crate) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u32()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(DecodeError("an optional value is neither present nor absent")),
        }
    }

    /// Reads a list of at most `max` items, each of which takes at least `least` bytes.
    pub(crate) fn list<T>(
        &mut self,
        max: u32,
        least: usize,
        mut read: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.u32()?;
        if count > max {
            return Err(DecodeError("a list is longer than libvirt's limit"));
        }
        let count = usize::try_from(count).map_err(|_| DecodeError("a list is longer than memory"))?;
        if self.0.len() / least.max(1) < count {
            return Err(DecodeError("a list is longer than its message"));
        }
        (0..count).map(|_| read(self)).collect()
    }
}

/// Returns the padding of a value: XDR fills every value up to four bytes.
const fn padding(length: usize) -> usize {
    (4 - length % 4) % 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read_back(text in ".{0,80}", number: u32, signed: i32, bytes: [u8; 16]) {
            let body = Writer::default().string(&text).u32(number).i32(signed).fixed(&bytes).optional_string(&text).none();
            let body = body.into_bytes();
            prop_assert_eq!(body.len() % 4, 0);
            let mut reader = Reader::new(&body);
            prop_assert_eq!(reader.string().unwrap(), text.clone());
            prop_assert_eq!(reader.u32().unwrap(), number);
            prop_assert_eq!(reader.i32().unwrap(), signed);
            prop_assert_eq!(reader.fixed().unwrap(), bytes);
            prop_assert_eq!(reader.optional(Reader::string).unwrap(), Some(text));
            prop_assert_eq!(reader.optional(Reader::string).unwrap(), None);
            prop_assert!(reader.u32().is_err());
        }

        #[test]
        fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Reader::new(&bytes).string();
            let _ = Reader::new(&bytes).optional(Reader::string);
            let _ = Reader::new(&bytes).list(1000, 4, Reader::u32);
        }
    }

    #[test]
    fn a_list_that_claims_more_than_its_message_holds_is_refused_before_memory_is_taken() {
        let body = Writer::default().u32(16_000).u32(7).into_bytes();
        let refused = Reader::new(&body).list(16_384, 4, Reader::u32).unwrap_err();
        assert_eq!(refused, DecodeError("a list is longer than its message"));
    }

    #[test]
    fn a_string_that_claims_gigabytes_is_refused() {
        let body = Writer::default().u32(u32::MAX).into_bytes();
        assert!(Reader::new(&body).string().is_err());
    }
}
