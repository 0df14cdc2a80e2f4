//! A connection: handshake, requests, shutdown.

use std::sync::Arc;

use axum::{Extension, Router};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::ServeOptions;
use super::activity::{Activity, WatchedStream};
use super::write_timeout::WriteTimeout;
use crate::auth::AuthenticatedCaller;
use crate::event_streams::StopSignal;
use crate::metrics;
use crate::peer::{Peer, certificate_name};

/// Serves a connection until it ends. After `shutdown` the request in flight is the last one.
pub(super) async fn run(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    options: Arc<ServeOptions>,
    activity: Activity,
    shutdown: CancellationToken,
) {
    let _open = metrics::open_connection();
    // Answers are small, so waiting to fill a packet would only delay them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
    let Some(tls) = &options.tls else {
        return requests(stream, peer, router, &options, activity, shutdown).await;
    };
    let handshake = tokio::time::timeout(options.handshake_timeout, tls.acceptor().accept(stream));
    // Dropping the handshake drops the connection, which has no request yet.
    let stream = tokio::select! {
        () = shutdown.cancelled() => return,
        shaken = handshake => shaken,
    };
    match stream {
        Ok(Ok(stream)) => {
            let certificate = stream
                .get_ref()
                .1
                .peer_certificates()
                .and_then(|chain| certificate_name(chain.first()?));
            let router = match certificate {
                Some(name) => router.layer(Extension(name)),
                None => router,
            };
            Box::pin(requests(stream, peer, router, &options, activity, shutdown)).await;
        }
        Ok(Err(error)) => {
            metrics::handshake_failed();
            tracing::info!(client = %peer.address, %error, "TLS handshake failed");
        }
        Err(_) => {
            metrics::handshake_failed();
            tracing::info!(client = %peer.address, "TLS handshake timed out");
        }
    }
}

async fn requests<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    peer: Peer,
    router: Router,
    options: &ServeOptions,
    activity: Activity,
    shutdown: CancellationToken,
) {
    let stream = WatchedStream {
        stream: WriteTimeout::new(stream, options.write_timeout),
        activity: activity.clone(),
    };
    let doing = activity.clone();
    let stopping = StopSignal(shutdown.clone());
    let service = service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request.extensions_mut().insert(stopping.clone());
        doing.start_request();
        let (answered, doing) = (router.clone().oneshot(request), doing.clone());
        async move {
            let answer = answered.await;
            let known = answer
                .as_ref()
                .is_ok_and(|answer| answer.extensions().get::<AuthenticatedCaller>().is_some());
            doing.finish_request(known);
            answer
        }
    });
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
        () = activity.wait_for_head_timeout(options.head_timeout) => {
            tracing::debug!(client = %peer.address, "request head timed out");
            return;
        }
    };
    if let Err(error) = result {
        // Clients disconnect all the time. This does not indicate a problem of the server.
        tracing::debug!(%error, "connection ended");
    }
}
