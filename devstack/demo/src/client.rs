//! The demo as a client: Keystone and our API over real HTTP, as an operator's tools and a host monitor use them.

use std::time::Duration;

use serde_json::{Value, json};
use tachi_operator::Failure;
use tachi_sandbox::Credentials;

/// A logged-in client of the Instance-HA API.
pub(super) struct Client {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Client {
    /// Logs in; `base` is the URL of the API's `/v1`.
    pub(super) async fn login(login: &Credentials, base: String) -> Result<Self, Failure> {
        let wrong = |error: reqwest::Error| Failure::new("logging in to the simulated Keystone", error);
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(10))
            .connect_timeout(Duration::from_secs(2))
            .build()
            .map_err(wrong)?;
        let domain = json!({ "name": login.domain_name });
        let body = json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": {
                "name": login.username, "domain": domain, "password": login.password } } },
            "scope": { "project": { "name": login.project_name, "domain": domain } },
        }});
        let answer = http
            .post(format!("{}/auth/tokens", login.auth_url))
            .json(&body)
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(wrong)?;
        let token = answer
            .headers()
            .get("x-subject-token")
            .and_then(|token| token.to_str().ok())
            .ok_or_else(|| Failure::from_text("the simulated Keystone returned no token"))?
            .to_owned();
        Ok(Self { http, base, token })
    }

    /// GETs a document of the API.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        self.call(self.http.get(format!("{}{path}", self.base)), path)
            .await
    }

    /// POSTs a document to the API.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.call(self.http.post(format!("{}{path}", self.base)).json(body), path)
            .await
    }

    async fn call(&self, request: reqwest::RequestBuilder, path: &str) -> Result<Value, Failure> {
        let wrong = |error: reqwest::Error| Failure::new(format!("calling our API at {path}"), error);
        let answer = request
            .header("X-Auth-Token", &self.token)
            .header("OpenStack-API-Version", "instance-ha 1.3")
            .send()
            .await
            .map_err(wrong)?;
        let status = answer.status();
        let body: Value = answer.json().await.map_err(wrong)?;
        if status.is_success() {
            Ok(body)
        } else {
            Err(Failure::from_text(format!(
                "our API answered {status} at {path}: {body}"
            )))
        }
    }
}

/// Returns a field of an answer as text; empty if it is missing.
pub(super) fn text(value: &Value, pointer: &str) -> String {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}
