//! The API key and the request header derived from it.

use secrecy::{ExposeSecret as _, SecretString};
use tachi_domain::Timestamp;

/// The three parts of an API key.
pub(super) struct Key {
    consumer: String,
    token: String,
    secret: SecretString,
}

impl Key {
    /// Parses a key; `None` unless it has three parts of characters that never need quoting.
    pub(super) fn parse(text: &SecretString) -> Option<Self> {
        let parts: Vec<&str> = text.expose_secret().trim().split(':').collect();
        let [consumer, token, secret] = parts.as_slice() else {
            return None;
        };
        let plain = |part: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~'))
        };
        (plain(consumer) && plain(token) && plain(secret)).then(|| Self {
            consumer: (*consumer).to_owned(),
            token: (*token).to_owned(),
            secret: (*secret).into(),
        })
    }

    /// Returns the secret part, which must never be shown.
    pub(super) fn secret(&self) -> &str {
        self.secret.expose_secret()
    }

    /// Returns the header of OAuth 1.0 with the signature method PLAINTEXT and an empty consumer secret. MAAS accepts
    /// each nonce only once.
    pub(super) fn header(&self, nonce: &str, now: Timestamp) -> String {
        format!(
            "OAuth realm=\"OAuth\", oauth_nonce=\"{nonce}\", oauth_timestamp=\"{}\", oauth_version=\"1.0\", \
             oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"{}\", oauth_token=\"{}\", \
             oauth_signature=\"%26{}\"",
            now.micros().div_euclid(1_000_000),
            self.consumer,
            self.token,
            self.secret.expose_secret(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_three_plain_parts() {
        for (text, good) in [
            ("a:b:c", true),
            (" a:b:c\n", true),
            ("a:b", false),
            ("a:b:c:d", false),
            ("a::c", false),
            ("", false),
            ("a:b:c\"", false),
            ("a:b:c d", false),
            ("a:b:c\r\nX: y", false),
            ("a:b:é", false),
        ] {
            assert_eq!(Key::parse(&text.into()).is_some(), good, "{text:?}");
        }
    }

    #[test]
    fn the_header_is_what_oauth_libraries_send() {
        let key = Key::parse(&"ck:tk:ts".into()).unwrap();
        let expected = "OAuth realm=\"OAuth\", oauth_nonce=\"n1\", oauth_timestamp=\"1700000000\", \
            oauth_version=\"1.0\", oauth_signature_method=\"PLAINTEXT\", oauth_consumer_key=\"ck\", \
            oauth_token=\"tk\", oauth_signature=\"%26ts\"";
        assert_eq!(
            key.header("n1", Timestamp::from_micros(1_700_000_000_999_999)),
            expected
        );
    }
}
