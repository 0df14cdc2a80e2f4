//! Pacemaker's own programs, run with a timeout.
//!
//! `crmadmin -S` was seen to hang for ten minutes. Every call therefore has a limit, and a program that exceeds it is
//! killed with everything it has started.

use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};

/// Longest output that is read. Real output is shorter; a longer one would only fill the memory.
const MAX_OUTPUT_BYTES: u64 = 64 << 20;
/// Longest error output that is kept; the beginning is enough.
const MAX_ERROR_BYTES: u64 = 4096;

/// An error in running a program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ToolError {
    /// The program does not exist or is not executable.
    #[error("starting {program}")]
    Start {
        program: String,
        #[source]
        source: std::io::Error,
    },
    #[error("{program} has not answered within {} s and was killed", .limit.as_secs_f64())]
    Slow { program: String, limit: Duration },
    /// The program failed.
    #[error("{program} failed ({status}): {complaint}")]
    Failed {
        program: String,
        status: String,
        complaint: String,
    },
    /// The program's output cannot be read.
    #[error("reading the output of {program}")]
    Output {
        program: String,
        #[source]
        source: std::io::Error,
    },
    /// The program's output is not text, or too long.
    #[error("{program} prints {what}")]
    Unreadable { program: String, what: &'static str },
}

/// The cluster's interface on the node of this process.
#[async_trait]
pub(crate) trait Cluster: Send + Sync {
    /// Returns the output of `crm_mon`, as XML.
    async fn mon(&self) -> Result<String, ToolError>;
    /// Returns the output of `cibadmin --query`.
    async fn cib(&self) -> Result<String, ToolError>;
    /// Returns a private attribute of all nodes, as (node, value).
    async fn attributes(&self, name: &str) -> Result<Vec<(String, String)>, ToolError>;
    /// Sets this node's private attribute. The cluster keeps it in memory, so it never reaches the CIB.
    async fn set_attribute(&self, name: &str, value: &str) -> Result<(), ToolError>;
}

/// Pacemaker's programs in `PATH`.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    /// Timeout for `crm_mon` and `cibadmin`.
    pub(crate) limit: Duration,
    /// Timeout for attributes, which only decide which bridge reports first.
    pub(crate) short: Duration,
}

#[async_trait]
impl Cluster for Programs {
    async fn mon(&self) -> Result<String, ToolError> {
        match run("crm_mon", &["--output-as=xml"], None, self.limit).await {
            // Versions before 2.0.3 have only this option; later ones call it deprecated.
            Err(ToolError::Failed { .. }) => run("crm_mon", &["-X"], None, self.limit).await,
            other => other,
        }
    }

    async fn cib(&self) -> Result<String, ToolError> {
        run("cibadmin", &["--query"], None, self.limit).await
    }

    async fn attributes(&self, name: &str) -> Result<Vec<(String, String)>, ToolError> {
        match run("attrd_updater", &["-n", name, "-Q", "-A"], None, self.short).await {
            Ok(text) => Ok(text.lines().filter_map(attribute).collect()),
            // The attribute is not set yet.
            Err(ToolError::Failed { complaint, .. }) if complaint.contains("does not exist") => {
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    async fn set_attribute(&self, name: &str, value: &str) -> Result<(), ToolError> {
        run(
            "attrd_updater",
            &["-n", name, "-U", value, "-p"],
            None,
            self.short,
        )
        .await
        .map(|_| ())
    }
}

/// Parses one line of `attrd_updater -Q`: `name="n" host="h" value="v"`.
fn attribute(line: &str) -> Option<(String, String)> {
    let part = |name: &str| {
        let rest = line.split_once(&format!(" {name}=\""))?.1;
        rest.split_once('"').map(|(value, _)| value.to_owned())
    };
    Some((part("host")?, part("value")?))
}

/// Runs a program to its end, with `input` on its standard input, or kills its process group at `limit`.
///
/// # Cancel safety
///
/// If it is dropped, the program is killed.
pub(crate) async fn run(
    program: &str,
    args: &[&str],
    input: Option<&str>,
    limit: Duration,
) -> Result<String, ToolError> {
    let mut command = Command::new(program);
    command
        .args(args)
        // Times without a zone are printed in this zone.
        .env("TZ", "UTC")
        .env("LC_ALL", "C")
        .stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn().map_err(|source| ToolError::Start {
        program: program.to_owned(),
        source,
    })?;
    let mut group = Group(child);
    let stdin = group.0.stdin.take();
    let whole = async {
        let (output, ()) = tokio::join!(finish(program, &mut group.0), write_line(stdin, input));
        output
    };
    let outcome = tokio::time::timeout(limit, whole).await;
    outcome.unwrap_or_else(|_| {
        Err(ToolError::Slow {
            program: program.to_owned(),
            limit,
        })
    })
}

/// A child and everything it started; killed together when dropped before its end.
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // A reaped child has no id, so no other process group is killed.
        let id = self.0.id().and_then(|id| i32::try_from(id).ok());
        if let Some(group) = id.and_then(rustix::process::Pid::from_raw) {
            // The group may have ended by itself at this moment.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

async fn finish(program: &str, child: &mut Child) -> Result<String, ToolError> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let wrong = |source| ToolError::Output {
        program: program.to_owned(),
        source,
    };
    let (output, complaint) = tokio::join!(read(stdout, MAX_OUTPUT_BYTES), read(stderr, MAX_ERROR_BYTES));
    let (output, complaint) = (output.map_err(wrong)?, complaint.map_err(wrong)?);
    let unreadable = |what| ToolError::Unreadable {
        program: program.to_owned(),
        what,
    };
    if u64::try_from(output.len()).is_ok_and(|length| length >= MAX_OUTPUT_BYTES) {
        return Err(unreadable("too much output"));
    }
    let status = child.wait().await.map_err(wrong)?;
    if !status.success() {
        return Err(ToolError::Failed {
            program: program.to_owned(),
            status: status.to_string(),
            complaint: String::from_utf8_lossy(&complaint).trim().to_owned(),
        });
    }
    String::from_utf8(output).map_err(|_| unreadable("output that is not UTF-8"))
}

/// Writes a line to a program. One that does not read it reports its own error.
async fn write_line(to: Option<ChildStdin>, line: Option<&str>) {
    if let (Some(mut to), Some(line)) = (to, line) {
        let _ = to.write_all(format!("{line}\n").as_bytes()).await;
    }
}

async fn read(from: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut from) = from {
        (&mut from).take(most).read_to_end(&mut bytes).await?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length >= most) && most == MAX_ERROR_BYTES {
            // The rest is read and discarded, because the program would otherwise block on a full pipe.
            tokio::io::copy(&mut from, &mut tokio::io::sink()).await?;
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_program_is_run_and_its_result_returned() {
        assert_eq!(run("echo", &["a b"], None, LONG).await.unwrap(), "a b\n");
        assert_eq!(
            run("sh", &["-c", "read x; printf %s $TZ$x"], Some("y"), LONG)
                .await
                .unwrap(),
            "UTCy"
        );
        let failed = run("sh", &["-c", "echo why >&2; exit 3"], None, LONG)
            .await
            .unwrap_err();
        assert!(failed.to_string().contains("why"), "{failed}");
        assert!(matches!(
            run("/nowhere/crm_mon", &[], None, LONG).await,
            Err(ToolError::Start { .. })
        ));
    }

    /// Covers MW4.
    #[tokio::test]
    async fn what_hangs_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("alive");
        // The grandchild holds the pipe open; only a kill of the group ends it.
        let script = format!(
            "mkfifo {0}; (exec 9>{0}; exec sleep 1000) & sleep 1000",
            marker.display()
        );
        let hung = run("sh", &["-c", &script], None, Duration::from_millis(300)).await;
        assert!(matches!(hung, Err(ToolError::Slow { .. })), "{hung:?}");
        // A reader gets the end of file when no writer is left, or waits forever.
        let reader = tokio::task::spawn_blocking(move || {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK;
            let fifo = rustix::fs::open(&marker, flags, rustix::fs::Mode::empty()).unwrap();
            let mut byte = [0_u8; 1];
            // The group dies asynchronously: would-block means that a process still holds it open.
            loop {
                match rustix::io::read(&fifo, &mut byte) {
                    Ok(0) => return,
                    Ok(_) | Err(rustix::io::Errno::AGAIN) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
        });
        tokio::time::timeout(LONG, reader)
            .await
            .expect("the group is dead")
            .unwrap();
    }

    #[tokio::test]
    async fn much_output_and_many_complaints_do_not_block() {
        let script = "head -c 1000000 /dev/zero | tr '\\0' x; head -c 1000000 /dev/zero | tr '\\0' y >&2";
        assert_eq!(
            run("sh", &["-c", script], None, LONG).await.unwrap().len(),
            1_000_000
        );
    }

    #[test]
    fn attributes_are_read() {
        for (line, expected) in [
            (
                r#"name="tachi-bridge" host="ctl2" value="1""#,
                Some(("ctl2", "1")),
            ),
            (
                r#"name="n" host="a" value="cmp1=fenced:1/accepted/0""#,
                Some(("a", "cmp1=fenced:1/accepted/0")),
            ),
            (r#"name="n" host="a""#, None),
            ("", None),
            (r#"name="n" host="a" value="unfinished"#, None),
        ] {
            let read = attribute(line);
            assert_eq!(
                read.as_ref().map(|(host, value)| (host.as_str(), value.as_str())),
                expected,
                "{line}"
            );
        }
    }
}
