//! Wake-ups between the processes of one machine: Unix datagrams.
//!
//! Each engine binds its own socket, `<pid>-<n>.sock`, in one folder. A sender writes a byte to every socket there
//! without blocking: a socket with a full queue is about to wake its engine anyway. A sender removes sockets without
//! a listener.

use std::ffi::OsStr;
use std::fs::DirBuilder;
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::UnixDatagram as StdDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use tachi_engine::ports::{Notifier, Wakeups};
use tokio::net::UnixDatagram;

use crate::BusError;

/// Limit of engines per process and folder, far above any real number.
const MAX_ENGINES: u32 = 1000;

/// Datagram of a wake-up: only its arrival counts.
const POKE: [u8; 1] = [1];

/// The socket of one engine, removed when this is dropped.
#[derive(Debug)]
pub struct SocketWake {
    socket: UnixDatagram,
    path: PathBuf,
}

impl SocketWake {
    /// Listens in `folder`, which is created if it is missing, and removes sockets left behind by dead engines. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// `Folder`, `Bind`; the latter also if the path is longer than the 107 bytes allowed for a socket.
    pub fn bind(folder: &Path) -> Result<Self, BusError> {
        make_folder(folder)?;
        let pid = std::process::id();
        let mut number = 0;
        let wake = loop {
            let path = folder.join(format!("{pid}-{number}.sock"));
            match UnixDatagram::bind(&path) {
                Ok(socket) => break Self { socket, path },
                // The name is in use, or left behind by an earlier process with our id. It is not reused while it
                // exists, so that a sender about to remove the old socket cannot remove ours instead.
                Err(error) if error.kind() == ErrorKind::AddrInUse && number < MAX_ENGINES => number += 1,
                Err(source) => return Err(BusError::Bind { path, source }),
            }
        };
        // Sending a wake-up removes the sockets of dead engines.
        SocketNotifier::new(folder)?.notify();
        wake.drain();
        Ok(wake)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Receives all pending datagrams. True if there was one.
    fn drain(&self) -> bool {
        let mut buffer = [0; 8];
        let mut any = false;
        while self.socket.try_recv(&mut buffer).is_ok() {
            any = true;
        }
        any
    }
}

#[async_trait]
impl Wakeups for SocketWake {
    async fn woken(&self) {
        loop {
            // Dropping this loses nothing: datagrams are only received afterwards, without waiting in between.
            if let Err(error) = self.socket.readable().await {
                tracing::warn!(%error, path = %self.path.display(), "failed to wait for wake-ups");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            if self.drain() {
                return;
            }
        }
    }
}

impl Drop for SocketWake {
    fn drop(&mut self) {
        remove(&self.path);
    }
}

/// Wakes every engine of this machine.
#[derive(Debug)]
pub struct SocketNotifier {
    socket: StdDatagram,
    folder: PathBuf,
}

impl SocketNotifier {
    /// Creates a sender for all engines that listen in `folder`, now or later; it need not exist yet.
    ///
    /// # Errors
    ///
    /// `Open`.
    pub fn new(folder: &Path) -> Result<Self, BusError> {
        let open = || {
            let socket = StdDatagram::unbound()?;
            socket.set_nonblocking(true)?;
            Ok(socket)
        };
        Ok(Self {
            socket: open().map_err(|source| BusError::Open { source })?,
            folder: folder.to_owned(),
        })
    }

    fn notify_one(&self, path: &Path) {
        let Err(error) = self.socket.send_to(&POKE, path) else {
            return;
        };
        let kind = error.kind();
        if kind == ErrorKind::ConnectionRefused {
            // No process has it open.
            remove(path);
        } else if kind != ErrorKind::WouldBlock && kind != ErrorKind::NotFound {
            // Both errors are harmless: the socket's queue is full, so its engine will wake; or the socket was removed
            // meanwhile.
            tracing::debug!(%error, path = %path.display(), "failed to send a wake-up");
        }
    }
}

impl Notifier for SocketNotifier {
    fn notify(&self) {
        let entries = match std::fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            // No engine has listened here yet.
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            Err(error) => {
                tracing::warn!(%error, folder = %self.folder.display(), "failed to send wake-ups");
                return;
            }
        };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.extension() == Some(OsStr::new("sock")) {
                self.notify_one(&path);
            }
        }
    }
}

fn make_folder(folder: &Path) -> Result<(), BusError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|source| BusError::Folder {
            path: folder.to_owned(),
            source,
        })
}

fn remove(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => tracing::debug!(%error, path = %path.display(), "failed to remove a wake-up socket"),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[tokio::test]
    async fn every_engine_of_the_folder_is_woken() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("wake");
        let notify = SocketNotifier::new(&folder).unwrap();
        notify.notify();
        let (one, other) = (
            SocketWake::bind(&folder).unwrap(),
            SocketWake::bind(&folder).unwrap(),
        );
        assert_ne!(one.path(), other.path());
        // Binding the second has already poked the first.
        one.woken().await;
        notify.notify();
        one.woken().await;
        other.woken().await;
    }

    #[tokio::test]
    async fn pending_wake_ups_count_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let wake = SocketWake::bind(folder.path()).unwrap();
        let notify = SocketNotifier::new(folder.path()).unwrap();
        for _ in 0..5 {
            notify.notify();
        }
        wake.woken().await;
        assert!(!wake.drain(), "all five were received");
    }

    #[tokio::test]
    async fn sending_never_blocks_on_a_full_socket() {
        let folder = tempfile::tempdir().unwrap();
        let wake = SocketWake::bind(folder.path()).unwrap();
        let notify = SocketNotifier::new(folder.path()).unwrap();
        // Far more than a socket's queue holds.
        for _ in 0..10_000 {
            notify.notify();
        }
        wake.woken().await;
        assert!(wake.path().exists(), "a full queue is no reason to remove it");
    }

    #[tokio::test]
    async fn sockets_of_dead_engines_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let cases = [("by an engine that starts", true), ("by a wake-up", false)];
        for (case, start) in cases {
            let stale = folder.path().join("4194304-0.sock");
            // Closing a socket leaves its file, as a killed process does.
            drop(StdDatagram::bind(&stale).unwrap());
            assert!(stale.exists(), "{case}");
            if start {
                SocketWake::bind(folder.path()).unwrap();
            } else {
                SocketNotifier::new(folder.path()).unwrap().notify();
            }
            assert!(!stale.exists(), "{case}");
        }
    }

    #[tokio::test]
    async fn a_stale_socket_of_the_same_pid_does_not_prevent_the_bind() {
        let folder = tempfile::tempdir().unwrap();
        let stale = folder.path().join(format!("{}-0.sock", std::process::id()));
        drop(StdDatagram::bind(&stale).unwrap());
        let wake = SocketWake::bind(folder.path()).unwrap();
        assert!(!stale.exists());
        SocketNotifier::new(folder.path()).unwrap().notify();
        wake.woken().await;
    }

    #[tokio::test]
    async fn an_engine_removes_its_socket_on_shutdown() {
        let folder = tempfile::tempdir().unwrap();
        let wake = SocketWake::bind(folder.path()).unwrap();
        let path = wake.path().to_owned();
        assert!(path.exists());
        drop(wake);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn other_files_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("notes.txt");
        std::fs::write(&other, "mine").unwrap();
        SocketNotifier::new(folder.path()).unwrap().notify();
        assert!(other.exists());
    }

    #[tokio::test]
    async fn only_the_owner_may_wake() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("wake");
        let _wake = SocketWake::bind(&folder).unwrap();
        let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[tokio::test]
    async fn a_path_too_long_for_a_socket_is_shown_in_the_error() {
        let state = tempfile::tempdir().unwrap();
        let folder = state.path().join("x".repeat(120));
        let error = SocketWake::bind(&folder).unwrap_err();
        assert!(matches!(&error, BusError::Bind { .. }), "{error:?}");
        assert!(error.to_string().contains("xxx"), "{error}");
    }
}
