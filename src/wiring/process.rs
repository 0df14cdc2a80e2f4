//! A process: what runs in it, and how it is told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use tachi_engine::Engine;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::cmd::Failure;
use crate::settings::Settings;

/// The tasks of a process and the word to stop.
#[derive(Clone, Default)]
pub(crate) struct Process {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Process {
    /// Runs an engine. If it ends by itself, the process does.
    pub(crate) fn engine(&self, engine: Engine) {
        let stop = self.stop.clone();
        let whole = self.stop.clone();
        self.tasks.spawn(async move {
            engine.run(stop).await;
            whole.cancel();
        });
    }

    /// Serves the API on `listener`.
    pub(crate) fn api(&self, listener: TcpListener, router: axum::Router, settings: &Settings) {
        let stop = self.stop.clone();
        let options = tachi_api::ServeOptions {
            drain_timeout: settings.drain,
            ..tachi_api::ServeOptions::default()
        };
        self.tasks.spawn(async move {
            if !tachi_api::serve(listener, router, options, stop).await {
                tracing::warn!("requests were still in flight when the API stopped");
            }
        });
    }

    /// Waits for SIGTERM or SIGINT, or for the end of what runs, and then until all has ended. A second signal ends the
    /// waiting. SIGHUP calls `reload`.
    pub(crate) async fn run(self, mut reload: impl FnMut()) -> Result<(), Failure> {
        let wrong = |error| Failure::new("listening for signals", error);
        let mut term = signal(SignalKind::terminate()).map_err(wrong)?;
        let mut int = signal(SignalKind::interrupt()).map_err(wrong)?;
        let mut hup = signal(SignalKind::hangup()).map_err(wrong)?;
        loop {
            // Every branch only waits, so nothing is lost with those that are dropped.
            tokio::select! {
                _ = term.recv() => break,
                _ = int.recv() => break,
                () = self.stop.cancelled() => break,
                _ = hup.recv() => reload(),
            }
        }
        tracing::info!("stopping: what is under way may end");
        self.stop.cancel();
        self.tasks.close();
        tokio::select! {
            () = self.tasks.wait() => Ok(()),
            _ = term.recv() => Err(Failure::told("stopped at once by a second signal")),
            _ = int.recv() => Err(Failure::told("stopped at once by a second signal")),
        }
    }

    /// Stops everything and waits for it, for as long as `limit`.
    pub(crate) async fn end(self, limit: Duration) {
        self.stop.cancel();
        self.tasks.close();
        if tokio::time::timeout(limit, self.tasks.wait()).await.is_err() {
            tracing::warn!("something has not stopped in time");
        }
    }
}

/// Binds the API's address.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(
            format!("listening on {address} (masakari_api_listen, ..._port)"),
            error,
        )
    })
}
