//! Hooks that run programs.
//!
//! `timeout` wraps each program and ends it at its deadline, even if the engine has died meanwhile. It sends
//! SIGTERM first and SIGKILL five seconds later, to the program's whole process group.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tachi_domain::hooks::{HookOutcome, HookVerdict};
use tachi_engine::ports::hooks::HookRun;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use crate::failed;
use crate::text::{MAX_OUTPUT, chain, with_output};

/// Time between SIGTERM and SIGKILL.
const KILL_GRACE: Duration = Duration::from_secs(5);

/// Time to wait for output after the program's end: a process that it left behind may keep the pipe open.
const OUTPUT_GRACE: Duration = Duration::from_millis(200);

/// Search path for `timeout` and for the program.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Kills a program's process group when dropped.
struct ChildGuard(Option<Pid>);

impl ChildGuard {
    fn on(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(Pid::from_raw),
        )
    }
}

impl Drop for ChildGuard {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // The child has not been reaped, so its id is still its own. An error because it has exited is harmless.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}

pub(crate) async fn run(program: &str, args: &[String], run: &HookRun) -> HookOutcome {
    let limit = run.hook.timeout;
    let started_at = Instant::now();
    let mut command = Command::new("timeout");
    command
        .arg(format!("--kill-after={}", KILL_GRACE.as_secs()))
        .arg(limit.as_secs_f64().to_string())
        .arg(program)
        .args(args)
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("LC_ALL", "C.UTF-8")
        .envs(
            run.facts
                .iter()
                .map(|(name, value)| (*name, value.replace('\0', ""))),
        )
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return failed(format!("failed to start: {}", chain(&error))),
    };
    // Declared after the child, so that it is dropped first.
    let mut guard = ChildGuard::on(&child);
    let captured = CapturedOutput::default();
    let exchange = exchange(&mut child, &run.document, &captured);
    tokio::pin!(exchange);
    let mut talked = false;
    let ended = timeout(limit + KILL_GRACE + Duration::from_secs(1), async {
        loop {
            // `wait` is cancel-safe, and the reader is not dropped.
            tokio::select! {
                status = child.wait() => return status,
                () = &mut exchange, if !talked => talked = true,
            }
        }
    })
    .await;
    let status = match ended {
        Ok(Ok(status)) => {
            guard.0 = None;
            status
        }
        Ok(Err(error)) => return failed(format!("failed to wait for the program: {}", chain(&error))),
        Err(_) => {
            return failed(format!(
                "took longer than {} s and was killed",
                limit.as_secs_f64()
            ));
        }
    };
    if !talked {
        let _ = timeout(OUTPUT_GRACE, exchange).await;
    }
    let (verdict, end) = judge(status, limit, started_at.elapsed());
    HookOutcome {
        verdict,
        text: with_output(&end, &captured.take()),
    }
}

/// The first bytes of a program's output, stdout and stderr together.
#[derive(Default)]
struct CapturedOutput(Mutex<Vec<u8>>);

impl CapturedOutput {
    fn add(&self, bytes: &[u8]) {
        let mut captured = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = MAX_OUTPUT.saturating_sub(captured.len());
        captured.extend(bytes.iter().take(room));
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Writes the document and reads both outputs to their end, so that a program with much output never blocks on a full
/// pipe.
fn exchange<'k>(
    child: &mut Child,
    document: &str,
    kept: &'k CapturedOutput,
) -> impl Future<Output = ()> + use<'k> {
    let stdin = child.stdin.take();
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let document = document.as_bytes().to_vec();
    async move {
        let hand_over = async {
            if let Some(mut stdin) = stdin {
                // The program may exit without reading its input.
                let _ = stdin.write_all(&document).await;
                let _ = stdin.shutdown().await;
            }
        };
        tokio::join!(hand_over, listen(stdout, kept), listen(stderr, kept));
    }
}

async fn listen(output: Option<impl AsyncRead + Unpin>, captured: &CapturedOutput) {
    let Some(mut output) = output else { return };
    let mut buffer = [0; 4096];
    loop {
        match output.read(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(length) => captured.add(buffer.get(..length).unwrap_or_default()),
        }
    }
}

/// Maps the exit status: `timeout` exits like the program; 124 or a kill means the deadline passed, 125 to 127 that
/// the program could not be run.
fn judge(status: ExitStatus, limit: Duration, took: Duration) -> (HookVerdict, String) {
    let late = took >= limit;
    match (status.code(), status.signal()) {
        (Some(0), _) => (HookVerdict::GoOn, "exit 0".into()),
        (Some(10), _) => (HookVerdict::Skip, "exit 10".into()),
        (Some(124), _) if late => (
            HookVerdict::Failed,
            format!("took longer than {} s", limit.as_secs_f64()),
        ),
        (Some(137), _) | (_, Some(9)) if late => (
            HookVerdict::Failed,
            format!("took longer than {} s and was killed", limit.as_secs_f64()),
        ),
        (Some(code @ 125..=127), _) => (HookVerdict::Failed, format!("exit {code}, could not be run")),
        (Some(code), _) => (HookVerdict::Failed, format!("exit {code}")),
        (None, Some(signal)) => (HookVerdict::Failed, format!("ended by signal {signal}")),
        (None, None) => (HookVerdict::Failed, "ended in an unknown way".into()),
    }
}

#[cfg(test)]
mod tests;
