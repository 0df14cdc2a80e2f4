use std::net::{Ipv4Addr, SocketAddr};

use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

use super::*;

struct RunningServer {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: tokio::task::JoinHandle<bool>,
    started: Arc<Notify>,
    finish: Arc<Notify>,
}

/// Starts a server with one path, whose handler runs until the test lets it finish.
async fn start(options: ServeOptions) -> RunningServer {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let started = Arc::new(Notify::new());
    let finish = Arc::new(Notify::new());
    let (notify, wait) = (Arc::clone(&started), Arc::clone(&finish));
    let slow = move || async move {
        notify.notify_one();
        wait.notified().await;
        "done"
    };
    let router = Router::new().route("/slow", get(slow));
    let ended = tokio::spawn(serve(listener, router, options, shutdown.clone()));
    RunningServer {
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
        "no longer accepts"
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

/// Covers T6.
#[tokio::test]
async fn a_half_sent_head_ends_long_before_a_connection_that_waits() {
    let options = ServeOptions {
        head_timeout: Duration::from_millis(10),
        ..ServeOptions::default()
    };
    let server = start(options).await;
    let waiting = TcpStream::connect(server.address).await.unwrap();
    let stream = send(server.address, "GET /slow HTTP/1.1\r\nHost").await;
    assert_eq!(rest(stream).await, "");
    let mut waiting = waiting;
    waiting.write_all(SLOW.as_bytes()).await.unwrap();
    server.started.notified().await;
    server.finish.notify_one();
    let mut first = [0; 12];
    waiting.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    server.shutdown.cancel();
    assert!(server.ended.await.unwrap());
}

/// Covers T6.
#[tokio::test]
async fn half_sent_heads_do_not_block_other_clients() {
    let options = ServeOptions {
        max_connections: 8,
        ..ServeOptions::default()
    };
    let server = start(options).await;
    let mut half_sent = Vec::new();
    for _ in 0..40 {
        half_sent.push(send(server.address, "GET /slow HTTP/1.1\r\nHost").await);
    }
    let stream = send(server.address, SLOW).await;
    server.started.notified().await;
    server.finish.notify_one();
    let mut stream = stream;
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 200");
    drop(half_sent);
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
    // The server may have closed the connection before it has read the whole head.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut first = [0; 12];
    stream.read_exact(&mut first).await.unwrap();
    assert_eq!(&first, b"HTTP/1.1 431");
    server.shutdown.cancel();
    assert!(server.ended.await.unwrap());
}

#[tokio::test]
async fn without_keep_alive_a_connection_is_for_one_request() {
    let options = ServeOptions {
        keep_alive: false,
        ..ServeOptions::default()
    };
    let server = start(options).await;
    let stream = send(server.address, SLOW).await;
    server.started.notified().await;
    server.finish.notify_one();
    let answer = rest(stream).await;
    assert!(answer.ends_with("done"), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
    server.shutdown.cancel();
    assert!(server.ended.await.unwrap());
}

#[tokio::test]
async fn connections_above_the_limit_wait() {
    let options = ServeOptions {
        max_connections: 1,
        ..ServeOptions::default()
    };
    let server = start(options).await;
    let first = send(server.address, SLOW).await;
    server.started.notified().await;
    let second = send(
        server.address,
        "GET /slow HTTP/1.1\r\nConnection: close\r\nHost: x\r\n\r\n",
    )
    .await;
    // The first connection occupies the only place until it is closed, so the second has not been served.
    server.finish.notify_one();
    let mut first = first;
    let mut head = [0; 12];
    first.read_exact(&mut head).await.unwrap();
    drop(first);
    server.started.notified().await;
    server.finish.notify_one();
    assert!(rest(second).await.ends_with("done"));
    server.shutdown.cancel();
    assert!(server.ended.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_liveness_counter_increases_without_requests() {
    let options = ServeOptions::default();
    let liveness = options.liveness.clone();
    let server = start(options).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(liveness.count() >= 10, "{}", liveness.count());
    server.shutdown.cancel();
    assert!(server.ended.await.unwrap());
}

#[tokio::test]
async fn requests_know_where_they_come_from() {
    let show_peer =
        |request: axum::extract::Request| async move { format!("{:?}", request.extensions().get::<Peer>()) };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let router = Router::new().fallback(show_peer);
    let ended = tokio::spawn(serve(listener, router, ServeOptions::default(), shutdown.clone()));
    let stream = send(address, "GET / HTTP/1.1\r\nConnection: close\r\nHost: x\r\n\r\n").await;
    let own = stream.local_addr().unwrap();
    let expected = format!(
        "{:?}",
        Some(Peer {
            address: own,
            port: address.port()
        })
    );
    assert!(rest(stream).await.ends_with(&expected));
    shutdown.cancel();
    assert!(ended.await.unwrap());
}
