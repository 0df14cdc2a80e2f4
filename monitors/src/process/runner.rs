//! Starts and restarts: programs, and units through systemd.

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};

use super::list::Command;
use super::probe::CommandRunner;
use super::systemd::Systemd;

/// The executor of entries' commands.
pub(super) struct LocalRunner {
    pub(super) systemd: Systemd,
    pub(super) timeout: Duration,
}

#[async_trait]
impl CommandRunner for LocalRunner {
    async fn run(&self, command: &Command, as_root: bool) -> Result<(), String> {
        match command {
            Command::Nothing => Ok(()),
            Command::Unit { restart, unit } => self.systemd.bring_up(unit, *restart, self.timeout).await,
            Command::Program(arguments) => program(arguments, as_root, self.timeout).await,
        }
    }
}

/// Runs a program. Only its exit code decides. Its output goes to the monitor's own, because a daemon that it
/// starts keeps the output open.
async fn program(arguments: &[String], as_root: bool, timeout: Duration) -> Result<(), String> {
    let shown = arguments.join(" ");
    let sudo = ["sudo".to_owned(), "-n".to_owned()];
    let prefix: &[String] = if as_root && !rustix::process::geteuid().is_root() {
        &sudo
    } else {
        &[]
    };
    let mut arguments = prefix.iter().chain(arguments);
    let Some(name) = arguments.next() else {
        return Ok(());
    };
    tracing::info!(command = %shown, as_root, "running command");
    let mut child = tokio::process::Command::new(name)
        .args(arguments)
        .stdin(Stdio::null())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("`{shown}`: {error}"))?;
    let group = child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .and_then(Pid::from_raw);
    match tokio::time::timeout(timeout, child.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(Ok(status)) => Err(format!("`{shown}`: {status}")),
        Ok(Err(error)) => Err(format!("`{shown}`: {error}")),
        Err(_) => {
            if let Some(Err(error)) = group.map(|group| kill_process_group(group, Signal::KILL)) {
                tracing::warn!(%error, command = %shown, "failed to kill command");
            }
            // The wait leaves no zombie; a killed process ends soon, or is stuck in the kernel.
            let _ = tokio::time::timeout(Duration::from_secs(1), child.wait()).await;
            Err(format!(
                "`{shown}`: not finished after {} s, killed",
                timeout.as_secs()
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(arguments: &[&str]) -> Vec<String> {
        arguments.iter().map(|argument| (*argument).to_owned()).collect()
    }

    /// Covers MW18.
    #[tokio::test]
    async fn only_the_exit_code_counts() {
        let long = Duration::from_secs(20);
        let run = async |of: &[&str]| program(&arguments(of), false, long).await;
        assert_eq!(run(&["sh", "-c", "echo noise >&2; exit 0"]).await, Ok(()));
        assert!(run(&["false"]).await.unwrap_err().contains("exit status: 1"));
        assert!(
            run(&["/nowhere/at/all"])
                .await
                .unwrap_err()
                .contains("No such file")
        );
    }

    /// Covers MW4.
    #[tokio::test]
    async fn a_command_that_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; wait", pids.display());
        let result = program(&arguments(&["sh", "-c", &script]), false, Duration::from_secs(1)).await;
        assert!(result.unwrap_err().contains("not finished after 1 s"));
        let child: i32 = std::fs::read_to_string(&pids).unwrap().trim().parse().unwrap();
        let gone = || super::super::find::reread(child).is_none_or(|seen| seen.state == 'Z');
        while !gone() {
            tokio::task::yield_now().await;
        }
    }
}
