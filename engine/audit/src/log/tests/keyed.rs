//! Lines that are sealed with a key, and a second place for them.

use std::path::PathBuf;

use super::*;
use crate::{Keys, new_key};

/// A log in a temporary folder, and its key file.
struct LogFolder {
    folder: tempfile::TempDir,
}

impl LogFolder {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("audit.jsonl")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("audit.key")
    }

    fn start(&self, key: bool, second: Option<Second>) -> AuditLog {
        let options = Options {
            path: self.path(),
            actor: "engine-1".into(),
            required: true,
            key_file: key.then(|| self.key()),
            second,
        };
        AuditLog::start(options, Arc::<ManualClock>::default()).unwrap()
    }

    async fn fill(&self, key: bool, hosts: &[&str]) {
        let log = self.start(key, None);
        for host in hosts {
            log.write(line(host)).await.unwrap();
        }
        ended(log, &self.path()).await;
    }

    fn verify(&self) -> LogReport {
        let keys = Keys::read(&self.key()).unwrap();
        verify(&self.path(), None, true, Some(&keys)).unwrap().0
    }

    fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.path()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn write(&self, lines: &[String]) {
        std::fs::write(self.path(), lines.join("\n") + "\n").unwrap();
        let head = crate::file::beside(&self.path(), "head");
        let _ = std::fs::remove_file(head);
    }
}

/// Returns the log rewritten from `from` on, as by an attacker who may write the file and has no key or an old one.
fn forged(lines: &[String], from: usize, keys: Option<&Keys>) -> Vec<String> {
    let mut made = lines[..from].to_vec();
    let mut head = chain::Head::default();
    if let Some(last) = made.last() {
        let line: chain::Line = serde_json::from_str(last).unwrap();
        head = chain::Head {
            seq: line.seq,
            hash: line.hash,
        };
    }
    for line in &lines[from..] {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        let members = value.as_object_mut().unwrap();
        for name in ["seq", "ts", "actor", "key", "prev_hash", "hash"] {
            members.shift_remove(name);
        }
        if members.contains_key("host") {
            members.insert("host".into(), "another".into());
        }
        let (text, next) = chain::seal(&head, "t", "engine-1", &value, keys).unwrap();
        made.push(text.trim_end().to_owned());
        head = next;
    }
    made
}

#[tokio::test]
async fn a_rewritten_log_is_detected_with_the_key_and_not_without() {
    let place = LogFolder::new();
    new_key(&place.key()).unwrap();
    place.fill(true, &["a", "b", "c"]).await;
    let whole = place.lines();
    let report = place.verify();
    assert_eq!(
        (report.lines, report.keyed, report.unchecked, report.broken),
        (4, 4, 0, None)
    );
    assert!(whole[0].contains("sealed with key"), "{}", whole[0]);

    // Rewritten completely without a key: the chain alone reveals nothing.
    place.write(&forged(&whole, 0, None));
    let (blind, _) = verify(&place.path(), None, true, None).unwrap();
    assert_eq!((blind.broken, blind.keyed), (None, 0));
    assert_eq!(place.verify().keyed, 0, "the report shows it");

    for (name, from, why) in [
        ("its end", 2, "without a key"),
        ("one row of it", 3, "without a key"),
    ] {
        place.write(&forged(&whole, from, None));
        let (at, defect) = place.verify().broken.unwrap_or_else(|| panic!("{name}: intact"));
        assert_eq!(at, u64::try_from(from).unwrap() + 1, "{name}");
        assert!(defect.contains(why), "{name}: {defect}");
    }
    let other = Keys::parse(&"cd".repeat(32)).unwrap();
    place.write(&forged(&whole, 2, Some(&other)));
    let (_, defect) = place.verify().broken.unwrap();
    assert!(defect.contains("which is missing in the key file"), "{defect}");
    // The right key's id with another seal.
    let mut row = whole.clone();
    row[2] = row[2].replace("\"host\":\"b\"", "\"host\":\"x\"");
    place.write(&row);
    let (at, defect) = place.verify().broken.unwrap();
    assert!(at == 3 && defect.contains("without the key"), "{defect}");
}

#[tokio::test]
async fn without_the_key_a_keyed_log_is_followed_and_reported_as_unchecked() {
    let place = LogFolder::new();
    new_key(&place.key()).unwrap();
    place.fill(true, &["a", "b"]).await;
    let (report, _) = verify(&place.path(), None, true, None).unwrap();
    assert_eq!((report.lines, report.unchecked, report.broken), (3, 3, None));
    // A writer without the key cannot continue it.
    let error = place.start(false, None).write(line("c")).await.unwrap_err();
    assert!(
        error.source.to_string().contains("audit_key_file"),
        "{}",
        error.source
    );
}

#[tokio::test]
async fn a_log_gets_its_key_later_and_a_new_one_while_it_is_written() {
    let place = LogFolder::new();
    place.fill(false, &["a"]).await;
    let first = new_key(&place.key()).unwrap();
    let log = place.start(true, None);
    log.write(line("b")).await.unwrap();
    let old = Keys::read(&place.key()).unwrap();
    let second = new_key(&place.key()).unwrap();
    assert_ne!(first, second);
    log.write(line("c")).await.unwrap();
    ended(log, &place.path()).await;
    let text = place.lines();
    assert!(text[1].contains(&first) && text[3].contains(&second), "{text:#?}");
    let report = place.verify();
    assert_eq!((report.lines, report.keyed, report.broken), (5, 4, None));
    // A holder of the old key cannot add valid lines after the new one, nor before it.
    place.write(&forged(&text, 4, Some(&old)));
    assert!(place.verify().broken.unwrap().1.contains("older key"));
    place.write(
        &forged(&text[..3], 1, Some(&old))
            .into_iter()
            .chain(text[3..].to_vec())
            .collect::<Vec<_>>(),
    );
    assert!(
        place
            .verify()
            .broken
            .unwrap()
            .1
            .contains("does not contain the hash of the previous line")
    );
}

#[tokio::test]
async fn with_a_key_file_open_to_others_no_line_is_written() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = LogFolder::new();
    new_key(&place.key()).unwrap();
    let open = |mode| std::fs::set_permissions(place.key(), std::fs::Permissions::from_mode(mode)).unwrap();
    open(0o644);
    let log = place.start(true, None);
    let error = log.write(line("a")).await.unwrap_err();
    assert!(
        error.source.to_string().contains("chmod 0640"),
        "{}",
        error.source
    );
    assert!(new_key(&place.key()).is_err());
    open(0o640);
    log.write(line("b")).await.unwrap();
    ended(log, &place.path()).await;
    assert_eq!(place.verify().keyed, 2);
}

#[tokio::test]
async fn a_second_place_gets_every_line_and_blocks_nothing() {
    let place = LogFolder::new();
    new_key(&place.key()).unwrap();
    let copy = place.folder.path().join("copy.jsonl");
    let log = place.start(true, Some(Second::File(copy.clone())));
    log.note(line("noted"));
    log.write(line("a")).await.unwrap();
    assert_eq!(
        std::fs::read(&copy).unwrap(),
        std::fs::read(place.path()).unwrap()
    );
    ended(log, &place.path()).await;

    let socket = place.folder.path().join("log");
    let system = std::os::unix::net::UnixDatagram::bind(&socket).unwrap();
    let log = place.start(true, Some(Second::Syslog(socket)));
    log.write(line("b")).await.unwrap();
    let mut message = [0; 4_096];
    let length = system.recv(&mut message).unwrap();
    let message = std::str::from_utf8(&message[..length]).unwrap();
    assert!(
        message.starts_with("<85>tachi-audit[") && message.ends_with(place.lines().last().unwrap()),
        "{message}"
    );
    ended(log, &place.path()).await;

    // A second place that cannot be written does not block a power command.
    let nowhere = place.folder.path().join("nowhere/log");
    let log = place.start(true, Some(Second::Syslog(nowhere)));
    log.write(line("c")).await.unwrap();
    ended(log, &place.path()).await;
    assert_eq!(place.verify().broken, None);
}

#[test]
fn a_second_place_is_parsed() {
    for (text, expected) in [
        ("syslog", Some("syslog:/dev/log")),
        ("syslog:/run/log", Some("syslog:/run/log")),
        ("file:/mnt/audit.jsonl", Some("file:/mnt/audit.jsonl")),
        ("file:relative", None),
        ("journald", None),
        ("", None),
    ] {
        let second = text.parse::<Second>().ok().map(|second| second.to_string());
        assert_eq!(second.as_deref(), expected, "{text}");
    }
}
