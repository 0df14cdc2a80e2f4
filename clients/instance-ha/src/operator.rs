//! What operators ask and say: `/operator/v1`, which is beside the versioned API and has no project in its path.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::catalog::beside;
use crate::client::{Client, Reply, refused};
use crate::error::Failed;

const ROOT: [&str; 2] = ["operator", "v1"];

impl Client {
    /// Asks for `path`, a part of it each, below `/operator/v1`; gives the body of a success.
    ///
    /// # Errors
    ///
    /// What came of it instead.
    pub async fn ask_operator(&self, path: &[&str], query: &[(&str, String)]) -> Result<Vec<u8>, Failed> {
        self.operator(Method::GET, path, query, None).await
    }

    /// Says something to `path`, as JSON; gives the body of a success.
    ///
    /// # Errors
    ///
    /// What came of it instead. Without an answer it may have been said.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, it may have been said. Saying it again is harmless.
    pub async fn say_operator(&self, path: &[&str], body: &str) -> Result<Vec<u8>, Failed> {
        self.operator(Method::POST, path, &[], Some(body)).await
    }

    /// Ends what `path` names; gives the body of a success.
    ///
    /// # Errors
    ///
    /// What came of it instead. Without an answer it may have ended.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, it may have ended. Asking for it again is harmless.
    pub async fn end_operator(&self, path: &[&str]) -> Result<Vec<u8>, Failed> {
        self.operator(Method::DELETE, path, &[], None).await
    }

    async fn operator(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&str>,
    ) -> Result<Vec<u8>, Failed> {
        let path: Vec<&str> = ROOT.iter().chain(path).copied().collect();
        let mut headers = HeaderMap::new();
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let line = format!("{method} /{}", tachi_text::one_line(&path.join("/"), &[]));
        let at = |endpoint: &reqwest::Url| beside(endpoint, &path, query).to_string();
        let reply: Reply = self.call_at(method, &headers, body, at).await?;
        if reply.status.is_success() {
            Ok(reply.body)
        } else {
            Err(refused(&line, &reply))
        }
    }
}
