//! Requests of operators: `/operator/v1`, which is beside the versioned API and has no project in its path.

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::catalog::unversioned_url;
use crate::client::{Client, Reply, refused};
use crate::error::CallFailure;

const ROOT: [&str; 2] = ["operator", "v1"];

impl Client {
    /// Reads `path`, given as segments below `/operator/v1`, and returns the body.
    ///
    /// # Errors
    ///
    /// The failed request.
    pub async fn get_operator(
        &self,
        path: &[&str],
        query: &[(&str, String)],
    ) -> Result<Vec<u8>, CallFailure> {
        self.operator(Method::GET, path, query, None).await
    }

    /// Posts a JSON body to `path` and returns the answer's body.
    ///
    /// # Errors
    ///
    /// The failed request. Without an answer it may have taken effect.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, it may have taken effect. Sending it again is harmless.
    pub async fn post_operator(&self, path: &[&str], body: &str) -> Result<Vec<u8>, CallFailure> {
        self.operator(Method::POST, path, &[], Some(body)).await
    }

    /// Deletes `path` and returns the answer's body.
    ///
    /// # Errors
    ///
    /// The failed request. Without an answer it may have taken effect.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, it may have taken effect. Sending it again is harmless.
    pub async fn delete_operator(&self, path: &[&str]) -> Result<Vec<u8>, CallFailure> {
        self.operator(Method::DELETE, path, &[], None).await
    }

    async fn operator(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&str>,
    ) -> Result<Vec<u8>, CallFailure> {
        let path: Vec<&str> = ROOT.iter().chain(path).copied().collect();
        let mut headers = HeaderMap::new();
        if body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let line = format!("{method} /{}", tachi_text::one_line(&path.join("/"), &[]));
        let at = |endpoint: &reqwest::Url| unversioned_url(endpoint, &path, query).to_string();
        let reply: Reply = self.call_at(method, &headers, body, at).await?;
        if reply.status.is_success() {
            Ok(reply.body)
        } else {
            Err(refused(&line, &reply))
        }
    }
}
