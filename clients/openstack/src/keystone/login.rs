//! A token for a person, who says who it is.

use std::time::Duration;

use tachi_engine::ports::CallError;

use super::{Keystone, request};
use crate::fault;
use crate::options::Credentials;
use crate::session::Session;

const LINE: &str = "keystone: POST /auth/tokens";

impl Session {
    /// A token for whoever has these credentials; `None` if Keystone does not accept them. This session's own token has no part
    /// in it, and nothing is kept.
    ///
    /// # Errors
    ///
    /// Keystone cannot be reached, fails, or does not answer in time.
    ///
    /// # Cancel safety
    ///
    /// May be dropped; Keystone may have made a token that nobody gets.
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
        let asking = request::fetch(&self.client, &self.base, credentials, self.clock.as_ref(), 0);
        let answer = tokio::time::timeout(limit, asking)
            .await
            .unwrap_or_else(|_| Err(fault::senseless(LINE, None, false, "no answer in time")));
        match answer {
            Ok(token) => {
                let text = token.value.to_str().map(ToOwned::to_owned);
                let text = text.map_err(|_| fault::senseless(LINE, None, false, "the token is no text"))?;
                Ok(Some(text))
            }
            // What a person types wrong Keystone calls unknown, forbidden or senseless; it is theirs to mend.
            Err(error) if matches!(error.fault.status, Some(400 | 401 | 403 | 404)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
