//! A separate database server for a test that kills it.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use tachi_engine::SystemClock;
use tachi_store::{Store, StoreOptions};
use tachi_testkit::free_port;
use tempfile::TempDir;
use uuid::Uuid;

use super::support::{TestDatabase, until};

/// Timeout for the start of a server on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct OwnServer {
    serve: String,
    admin: String,
    scheme: &'static str,
    folder: TempDir,
    port: u16,
    child: Option<Child>,
}

impl OwnServer {
    /// Creates a server of the kind that the tests run on; `None` for `SQLite`.
    pub(crate) fn make() -> Option<Self> {
        let (scheme, name) = match std::env::var("TACHI_TEST_DATABASE").as_deref() {
            Ok("mysql") => ("mysql+pymysql", "MYSQL"),
            Ok("postgres") => ("postgresql", "POSTGRES"),
            _ => return None,
        };
        let variable = |what: &str| std::env::var(format!("TACHI_TEST_{name}_{what}")).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // The server runs as another user.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let port = free_port();
        let mut own = Self {
            serve: variable("SERVE"),
            admin: variable("URL"),
            scheme,
            folder,
            port,
            child: None,
        };
        let made = Command::new(&own.serve)
            .arg("make")
            .arg(own.data())
            .status()
            .unwrap();
        assert!(made.success(), "{made}");
        own.start();
        Some(own)
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The server's address with the administrator's password, without a database.
    fn server(&self) -> String {
        let (server, _) = self.admin.rsplit_once('/').unwrap();
        let (host, _) = server.rsplit_once(':').unwrap();
        format!("{host}:{}", self.port)
    }

    pub(crate) fn start(&mut self) {
        let child = Command::new(&self.serve)
            .arg("run")
            .arg(self.data())
            .arg(self.port.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Starts it again until it stays up: right after a kill, remains of the old one may block it.
    pub(crate) async fn until_it_answers(&mut self) {
        let (_, database) = self.admin.rsplit_once('/').unwrap();
        let options = StoreOptions::from_url(&format!("{}/{database}", self.server())).unwrap();
        until("the server to answer", LIMIT, async || {
            let ended = self
                .child
                .as_mut()
                .is_none_or(|child| child.try_wait().unwrap().is_some());
            if ended {
                self.start();
            }
            Store::connect(&options, Arc::new(SystemClock)).await.is_ok()
        })
        .await;
    }

    /// Creates a database on the server.
    pub(crate) fn place(&self) -> TestDatabase {
        let name = format!("t{}", Uuid::new_v4().simple());
        let made = Command::new(&self.serve)
            .args(["database", &name, &self.port.to_string()])
            .status()
            .unwrap();
        assert!(made.success(), "{made}");
        let server = self.server();
        let (_, place) = server.split_once(':').unwrap();
        TestDatabase::on_server(
            &format!("{server}/{name}"),
            &format!("{}:{place}/{name}", self.scheme),
        )
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        self.kill();
    }
}
