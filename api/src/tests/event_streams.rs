//! Event streams.

use std::net::Ipv4Addr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures_util::StreamExt as _;
use http::{Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::bench::Bench;
use super::operator_journal::recovery;
use crate::{Board, ServeOptions, StreamOptions, serve};

const EVENTS: &str = "/operator/v1/events";
/// The first of a stream.
const OK: &str = "event: situation\ndata: {\"grade\":\"ok\"}\nretry: 1000\n\n";

fn bench(max_concurrent: usize) -> Bench {
    Bench::with(|mut options| {
        options.streams = StreamOptions {
            max_concurrent,
            ..StreamOptions::default()
        };
        options.board = Some(Board {
            login: None,
            actions: false,
        });
        options
    })
}

async fn get_with(bench: &Bench, header: (&str, &str), path: &str) -> Response<Body> {
    let request = Request::builder().uri(path).header(header.0, header.1);
    let request = request.body(Body::empty()).unwrap();
    bench.router.clone().oneshot(request).await.unwrap()
}

async fn listen(bench: &Bench, token: &str) -> BodyDataStream {
    let response = get_with(bench, ("x-auth-token", token), EVENTS).await;
    assert_eq!(response.status(), 200);
    response.into_body().into_data_stream()
}

async fn next(stream: &mut BodyDataStream) -> String {
    let chunk = stream.next().await.expect("it continues").unwrap();
    String::from_utf8(chunk.to_vec()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn events_start_with_the_state_and_then_report_only_changes() {
    let bench = bench(100);
    let mut stream = listen(&bench, "admin").await;
    assert_eq!(next(&mut stream).await, OK);

    // Renewed or ageing facts cause no event, so only the comment arrives.
    *bench.operator_journal.age.lock().unwrap() = Some(7);
    let began = Instant::now();
    assert_eq!(next(&mut stream).await, ":\n\n");
    assert_eq!(began.elapsed().as_secs(), 10);

    let began = Instant::now();
    *bench.operator_journal.recoveries.lock().unwrap() = vec![recovery(1, "a\nevent: situation\ndata: {}")];
    let answer = next(&mut stream).await;
    assert!(
        answer.starts_with("event: situation\ndata: {\"grade\":\""),
        "{answer}"
    );
    assert!(!answer.contains("\"ok\""), "{answer}");
    assert_eq!(answer.lines().count(), 3, "a name is no event: {answer}");
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());

    bench.operator_journal.broken.store(true, Ordering::SeqCst);
    assert_eq!(next(&mut stream).await, "event: unknown\ndata: {}\n\n");
    assert_eq!(next(&mut stream).await, ":\n\n", "it is said once");
    bench.operator_journal.broken.store(false, Ordering::SeqCst);
    assert_eq!(next(&mut stream).await, answer);

    // A new or reconnected client gets the current state.
    let mut other = listen(&bench, "service-reader").await;
    let (event, _) = answer.split_once("\n\n").unwrap();
    assert_eq!(next(&mut other).await, format!("{event}\nretry: 1000\n\n"));
}

#[tokio::test(start_paused = true)]
async fn events_end_after_five_minutes_and_with_the_token() {
    let bench = bench(100);
    for (token, seconds) in [("admin", 300), ("ends-soon", 60)] {
        let began = Instant::now();
        let mut stream = listen(&bench, token).await;
        assert_eq!(next(&mut stream).await, OK);
        let mut comments = 0;
        while let Some(chunk) = stream.next().await {
            assert_eq!(&chunk.unwrap()[..], b":\n\n");
            comments += 1;
        }
        assert_eq!(began.elapsed().as_secs(), seconds, "{token}");
        assert!(comments >= seconds / 10 - 1, "{token}: {comments}");
    }
}

#[tokio::test(start_paused = true)]
async fn event_streams_are_limited_and_a_closed_one_frees_its_place() {
    let bench = bench(2);
    let first = listen(&bench, "admin").await;
    let mut second = listen(&bench, "admin").await;
    let refused = bench.get(EVENTS).await;
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (503, Some("5")),
        "{}",
        refused.text
    );
    assert_eq!(bench.get("/operator/v1/situation").await.status, 200);
    drop(first);
    let mut third = listen(&bench, "admin").await;
    assert_eq!(
        (next(&mut second).await, next(&mut third).await),
        (OK.into(), OK.into())
    );
}

#[tokio::test(start_paused = true)]
async fn events_need_the_read_rule_or_the_cookie_of_the_board() {
    let bench = bench(100);
    for (token, status) in [("member", 403), ("nobody", 401), ("masakari_monitor", 403)] {
        let got = get_with(&bench, ("x-auth-token", token), EVENTS).await;
        assert_eq!(got.status(), status, "{token}");
    }
    let cookie = ("cookie", "tachi-board=admin");
    assert_eq!(get_with(&bench, cookie, EVENTS).await.status(), 401);
    for (header, path) in [(("x-auth-token", "admin"), EVENTS), (cookie, "/board/api/events")] {
        let got = get_with(&bench, header, path).await;
        assert_eq!(got.status(), 200, "{path}");
        for (name, value) in [
            ("content-type", "text/event-stream"),
            ("cache-control", "no-cache"),
            ("x-accel-buffering", "no"),
            ("openstack-api-version", "instance-ha 1.0"),
        ] {
            assert_eq!(got.headers()[name], value, "{path}");
        }
        assert_eq!(next(&mut got.into_body().into_data_stream()).await, OK);
    }
}

#[tokio::test]
async fn events_end_at_once_when_the_api_stops() {
    let bench = bench(100);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let router = bench.router.clone();
    let server = tokio::spawn(serve(listener, router, ServeOptions::default(), shutdown.clone()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("GET {EVENTS} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: admin\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut got = String::new();
    while !got.contains("data: ") {
        let mut some = [0; 4096];
        let read = stream.read(&mut some).await.unwrap();
        assert_ne!(read, 0, "it ended: {got}");
        got.push_str(std::str::from_utf8(&some[..read]).unwrap());
    }
    shutdown.cancel();
    let drained = timeout(Duration::from_secs(1), server).await;
    assert!(drained.expect("within a second").unwrap(), "drained");
    let mut rest = String::new();
    stream.read_to_string(&mut rest).await.unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "the end of the answer: {rest:?}");
}
