//! Sanitizes text from fencing devices for one line of a log.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use tachi_text::one_line;

/// A filter that masks secrets in a device's text, in every encoding in which they are sent, and passwords in
/// addresses.
#[derive(Clone, Default)]
pub(crate) struct SecretFilter {
    forms: Vec<SecretString>,
}

impl fmt::Debug for SecretFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scrub").finish_non_exhaustive()
    }
}

impl SecretFilter {
    /// Creates a filter for a secret and its user.
    pub(crate) fn new(user: &str, secret: &SecretString) -> Self {
        Self::of(std::iter::once((user, secret)))
    }

    /// Creates a filter for several secrets.
    pub(crate) fn of<'a>(secrets: impl Iterator<Item = (&'a str, &'a SecretString)>) -> Self {
        let mut forms = Vec::new();
        for (user, secret) in secrets {
            let plain = secret.expose_secret();
            if plain.is_empty() {
                continue;
            }
            // The longest form comes first, because it contains the others.
            forms.push(SecretString::from(STANDARD.encode(format!("{user}:{plain}"))));
            forms.push(SecretString::from(percent(plain)));
            forms.push(secret.clone());
        }
        Self { forms }
    }

    /// Sanitizes remote text into one line for a log.
    pub(crate) fn line(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for form in &self.forms {
            text = text.replace(form.expose_secret(), "***");
        }
        one_line(&without_credentials(&text), &[])
    }
}

fn percent(text: &str) -> String {
    use std::fmt::Write as _;

    let mut quoted = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            quoted.push(char::from(byte));
        } else {
            // Writing to a String does not fail.
            let _ = write!(quoted, "%{byte:02X}");
        }
    }
    quoted
}

/// Replaces credentials in addresses: `https://user:word@host` becomes `https://***@host`.
fn without_credentials(text: &str) -> String {
    let mut clean = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        clean.push_str(before);
        clean.push_str("://");
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '>'))
            .unwrap_or(after.len());
        let (authority, tail) = after.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => {
                clean.push_str("***@");
                clean.push_str(host);
            }
            None => clean.push_str(authority),
        }
        rest = tail;
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers I9.
    #[test]
    fn a_secret_is_masked_in_every_encoding() {
        let secret_filter = SecretFilter::new("fencer", &"p@ss/w:rd".into());
        for (input, expected) in [
            ("login p@ss/w:rd failed", "login *** failed"),
            ("p%40ss%2Fw%3Ard", "***"),
            ("Basic ZmVuY2VyOnBAc3MvdzpyZA==", "Basic ***"),
            (
                "GET https://fencer:p@ss/w:rd@bmc/redfish",
                "GET https://***@bmc/redfish",
            ),
            (
                "see http://x:y@h:1/z and ftp://q@r",
                "see http://***@h:1/z and ftp://***@r",
            ),
            ("mail a@b.c, https://h/a@b", "mail a@b.c, https://h/a@b"),
            ("", ""),
        ] {
            assert_eq!(secret_filter.line(input), expected, "{input}");
        }
        assert!(!format!("{secret_filter:?}").contains("p@ss"));
        assert_eq!(
            SecretFilter::new("", &"".into()).line("a b"),
            "a b",
            "no secret, nothing to hide"
        );
    }
}
