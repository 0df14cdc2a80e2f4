//! Lists the lines of logs, the newest first, page by page. [`verify`](crate::verify::verify) checks that they are
//! unchanged.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::file::MAX_LINE_BYTES;

/// Position of a line among those of all logs: ordered by time (of the writers' clocks), then by number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogPosition {
    at: String,
    seq: u64,
    hash: String,
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}_{}", self.at, self.seq, self.hash)
    }
}

/// An invalid position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid marker of an audit log page")]
pub struct InvalidPosition;

impl FromStr for LogPosition {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let mut parts = text.splitn(3, '_');
        let mut next = || {
            parts
                .next()
                .filter(|part| !part.is_empty())
                .ok_or(InvalidPosition)
        };
        let (at, seq, hash) = (next()?, next()?, next()?);
        if !hash.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(InvalidPosition);
        }
        Ok(Self {
            at: at.to_owned(),
            seq: seq.parse().map_err(|_| InvalidPosition)?,
            hash: hash.to_owned(),
        })
    }
}

/// A query for lines.
#[derive(Clone, Debug)]
pub struct LineQuery {
    /// Limits the lines to this host.
    pub host: Option<String>,
    /// Limits the lines to recoveries with this prefix of their id.
    pub recovery: Option<String>,
    /// Limits the lines to those before this position.
    pub before: Option<LogPosition>,
    /// Limit of lines; the newest are returned.
    pub limit: usize,
}

/// A page of log lines.
#[derive(Debug, Default)]
pub struct LogPage {
    /// The lines, the newest first.
    pub lines: Vec<Map<String, Value>>,
    /// The position of the last line, if there are more.
    pub marker: Option<LogPosition>,
    /// Files that could not be read to their end, or that contain an invalid line, with the reason.
    pub unread: Vec<(PathBuf, String)>,
}

/// The fields of a line that the filter uses.
#[derive(Deserialize)]
struct LineFields<'a> {
    #[serde(borrow)]
    ts: Cow<'a, str>,
    seq: u64,
    #[serde(borrow)]
    hash: Cow<'a, str>,
    #[serde(borrow, default)]
    host: Cow<'a, str>,
    #[serde(borrow, default)]
    episode_id: Cow<'a, str>,
}

impl LineQuery {
    fn accepts(&self, line: &LineFields<'_>) -> bool {
        self.host.as_ref().is_none_or(|host| *host == line.host)
            && self
                .recovery
                .as_ref()
                .is_none_or(|id| line.episode_id.starts_with(id.as_str()))
    }
}

/// The selected lines, up to the limit.
struct SelectedLines {
    lines: BTreeMap<LogPosition, String>,
    more: bool,
}

/// Reads `paths`. Each file is read once, from its beginning, and only the lines of the page are kept in memory.
pub fn newest(paths: &[PathBuf], query: &LineQuery) -> LogPage {
    let mut selected = SelectedLines {
        lines: BTreeMap::new(),
        more: false,
    };
    let mut page = LogPage::default();
    if query.limit == 0 {
        page.marker.clone_from(&query.before);
        return page;
    }
    for path in paths {
        if let Err(why) = read(path, query, &mut selected) {
            page.unread.push((path.clone(), why));
        }
    }
    let oldest = selected.lines.keys().next();
    page.marker = oldest.filter(|_| selected.more).cloned();
    // Each was a JSON object when the filter checked it.
    let parsed = selected
        .lines
        .values()
        .rev()
        .filter_map(|text| serde_json::from_str(text).ok());
    page.lines = parsed.collect();
    page
}

/// Reads a log; the error states why it was not read completely.
fn read(path: &Path, query: &LineQuery, selected: &mut SelectedLines) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let mut reader = BufReader::new(file);
    let mut bytes = Vec::new();
    let (mut number, mut strange) = (0_u64, None);
    loop {
        bytes.clear();
        let read = reader.by_ref().take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes);
        if read.map_err(|error| error.to_string())? == 0 {
            break;
        }
        number += 1;
        if bytes.pop() != Some(b'\n') {
            // The line is being written, or was truncated and never confirmed.
            break;
        }
        let text = std::str::from_utf8(&bytes).ok();
        let fields = text.and_then(|text| Some((text, serde_json::from_str::<LineFields<'_>>(text).ok()?)));
        let Some((text, fields)) = fields else {
            strange.get_or_insert(number);
            continue;
        };
        if query.accepts(&fields) {
            let place = LogPosition {
                at: fields.ts.into_owned(),
                seq: fields.seq,
                hash: fields.hash.into_owned(),
            };
            keep(selected, query, place, text);
        }
    }
    match strange {
        None => Ok(()),
        Some(number) => Err(format!(
            "line {number} is not a line of an audit log: run `tachi audit verify`"
        )),
    }
}

fn keep(selected: &mut SelectedLines, query: &LineQuery, place: LogPosition, text: &str) {
    if query.before.as_ref().is_some_and(|before| place >= *before) {
        return;
    }
    if selected.lines.len() == query.limit
        && selected
            .lines
            .first_key_value()
            .is_some_and(|(first, _)| place < *first)
    {
        selected.more = true;
        return;
    }
    selected.lines.insert(place, text.to_owned());
    if selected.lines.len() > query.limit {
        selected.lines.pop_first();
        selected.more = true;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use serde_json::json;

    use super::*;

    fn line(ts: &str, seq: u64, host: &str, recovery: &str) -> String {
        let line = json!({"seq": seq, "ts": ts, "host": host, "episode_id": recovery, "hash": format!("{seq:064x}"), "text": "\u{1b}[2J"});
        format!("{line}\n")
    }

    fn query_of(limit: usize) -> LineQuery {
        LineQuery {
            host: None,
            recovery: None,
            before: None,
            limit,
        }
    }

    fn numbers(page: &LogPage) -> Vec<u64> {
        page.lines
            .iter()
            .map(|line| line["seq"].as_u64().unwrap())
            .collect()
    }

    /// Creates two logs of one machine, with interleaved lines; the second has an incomplete last line.
    fn two() -> (tempfile::TempDir, Vec<PathBuf>) {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.jsonl", "a.2.jsonl"].map(|name| folder.path().join(name));
        let mut files = paths.each_ref().map(|path| File::create(path).unwrap());
        for seq in 1..=9_u64 {
            let text = line(
                // Three lines have the same time.
                &format!("2026-11-25T01:00:0{}.000Z", seq / 3),
                seq,
                if seq == 5 { "cmp2" } else { "cmp1" },
                if seq == 6 { "e241" } else { "77b0" },
            );
            files[usize::from(seq % 2 == 0)]
                .write_all(text.as_bytes())
                .unwrap();
        }
        files[1].write_all(br#"{"seq": 10, "ts": "2026"#).unwrap();
        (folder, paths.to_vec())
    }

    #[test]
    fn pages_merge_several_logs_newest_first() {
        let (_folder, paths) = two();
        let mut query = query_of(4);
        let mut all = Vec::new();
        for expected in [&[9, 8, 7, 6][..], &[5, 4, 3, 2], &[1]] {
            let page = newest(&paths, &query);
            assert_eq!(numbers(&page), expected);
            assert!(page.unread.is_empty(), "{:?}", page.unread);
            all.extend(numbers(&page));
            query.before = page.marker.map(|place| place.to_string().parse().unwrap());
            assert_eq!(query.before.is_none(), expected == [1]);
        }
        assert_eq!(all, (1..=9).rev().collect::<Vec<_>>());
        // The limit equals the number of lines: no marker is returned.
        query.limit = 9;
        assert!(newest(&paths, &query).marker.is_none());
        query.limit = 0;
        assert!(newest(&paths, &query).lines.is_empty());
        query.limit = usize::MAX;
        assert_eq!(newest(&paths, &query).lines.len(), 9);
    }

    #[test]
    fn lines_are_filtered_by_host_or_recovery_prefix() {
        let (_folder, paths) = two();
        let mut by_host = query_of(100);
        by_host.host = Some("cmp2".into());
        assert_eq!(numbers(&newest(&paths, &by_host)), [5]);
        let mut by_recovery = query_of(100);
        by_recovery.recovery = Some("e2".into());
        assert_eq!(numbers(&newest(&paths, &by_recovery)), [6]);
        by_recovery.host = Some("cmp2".into());
        assert!(newest(&paths, &by_recovery).lines.is_empty());
    }

    #[test]
    fn an_invalid_line_is_reported_and_hides_no_other() {
        let (folder, mut paths) = two();
        let odd = folder.path().join("odd.jsonl");
        let mut file = File::create(&odd).unwrap();
        file.write_all(b"\xff\n[]\n").unwrap();
        file.write_all(line("2026-11-25T02:00:00.000Z", 11, "cmp1", "").as_bytes())
            .unwrap();
        paths.push(odd.clone());
        paths.push(folder.path().join("none.jsonl"));
        // The same file by another name is not a second log.
        paths.push(paths[0].clone());
        let page = newest(&paths, &query_of(100));
        assert_eq!(numbers(&page), [11, 9, 8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(page.unread.len(), 2);
        assert_eq!(page.unread[0].0, odd);
        assert!(
            page.unread[0].1.contains("line 1 is not a line"),
            "{:?}",
            page.unread
        );
    }

    #[test]
    fn an_invalid_marker_is_refused() {
        for text in [
            "",
            "a",
            "a_b_c",
            "a_1_",
            "_1_ab",
            "a_1_xyz",
            "a_-1_ab",
            "a_1_../../etc",
        ] {
            assert_eq!(text.parse::<LogPosition>(), Err(InvalidPosition), "{text}");
        }
        let place: LogPosition = "2026-11-25T01:00:00.000Z_7_ab".parse().unwrap();
        assert_eq!(place.to_string(), "2026-11-25T01:00:00.000Z_7_ab");
    }
}
