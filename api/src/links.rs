//! Links to the API itself, with an address that the caller can reach.

use http::uri::{Authority, PathAndQuery};
use http::{Extensions, HeaderMap, HeaderName, Uri, header};

use crate::path::PathPrefix;

/// The configuration of links.
#[derive(Default)]
pub(crate) struct Links {
    /// Replaces scheme and host; without a trailing slash.
    pub(crate) prefix: Option<String>,
    /// True if a proxy's headers are trusted.
    pub(crate) proxy_headers: bool,
    /// The header with the scheme of the client's request to the proxy.
    pub(crate) scheme_header: Option<HeaderName>,
    /// True if the API serves TLS.
    pub(crate) tls: bool,
}

/// The address that the client used, as far as the headers report it.
struct RequestBase<'a> {
    scheme: &'static str,
    /// The host, with its port if one was given; `None` if unknown.
    host: Option<&'a str>,
    /// The prefix that proxies removed from the path.
    mount: &'a str,
}

impl Links {
    /// Returns the part of a link before `/v1`.
    pub(crate) fn base(&self, headers: &HeaderMap, extensions: &Extensions) -> String {
        let mount = extensions.get::<PathPrefix>().map_or("", |place| &place.mount);
        let request_base = self.request_base(headers);
        if let Some(prefix) = &self.prefix {
            return format!("{prefix}{}{mount}", request_base.mount);
        }
        let host = request_base.host.unwrap_or("localhost");
        format!("{}://{host}{}{mount}", request_base.scheme, request_base.mount)
    }

    /// True if the page of this `Origin` was loaded from the address of the current request.
    ///
    /// If a proxy terminates TLS without reporting it, the request has the scheme `http` and the page `https`. Such a page
    /// counts as the API's own; the opposite case does not.
    pub(crate) fn is_own_origin(&self, origin: &Uri, headers: &HeaderMap) -> bool {
        let is_bare = origin.path() == "/"
            && origin
                .authority()
                .is_some_and(|named| authority(named.as_str()).is_some());
        let Some((scheme, theirs)) = site(origin).filter(|_| is_bare) else {
            return false;
        };
        let request_base = self.request_base(headers);
        let named: Option<Authority> = request_base.host.and_then(|host| host.parse().ok());
        let is_request_base = named.is_some_and(|named| place(&named, scheme) == theirs)
            && (scheme == request_base.scheme || scheme == "https");
        let prefix: Option<Uri> = self.prefix.as_deref().and_then(|prefix| prefix.parse().ok());
        is_request_base || prefix.as_ref().and_then(site) == Some((scheme, theirs))
    }

    fn request_base<'a>(&self, headers: &'a HeaderMap) -> RequestBase<'a> {
        let mut request_base = RequestBase {
            scheme: if self.tls { "https" } else { "http" },
            host: text(headers, header::HOST.as_str()).and_then(authority),
            mount: "",
        };
        if let Some(name) = &self.scheme_header {
            request_base.scheme = text(headers, name.as_str())
                .and_then(known_scheme)
                .unwrap_or(request_base.scheme);
        }
        if self.proxy_headers {
            // A proxy that supports RFC 7239 reports everything in one header.
            let forwarded = |key, name| match text(headers, "forwarded") {
                Some(forwarded) => parameter(forwarded, key),
                None => first(text(headers, name)?),
            };
            request_base.scheme = forwarded("proto", "x-forwarded-proto")
                .and_then(known_scheme)
                .unwrap_or(request_base.scheme);
            request_base.host = forwarded("host", "x-forwarded-host")
                .and_then(authority)
                .or(request_base.host);
            request_base.mount = text(headers, "x-forwarded-prefix")
                .and_then(mount_point)
                .unwrap_or("");
        }
        request_base
    }
}

/// Returns the scheme, host and port of a URL.
fn site(uri: &Uri) -> Option<(&'static str, (String, u16))> {
    let scheme = known_scheme(uri.scheme_str()?)?;
    let named = uri.authority()?;
    Some((scheme, place(named, scheme)))
}

/// Returns a host with its port. Browsers omit the scheme's default port, proxies do not.
fn place(named: &Authority, scheme: &str) -> (String, u16) {
    let usual = if scheme == "https" { 443 } else { 80 };
    (
        named.host().to_ascii_lowercase(),
        named.port_u16().unwrap_or(usual),
    )
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|value| !value.is_empty())
}

/// Returns the first item of a list, which the outermost proxy added.
fn first(list: &str) -> Option<&str> {
    list.split(',').next().map(str::trim)
}

/// Returns a parameter of the first element in RFC 7239's `Forwarded`.
pub(crate) fn parameter<'a>(forwarded: &'a str, key: &str) -> Option<&'a str> {
    first(forwarded)?.split(';').find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        name.eq_ignore_ascii_case(key).then(|| value.trim_matches('"'))
    })
}

/// Returns the scheme, if it is `http` or `https`.
fn known_scheme(text: &str) -> Option<&'static str> {
    ["http", "https"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(text))
}

/// Returns a host with an optional port; `None` if other parts would change the link's target.
fn authority(text: &str) -> Option<&str> {
    let authority: Authority = text.parse().ok()?;
    (!authority.host().is_empty() && !text.contains('@')).then_some(text)
}

/// Returns a path without its trailing slash.
fn mount_point(text: &str) -> Option<&str> {
    let path = text.trim_end_matches('/');
    let is_path = path.starts_with('/') && !path.starts_with("//") && path.parse::<PathAndQuery>().is_ok();
    (is_path && !path.contains('?')).then_some(path)
}

#[cfg(test)]
mod tests;
