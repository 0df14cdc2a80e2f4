//! One connection: handshake, requests, end.

use std::sync::Arc;

use axum::Router;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::ServeOptions;
use super::patient::Patient;
use crate::metrics;
use crate::peer::Peer;

/// Serves a connection to its end. After `shutdown` the request in flight is the last.
pub(super) async fn run(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    options: Arc<ServeOptions>,
    shutdown: CancellationToken,
) {
    let _open = metrics::open_connection();
    // Answers are small: waiting to fill a packet would only make them late.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "setting TCP_NODELAY failed");
    }
    let Some(tls) = &options.tls else {
        return requests(stream, peer, router, &options, shutdown).await;
    };
    let handshake = tokio::time::timeout(options.handshake_timeout, tls.acceptor().accept(stream));
    // Dropping the handshake drops the connection: nobody has asked for anything yet.
    let stream = tokio::select! {
        () = shutdown.cancelled() => return,
        shaken = handshake => shaken,
    };
    match stream {
        Ok(Ok(stream)) => Box::pin(requests(stream, peer, router, &options, shutdown)).await,
        Ok(Err(error)) => {
            metrics::handshake_failed();
            tracing::info!(client = %peer.address, %error, "the handshake of TLS failed");
        }
        Err(_) => {
            metrics::handshake_failed();
            tracing::info!(client = %peer.address, "the handshake of TLS took too long");
        }
    }
}

async fn requests<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: Peer,
    router: Router,
    options: &ServeOptions,
    shutdown: CancellationToken,
) {
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.clone().oneshot(request)
    });
    let stream = Patient::new(stream, options.write_timeout);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_read_timeout)
        .max_buf_size(options.max_head_bytes)
        .keep_alive(options.keep_alive)
        .serve_connection(TokioIo::new(stream), service);
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
