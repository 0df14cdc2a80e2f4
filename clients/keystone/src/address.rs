//! Normalization of Keystone's address.

use reqwest::Url;

use crate::failure::SetupError;

/// Converts `https://host/identity`, with or without a version and slashes, to `https://host/identity/v3`.
pub(crate) fn base_url(text: &str) -> Result<Url, SetupError> {
    let wrong = |why: String| SetupError::AuthUrl {
        url: without_userinfo(text),
        why,
    };
    let mut url = Url::parse(text.trim()).map_err(|error| wrong(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("not an http or https address".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("the address must not contain credentials".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(
            "the address must not have a query or a fragment".to_owned(),
        ));
    }
    let mut segments: Vec<String> = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|segment| !segment.is_empty())
        .map(ToOwned::to_owned)
        .collect();
    // Old configurations name v2.0, which no longer exists; Python's clients discover v3 from there, too.
    segments.pop_if(|last| matches!(last.as_str(), "v3" | "v2.0"));
    segments.push("v3".to_owned());
    url.set_path(&segments.join("/"));
    Ok(url)
}

fn without_userinfo(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://***{}", &text[..scheme], &text[at..]),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auth_urls_are_brought_to_one_form() {
        let cases = [
            ("http://k:5000", Some("http://k:5000/v3")),
            ("http://k:5000/", Some("http://k:5000/v3")),
            ("http://k:5000/v3", Some("http://k:5000/v3")),
            ("http://k:5000/v3/", Some("http://k:5000/v3")),
            ("https://k/identity", Some("https://k/identity/v3")),
            ("https://k/identity//v3//", Some("https://k/identity/v3")),
            ("http://k:5000/v2.0", Some("http://k:5000/v3")),
            ("https://k/identity/v2.0/", Some("https://k/identity/v3")),
            ("k:5000", None),
            ("ftp://k/v3", None),
            ("http://user:pw@k/v3", None),
            ("http://k/v3?x=1", None),
            ("", None),
        ];
        for (given, expected) in cases {
            assert_eq!(
                base_url(given).ok().as_ref().map(Url::as_str),
                expected,
                "{given:?}"
            );
        }
        let error = base_url("http://user:hunter2@k/v3").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}
