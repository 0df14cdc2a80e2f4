use std::fs::{Permissions, set_permissions};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Uri};
use axum::response::{IntoResponse as _, Response as Answer};
use axum::routing::post;
use tokio::net::TcpListener;

use super::*;
use crate::tests::run_of;

type SeenRequests = Arc<Mutex<Vec<(String, HeaderMap, Bytes)>>>;

/// Answers as the request's path selects.
async fn answer(State(recorded): State<SeenRequests>, uri: Uri, headers: HeaderMap, body: Bytes) -> Answer {
    recorded.lock().unwrap().push((uri.to_string(), headers, body));
    match uri.path() {
        "/created" => (StatusCode::CREATED, "made").into_response(),
        "/empty" => StatusCode::NO_CONTENT.into_response(),
        "/skip" => (StatusCode::CONFLICT, "not ours").into_response(),
        "/elsewhere" => (StatusCode::TEMPORARY_REDIRECT, [("location", "/created")]).into_response(),
        "/long" => (StatusCode::BAD_GATEWAY, "x".repeat(5 << 20)).into_response(),
        "/never" => std::future::pending().await,
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "bro\r\nken").into_response(),
    }
}

/// Starts a server and returns its recorded requests.
async fn server() -> (String, SeenRequests) {
    let recorded = SeenRequests::default();
    let router = Router::new()
        .route("/{*path}", post(answer))
        .with_state(recorded.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, recorded)
}

async fn ask(url: &str, options: &str) -> (HookVerdict, String) {
    let run = run_of(&format!("{url}#{options}"));
    let tachi_domain::hooks::HookTarget::Http { url, token_file } = &run.hook.target else {
        panic!("{url}");
    };
    let outcome = Web::new(None)
        .unwrap()
        .run(url, token_file.as_deref(), &run)
        .await;
    (outcome.verdict, outcome.text)
}

#[tokio::test]
async fn the_http_status_decides() {
    let (url, recorded) = server().await;
    let cases = [
        ("created", HookVerdict::GoOn, "status 201: made"),
        ("empty", HookVerdict::GoOn, "status 204"),
        ("skip", HookVerdict::Skip, "status 409: not ours"),
        ("broken", HookVerdict::Failed, "status 500: bro ken"),
        (
            "elsewhere",
            HookVerdict::Failed,
            "status 307; redirects are not followed",
        ),
    ];
    for (path, verdict, text) in cases {
        assert_eq!(
            ask(&format!("{url}/{path}"), "").await,
            (verdict, text.to_owned()),
            "{path}"
        );
    }
    let (verdict, text) = ask(&format!("{url}/long"), "").await;
    assert_eq!(verdict, HookVerdict::Failed);
    assert!(
        text.starts_with("status 502: xxx") && text.chars().count() < 400,
        "{text}"
    );
    assert_eq!(recorded.lock().unwrap().len(), 6, "nothing was asked twice");
}

#[tokio::test]
async fn an_address_gets_the_document_and_an_idempotency_key() {
    let (url, recorded) = server().await;
    ask(&format!("{url}/created?a=b"), "").await;
    let recorded = recorded.lock().unwrap();
    let (path, headers, body) = &recorded[0];
    assert_eq!(path, "/created?a=b");
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["idempotency-key"], "recovery-pre-1");
    assert!(!headers.contains_key("authorization"));
    assert_eq!(body, &run_of("exec:/x").document);
}

#[tokio::test]
async fn a_token_comes_from_a_private_file() {
    let (url, recorded) = server().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let options = format!("token_file={}", file.display());
    let post_with = async |mode: u32, token: &str| {
        std::fs::write(&file, token).unwrap();
        set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        ask(&format!("{url}/created"), &options).await
    };
    assert_eq!(post_with(0o600, "geheim\n").await.0, HookVerdict::GoOn);
    assert_eq!(recorded.lock().unwrap()[0].1["authorization"], "Bearer geheim");
    let long = "x".repeat(20_000);
    for (case, mode, token, expected) in [
        ("readable", 0o644, "geheim", "can be read by other users"),
        (
            "two lines",
            0o600,
            "geheim\nsecond",
            "contains characters that a header cannot",
        ),
        ("too long", 0o600, long.as_str(), "is too long"),
    ] {
        let (verdict, text) = post_with(mode, token).await;
        assert_eq!(verdict, HookVerdict::Failed, "{case}");
        assert!(
            text.contains(expected) && !text.contains("geheim"),
            "{case}: {text}"
        );
    }
    std::fs::remove_file(&file).unwrap();
    assert!(
        ask(&format!("{url}/created"), &options)
            .await
            .1
            .contains("cannot be read")
    );
    assert_eq!(recorded.lock().unwrap().len(), 1, "nobody is asked without it");
}

#[tokio::test]
async fn an_address_that_does_not_answer_has_failed() {
    let (url, _) = server().await;
    let late = ask(&format!("{url}/never"), "timeout=0.3").await;
    assert_eq!(late, (HookVerdict::Failed, "took longer than 0.3 s".to_owned()));
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let (verdict, text) = ask(&format!("http://{free}/x?key=geheim"), "").await;
    assert_eq!(verdict, HookVerdict::Failed);
    assert!(
        text.starts_with("no answer: ") && !text.contains("geheim"),
        "{text}"
    );
}

#[tokio::test]
async fn an_untrusted_certificate_is_refused() {
    // A server without TLS. The test checks that no part of the document reaches it.
    let (url, recorded) = server().await;
    let (verdict, text) = ask(&format!("{}/created", url.replace("http:", "https:")), "").await;
    assert_eq!(verdict, HookVerdict::Failed);
    assert!(text.starts_with("no answer: "), "{text}");
    assert!(recorded.lock().unwrap().is_empty());
}
