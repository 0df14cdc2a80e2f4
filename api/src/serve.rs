//! Runs the service on a listener until it is told to stop.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Limits of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeOptions {
    /// How long the head of a request may take to arrive. It also ends connections that wait for a next request.
    pub header_read_timeout: Duration,
    /// How long requests in flight may go on after the word to stop.
    pub drain_timeout: Duration,
    /// The most connections at a time; further ones wait to be accepted.
    pub max_connections: usize,
    /// The most bytes a request's head may have. Tokens are in it.
    pub max_head_bytes: usize,
}

impl Default for ServeOptions {
    fn default() -> Self {
        Self {
            header_read_timeout: Duration::from_secs(75),
            drain_timeout: Duration::from_secs(30),
            max_connections: 1000,
            max_head_bytes: 65_536,
        }
    }
}

/// How long to wait when no connection can be accepted, most likely because there are no file handles left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` on `listener`. When `shutdown` is cancelled it accepts no more, lets requests in flight end, and
/// returns after [`ServeOptions::drain_timeout`] at the latest; it tells whether all of them had ended.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    options: ServeOptions,
    shutdown: CancellationToken,
) -> bool {
    let connections = TaskTracker::new();
    let slots = Arc::new(Semaphore::new(options.max_connections));
    let cut = CancellationToken::new();
    loop {
        // Both branches only wait, so nothing is lost with the one that is dropped.
        let (stream, slot) = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let connection = connection(stream, router.clone(), options, shutdown.clone(), slot);
        let cut = cut.clone();
        connections.spawn(async move {
            // The drain's time is over: whatever is still going on is dropped here.
            tokio::select! {
                () = cut.cancelled() => {}
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
            "requests did not end in time and are dropped"
        );
    }
    cut.cancel();
    connections.wait().await;
    drained
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> (TcpStream, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed, so there is always a slot some day.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, slot),
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    options: ServeOptions,
    shutdown: CancellationToken,
    _slot: Option<OwnedSemaphorePermit>,
) {
    // Answers are small: waiting to fill a packet would only make them late.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "setting TCP_NODELAY failed");
    }
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        .max_buf_size(options.max_head_bytes)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let result = tokio::select! {
        result = served.as_mut() => result,
        () = shutdown.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        // Clients come and go; this says nothing about us.
        tracing::debug!(%error, "connection ended");
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::sync::Notify;

    use super::*;

    struct Running {
        address: SocketAddr,
        shutdown: CancellationToken,
        ended: tokio::task::JoinHandle<bool>,
        started: Arc<Notify>,
        finish: Arc<Notify>,
    }

    /// A server with one path that takes until it is told to finish.
    async fn start(options: ServeOptions) -> Running {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let started = Arc::new(Notify::new());
        let finish = Arc::new(Notify::new());
        let (tell, wait) = (Arc::clone(&started), Arc::clone(&finish));
        let slow = move || async move {
            tell.notify_one();
            wait.notified().await;
            "done"
        };
        let router = Router::new().route("/slow", get(slow));
        let ended = tokio::spawn(serve(listener, router, options, shutdown.clone()));
        Running {
            address,
            shutdown,
            ended,
            started,
            finish,
        }
    }

    async fn send(address: SocketAddr, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    async fn rest(mut stream: TcpStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    const SLOW: &str = "GET /slow HTTP/1.1\r\nHost: x\r\n\r\n";

    #[tokio::test]
    async fn requests_in_flight_end_before_it_stops() {
        let server = start(ServeOptions::default()).await;
        let stream = send(server.address, SLOW).await;
        server.started.notified().await;
        server.shutdown.cancel();
        server.finish.notify_one();
        assert!(rest(stream).await.ends_with("done"));
        assert!(server.ended.await.unwrap(), "drained");
        assert!(
            TcpStream::connect(server.address).await.is_err(),
            "accepts no more"
        );
    }

    #[tokio::test]
    async fn requests_that_do_not_end_are_dropped_after_the_bound() {
        let options = ServeOptions {
            drain_timeout: Duration::from_millis(10),
            ..ServeOptions::default()
        };
        let server = start(options).await;
        let stream = send(server.address, SLOW).await;
        server.started.notified().await;
        server.shutdown.cancel();
        assert!(!server.ended.await.unwrap(), "not drained");
        assert_eq!(rest(stream).await, "");
    }

    #[tokio::test]
    async fn idle_connections_do_not_hold_it() {
        let server = start(ServeOptions::default()).await;
        let stream = send(server.address, SLOW).await;
        server.started.notified().await;
        server.finish.notify_one();
        let mut stream = stream;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        server.shutdown.cancel();
        assert!(server.ended.await.unwrap(), "drained");
    }

    #[tokio::test]
    async fn heads_that_do_not_arrive_end_the_connection() {
        let options = ServeOptions {
            header_read_timeout: Duration::from_millis(10),
            ..ServeOptions::default()
        };
        let server = start(options).await;
        let stream = send(server.address, "GET /slow HTTP/1.1\r\nHost").await;
        let answer = rest(stream).await;
        assert!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 408"),
            "{answer}"
        );
        server.shutdown.cancel();
        assert!(server.ended.await.unwrap());
    }

    #[tokio::test]
    async fn connections_that_wait_for_nothing_are_ended() {
        let options = ServeOptions {
            header_read_timeout: Duration::from_millis(500),
            ..ServeOptions::default()
        };
        let server = start(options).await;
        let stream = send(server.address, SLOW).await;
        server.started.notified().await;
        server.finish.notify_one();
        assert!(
            rest(stream).await.ends_with("done"),
            "the end of the stream is reached"
        );
        server.shutdown.cancel();
        assert!(server.ended.await.unwrap());
    }

    #[tokio::test]
    async fn huge_heads_are_refused() {
        let options = ServeOptions {
            max_head_bytes: 8192,
            ..ServeOptions::default()
        };
        let server = start(options).await;
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!("GET /slow HTTP/1.1\r\nX: {}", "x".repeat(9000));
        // The server may have closed the connection before it has read everything.
        let _ = stream.write_all(head.as_bytes()).await;
        let mut first = [0; 12];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"HTTP/1.1 431");
        server.shutdown.cancel();
        assert!(server.ended.await.unwrap());
    }
}
