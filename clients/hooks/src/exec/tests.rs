use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::time::sleep;

use super::*;
use crate::tests::run_of;

/// A folder with one script.
struct Script {
    folder: TempDir,
    program: String,
}

fn script(text: &str) -> Script {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hook");
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
    Script {
        program: path.display().to_string(),
        folder,
    }
}

impl Script {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    async fn run(&self, options: &str, args: &[&str]) -> (HookVerdict, String) {
        let entry = format!("exec:{} #{options}", self.program);
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        let outcome = run(&self.program, &args, &run_of(&entry)).await;
        (outcome.verdict, outcome.text)
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < Duration::from_secs(20), "in vain for {what}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// True if a process with this id runs; zombies do not count.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.trim()).join("stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z') && !rest.starts_with('X'))
}

#[tokio::test]
async fn the_exit_code_of_a_program_decides() {
    let cases = [
        ("well", "exit 0", HookVerdict::GoOn, "exit 0"),
        (
            "with words",
            "echo all is; echo well",
            HookVerdict::GoOn,
            "exit 0: all is well",
        ),
        (
            "nothing to be done",
            "echo not ours; exit 10",
            HookVerdict::Skip,
            "exit 10: not ours",
        ),
        (
            "badly",
            "echo 'no  such\tpool'; exit 1",
            HookVerdict::Failed,
            "exit 1: no such pool",
        ),
        ("with another number", "exit 11", HookVerdict::Failed, "exit 11"),
        ("as timeout would", "exit 124", HookVerdict::Failed, "exit 124"),
        (
            "by a signal",
            "kill -TERM $$",
            HookVerdict::Failed,
            "ended by signal 15",
        ),
        (
            "by a kill",
            "kill -KILL $$",
            HookVerdict::Failed,
            "ended by signal 9",
        ),
    ];
    for (case, text, verdict, message) in cases {
        assert_eq!(
            script(text).run("", &[]).await,
            (verdict, message.to_owned()),
            "{case}"
        );
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_run_has_failed() {
    for (case, program, expected) in [
        (
            "none",
            "/nonexistent/hook",
            "exit 127, could not be run: timeout: failed to run command",
        ),
        ("a folder", "/tmp", "exit 126, could not be run"),
    ] {
        let outcome = run(program, &[], &run_of("exec:/x")).await;
        assert_eq!(outcome.verdict, HookVerdict::Failed, "{case}");
        assert!(outcome.text.starts_with(expected), "{case}: {}", outcome.text);
    }
}

#[tokio::test]
async fn a_program_gets_the_document_and_its_arguments_but_not_our_environment() {
    let script = script("cat > \"$1\"; shift; for arg; do echo \"<$arg>\"; done; env | sort | cut -d= -f1");
    let input_file = script.path("told");
    let args = [input_file.to_str().unwrap(), "a b", "$(reboot)", ""];
    let (verdict, text) = script.run("", &args).await;
    assert_eq!(verdict, HookVerdict::GoOn);
    assert_eq!(
        text,
        "exit 0: <a b> <$(reboot)> <> LC_ALL PATH PWD TACHI_HOST TACHI_PHASE"
    );
    assert_eq!(
        std::fs::read_to_string(input_file).unwrap(),
        run_of("exec:/x").document
    );
}

#[tokio::test]
async fn much_output_neither_blocks_a_program_nor_is_kept() {
    let (verdict, text) =
        script("head -c 3000000 /dev/zero | tr '\\0' x; head -c 3000000 /dev/zero >&2; exit 3")
            .run("", &[])
            .await;
    assert_eq!(verdict, HookVerdict::Failed);
    assert!(
        text.starts_with("exit 3: xxx") && text.chars().count() < 400,
        "{text}"
    );
}

#[tokio::test]
async fn a_program_need_not_read_its_input() {
    let script = script("exec <&-; exit 0");
    let mut run_it = run_of(&format!("exec:{}", script.program));
    run_it.document = "x".repeat(4 << 20);
    assert_eq!(
        run(&script.program, &[], &run_it).await.verdict,
        HookVerdict::GoOn
    );
}

#[tokio::test]
async fn a_program_gets_sigterm_at_its_timeout() {
    let script = script("trap 'echo cleaned > \"$1\"; exit 0' TERM; while :; do sleep 0.05; done");
    let cleaned = script.path("cleaned");
    let (verdict, text) = script.run("timeout=0.5", &[cleaned.to_str().unwrap()]).await;
    assert_eq!(verdict, HookVerdict::Failed);
    // The shell may report the child that was terminated, too.
    assert!(text.starts_with("took longer than 0.5 s"), "{text}");
    assert!(!text.contains("killed"), "{text}");
    assert_eq!(std::fs::read_to_string(cleaned).unwrap(), "cleaned\n");
}

#[tokio::test]
async fn a_program_that_ignores_sigterm_is_killed_with_its_descendants() {
    let script = script("trap '' TERM; sleep 1000 & echo $! > \"$1\"; while :; do sleep 0.05; done");
    let child = script.path("child");
    let (verdict, text) = script.run("timeout=0.5", &[child.to_str().unwrap()]).await;
    assert_eq!(verdict, HookVerdict::Failed);
    assert!(
        text.starts_with("took longer than 0.5 s and was killed"),
        "{text}"
    );
    let pid = std::fs::read_to_string(child).unwrap();
    until("what it has started to be gone", || !lives(&pid)).await;
}

#[tokio::test]
async fn a_process_left_behind_delays_no_result() {
    let began = Instant::now();
    let (verdict, text) = script("echo done; sleep 30 &").run("", &[]).await;
    assert_eq!((verdict, text.as_str()), (HookVerdict::GoOn, "exit 0: done"));
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_run_that_is_given_up_is_killed() {
    let script = script("echo $$ > \"$1\"; sleep 1000");
    let own = script.path("pid");
    let args = [own.display().to_string()];
    let run_it = run_of(&format!("exec:{}", script.program));
    {
        let running = run(&script.program, &args, &run_it);
        tokio::pin!(running);
        let written = || std::fs::read_to_string(&own).is_ok_and(|pid| pid.ends_with('\n'));
        tokio::select! {
            outcome = &mut running => panic!("it ended: {outcome:?}"),
            () = until("it to begin", written) => {}
        }
    }
    let pid = std::fs::read_to_string(&own).unwrap();
    until("it to be gone", || !lives(&pid)).await;
}
