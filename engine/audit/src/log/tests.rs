use std::sync::Mutex;

use tachi_engine::ports::audit::{AuditAction, AuditPhase, LogReport};
use tachi_testkit::ManualClock;

use super::*;
use crate::verify::{LogEnd, verify};

mod keyed;

fn start(path: &Path, required: bool) -> AuditLog {
    let options = Options {
        path: path.to_owned(),
        actor: "engine-1".into(),
        required,
        key_file: None,
        second: None,
    };
    AuditLog::start(options, Arc::<ManualClock>::default()).unwrap()
}

fn line(host: &str) -> AuditEntry {
    let mut entry = AuditEntry::new(AuditAction::PowerOff, AuditPhase::Intent, host);
    entry.text = format!("power off {host}\nnot a line of its own");
    entry
}

async fn fill(path: &Path, hosts: &[&str]) {
    let log = start(path, true);
    for host in hosts {
        log.write(line(host)).await.unwrap();
    }
    ended(log, path).await;
}

/// Waits until the writer has released its lock.
async fn ended(log: AuditLog, path: &Path) {
    drop(log);
    let lock = crate::file::beside(path, "lock");
    tokio::task::spawn_blocking(move || {
        let file = std::fs::File::open(lock).unwrap();
        rustix::fs::flock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    })
    .await
    .unwrap();
}

fn read(path: &Path) -> (LogReport, Option<LogEnd>) {
    verify(path, None, true, None).unwrap()
}

#[tokio::test]
async fn a_confirmed_line_is_in_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log/audit.jsonl");
    let log = start(&path, true);
    log.note(line("noted"));
    log.write(line("compute-1")).await.unwrap();
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "it contains the earlier note too: {text}");
    assert_eq!(lines[0]["host"], "noted");
    assert_eq!(lines[1]["action"], "power_off");
    assert_eq!(lines[1]["phase"], "intent");
    assert_eq!(lines[1]["actor"], "engine-1");
    assert_eq!(lines[1]["ts"], "2023-11-14T22:13:20.000000Z");
    assert_eq!(lines[1]["prev_hash"], lines[0]["hash"]);
    assert_eq!(read(&path).0.span, Some((1, 2)));
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o007, 0, "others may not read it");
}

#[tokio::test]
async fn verify_returns_the_first_line_that_was_tampered_with() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    fill(&path, &["a", "b", "c", "d"]).await;
    let whole = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let changed = lines[1].replace("\"host\":\"b\"", "\"host\":\"x\"");
    let cases: [(&str, Vec<&str>, u64, &str); 7] = [
        (
            "changed",
            vec![lines[0], changed.as_str(), lines[2], lines[3]],
            2,
            "changed",
        ),
        ("taken out", vec![lines[0], lines[2], lines[3]], 2, "missing"),
        (
            "moved",
            vec![lines[0], lines[2], lines[1], lines[3]],
            2,
            "number 3 and follows number 1",
        ),
        (
            "twice",
            vec![lines[0], lines[1], lines[1]],
            3,
            "number 2 and follows number 2",
        ),
        (
            "put in",
            vec![lines[0], "{\"host\":\"x\"}", lines[1]],
            2,
            "not a line of an audit log",
        ),
        (
            "not text",
            vec![lines[0], "\u{0}", lines[1]],
            2,
            "not a line of an audit log",
        ),
        (
            "its end cut off",
            vec![lines[0], lines[1]],
            3,
            "missing at the end",
        ),
    ];
    for (name, lines, at, why) in cases {
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let (number, defect) = read(&path).0.broken.unwrap_or_else(|| panic!("{name}: intact"));
        assert_eq!(number, at, "{name}: {defect}");
        assert!(defect.contains(why), "{name}: {defect}");
    }
    std::fs::write(&path, whole.trim_end()).unwrap();
    assert_eq!(read(&path).0.broken.unwrap().0, 4, "no end of line");
    std::fs::write(&path, &whole).unwrap();
    assert_eq!(read(&path).0.broken, None);
}

#[tokio::test]
async fn a_restart_continues_the_chain_and_removes_half_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    fill(&path, &["a", "b"]).await;
    fill(&path, &["c"]).await;
    assert_eq!(read(&path).0.span, Some((1, 3)));
    // A crash in the middle of a write leaves half a line.
    let mut text = std::fs::read(&path).unwrap();
    text.extend_from_slice(b"{\"seq\":4,\"ts\"");
    std::fs::write(&path, text).unwrap();
    fill(&path, &["d"]).await;
    let report = read(&path).0;
    assert_eq!((report.span, report.broken), (Some((1, 5)), None));
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("13 bytes of an unfinished line"), "{text}");
}

#[tokio::test]
async fn a_log_that_was_tampered_with_at_its_end_is_not_continued() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    fill(&path, &["a", "b"]).await;
    let text = std::fs::read_to_string(&path)
        .unwrap()
        .replace("\"host\":\"b\"", "\"host\":\"x\"");
    std::fs::write(&path, &text).unwrap();
    let log = start(&path, true);
    let error = log.write(line("c")).await.unwrap_err();
    assert!(
        error.source.to_string().contains("cannot be continued"),
        "{}",
        error.source
    );
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        text,
        "evidence is left as it is"
    );
}

#[tokio::test]
async fn the_chain_continues_through_rotated_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let rotated = folder.path().join("audit.jsonl.1");
    let log = start(&path, true);
    log.write(line("a")).await.unwrap();
    log.write(line("b")).await.unwrap();
    std::fs::rename(&path, &rotated).unwrap();
    log.write(line("c")).await.unwrap();
    ended(log, &path).await;
    let (old, end) = verify(&rotated, None, false, None).unwrap();
    assert_eq!((old.span, &old.broken), (Some((1, 2)), &None));
    let (new, _) = verify(&path, end.as_ref(), true, None).unwrap();
    assert_eq!(
        (new.span, &new.broken, new.continues),
        (Some((3, 3)), &None, false)
    );
    assert!(
        read(&path).0.continues,
        "by itself it says that it continues another"
    );

    // Rotated while no engine runs.
    std::fs::rename(&path, folder.path().join("audit.jsonl.2")).unwrap();
    fill(&path, &["d"]).await;
    assert_eq!(read(&path).0.span, Some((4, 4)));

    // Copied and emptied.
    let log = start(&path, true);
    log.write(line("e")).await.unwrap();
    std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(0)
        .unwrap();
    log.write(line("f")).await.unwrap();
    assert_eq!(read(&path).0.span, Some((6, 6)));
}

#[tokio::test]
async fn two_writers_take_a_file_each() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let (one, two) = (start(&path, true), start(&path, true));
    one.write(line("a")).await.unwrap();
    two.write(line("b")).await.unwrap();
    one.write(line("c")).await.unwrap();
    let logs = crate::verify::logs(&path);
    assert_eq!(logs, [path.clone(), folder.path().join("audit.2.jsonl")]);
    assert_eq!(read(&logs[0]).0.span, Some((1, 2)));
    assert_eq!(read(&logs[1]).0.span, Some((1, 1)));
}

#[tokio::test]
async fn a_failed_write_is_an_error_only_if_the_log_is_required() {
    let folder = tempfile::tempdir().unwrap();
    // Even root cannot create a folder below a file.
    std::fs::write(folder.path().join("file"), "").unwrap();
    let path = folder.path().join("file/audit.jsonl");
    let error = start(&path, true).write(line("a")).await.unwrap_err();
    assert!(error.to_string().contains("file/audit.jsonl"), "{error}");
    start(&path, false).write(line("a")).await.unwrap();
    // The next line is written as soon as the file can be opened.
    let log = start(&path, true);
    log.write(line("a")).await.unwrap_err();
    std::fs::remove_file(folder.path().join("file")).unwrap();
    log.write(line("b")).await.unwrap();
    assert_eq!(read(&path).0.span, Some((1, 1)));
}

#[tokio::test]
async fn the_rest_of_a_failed_write_is_removed_before_the_next_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let log = start(&path, true);
    log.write(line("a")).await.unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    std::io::Write::write_all(&mut file, b"{\"seq\":2,\"ho").unwrap();
    log.write(line("b")).await.unwrap();
    let report = read(&path).0;
    assert_eq!((report.span, report.broken), (Some((1, 2)), None));
}

#[tokio::test]
async fn a_device_instead_of_the_log_is_refused_and_the_chain_continues_without_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let kept = folder.path().join("kept");
    let log = start(&path, true);
    log.write(line("a")).await.unwrap();
    std::fs::rename(&path, &kept).unwrap();
    std::os::unix::fs::symlink("/dev/full", &path).unwrap();
    let error = log.write(line("b")).await.unwrap_err();
    assert!(
        error.source.to_string().contains("not a regular file"),
        "{}",
        error.source
    );
    std::fs::remove_file(&path).unwrap();
    std::fs::rename(&kept, &path).unwrap();
    log.write(line("c")).await.unwrap();
    let report = read(&path).0;
    assert_eq!((report.span, report.broken), (Some((1, 2)), None));
}

#[tokio::test]
async fn concurrent_lines_form_one_chain() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    let log = Arc::new(start(&path, true));
    let failed = Arc::new(Mutex::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..300 {
        let (log, failed) = (log.clone(), failed.clone());
        tasks.spawn(async move {
            if log.write(line(&format!("compute-{number}"))).await.is_err() {
                *failed.lock().unwrap() += 1;
            }
        });
    }
    while tasks.join_next().await.is_some() {}
    assert_eq!(*failed.lock().unwrap(), 0);
    assert_eq!(read(&path).0.span, Some((1, 300)));
}
