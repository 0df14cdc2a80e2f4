//! Listener of the API: an address of ours, or a socket that systemd has opened for us.

use std::net::SocketAddr;

use listenfd::ListenFd;
use rustix::net::sockopt;
use tachi_operator::Failure;
use tokio::net::TcpListener;

use crate::settings::Settings;

/// Opens the API's listener, and returns its address for people.
pub(crate) async fn api(settings: &Settings) -> Result<(TcpListener, String), Failure> {
    let listener = if let Some(listener) = inherited()? {
        listener
    } else {
        let address = SocketAddr::new(settings.listen, settings.port);
        bind(address, "masakari_api_listen, masakari_api_listen_port").await?
    };
    // Accepted connections inherit these options from the listener.
    let keepalive = sockopt::set_socket_keepalive(&listener, true)
        .and_then(|()| sockopt::set_tcp_keepidle(&listener, settings.http.keep_idle));
    if let Err(error) = keepalive {
        tracing::warn!(%error, "failed to set TCP keepalive");
    }
    let address = listener
        .local_addr()
        .map_err(|error| Failure::new("reading the listener's address", error))?;
    let scheme = if settings.http.tls.is_some() {
        "https"
    } else {
        "http"
    };
    Ok((listener, format!("{scheme}://{address}")))
}

/// Binds an address; `option` names it in errors.
pub(super) async fn bind(address: SocketAddr, option: &str) -> Result<TcpListener, Failure> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Failure::new(format!("listening on {address} ({option})"), error))
}

/// Takes over a socket that was opened before the start, with which the port is served without a gap across restarts.
fn inherited() -> Result<Option<TcpListener>, Failure> {
    let wrong = |error| {
        Failure::new(
            "taking over the socket of the service manager (LISTEN_FDS)",
            error,
        )
    };
    let mut handed = ListenFd::from_env();
    if handed.len() > 1 {
        return Err(Failure::usage(format!(
            "the service manager passed {} sockets (LISTEN_FDS), but the API listens on one: write one ListenStream",
            handed.len()
        )));
    }
    let Some(listener) = handed.take_tcp_listener(0).map_err(wrong)? else {
        return Ok(None);
    };
    listener.set_nonblocking(true).map_err(wrong)?;
    TcpListener::from_std(listener).map(Some).map_err(wrong)
}
