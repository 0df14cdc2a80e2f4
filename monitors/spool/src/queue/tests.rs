use std::io::{self, BufRead as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use super::*;

fn at(up: u64) -> Stamp {
    Stamp {
        wall: 0,
        up,
        boot: "b".to_owned(),
    }
}

fn entry(body: &str) -> Entry {
    Entry {
        subject: "COMPUTE_HOST/cmp1".to_owned(),
        body: body.to_owned(),
        header: None,
        minor: false,
    }
}

fn minor(body: &str) -> Entry {
    Entry {
        minor: true,
        ..entry(body)
    }
}

fn bodies(spool: &Spool) -> Vec<String> {
    spool.iter().map(|record| record.body.clone()).collect()
}

fn open(folder: &Path) -> (Spool, OpenReport) {
    Spool::open(folder, Limits::default()).unwrap()
}

/// Covers MW3.
#[test]
fn what_was_put_is_there_after_a_restart_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let header = Some("ev".to_owned());
    {
        let (mut spool, opened) = open(folder.path());
        assert_eq!(opened, OpenReport::default());
        spool.put(vec![entry("a"), entry("b")], &at(1)).unwrap();
        let with = Entry {
            header: header.clone(),
            ..entry("c")
        };
        spool.put(vec![with], &at(2)).unwrap();
        spool.gone(&[1]).unwrap();
    }
    let (mut spool, opened) = open(folder.path());
    assert_eq!((opened.records, opened.torn, opened.damaged), (2, false, 0));
    assert_eq!(bodies(&spool), ["b", "c"]);
    assert_eq!(
        (spool.get(3).unwrap().header.clone(), &spool.get(3).unwrap().at),
        (header, &at(2))
    );
    spool.gone(&[2, 3]).unwrap();
    drop(spool);
    let (mut spool, _) = open(folder.path());
    assert_eq!(
        spool.put(vec![entry("d")], &at(3)).unwrap(),
        [4],
        "no number is given twice"
    );
}

#[test]
fn counting_locks_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(Spool::waiting(folder.path()).unwrap(), 0);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let (mut spool, _) = open(folder.path());
    spool.put(vec![entry("a"), entry("b")], &at(1)).unwrap();
    spool.gone(&[1]).unwrap();
    assert_eq!(Spool::waiting(folder.path()).unwrap(), 1);
}

#[test]
fn one_process_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, _) = open(folder.path());
    let second = Spool::open(folder.path(), Limits::default());
    assert!(matches!(second, Err(SpoolError::InUse { .. })), "{second:?}");
    drop(spool);
    open(folder.path());
}

/// Returns the expected queue after each step of a history, with the file's size.
fn history(folder: &Path) -> Vec<(usize, Vec<String>)> {
    let (mut spool, _) = open(folder);
    let file = folder.join("queue");
    let mut steps = vec![(0, Vec::new())];
    let note = |spool: &Spool, steps: &mut Vec<_>| {
        let length = usize::try_from(std::fs::metadata(&file).unwrap().len()).unwrap();
        steps.push((length, bodies(spool)));
    };
    for round in 0..6_u64 {
        spool.put(vec![entry(&format!("{round}a"))], &at(round)).unwrap();
        note(&spool, &mut steps);
        spool
            .put(vec![entry(&format!("{round}b ä \"\n"))], &at(round))
            .unwrap();
        note(&spool, &mut steps);
        spool.gone(&[round + 1]).unwrap();
        note(&spool, &mut steps);
    }
    steps
}

/// After a crash the file may end anywhere: every completed step counts, and the next one works.
/// Covers MW3.
#[test]
fn a_file_cut_at_any_byte_holds_every_acknowledged_report() {
    let folder = tempfile::tempdir().unwrap();
    let steps = history(folder.path());
    let bytes = std::fs::read(folder.path().join("queue")).unwrap();
    let ends: Vec<usize> = steps.iter().map(|(length, _)| *length).collect();
    for end in 0..=bytes.len() {
        let (length, expected) = steps.iter().rev().find(|(length, _)| *length <= end).unwrap();
        let read = Read::of(&bytes[..end]);
        let there: Vec<_> = read.records.values().map(|record| &record.body).collect();
        assert_eq!(there, expected.iter().collect::<Vec<_>>(), "{end}");
        assert_eq!((read.torn, read.damaged), (*length != end, 0), "{end}");
        // With a real disk only around the ends of lines, and sometimes between.
        let near = ends.iter().any(|other| other.abs_diff(end) < 2);
        if !near && !end.is_multiple_of(97) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("queue"), &bytes[..end]).unwrap();
        let (mut spool, opened) = open(folder.path());
        assert_eq!(bodies(&spool), *expected, "{end}");
        assert_eq!((opened.torn, opened.damaged), (*length != end, 0), "{end}");
        spool.put(vec![entry("after")], &at(9)).unwrap();
        drop(spool);
        let (spool, opened) = open(folder.path());
        assert!(!opened.torn && opened.damaged == 0, "{end}");
        assert_eq!(bodies(&spool).last().map(String::as_str), Some("after"), "{end}");
        assert_eq!(spool.len(), expected.len() + 1, "{end}");
    }
}

/// A changed byte costs its line, and the file is kept for an operator.
#[test]
fn a_damaged_line_costs_no_other() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (mut spool, _) = open(folder.path());
        for body in ["a", "b", "c"] {
            spool.put(vec![entry(body)], &at(1)).unwrap();
        }
    }
    let path = folder.path().join("queue");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("\"body\":\"b\"", "\"body\":\"x\"")).unwrap();
    let (spool, opened) = open(folder.path());
    assert_eq!(bodies(&spool), ["a", "c"]);
    assert_eq!((opened.damaged, opened.torn), (1, false));
    let kept = std::fs::read_to_string(opened.kept.unwrap()).unwrap();
    assert!(kept.contains("\"x\""), "{kept}");
    drop(spool);
    assert_eq!(open(folder.path()).1.damaged, 0, "it was repaired");
}

/// Covers MW11.
#[test]
fn a_full_queue_refuses_and_minor_records_make_room() {
    let folder = tempfile::tempdir().unwrap();
    let limits = Limits {
        records: 3,
        bytes: 2000,
    };
    let (mut spool, _) = Spool::open(folder.path(), limits).unwrap();
    spool
        .put(vec![minor("m1"), entry("a"), minor("m2")], &at(1))
        .unwrap();
    assert!(matches!(
        spool.put(vec![minor("m3")], &at(1)),
        Err(SpoolError::Full { records: 3, .. })
    ));
    spool.put(vec![entry("b")], &at(1)).unwrap();
    assert_eq!(bodies(&spool), ["a", "m2", "b"]);
    spool.put(vec![entry("c")], &at(1)).unwrap();
    assert_eq!(bodies(&spool), ["a", "b", "c"]);
    assert!(matches!(
        spool.put(vec![entry("d")], &at(1)),
        Err(SpoolError::Full { .. })
    ));
    assert!(matches!(
        spool.put(vec![entry(&"x".repeat(3000))], &at(1)),
        Err(SpoolError::TooLarge { .. })
    ));
    drop(spool);
    let (mut spool, _) = Spool::open(folder.path(), limits).unwrap();
    assert_eq!(
        bodies(&spool),
        ["a", "b", "c"],
        "all or none, and the same after a restart"
    );
    spool.gone(&[2]).unwrap();
    assert!(matches!(
        spool.put(vec![entry("d"), entry("e")], &at(1)),
        Err(SpoolError::Full { .. })
    ));
    assert_eq!(spool.len(), 2);
    spool.put(vec![entry("d")], &at(1)).unwrap();
}

/// Covers MW11.
#[test]
fn a_queue_with_much_traffic_stays_small() {
    let folder = tempfile::tempdir().unwrap();
    let (mut spool, _) = open(folder.path());
    let waits = spool.put(vec![entry("waits")], &at(1)).unwrap();
    for _ in 0..300 {
        let seqs = spool
            .put((0..20).map(|_| entry(&"x".repeat(300))).collect(), &at(1))
            .unwrap();
        spool.gone(&seqs).unwrap();
    }
    let length = std::fs::metadata(folder.path().join("queue")).unwrap().len();
    assert!(length < 600 << 10, "{length}");
    assert_eq!(waits, [1]);
    drop(spool);
    assert_eq!(bodies(&open(folder.path()).0), ["waits"]);
}

/// A crash during a rewrite leaves the old file.
#[test]
fn a_partial_rewrite_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    {
        let (mut spool, _) = open(folder.path());
        spool.put(vec![entry("a")], &at(1)).unwrap();
    }
    std::fs::write(folder.path().join("queue.new"), b"half a li").unwrap();
    assert_eq!(bodies(&open(folder.path()).0), ["a"]);
}

/// A disk with scripted failures, like a full one: half of a write remains.
#[derive(Clone, Default)]
struct FaultyDisk(Arc<Mutex<(Vec<u8>, bool)>>);

impl Disk for FaultyDisk {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.1 {
            let half = bytes.len() / 2;
            state.0.extend_from_slice(&bytes[..half]);
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        state.0.extend_from_slice(bytes);
        Ok(())
    }

    fn replace(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.0.lock().unwrap();
        if state.1 {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        state.0 = bytes.to_vec();
        Ok(())
    }
}

/// Covers MW3.
#[test]
fn a_full_disk_refuses_loses_nothing_and_works_again() {
    let disk = FaultyDisk::default();
    let mut spool = with_disk(&disk);
    spool.put(vec![entry("a"), entry("b")], &at(1)).unwrap();
    disk.0.lock().unwrap().1 = true;
    let refused = spool.put(vec![entry("c")], &at(1));
    assert!(matches!(refused, Err(SpoolError::Write { .. })), "{refused:?}");
    assert!(matches!(spool.gone(&[1]), Err(SpoolError::Write { .. })));
    assert_eq!(bodies(&spool), ["b", "c"], "delivered from memory");
    // A crash now: the half line is torn, nothing else.
    assert_eq!(Read::of(&disk.0.lock().unwrap().0).records.len(), 2);
    disk.0.lock().unwrap().1 = false;
    spool.put(vec![entry("d")], &at(1)).unwrap();
    let read = Read::of(&disk.0.lock().unwrap().0);
    let there: Vec<_> = read.records.values().map(|record| record.body.as_str()).collect();
    assert_eq!((there, read.torn, read.damaged), (vec!["b", "c", "d"], false, 0));
}

fn with_disk(disk: &FaultyDisk) -> Spool {
    Spool::with_disk(
        Box::new(disk.clone()),
        PathBuf::from("q"),
        Limits::default(),
        &Read::of(&[]),
        0,
    )
}

/// A monitor repeats what is not kept; it is in the queue once all the same, and kept as soon as it was delivered.
/// Covers F4.
#[test]
fn what_the_disk_refuses_is_held_once_and_is_kept_when_it_was_delivered() {
    let disk = FaultyDisk::default();
    let mut spool = with_disk(&disk);
    disk.0.lock().unwrap().1 = true;
    for _ in 0..5 {
        spool.put(vec![entry("a"), entry("b")], &at(1)).unwrap_err();
        assert_eq!(bodies(&spool), ["a", "b"]);
    }
    spool.gone(&[1]).unwrap_err();
    assert_eq!(
        spool.put(vec![entry("a")], &at(1)).unwrap(),
        Vec::<u64>::new(),
        "it was delivered"
    );
    spool.put(vec![entry("a"), entry("b")], &at(1)).unwrap_err();
    assert_eq!(bodies(&spool), ["b"]);
    disk.0.lock().unwrap().1 = false;
    assert_eq!(spool.put(vec![entry("b")], &at(1)).unwrap(), [2]);
    assert_eq!(Read::of(&disk.0.lock().unwrap().0).records.len(), 1);
    // From now on equal texts are two events again.
    assert_eq!(spool.put(vec![entry("b")], &at(1)).unwrap(), [3]);
}

/// Covers F4.
#[test]
fn a_folder_that_cannot_be_used_at_the_start_is_used_when_it_can() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("spool");
    std::fs::write(&folder, "in the way").unwrap();
    let (mut spool, opened) = open(&folder);
    assert!(opened.unusable.is_some_and(|why| why.contains("spool")));
    spool.put(vec![entry("a")], &at(1)).unwrap_err();
    assert_eq!(bodies(&spool), ["a"]);
    std::fs::remove_file(&folder).unwrap();
    assert_eq!(spool.put(vec![entry("a")], &at(1)).unwrap(), [1]);
    spool.put(vec![entry("b")], &at(1)).unwrap();
    drop(spool);
    let (spool, opened) = open(&folder);
    assert_eq!(
        (bodies(&spool), opened.unusable),
        (vec!["a".to_owned(), "b".to_owned()], None)
    );
}

const CHILD: &str = "TACHI_SPOOL_CHILD";

/// Not a test of its own: what `killed_repeatedly_...` runs and kills.
#[test]
fn child_that_writes_until_killed() {
    let Some(folder) = std::env::var_os(CHILD) else {
        return;
    };
    let (mut spool, _) = open(Path::new(&folder));
    let mut out = io::stdout();
    loop {
        let seqs = spool
            .put(vec![entry(&"x".repeat(200)), entry("y")], &at(1))
            .unwrap();
        writeln!(out, "put {}", seqs[1]).unwrap();
        if seqs[0] % 3 != 0 {
            spool.gone(&seqs).unwrap();
            writeln!(out, "gone {}", seqs[1]).unwrap();
        }
    }
}

/// Covers MW3.
#[test]
fn killed_repeatedly_the_spool_holds_every_acknowledged_report() {
    let folder = tempfile::tempdir().unwrap();
    let mut expected = std::collections::BTreeSet::new();
    for round in 0..12_usize {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "child_that_writes_until_killed",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CHILD, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = io::BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        let mut take = |line: &str| {
            // The test harness prints lines of its own, one of them without an end.
            let Some((action, seq)) = line.rsplit_once(' ') else {
                return;
            };
            let Ok(seq) = seq.parse::<u64>() else { return };
            if action.ends_with("put") {
                expected.extend([seq - 1, seq]);
            } else if action.ends_with("gone") {
                expected.remove(&seq);
                expected.remove(&(seq - 1));
            }
            printed.push(seq);
        };
        let mut line_count = 0;
        for line in lines.by_ref().map_while(Result::ok) {
            take(&line);
            line_count += 1;
            if line_count > 7 + 5 * round {
                break;
            }
        }
        child.kill().unwrap();
        // Steps that it printed before the signal count, too.
        for line in lines.map_while(Result::ok) {
            take(&line);
        }
        child.wait().unwrap();
        assert!(!printed.is_empty());
        let (spool, opened) = open(folder.path());
        assert_eq!(opened.damaged, 0);
        let there: std::collections::BTreeSet<u64> = spool.iter().map(|record| record.seq).collect();
        // One more step may have completed without being printed: two stored, or two removed.
        let differ: Vec<_> = there.symmetric_difference(&expected).collect();
        assert!(differ.len() <= 2, "round {round}: {differ:?}");
        let last = printed.iter().max().copied().unwrap_or(0);
        assert!(
            differ.iter().all(|seq| **seq + 1 >= last),
            "round {round}: {differ:?} of {last}"
        );
        expected = there;
    }
}
