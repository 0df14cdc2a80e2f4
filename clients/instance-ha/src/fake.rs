//! A fake Keystone and API on a port, with scripted answers and recorded requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A recorded request.
#[derive(Debug, Clone)]
pub(crate) struct RecordedRequest {
    /// Method and path.
    pub(crate) line: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl RecordedRequest {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self
            .headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct State {
    requests: Vec<RecordedRequest>,
    /// Answers to requests other than logins, in order: status line, headers, body. `None` closes the connection.
    script: VecDeque<Option<(String, String, String)>>,
    tokens: usize,
    keystone: Option<u16>,
    no_catalog: bool,
    /// Lifetime of tokens in seconds; an hour if unset.
    token_lifetime: Option<u32>,
}

pub(crate) struct Fake {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State::default()));
        let (served, base) = (Arc::clone(&state), url.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&served), base.clone()));
            }
        });
        Self { url, state }
    }

    pub(crate) fn then(&self, status: &str, headers: &str, body: &str) {
        let answer = (status.to_owned(), headers.to_owned(), body.to_owned());
        self.state.lock().unwrap().script.push_back(Some(answer));
    }

    pub(crate) fn then_close(&self) {
        self.state.lock().unwrap().script.push_back(None);
    }

    pub(crate) fn keystone_answers(&self, status: Option<u16>) {
        self.state.lock().unwrap().keystone = status;
    }

    pub(crate) fn without_catalog(&self, without: bool) {
        self.state.lock().unwrap().no_catalog = without;
    }

    pub(crate) fn tokens_live(&self, seconds: u32) {
        self.state.lock().unwrap().token_lifetime = Some(seconds);
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>, base: String) {
    let mut bytes = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            if !matches!(stream.read_buf(&mut bytes).await, Ok(read) if read > 0) {
                return;
            }
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let first = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let mut request = RecordedRequest {
            line: first,
            headers,
            body: String::new(),
        };
        let length: usize = request
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        while bytes.len() < end + length {
            assert_ne!(stream.read_buf(&mut bytes).await.unwrap(), 0);
        }
        request.body = String::from_utf8_lossy(&bytes[end..end + length]).into_owned();
        bytes.drain(..end + length);
        let Some((status, headers, body)) = answer(&state, &request, &base) else {
            return;
        };
        let text = format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

fn answer(state: &Mutex<State>, request: &RecordedRequest, base: &str) -> Option<(String, String, String)> {
    let mut state = state.lock().unwrap();
    state.requests.push(request.clone());
    if request.line != "POST /v3/auth/tokens" {
        return state
            .script
            .pop_front()
            .unwrap_or_else(|| Some(("202 Accepted".into(), String::new(), "{}".into())));
    }
    if let Some(status) = state.keystone {
        let body = r#"{"error": {"message": "pw-in-answer: no"}}"#.to_owned();
        return Some((format!("{status} No"), String::new(), body));
    }
    state.tokens += 1;
    let catalog = if state.no_catalog {
        serde_json::json!([])
    } else {
        serde_json::json!([{"type": "instance-ha", "endpoints": [
            {"interface": "public", "region": "RegionOne", "url": format!("{base}/v1/project")}]}])
    };
    let token_lifetime = state.token_lifetime.unwrap_or(3600);
    let expires = format!(
        "2026-01-01T{:02}:{:02}:{:02}.000000Z",
        token_lifetime / 3600,
        token_lifetime / 60 % 60,
        token_lifetime % 60
    );
    let body = serde_json::json!({"token": {
        "issued_at": "2026-01-01T00:00:00.000000Z", "expires_at": expires, "catalog": catalog}});
    let headers = format!("X-Subject-Token: token-{}\r\n", state.tokens);
    Some(("201 Created".into(), headers, body.to_string()))
}
