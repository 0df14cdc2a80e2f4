//! A process identified by its program. A pidfd reveals its end at once.

use std::os::fd::OwnedFd;
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::sync::Semaphore;

use super::find::{self, ProcessInfo};
use super::probe::{Probe, State};

/// Timeout of a scan of all processes. It takes milliseconds, unless a process is stuck in the kernel with its memory
/// locked.
const SCAN_TIMEOUT: Duration = Duration::from_secs(5);

/// Number of consecutive polls in uninterruptible sleep after which that is logged.
const STUCK_POLLS: u32 = 6;

/// A probe that finds a process by its program.
pub(super) struct PidProbe {
    name: String,
    open_pid: Option<OpenPid>,
    stuck: u32,
}

struct OpenPid {
    process: ProcessInfo,
    fd: AsyncFd<OwnedFd>,
}

impl PidProbe {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            open_pid: None,
            stuck: 0,
        }
    }

    /// Returns the state of the watched process, if it is still the same and alive.
    async fn open_pid_state(&mut self) -> Option<State> {
        let pid = self.open_pid.as_ref()?.process.pid;
        let now = match on_another_thread(move || find::reread(pid)).await {
            Ok(now) => now,
            // The process is still watched, and a process whose memory is locked has not ended.
            Err(why) => return Some(State::Unknown(why)),
        };
        let open_pid = self.open_pid.as_ref()?;
        let alive =
            now.filter(|now| now.started == open_pid.process.started && find::matches(&self.name, now));
        let Some(now) = alive else {
            self.open_pid = None;
            self.stuck = 0;
            return None;
        };
        self.stuck = if now.state == 'D' {
            self.stuck.saturating_add(1)
        } else {
            0
        };
        if self.stuck == STUCK_POLLS {
            tracing::warn!(process = %self.name, pid, "process is stuck in uninterruptible sleep (state D)");
        }
        Some(State::Up)
    }

    /// Watches the oldest of the processes that were found.
    fn hold(&mut self, found: Vec<ProcessInfo>) -> bool {
        for process in found {
            let Some(pid) = Pid::from_raw(process.pid) else {
                continue;
            };
            let Ok(fd) = pidfd_open(pid, PidfdFlags::NONBLOCK) else {
                continue;
            };
            // The pid may have been reused between the scan and the pidfd.
            let same = find::reread(process.pid)
                .is_some_and(|now| now.started == process.started && now.state != 'Z');
            if !same {
                continue;
            }
            #[expect(
                deprecated,
                reason = "what replaced it is unsafe, and an OwnedFd keeps its descriptor open as long as it lives"
            )]
            let registered = AsyncFd::new(fd);
            match registered {
                Ok(fd) => {
                    self.open_pid = Some(OpenPid { process, fd });
                    return true;
                }
                Err(error) => {
                    tracing::warn!(%error, process = %self.name, "failed to wait for the end of the process");
                }
            }
        }
        false
    }
}

/// Limit of concurrent scans. A stuck scan keeps its permit, so that no more threads than this get stuck.
static SCANS: Semaphore = Semaphore::const_new(2);

/// Runs work that may take long on another thread.
async fn on_another_thread<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let scan = async {
        let place = SCANS.acquire().await.map_err(|error| error.to_string())?;
        let work = move || {
            let done = work();
            drop(place);
            done
        };
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| error.to_string())
    };
    match tokio::time::timeout(SCAN_TIMEOUT, scan).await {
        Ok(done) => done.map_err(|why| format!("scanning processes: {why}")),
        Err(_) => Err("scanning processes takes too long: one of them is stuck in the kernel".to_owned()),
    }
}

#[async_trait]
impl Probe for PidProbe {
    async fn state(&mut self) -> State {
        if let Some(state) = self.open_pid_state().await {
            return state;
        }
        let name = self.name.clone();
        match on_another_thread(move || find::find(&name)).await {
            Ok(Ok(found)) => {
                let any = !found.is_empty();
                if self.hold(found) {
                    State::Up
                } else if any {
                    // The process exited during the check, or cannot be watched: the next poll decides.
                    State::Changing
                } else {
                    State::Down("no such process".to_owned())
                }
            }
            Ok(Err(error)) => State::Unknown(format!("scanning processes: {error}")),
            Err(why) => State::Unknown(why),
        }
    }

    async fn changed(&mut self) {
        match &self.open_pid {
            // The pidfd becomes readable when the process ends.
            Some(open_pid) => {
                if let Err(error) = open_pid.fd.readable().await {
                    tracing::debug!(%error, "failed to wait for the end of a process");
                    std::future::pending::<()>().await;
                }
            }
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt as _;
    use std::process::{Child, Command, Stdio};
    use std::time::Instant;

    use super::*;

    /// Starts a process with a unique name.
    fn process(name: &str) -> Child {
        Command::new("sleep")
            .arg0(name)
            .arg("600")
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn name(of: &str) -> String {
        format!("tachi-test-{of}-{}", std::process::id())
    }

    /// Waits until the child has executed the program: only then does it have the name.
    async fn up(probe: &mut PidProbe) {
        for _ in 0..1000 {
            if probe.state().await == State::Up {
                return;
            }
            tokio::task::yield_now().await;
        }
        panic!("the process does not appear");
    }

    /// Covers MW17.
    #[tokio::test]
    async fn the_end_of_a_process_is_seen_when_it_happens() {
        let name = name("end");
        let mut probe = PidProbe::new(&name);
        assert_eq!(probe.state().await, State::Down("no such process".to_owned()));
        let mut child = process(&name);
        up(&mut probe).await;
        assert!(
            tokio::time::timeout(Duration::from_millis(50), probe.changed())
                .await
                .is_err(),
            "it lives"
        );
        let killed = Instant::now();
        child.kill().unwrap();
        // The child has not been reaped yet: it is a zombie, and counts as dead.
        tokio::time::timeout(Duration::from_secs(10), probe.changed())
            .await
            .unwrap();
        assert!(killed.elapsed() < Duration::from_secs(5));
        assert_eq!(probe.state().await, State::Down("no such process".to_owned()));
        child.wait().unwrap();
    }

    #[tokio::test]
    async fn of_several_it_is_up_while_one_is() {
        let name = name("several");
        let mut probe = PidProbe::new(&name);
        let mut first = process(&name);
        up(&mut probe).await;
        let mut second = process(&name);
        let mut other = PidProbe::new(&name);
        // The second process is running as well once a scan finds two.
        while find::find(&name).unwrap().len() < 2 {
            tokio::task::yield_now().await;
        }
        up(&mut other).await;
        first.kill().unwrap();
        first.wait().unwrap();
        probe.changed().await;
        up(&mut probe).await;
        second.kill().unwrap();
        second.wait().unwrap();
        probe.changed().await;
        assert_eq!(probe.state().await, State::Down("no such process".to_owned()));
    }
}
