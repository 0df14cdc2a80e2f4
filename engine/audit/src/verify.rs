//! Verification of a log.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use tachi_engine::ports::audit::LogReport;

use crate::chain::{self, HashCheck};
use crate::file::{MAX_LINE_BYTES, stored_head};
use crate::keys::Keys;

/// The end of the previous log, for a log that continues it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEnd {
    head: chain::Head,
    /// Age of the key of its last keyed line.
    age: Option<usize>,
}

/// Returns all logs that processes of this machine have written for `path`: `path` itself, `NAME.2.jsonl` and so on.
pub fn logs(path: &Path) -> Vec<PathBuf> {
    crate::log::siblings(path)
}

/// Verifies `path` from its beginning. `before` is the end of the file that it continues, if known. `newest` is true if
/// no later file exists, so that its end must be the head stored beside it.
///
/// With `keys`, a line without a key is valid only before the first line with one, and a line with an older key only
/// before the first line with a newer one. Without `keys`, the hashes of lines with a key are followed, but not
/// checked.
///
/// # Errors
///
/// The file cannot be read.
pub fn verify(
    path: &Path,
    before: Option<&LogEnd>,
    newest: bool,
    keys: Option<&Keys>,
) -> io::Result<(LogReport, Option<LogEnd>)> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut report = LogReport {
        lines: 0,
        span: None,
        broken: None,
        continues: false,
        keyed: 0,
        unchecked: 0,
    };
    let mut age = before.and_then(|end| end.age);
    let mut head = before.map(|end| end.head.clone());
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if reader
            .by_ref()
            .take(MAX_LINE_BYTES)
            .read_until(b'\n', &mut bytes)?
            == 0
        {
            break;
        }
        let number = report.lines + 1;
        if bytes.pop() != Some(b'\n') {
            report.broken = Some((number, "it is truncated or too long".to_owned()));
            return Ok((report, None));
        }
        let (line, checked) = match chain::open(&bytes, keys) {
            Ok(opened) => opened,
            Err(why) => {
                report.broken = Some((number, why));
                return Ok((report, None));
            }
        };
        let wrong = match &head {
            Some(head) if line.seq != head.seq.saturating_add(1) => Some(format!(
                "it has number {} and follows number {}: lines are missing or were moved",
                line.seq, head.seq
            )),
            Some(head) if line.prev_hash != head.hash => {
                Some("it does not contain the hash of the previous line: one of them was replaced".to_owned())
            }
            None if line.seq == 1 && line.prev_hash != chain::GENESIS_HASH => {
                Some("it has number 1 and refers to an earlier line".to_owned())
            }
            Some(_) | None => weaker(checked, &mut age),
        };
        if let Some(why) = wrong {
            report.broken = Some((number, why));
            return Ok((report, None));
        }
        report.continues |= head.is_none() && line.seq > 1;
        report.span = Some((report.span.map_or(line.seq, |(first, _)| first), line.seq));
        report.lines = number;
        report.keyed += u64::from(checked != HashCheck::Plain);
        report.unchecked += u64::from(checked == HashCheck::No);
        head = Some(chain::Head {
            seq: line.seq,
            hash: line.hash,
        });
    }
    if newest
        && let Some(stored) = stored_head(path)
        && head.as_ref().is_none_or(|head| head.seq < stored.seq)
    {
        let last = head.as_ref().map_or(0, |head| head.seq);
        report.broken = Some((
            report.lines + 1,
            format!(
                "lines are missing at the end: number {} was written, and the last is {last}",
                stored.seq
            ),
        ));
    }
    Ok((report, head.map(|head| LogEnd { head, age })))
}

/// Returns the problem of a line that is sealed with a weaker key than an earlier one.
fn weaker(checked: HashCheck, age: &mut Option<usize>) -> Option<String> {
    match (checked, *age) {
        (HashCheck::Keyed(now), Some(before)) if now > before => {
            Some("it is sealed with an older key than an earlier line: it was forged with that key".into())
        }
        (HashCheck::Keyed(now), _) => {
            *age = Some(now);
            None
        }
        (HashCheck::Plain, Some(_)) => {
            Some("it is sealed without a key after lines with one: it was forged without the key".into())
        }
        (HashCheck::Plain, None) | (HashCheck::No, _) => None,
    }
}
