//! The HTTP server: serves the API on a listener until shutdown.

mod activity;
mod connection;
mod open_connections;
#[cfg(test)]
mod tls_tests;
mod write_timeout;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tachi_engine::Liveness;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::peer::Peer;
use crate::tls::Tls;
use open_connections::{Admission, Connections};

/// Limits of the server.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Maximum idle time of a connection that waits for a request.
    pub header_read_timeout: Duration,
    /// Maximum time for the head of a request to arrive, from its first byte.
    pub head_timeout: Duration,
    /// Maximum time in which a client accepts no byte of an answer.
    pub write_timeout: Duration,
    /// Maximum time of a TLS handshake.
    pub handshake_timeout: Duration,
    /// Maximum time for requests in flight after the shutdown signal.
    pub drain_timeout: Duration,
    /// Maximum number of connections; one address may have half of them. At the limit, a new connection replaces the one that has
    /// been idle for longest, those of unauthenticated clients first. If all are busy, the new one waits.
    pub max_connections: usize,
    /// Maximum size of a request's head, in bytes. The head contains tokens.
    pub max_head_bytes: usize,
    /// True if a connection may carry more than one request.
    pub keep_alive: bool,
    /// The TLS configuration; `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// Updated every second while the server accepts connections.
    pub liveness: Liveness,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(75),
            head_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(75),
            handshake_timeout: Duration::from_secs(10),
            drain_timeout: Duration::from_secs(30),
            max_connections: 1000,
            max_head_bytes: 65_536,
            keep_alive: true,
            tls: None,
            liveness: Liveness::default(),
        }
    }
}

/// Pause after a failed accept, which usually means that no file handles are left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Interval of liveness updates.
const LIVENESS_INTERVAL: Duration = Duration::from_secs(1);

/// Serves `router` on `listener`. After `shutdown` it accepts no more connections and lets requests in flight complete. It returns
/// after [`ServeOptions::drain_timeout`] at the latest: true if all requests had completed.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    shutdown: CancellationToken,
) -> bool {
    let connections = TaskTracker::new();
    let places = Connections::new(options.max_connections);
    let cancellation = CancellationToken::new();
    let options = Arc::new(options);
    let port = listener.local_addr().map_or(0, |address| address.port());
    let mut beat = interval(LIVENESS_INTERVAL);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // An accepted connection without a place.
    let mut waiting: Option<(TcpStream, SocketAddr)> = None;
    loop {
        // All branches only wait, so dropping a branch loses nothing.
        tokio::select! {
            () = shutdown.cancelled() => break,
            // Each tick also retries a waiting connection: a place may be idle now without having been freed.
            _ = beat.tick() => options.liveness.beat(),
            accepted = accept(&listener), if waiting.is_none() => waiting = Some(accepted),
            () = places.slot_released(), if waiting.is_some() => {}
        }
        let Some((stream, address)) = waiting.take() else {
            continue;
        };
        let place = match places.admit(address.ip().to_canonical()) {
            Admission::Admitted(place) => place,
            Admission::Refused => {
                tracing::warn!(client = %address.ip(), "refused a connection: half of all active connections are from this address");
                continue;
            }
            Admission::Full => {
                waiting = Some((stream, address));
                continue;
            }
        };
        let peer = Peer { address, port };
        let connection = connection::run(
            stream,
            peer,
            router.clone(),
            Arc::clone(&options),
            place.activity.clone(),
            shutdown.clone(),
        );
        let cancellation = cancellation.clone();
        connections.spawn(async move {
            let place = place;
            // Drops the connection when the drain timeout has passed or another connection needs the place.
            tokio::select! {
                () = cancellation.cancelled() => {}
                () = place.cancellation.cancelled() => tracing::debug!(client = %peer.address, "closing an idle connection for a new one"),
                () = connection => {}
            }
        });
    }
    drop(listener);
    connections.close();
    let drained = tokio::time::timeout(options.drain_timeout, connections.wait())
        .await
        .is_ok();
    if !drained {
        tracing::warn!(
            connections = connections.len(),
            "requests did not finish in time; dropping them"
        );
    }
    cancellation.cancel();
    connections.wait().await;
    drained
}

async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

#[cfg(test)]
mod tests;
