//! Login of a user with their own credentials.

use std::time::Duration;

use tachi_engine::ports::CallError;
use tachi_keystone::{Cause, Credentials, Failure};

use super::{Keystone, failed};
use crate::fault;
use crate::session::Session;

impl Session {
    /// Requests a token for these credentials; `None` if Keystone refuses them. This session's own token is not used,
    /// and nothing is cached.
    ///
    /// # Errors
    ///
    /// Keystone cannot be reached, fails, or does not respond in time.
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped; Keystone may have issued a token that is never used.
    #[tracing::instrument(name = "keystone::log_in", skip_all, err(level = "debug"))]
    pub async fn log_in(&self, credentials: &Credentials) -> Result<Option<String>, CallError> {
        self.keystone().token_for(credentials, self.timeout()).await
    }
}

impl Keystone {
    async fn token_for(
        &self,
        credentials: &Credentials,
        limit: Duration,
    ) -> Result<Option<String>, CallError> {
        let malformed = |what: &str| fault::malformed(Failure::REQUEST_LINE, None, false, what);
        let answer = tokio::time::timeout(limit, self.keystone.log_in(credentials))
            .await
            .map_err(|_| malformed("no answer in time"))?;
        match answer {
            Ok(token) => {
                let text = token.value.to_str().map(ToOwned::to_owned);
                Ok(Some(text.map_err(|_| malformed("the token is not text"))?))
            }
            // Keystone returns these statuses for mistyped credentials, which the user has to correct.
            Err(Failure {
                cause: Cause::Refused(status),
                ..
            }) if matches!(status.as_u16(), 400 | 401 | 403 | 404) => Ok(None),
            Err(failure) => Err(failed(failure)),
        }
    }
}
