//! A server on a port with scripted answers, which records its requests.

#![allow(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a test whose server cannot be may as well end"
)]

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Response, Uri};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A recorded request.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    pub method: Method,
    /// The path with its query.
    pub uri: Uri,
    pub headers: HeaderMap,
    /// The body as sent.
    pub body: Bytes,
}

impl RecordedRequest {
    /// Returns method and path with its query, such as `GET /v1/things?limit=1`.
    pub fn line(&self) -> String {
        format!("{} {}", self.method, self.uri)
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns a header; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// An answer.
pub enum Reply {
    /// A status with a JSON body.
    Json(u16, Value),
    /// A status with headers and a body of any kind.
    With(u16, Vec<(&'static str, String)>, String),
    /// No answer.
    Hang,
    /// A status, and a truncated body.
    Broken(u16),
}

/// The server, which stops when this is dropped.
pub struct FakeHttp {
    /// The URL, without a trailing slash.
    pub url: String,
    requests: Arc<Mutex<Vec<RecordedRequest>>>,
    server: JoinHandle<()>,
}

impl Drop for FakeHttp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl FakeHttp {
    /// Starts it on a free port of the loopback address. `answer` gets the request and the server's URL.
    pub async fn start(answer: impl Fn(&RecordedRequest, &str) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let requests: Arc<Mutex<Vec<RecordedRequest>>> = Arc::default();
        let (log, base, answer) = (Arc::clone(&requests), url.clone(), Arc::new(answer));
        let router =
            Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
                let request = RecordedRequest {
                    method,
                    uri,
                    headers,
                    body,
                };
                log.lock().unwrap().push(request.clone());
                let reply = answer(&request, &base);
                render(reply)
            });
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            url,
            requests,
            server,
        }
    }

    /// Returns the requests in order.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.requests.lock().unwrap().clone()
    }
}

async fn render(reply: Reply) -> Response<Body> {
    let answer = Response::builder();
    match reply {
        Reply::Json(status, body) => {
            let answer = answer.status(status).header("content-type", "application/json");
            answer.body(Body::from(body.to_string())).unwrap()
        }
        Reply::With(status, headers, body) => {
            let answer = headers
                .into_iter()
                .fold(answer.status(status), |answer, (name, value)| {
                    answer.header(name, value)
                });
            answer.body(Body::from(body)).unwrap()
        }
        Reply::Hang => std::future::pending().await,
        // Announces more bytes than it sends.
        Reply::Broken(status) => {
            let answer = answer.status(status).header("content-length", "1000");
            answer.body(Body::from_stream(Cut(0))).unwrap()
        }
    }
}

/// A body that fails after the head of the answer was sent.
struct Cut(u8);

impl futures_util::Stream for Cut {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0 += 1;
        match self.0 {
            1 => Poll::Ready(Some(Ok(Bytes::from_static(b"{")))),
            2 => {
                context.waker().wake_by_ref();
                Poll::Pending
            }
            _ => Poll::Ready(Some(Err(std::io::Error::other("cut")))),
        }
    }
}
