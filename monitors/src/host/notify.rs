//! Wake-ups from Pacemaker's alert agents.
//!
//! Pacemaker starts a program at every change of a node and every fencing, on all cluster nodes (never on remotes),
//! and waits for it. That program is this binary: it sends one datagram to a local socket and exits, with or without
//! a listener. The bridge then polls the cluster at once instead of at its next turn. A wake-up carries no data, so a
//! forged one only costs a poll.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tokio::net::UnixDatagram;

use crate::failure::Failure;

/// Default socket of a bridge.
pub(crate) const SOCKET: &str = "/run/tachi-monitor/host/pacemaker-alert.sock";

/// The name under which the binary acts as the alert agent.
pub(crate) const AGENT: &str = "tachi-pacemaker-alert";

/// The alerts that are worth a poll.
const RELEVANT_ALERTS: [&str; 2] = ["node", "fencing"];

/// True if this process was started as the alert agent.
pub(crate) fn is_agent(program: Option<&OsStr>) -> bool {
    program.is_some_and(|program| Path::new(program).file_name() == Some(OsStr::new(AGENT)))
}

/// Runs the alert agent. Never waits and never fails: the cluster must not wait for it.
pub(crate) fn alert(kind: Option<&str>, recipient: Option<&str>) {
    if !kind.is_none_or(|kind| RELEVANT_ALERTS.contains(&kind)) {
        return;
    }
    let path = recipient.filter(|path| path.starts_with('/')).unwrap_or(SOCKET);
    let Ok(socket) = std::os::unix::net::UnixDatagram::unbound() else {
        return;
    };
    if socket.set_nonblocking(true).is_ok() {
        // There is no listener, or its queue is full.
        let _ = socket.send_to(b"poke", path);
    }
}

/// The bridge's end.
#[derive(Debug)]
pub(crate) struct AlertSocket {
    socket: UnixDatagram,
    path: PathBuf,
}

impl AlertSocket {
    /// Listens. Replaces a socket left by a process that died.
    pub(crate) fn listen(path: &Path) -> Result<Self, Failure> {
        let wrong = |what: &str, error| Failure::new(format!("{what} {}", path.display()), error);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| wrong("creating the folder of", error))?;
        }
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(wrong("replacing", error));
            }
            _ => {}
        }
        let socket = UnixDatagram::bind(path).map_err(|error| wrong("listening on", error))?;
        // Alert agents run as another user.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))
            .map_err(|error| wrong("opening to alert agents", error))?;
        Ok(Self {
            socket,
            path: path.to_owned(),
        })
    }

    /// Waits for a wake-up, and drains the queue: several wake-ups cause one poll.
    ///
    /// # Cancel safety
    ///
    /// A dropped future has taken the wake-up completely or not at all.
    pub(crate) async fn next(&self) {
        let mut buffer = [0_u8; 16];
        if self.socket.recv(&mut buffer).await.is_err() {
            // A broken socket must not cause continuous polling.
            std::future::pending::<()>().await;
        }
        while self.socket.try_recv(&mut buffer).is_ok() {}
    }
}

impl Drop for AlertSocket {
    fn drop(&mut self) {
        // A socket left behind would be replaced by the next process anyway.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn next_alert(alert_socket: &AlertSocket) -> bool {
        // Earlier wake-ups have arrived: on one machine, a datagram is queued when the call returns.
        tokio::time::timeout(Duration::from_millis(200), alert_socket.next())
            .await
            .is_ok()
    }

    #[tokio::test]
    async fn only_relevant_alerts_wake_the_bridge() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sub/alert.sock");
        let alert_socket = AlertSocket::listen(&path).unwrap();
        let recipient = path.to_str();
        for (kind, expected) in [
            (Some("fencing"), true),
            (Some("node"), true),
            (Some("resource"), false),
            (Some("attribute"), false),
            (None, true),
        ] {
            alert(kind, recipient);
            assert_eq!(next_alert(&alert_socket).await, expected, "{kind:?}");
        }
    }

    #[tokio::test]
    async fn many_alerts_cause_one_wakeup_and_never_block() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alert.sock");
        let alert_socket = AlertSocket::listen(&path).unwrap();
        for _ in 0..10_000 {
            alert(Some("fencing"), path.to_str());
        }
        assert!(next_alert(&alert_socket).await);
        assert!(!next_alert(&alert_socket).await, "all were taken at once");
    }

    #[tokio::test]
    async fn without_a_bridge_the_agent_ends_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("alert.sock");
        alert(Some("fencing"), path.to_str());
        let alert_socket = AlertSocket::listen(&path).unwrap();
        drop(alert_socket);
        alert(Some("fencing"), path.to_str());
        // A killed process leaves its socket: the next one replaces it.
        std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let alert_socket = AlertSocket::listen(&path).unwrap();
        alert(Some("fencing"), path.to_str());
        assert!(next_alert(&alert_socket).await);
    }

    #[test]
    fn the_agent_is_known_by_its_name() {
        for (program, expected) in [
            (Some("/usr/lib/tachi/tachi-pacemaker-alert"), true),
            (Some("tachi-pacemaker-alert"), true),
            (Some("/usr/bin/tachi-monitor"), false),
            (None, false),
        ] {
            assert_eq!(is_agent(program.map(OsStr::new)), expected, "{program:?}");
        }
    }
}
