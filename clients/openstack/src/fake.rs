//! A scripted cloud for tests, with a built-in Keystone and a Nova that the test scripts. It records all requests.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::http::{HeaderMap, Method};
use serde_json::{Value, json};
use tachi_engine::ports::Clock;
use tachi_keystone::{Credentials, Domain, ResourceRef, Scope};
use tachi_testkit::{FakeHttp, ManualClock};

use crate::options::Options;
use crate::{Nova, Session};

pub(crate) const PASSWORD: &str = "pa55-of-the-fixture";
/// The id of the user that the tokens represent.
pub(crate) const USER: &str = "0a1b2c3d";

/// A private certificate authority.
pub(crate) const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../keystone/testdata/ca.pem");

/// A recorded request.
#[derive(Clone, Debug)]
pub(crate) struct RecordedRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl RecordedRequest {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Returns a decoded query value.
    pub(crate) fn arg(&self, key: &str) -> Option<String> {
        let url = reqwest::Url::parse(&format!("http://x/?{}", self.query)).unwrap();
        url.query_pairs()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.into_owned())
    }
}

/// A response of the fake.
pub(crate) enum Reply {
    /// A status with a JSON body.
    Json(u16, Value),
    /// A status with headers and a body of any kind.
    Raw(u16, Vec<(&'static str, String)>, String),
    /// The fake's built-in response: a version document, or 404.
    Unscripted,
    /// No response, ever.
    Hang,
    /// A body that breaks off.
    Broken(u16),
}

type Script = Arc<dyn Fn(&RecordedRequest) -> Reply + Send + Sync>;

/// A running fake.
pub(crate) struct Fake {
    pub(crate) url: String,
    pub(crate) clock: Arc<ManualClock>,
    state: Arc<State>,
    _server: FakeHttp,
}

struct State {
    script: Script,
    recorded: Mutex<Vec<RecordedRequest>>,
    /// Number of issued tokens; only the last one is valid.
    tokens: AtomicUsize,
    keystone: Mutex<KeystoneMode>,
    /// The regions of the catalogue, in its order.
    regions: Mutex<Vec<&'static str>>,
}

/// The behaviour of the built-in Keystone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeystoneMode {
    /// Issues tokens that are valid for this many seconds.
    Good(i64),
    /// Answers with a status.
    Status(u16),
    /// Does not answer.
    Hang,
    /// Issues tokens that are never accepted.
    Useless,
}

impl Fake {
    /// Starts a fake whose Nova responds by `script`. Version documents offer 2.1 to 2.96 unless the script provides
    /// others.
    pub(crate) async fn start(script: impl Fn(&RecordedRequest) -> Reply + Send + Sync + 'static) -> Self {
        let state = Arc::new(State {
            script: Arc::new(script),
            recorded: Mutex::default(),
            tokens: AtomicUsize::new(0),
            keystone: Mutex::new(KeystoneMode::Good(3600)),
            regions: Mutex::new(vec!["one"]),
        });
        let shared = Arc::clone(&state);
        let server = FakeHttp::start(move |request, url| {
            let recorded = RecordedRequest {
                method: request.method.clone(),
                path: request.uri.path().to_owned(),
                query: request.uri.query().unwrap_or("").to_owned(),
                headers: request.headers.clone(),
                body: serde_json::from_slice(&request.body).unwrap_or(Value::Null),
            };
            shared.recorded.lock().unwrap().push(recorded.clone());
            rendered(shared.answer(&recorded, url))
        });
        let server = server.await;
        Self {
            url: server.url.clone(),
            clock: Arc::default(),
            state,
            _server: server,
        }
    }

    pub(crate) fn options(&self) -> Options {
        let named = |name: &str| ResourceRef::name(name, Some(Domain::Name("Default".to_owned())));
        let credentials = Credentials::Password {
            user: named("tachi"),
            password: PASSWORD.into(),
            scope: Scope::Project(named("service")),
        };
        let mut options = Options::new(&self.url, credentials);
        // Reading the system's authorities takes longer than the test.
        options.keystone.tls.ca_file = Some(CA.into());
        options
    }

    pub(crate) async fn session_with(&self, change: impl FnOnce(&mut Options)) -> Session {
        let mut options = self.options();
        change(&mut options);
        Session::new(options, Arc::clone(&self.clock) as Arc<dyn Clock>)
            .await
            .unwrap()
    }

    pub(crate) async fn session(&self) -> Session {
        self.session_with(|_| ()).await
    }

    pub(crate) async fn nova(&self) -> Nova {
        Nova::new(self.session().await)
    }

    /// Returns all requests except those for tokens and version documents.
    pub(crate) fn calls(&self) -> Vec<RecordedRequest> {
        let quiet = |recorded: &RecordedRequest| {
            recorded.path == "/v3/auth/tokens" && recorded.method == Method::POST || is_root(&recorded.path)
        };
        self.state
            .recorded
            .lock()
            .unwrap()
            .iter()
            .filter(|recorded| !quiet(recorded))
            .cloned()
            .collect()
    }

    pub(crate) fn recorded(&self) -> Vec<RecordedRequest> {
        self.state.recorded.lock().unwrap().clone()
    }

    /// Returns the number of token requests, granted or refused.
    pub(crate) fn token_requests(&self) -> usize {
        let is_token_request = |recorded: &&RecordedRequest| {
            recorded.path == "/v3/auth/tokens" && recorded.method == Method::POST
        };
        self.state
            .recorded
            .lock()
            .unwrap()
            .iter()
            .filter(is_token_request)
            .count()
    }

    pub(crate) fn keystone(&self, mode: KeystoneMode) {
        *self.state.keystone.lock().unwrap() = mode;
    }

    /// Lists these regions in the catalogues of later tokens. Region `one` is below `/`, the others are below their names.
    pub(crate) fn regions(&self, regions: &[&'static str]) {
        *self.state.regions.lock().unwrap() = regions.to_vec();
    }

    /// Invalidates all tokens issued so far.
    pub(crate) fn revoke(&self) {
        self.state.tokens.fetch_add(1, Ordering::SeqCst);
    }
}

fn is_root(path: &str) -> bool {
    matches!(path, "/" | "/v2.1/")
}

impl State {
    fn answer(&self, recorded: &RecordedRequest, url: &str) -> Reply {
        if recorded.path == "/v3/auth/tokens" && recorded.method == Method::POST {
            // Called for the script's side effects only; the fake itself responds.
            let _ = (self.script)(recorded);
            return self.token(url);
        }
        let good = format!("token-{}", self.tokens.load(Ordering::SeqCst));
        let useless = *self.keystone.lock().unwrap() == KeystoneMode::Useless;
        if recorded.header("x-auth-token") != good || useless {
            return Reply::Json(
                401,
                json!({"error": {"message": format!("bad token {}", recorded.header("x-auth-token"))}}),
            );
        }
        let reply = (self.script)(recorded);
        match (&reply, is_root(&recorded.path)) {
            (Reply::Unscripted, true) => Reply::Json(200, version_document("2.1", "2.96")),
            _ => reply,
        }
    }

    fn endpoints(&self, url: &str, path: &str) -> Value {
        let regions = self.regions.lock().unwrap();
        let one = |region: &&str| {
            let below = if *region == "one" {
                String::new()
            } else {
                format!("/{region}")
            };
            json!({"interface": "public", "region": region, "region_id": region, "url": format!("{url}{below}/{path}")})
        };
        regions.iter().map(one).collect()
    }

    fn token(&self, url: &str) -> Reply {
        let mode = *self.keystone.lock().unwrap();
        let token_lifetime = match mode {
            KeystoneMode::Good(token_lifetime) => token_lifetime,
            KeystoneMode::Useless => 3600,
            KeystoneMode::Hang => return Reply::Hang,
            KeystoneMode::Status(status) => {
                return Reply::Json(
                    status,
                    json!({"error": {"message": format!("no, {PASSWORD} is wrong")}}),
                );
            }
        };
        let number = self.tokens.fetch_add(1, Ordering::SeqCst) + 1;
        let end = chrono::DateTime::from_timestamp(1_500_000_000 + token_lifetime, 0).unwrap();
        let body = json!({"token": {
            "issued_at": "2017-07-14T02:40:00.000000Z",
            "expires_at": end.format("%Y-%m-%dT%H:%M:%S.000000Z").to_string(),
            "user": {"id": USER},
            "catalog": [
                {"type": "compute", "name": "nova", "endpoints": self.endpoints(url, "v2.1")},
                {"type": "placement", "name": "placement", "endpoints": self.endpoints(url, "placement")},
            ],
        }});
        Reply::Raw(
            201,
            vec![("x-subject-token", format!("token-{number}"))],
            body.to_string(),
        )
    }
}

pub(crate) fn version_document(min: &str, max: &str) -> Value {
    json!({"version": {"id": "v2.1", "status": "CURRENT", "version": max, "min_version": min}})
}

fn rendered(reply: Reply) -> tachi_testkit::Reply {
    use tachi_testkit::Reply as Http;
    let id = || ("x-openstack-request-id", "req-of-the-fake".to_owned());
    match reply {
        Reply::Json(status, body) => {
            let json = ("content-type", "application/json".to_owned());
            Http::With(status, vec![id(), json], body.to_string())
        }
        Reply::Raw(status, mut headers, body) => {
            headers.push(id());
            Http::With(status, headers, body)
        }
        Reply::Unscripted => Http::With(404, vec![id()], "not scripted".to_owned()),
        Reply::Hang => Http::Hang,
        Reply::Broken(status) => Http::Broken(status),
    }
}

/// Creates a script that responds by method and path below `/v2.1`, such as `"GET /servers/detail"`.
pub(crate) fn table(
    rows: impl IntoIterator<Item = (&'static str, u16, Value)>,
) -> impl Fn(&RecordedRequest) -> Reply + Send + Sync + 'static {
    let rows: HashMap<&'static str, (u16, Value)> = rows
        .into_iter()
        .map(|(key, status, body)| (key, (status, body)))
        .collect();
    move |recorded| {
        let key = format!(
            "{} {}",
            recorded.method,
            recorded.path.strip_prefix("/v2.1").unwrap_or(&recorded.path)
        );
        rows.get(key.as_str())
            .map_or(Reply::Unscripted, |(status, body)| {
                Reply::Json(*status, body.clone())
            })
    }
}
