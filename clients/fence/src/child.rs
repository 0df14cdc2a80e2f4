//! Child processes: `ipmitool` and fence agents.
//!
//! A child gets its secrets on standard input, where no other process can read them, unlike arguments and environment.
//! It leads its own process group under `timeout`, so that all its descendants end with it: at its deadline, when its
//! caller is dropped, and when the engine is killed (`setpriv --pdeathsig`, of util-linux).

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

/// The search path of child processes.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Additional time until `timeout` ends the group itself, in case the engine has died.
const TIMEOUT_MARGIN: Duration = Duration::from_secs(1);

/// Time to wait for output after a child has ended: a process that it left behind may keep the pipe open.
const OUTPUT_GRACE: Duration = Duration::from_millis(500);

/// Maximum number of bytes kept of each output.
const MAX_OUTPUT: usize = 64 << 10;

/// A program to run.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// Visible to every user of this machine, like the arguments.
    pub(crate) program: &'a Path,
    pub(crate) args: Vec<String>,
    /// The child's standard input.
    pub(crate) input: SecretString,
    /// Timeout after which the whole process group is killed.
    pub(crate) limit: Duration,
}

/// A child that has ended.
#[derive(Debug)]
pub(crate) struct ChildExit {
    /// The exit code; `None` if a signal ended the child.
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A failure to run a child to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// The child could not be started.
    #[error("starting {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// The program does not exist or is not executable.
    #[error("{} is not installed or not executable", program.display())]
    Missing {
        /// The program.
        program: PathBuf,
    },
    /// The child took too long and was killed with its process group.
    #[error("{} took longer than {limit:?} and was killed", program.display())]
    TimedOut {
        /// The program.
        program: PathBuf,
        /// The time limit.
        limit: Duration,
    },
    /// Waiting for the child failed.
    #[error("waiting for {}", program.display())]
    Wait {
        /// The program.
        program: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
}

/// Runs a child to its end.
///
/// # Errors
///
/// The child could not be started, or took too long.
///
/// # Cancel safety
///
/// If this future is dropped before it completes, the child's whole process group is killed.
pub(crate) async fn run(call: &Call<'_>) -> Result<ChildExit, ChildError> {
    let program = || call.program.to_owned();
    let mut child = command(call).spawn().map_err(|source| ChildError::Start {
        program: program(),
        source,
    })?;
    let mut group = Group::of(&child);
    let outcome = tokio::time::timeout(call.limit, talk(&mut child, &call.input, &mut group)).await;
    let Ok(outcome) = outcome else {
        group.kill();
        // Reaps the leader; the kill cannot be refused.
        let _ = child.wait().await;
        group.ended();
        return Err(ChildError::TimedOut {
            program: program(),
            limit: call.limit,
        });
    };
    let finished = outcome.map_err(|source| ChildError::Wait {
        program: program(),
        source,
    })?;
    // Exit codes of `timeout` itself: 126 means not executable, 127 not found.
    if matches!(finished.code, Some(126 | 127)) {
        return Err(ChildError::Missing { program: program() });
    }
    Ok(finished)
}

fn command(call: &Call<'_>) -> Command {
    let seconds = (call.limit + TIMEOUT_MARGIN).as_secs_f64();
    // When the engine dies, the kernel signals `timeout`, which forwards the signal to the whole group and kills the
    // rest a second later: a power command of a dead engine ends with it, whatever its time limit.
    let mut command = Command::new("/usr/bin/setpriv");
    command
        .args(["--pdeathsig", "TERM", "/usr/bin/timeout"])
        .args(["--kill-after=1", "--signal=KILL", &format!("{seconds:.3}")])
        .arg(call.program)
        .args(&call.args)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("LC_ALL", "C")
        .env("HOME", "/nonexistent")
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn talk(child: &mut Child, input: &SecretString, group: &mut Group) -> io::Result<ChildExit> {
    let stdin = child.stdin.take();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let status = {
        let write = async {
            if let Some(mut pipe) = stdin {
                // A child that does not read all of its input is not an error.
                let _ = pipe.write_all(input.expose_secret().as_bytes()).await;
            }
        };
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let read = async {
            tokio::join!(
                write,
                read_captured(out, &mut stdout),
                read_captured(err, &mut stderr)
            )
        };
        tokio::pin!(read);
        // Both branches may be dropped and restarted: `wait` is cancel-safe, and `read` is pinned outside.
        tokio::select! {
            _ = &mut read => child.wait().await,
            status = child.wait() => {
                if tokio::time::timeout(OUTPUT_GRACE, &mut read).await.is_err() {
                    // A process of the group holds the pipes, so the group's id has not been reused.
                    group.kill();
                }
                status
            }
        }
    };
    group.ended();
    Ok(ChildExit {
        code: status?.code(),
        stdout: String::from_utf8_lossy(&stdout).into_owned(),
        stderr: String::from_utf8_lossy(&stderr).into_owned(),
    })
}

/// Reads to the end and keeps the beginning, so that a child never blocks on a full pipe.
async fn read_captured(pipe: Option<impl AsyncRead + Unpin>, captured: &mut Vec<u8>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = [0; 4096];
    while let Ok(got @ 1..) = pipe.read(&mut buffer).await {
        let room = MAX_OUTPUT.saturating_sub(captured.len()).min(got);
        captured.extend(buffer.iter().take(room));
    }
}

/// A process group whose leader has not been reaped, so that its id is not reused.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
        Self(pid.and_then(Pid::from_raw))
    }

    fn kill(&self) {
        if let Some(pid) = self.0 {
            // The group may have ended by itself in the meantime.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }

    fn ended(&mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::time::Instant;

    use super::*;

    fn shell(script: &str, limit: Duration) -> Call<'static> {
        Call {
            program: Path::new("/bin/sh"),
            args: vec!["-c".into(), script.into()],
            input: "word-of-the-fixture\n".into(),
            limit,
        }
    }

    const LONG: Duration = Duration::from_secs(20);

    /// Waits until no running process has `mark` in its arguments.
    async fn wait_until_gone(mark: &str) {
        let deadline = Instant::now() + LONG;
        while running(mark) {
            assert!(Instant::now() < deadline, "{mark} still runs");
            tokio::task::yield_now().await;
        }
    }

    fn running(mark: &str) -> bool {
        let entries = fs::read_dir("/proc").unwrap();
        entries
            .flatten()
            .filter_map(|entry| fs::read(entry.path().join("cmdline")).ok())
            .any(|line| String::from_utf8_lossy(&line).contains(mark))
    }

    async fn started(file: &Path) {
        let deadline = Instant::now() + LONG;
        while !file.exists() {
            assert!(Instant::now() < deadline, "it never began");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_child_reads_its_input_and_its_output_is_returned() {
        let done = run(&shell("read word; echo got $word; echo bad >&2; exit 3", LONG))
            .await
            .unwrap();
        assert_eq!(done.code, Some(3));
        assert_eq!(
            (done.stdout.as_str(), done.stderr.as_str()),
            ("got word-of-the-fixture\n", "bad\n")
        );
    }

    /// The kernel watches the thread that started the child, so this test does not have to kill its own process.
    /// Covers C11.
    #[tokio::test]
    async fn a_child_and_its_descendants_end_with_the_process_that_started_them() {
        let mark = format!("61.{}", std::process::id());
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("begun");
        let script = format!("sleep {mark} & touch {}; sleep {mark}", file.display());
        let begin = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let child = command(&shell(&script, Duration::from_secs(300)))
                    .spawn()
                    .unwrap();
                started(&file).await;
                // Until it sleeps, `timeout` does not know its child yet, and would end without it.
                let state = format!("/proc/{}/stat", child.id().unwrap());
                while !fs::read_to_string(&state).unwrap().contains(") S ") {
                    tokio::task::yield_now().await;
                }
                // The child has no owner left that would kill it.
                std::mem::forget(child);
            });
            std::mem::forget(runtime);
        };
        std::thread::spawn(begin).join().unwrap();
        wait_until_gone(&mark).await;
    }

    /// Covers I9.
    #[tokio::test]
    async fn the_input_is_neither_an_argument_nor_in_the_environment() {
        let script =
            "cat /proc/$$/environ /proc/$$/cmdline /proc/$PPID/environ /proc/$PPID/cmdline | tr '\\0' '\\n'";
        let done = run(&shell(script, LONG)).await.unwrap();
        assert!(done.stdout.contains("LC_ALL=C") && done.stdout.contains("/bin/sh"));
        assert!(!done.stdout.contains("word-of-the-fixture"), "{}", done.stdout);
        // The child inherits none of our environment.
        assert!(!done.stdout.contains("CARGO"), "{}", done.stdout);
    }

    #[tokio::test]
    async fn a_child_that_reads_nothing_and_prints_a_lot_still_ends() {
        let mut call = shell(
            "exec 0<&-; i=0; while [ $i -lt 3000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done",
            LONG,
        );
        call.input = "x".repeat(1 << 20).into();
        let done = run(&call).await.unwrap();
        assert_eq!((done.code, done.stdout.len()), (Some(0), MAX_OUTPUT));
    }

    #[tokio::test]
    async fn a_missing_program_is_distinguished_from_one_that_fails() {
        let call = Call {
            program: Path::new("/nonexistent/tool"),
            args: Vec::new(),
            input: "".into(),
            limit: LONG,
        };
        assert!(matches!(run(&call).await, Err(ChildError::Missing { .. })));
    }

    /// Covers ROW14.
    #[tokio::test]
    async fn a_hanging_child_is_killed_with_its_descendants() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("begun");
        let file = mark.display();
        let script =
            format!("trap '' TERM; sh -c \"trap '' TERM; : > {file}; sleep 600; : {file}\"; : {file}");
        let started_at = Instant::now();
        let error = run(&shell(&script, Duration::from_millis(700)))
            .await
            .unwrap_err();
        assert!(matches!(error, ChildError::TimedOut { .. }), "{error}");
        assert!(started_at.elapsed() < LONG);
        assert!(mark.exists(), "it did begin");
        wait_until_gone(&file.to_string()).await;
    }

    /// Covers ROW14.
    #[tokio::test]
    async fn a_dropped_child_is_killed_with_its_descendants() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("begun");
        let file = mark.display().to_string();
        let script = format!("sh -c \": > {file}; sleep 600; : {file}\"; : {file}");
        let task = tokio::spawn(async move { run(&shell(&script, LONG)).await.map(|_| ()) });
        started(&mark).await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        wait_until_gone(&file).await;
    }

    /// Covers R4.
    #[tokio::test]
    async fn a_child_ends_when_its_parent_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let mark = folder.path().join("begun");
        let file = mark.display().to_string();
        let script =
            format!("trap '' TERM; sh -c \"trap '' TERM; : > {file}; sleep 600; : {file}\"; : {file}");
        // No code of ours watches this child.
        let mut child = command(&shell(&script, Duration::ZERO))
            .kill_on_drop(false)
            .spawn()
            .unwrap();
        started(&mark).await;
        let status = tokio::time::timeout(LONG, child.wait()).await.unwrap().unwrap();
        assert!(!status.success());
        wait_until_gone(&file).await;
    }

    #[tokio::test]
    async fn a_process_left_behind_does_not_delay_the_result() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("x").display().to_string();
        let started_at = Instant::now();
        let done = run(&shell(
            &format!("sh -c \"sleep 600; : {file}\" & echo done"),
            LONG,
        ))
        .await
        .unwrap();
        assert_eq!((done.code, done.stdout.as_str()), (Some(0), "done\n"));
        assert!(started_at.elapsed() < LONG / 2);
        wait_until_gone(&file).await;
    }
}
