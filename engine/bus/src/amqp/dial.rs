//! Opening connections, and closing them reliably.
//!
//! The client runs each connection on its own thread, which ends only when its socket is closed: a thread that waits
//! for an unresponsive broker would never end. The dialer therefore keeps a second handle of the socket, and always
//! closes the socket at the end of the connection.

use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use lapin::AsyncTcpStream;
use lapin::uri::{AMQPAuthority, AMQPQueryString, AMQPScheme, AMQPUri, AMQPUserInfo};
use lapin::{Connection, ConnectionProperties};
use secrecy::ExposeSecret as _;
use tokio::time::timeout;

use super::fault::AmqpError;
use super::options::{AmqpOptions, Broker};

/// Timeout of an orderly close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Handles of the sockets of one connection attempt.
#[derive(Clone, Debug, Default)]
struct Sockets(Arc<Mutex<Vec<TcpStream>>>);

impl Sockets {
    fn keep(&self, socket: TcpStream) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(socket);
    }

    fn close(&self) {
        for socket in self.0.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            // Fails only if the socket is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Closes the sockets when dropped, so that the thread of an abandoned connection ends.
struct CloseAtEnd(Sockets);

impl Drop for CloseAtEnd {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// An open connection.
pub(crate) struct LiveConnection {
    pub(crate) connection: Connection,
    /// The host and port of the broker.
    pub(crate) broker: String,
    _end: CloseAtEnd,
}

impl LiveConnection {
    /// Closes the connection in an orderly way, if the broker still answers.
    pub(crate) async fn close(self) {
        let goodbye = self.connection.close(200, "bye".into());
        match timeout(CLOSE_TIMEOUT, goodbye).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, broker = self.broker, "failed to close a connection to the broker");
            }
            Err(_) => tracing::debug!(
                broker = self.broker,
                "broker did not confirm the close of a connection"
            ),
        }
    }
}

/// Connects to the brokers round-robin.
#[derive(Debug)]
pub(crate) struct Dialer {
    options: Arc<AmqpOptions>,
    /// The purpose of the connection, as the broker shows it.
    link: &'static str,
    next: usize,
}

impl Dialer {
    pub(crate) fn new(options: Arc<AmqpOptions>, link: &'static str) -> Self {
        // A random start spreads the clients over the brokers.
        let next = rand::random_range(0..options.brokers.len().max(1));
        Self { options, link, next }
    }

    /// Connects to the next broker.
    ///
    /// # Errors
    ///
    /// The broker could not be reached, refused the connection, or did not answer within the limit.
    pub(crate) async fn dial(&mut self) -> Result<LiveConnection, AmqpError> {
        let brokers = &self.options.brokers;
        let Some(broker) = brokers.get(self.next % brokers.len().max(1)) else {
            return Err(AmqpError::NoBroker);
        };
        self.next = self.next.wrapping_add(1);
        connect(&self.options, broker, self.link).await
    }
}

async fn connect(options: &AmqpOptions, broker: &Broker, link: &str) -> Result<LiveConnection, AmqpError> {
    let limit = options.connect_limit;
    let name = if broker.host.contains(':') {
        format!("[{}]:{}", broker.host, broker.port)
    } else {
        format!("{}:{}", broker.host, broker.port)
    };
    let silent = || AmqpError::Silent {
        broker: name.clone(),
        limit,
    };
    let lookup = tokio::net::lookup_host((broker.host.clone(), broker.port));
    let addresses: Vec<_> = timeout(limit, lookup)
        .await
        .map_err(|_| silent())?
        .map_err(|source| AmqpError::Lookup {
            broker: name.clone(),
            source,
        })?
        .collect();
    let sockets = Sockets::default();
    let end = CloseAtEnd(sockets.clone());
    let tls = options.tls.clone();
    let host = broker.host.clone();
    let wrong = |source| AmqpError::Connect {
        broker: name.clone(),
        source,
    };
    let runtime = lapin::runtime::default_runtime().map_err(wrong)?;
    let properties = ConnectionProperties::default()
        .with_connection_name(format!("tachi {link} on {}", options.host).into());
    let open = Connection::connector(
        uri(options, broker),
        runtime,
        async move |_, runtime| {
            // Runs on the connection's own thread, which must end even if its caller is dropped.
            let connecting = AsyncTcpStream::connect(&runtime, addresses.clone());
            let late = |_| std::io::Error::from(std::io::ErrorKind::TimedOut);
            let stream = timeout(limit, connecting).await.map_err(late)??;
            if let AsyncTcpStream::Plain(plain) = &stream {
                sockets.keep(plain.get_ref().as_fd().try_clone_to_owned()?.into());
            }
            let Some(tls) = &tls else { return Ok(stream) };
            let shaking = stream.into_rustls(tls.connector(), &host);
            Ok(timeout(limit, shaking).await.map_err(late)??)
        },
        properties,
    );
    let connection = timeout(limit, open).await.map_err(|_| silent())?.map_err(wrong)?;
    Ok(LiveConnection {
        connection,
        broker: name,
        _end: end,
    })
}

fn uri(options: &AmqpOptions, broker: &Broker) -> AMQPUri {
    AMQPUri {
        // This crate sets up TLS by itself, if it is configured.
        scheme: AMQPScheme::AMQP,
        authority: AMQPAuthority {
            userinfo: AMQPUserInfo {
                username: broker.user.clone(),
                password: broker.password.expose_secret().to_owned(),
            },
            host: broker.host.clone(),
            port: broker.port,
        },
        vhost: options.virtual_host.clone(),
        query: AMQPQueryString {
            heartbeat: Some(u16::try_from(options.heartbeat.as_secs()).unwrap_or(u16::MAX)),
            ..AMQPQueryString::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use secrecy::SecretString;
    use tokio::io::AsyncReadExt as _;
    use tokio::net::TcpListener;

    use super::*;

    fn options(ports: &[u16]) -> Arc<AmqpOptions> {
        let brokers = ports.iter().map(|port| Broker {
            host: "127.0.0.1".to_owned(),
            port: *port,
            user: "guest".to_owned(),
            password: SecretString::from("guest"),
        });
        let mut options = AmqpOptions::new(brokers.collect(), "test");
        options.connect_limit = Duration::from_millis(300);
        Arc::new(options)
    }

    /// Covers EW10.
    #[tokio::test]
    async fn a_broker_that_accepts_and_never_answers_times_out_and_is_disconnected() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut dialer = Dialer::new(options(&[port]), "test");
        let (dialled, accepted) = tokio::join!(dialer.dial(), listener.accept());
        assert!(matches!(dialled.err(), Some(AmqpError::Silent { .. })));
        // The end of the stream shows that the client's thread no longer waits for anything.
        let mut greeting = Vec::new();
        match accepted.unwrap().0.read_to_end(&mut greeting).await {
            Ok(_) => assert_eq!(greeting, b"AMQP\0\0\x09\x01"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
    }

    #[tokio::test]
    async fn a_port_without_a_listener_fails_at_once() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let error = Dialer::new(options(&[port]), "test").dial().await.err().unwrap();
        assert!(matches!(error, AmqpError::Connect { .. }), "{error:?}");
        assert!(
            error.chain().contains(&format!("127.0.0.1:{port}")),
            "{}",
            error.chain()
        );
    }

    #[tokio::test]
    async fn brokers_are_tried_round_robin() {
        let (one, other) = (
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
            TcpListener::bind("127.0.0.1:0").await.unwrap(),
        );
        let ports = [
            one.local_addr().unwrap().port(),
            other.local_addr().unwrap().port(),
        ];
        let mut dialer = Dialer::new(options(&ports), "test");
        let ((), first, second) = tokio::join!(
            async {
                assert!(dialer.dial().await.is_err());
                assert!(dialer.dial().await.is_err());
            },
            one.accept(),
            other.accept()
        );
        assert!(first.is_ok() && second.is_ok());
    }

    #[tokio::test]
    async fn errors_and_debug_output_contain_no_password() {
        let mut options = AmqpOptions::clone(&options(&[1]));
        options.brokers[0].password = SecretString::from("hunter2");
        let mut dialer = Dialer::new(Arc::new(options.clone()), "test");
        let error = dialer.dial().await.err().unwrap();
        let shown = format!("{} {error:?} {options:?} {dialer:?}", error.chain());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
