//! Lines of the file: a checksum, a blank, and JSON.

use serde::{Deserialize, Serialize};

use crate::queue::Record;

/// The content of a line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    /// A record was added to the queue.
    Put(Record),
    /// The records with these numbers are gone.
    Gone(Vec<u64>),
    /// Numbers below this one were used. Written when the file is rewritten, so that none is reused.
    Next(u64),
}

/// Writes a line.
pub(crate) fn write(line: &Line, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    // JSON has no bare line ends, so each entry is exactly one line.
    let text = serde_json::to_string(line)?;
    let sum = crc32fast::hash(text.as_bytes());
    out.extend_from_slice(format!("{sum:08x} ").as_bytes());
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
    Ok(())
}

/// Parses a line without its line end; `None` if it was not written by this crate.
pub(crate) fn read(line: &[u8]) -> Option<Line> {
    let (sum, text) = line.split_at_checked(9)?;
    let sum = std::str::from_utf8(sum).ok()?.strip_suffix(' ')?;
    if u32::from_str_radix(sum, 16).ok()? != crc32fast::hash(text) {
        return None;
    }
    serde_json::from_slice(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &Line) -> Vec<u8> {
        let mut out = Vec::new();
        write(line, &mut out).unwrap();
        out
    }

    #[test]
    fn a_line_with_any_bit_turned_is_no_line() {
        let good = written(&Line::Gone(vec![1, 2, 3]));
        let good = good.strip_suffix(b"\n").unwrap();
        assert!(matches!(read(good), Some(Line::Gone(seqs)) if seqs == [1, 2, 3]));
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.to_vec();
                bad[at] ^= 1 << bit;
                // A letter of the checksum in the other case is the same number.
                let same = bad.eq_ignore_ascii_case(good) && at < 8;
                assert!(same || read(&bad).is_none(), "{at} {bit}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = read(&bytes);
        }
    }
}
