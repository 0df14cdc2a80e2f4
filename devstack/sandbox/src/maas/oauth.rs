//! OAuth 1.0 with signature method PLAINTEXT, as MAAS checks it.

use std::collections::HashMap;

use super::MaasServer;
use crate::web::encode::decode;

/// Limit of the difference between a timestamp and MAAS's clock, in seconds.
pub(super) const WINDOW_SECONDS: i64 = 300;

/// Checks an `Authorization` header.
pub(super) fn check(header: &str, maas: &MaasServer, now: i64) -> Result<(), &'static str> {
    let fields = parse(header).ok_or("Missing OAuth header")?;
    let get = |name: &str| fields.get(name).map_or("", String::as_str);
    if get("oauth_signature_method") != "PLAINTEXT" {
        return Err("Unsupported signature method");
    }
    if !matches!(get("oauth_version"), "" | "1.0") {
        return Err("Unsupported OAuth version");
    }
    if get("oauth_consumer_key") != maas.consumer {
        return Err("Invalid consumer");
    }
    if get("oauth_token") != maas.token {
        return Err("Invalid access token");
    }
    // No consumer secret: an ampersand, then the token's secret.
    if get("oauth_signature").strip_prefix('&') != Some(maas.secret.as_str()) {
        return Err("Invalid signature");
    }
    let timestamp: i64 = get("oauth_timestamp").parse().map_err(|_| "Invalid timestamp")?;
    if (now - timestamp).abs() > WINDOW_SECONDS {
        return Err("Expired timestamp");
    }
    let nonce = get("oauth_nonce");
    if nonce.is_empty() || !maas.is_fresh(nonce, timestamp, now) {
        return Err("Nonce already used");
    }
    Ok(())
}

fn parse(header: &str) -> Option<HashMap<String, String>> {
    let (scheme, rest) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("oauth") {
        return None;
    }
    let pair = |part: &str| {
        let (key, value) = part.trim().split_once('=')?;
        Some((key.trim().to_owned(), decode(value.trim().trim_matches('"'))))
    };
    Some(rest.split(',').filter_map(pair).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_750_000_000;

    struct Parts<'a> {
        method: &'a str,
        consumer: &'a str,
        token: &'a str,
        signature: String,
        nonce: &'a str,
        timestamp: i64,
    }

    fn header(parts: &Parts<'_>) -> String {
        format!(
            "OAuth realm=\"OAuth\", oauth_nonce=\"{}\", oauth_timestamp=\"{}\", oauth_version=\"1.0\", \
             oauth_signature_method=\"{}\", oauth_consumer_key=\"{}\", oauth_token=\"{}\", oauth_signature=\"{}\"",
            parts.nonce, parts.timestamp, parts.method, parts.consumer, parts.token, parts.signature
        )
    }

    fn good(maas: &MaasServer) -> Parts<'_> {
        Parts {
            method: "PLAINTEXT",
            consumer: &maas.consumer,
            token: &maas.token,
            signature: format!("%26{}", maas.secret),
            nonce: "n",
            timestamp: NOW,
        }
    }

    #[test]
    fn what_is_checked() {
        type Change = fn(&mut Parts<'_>);
        let cases: [(&str, Change, bool); 9] = [
            ("a good header", |_| {}, true),
            (
                "an ampersand that is not encoded",
                |parts| parts.signature = parts.signature.replace("%26", "&"),
                true,
            ),
            ("another method", |parts| parts.method = "HMAC-SHA1", false),
            ("a wrong consumer", |parts| parts.consumer = "x", false),
            ("a wrong token", |parts| parts.token = "x", false),
            ("a wrong secret", |parts| parts.signature = "%26x".into(), false),
            ("a clock 301 s ahead", |parts| parts.timestamp += 301, false),
            ("a clock 301 s behind", |parts| parts.timestamp -= 301, false),
            ("a clock 299 s behind", |parts| parts.timestamp -= 299, true),
        ];
        for (name, change, expected) in cases {
            let maas = MaasServer::new();
            let mut parts = good(&maas);
            change(&mut parts);
            assert_eq!(check(&header(&parts), &maas, NOW).is_ok(), expected, "{name}");
        }
    }

    #[test]
    fn a_nonce_is_good_once() {
        let maas = MaasServer::new();
        let first = header(&good(&maas));
        assert_eq!(check(&first, &maas, NOW), Ok(()));
        assert_eq!(check(&first, &maas, NOW), Err("Nonce already used"));
        assert_eq!(check("Basic abc", &maas, NOW), Err("Missing OAuth header"));
        assert_eq!(check("", &maas, NOW), Err("Missing OAuth header"));
    }
}
