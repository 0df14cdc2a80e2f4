//! Validation of MAAS's address.

use reqwest::Url;

use super::SetupError;
use crate::web::is_loopback;

/// Normalizes an address to `http(s)://host:port/MAAS/api/2.0/`.
pub(super) fn normalise(text: &str, allow_http: bool) -> Result<Url, SetupError> {
    let trimmed = text.trim();
    // The error repeats the address only if it cannot contain a password.
    let wrong = |url: &str, why: &str| SetupError::Url {
        url: url.to_owned(),
        why: why.to_owned(),
    };
    let mut url = Url::parse(trimmed).map_err(|error| wrong("", &error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("", "the address must not contain credentials"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("", "the address must not have a query or a fragment"));
    }
    match url.scheme() {
        "https" => {}
        "http" if allow_http || is_loopback(&url) => {}
        "http" => {
            let why = "http would expose the API key on the network; use https, or set allow_http (maas_allow_http in \
                tachi.conf)";
            return Err(wrong(trimmed, why));
        }
        _ => return Err(wrong(trimmed, "not an http or https address")),
    }
    if !url.has_host() {
        return Err(wrong(trimmed, "it has no host"));
    }
    let mut segments: Vec<String> = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|s| !s.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    if segments.ends_with(&["api".to_owned(), "2.0".to_owned()]) {
        segments.truncate(segments.len() - 2);
    }
    segments.extend(["api".to_owned(), "2.0".to_owned(), String::new()]);
    url.set_path(&segments.join("/"));
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_brought_to_one_form() {
        let cases = [
            ("https://m:5443/MAAS", false, Some("https://m:5443/MAAS/api/2.0/")),
            (
                "https://m:5443/MAAS/",
                false,
                Some("https://m:5443/MAAS/api/2.0/"),
            ),
            (
                "https://m:5443/MAAS/api/2.0",
                false,
                Some("https://m:5443/MAAS/api/2.0/"),
            ),
            (
                "https://m:5443/MAAS/api/2.0/",
                false,
                Some("https://m:5443/MAAS/api/2.0/"),
            ),
            (
                "https://m:5443//MAAS//",
                false,
                Some("https://m:5443/MAAS/api/2.0/"),
            ),
            ("https://m", false, Some("https://m/api/2.0/")),
            ("http://m:5240/MAAS", false, None),
            ("http://m:5240/MAAS", true, Some("http://m:5240/MAAS/api/2.0/")),
            (
                "http://127.0.0.1:5240/MAAS",
                false,
                Some("http://127.0.0.1:5240/MAAS/api/2.0/"),
            ),
            (
                "http://127.8.9.1:5240/MAAS",
                false,
                Some("http://127.8.9.1:5240/MAAS/api/2.0/"),
            ),
            (
                "http://[::1]:5240/MAAS",
                false,
                Some("http://[::1]:5240/MAAS/api/2.0/"),
            ),
            (
                "http://localhost:5240/MAAS",
                false,
                Some("http://localhost:5240/MAAS/api/2.0/"),
            ),
            ("http://localhost.evil:5240/MAAS", false, None),
            ("http://127.0.0.1.evil/MAAS", false, None),
            ("ftp://m/MAAS", true, None),
            ("https://m/MAAS?x=1", false, None),
            ("m:5240/MAAS", true, None),
            ("", true, None),
        ];
        for (given, allow, expected) in cases {
            assert_eq!(
                normalise(given, allow).ok().as_ref().map(Url::as_str),
                expected,
                "{given:?}"
            );
        }
        let error = normalise("https://user:hunter2@m/MAAS", false).unwrap_err();
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}
