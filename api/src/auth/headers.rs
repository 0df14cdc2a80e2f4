//! Identity headers, which only Keystone's answer may determine: a client that sends them tries to impersonate another user.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::HeaderName;

/// Suffixes of the headers about a user (`x-`) and about a service (`x-service-`).
const IDENTITY_SUFFIXES: &[&str] = &[
    "domain-id",
    "domain-name",
    "project-id",
    "project-name",
    "project-domain-id",
    "project-domain-name",
    "user-id",
    "user-name",
    "user-domain-id",
    "user-domain-name",
    "roles",
    "identity-status",
];

/// Other identity headers, including the names of old releases.
const OTHER_IDENTITY_HEADERS: &[&str] = &[
    "x-is-admin-project",
    "x-service-catalog",
    "openstack-system-scope",
    "x-role",
    "x-user",
    "x-tenant-id",
    "x-tenant-name",
    "x-tenant",
];

/// True if a header claims an identity. Proxies and gateways treat `_` as `-`, so this does too.
pub(crate) fn claims_identity(name: &str) -> bool {
    // The common case, a name without `_`, needs no allocation.
    let name = if name.contains('_') {
        Cow::Owned(name.replace('_', "-"))
    } else {
        Cow::Borrowed(name)
    };
    let about = name
        .strip_prefix("x-service-")
        .or_else(|| name.strip_prefix("x-"))
        .is_some_and(|rest| IDENTITY_SUFFIXES.contains(&rest));
    about || OTHER_IDENTITY_HEADERS.contains(&name.as_ref())
}

/// Removes the identity headers.
pub(super) fn strip(headers: &mut HeaderMap) {
    // Most requests have none, and need no allocation.
    if !headers.keys().any(|name| claims_identity(name.as_str())) {
        return;
    }
    let claims: Vec<HeaderName> = headers
        .keys()
        .filter(|name| claims_identity(name.as_str()))
        .cloned()
        .collect();
    for name in claims {
        headers.remove(name);
    }
}

/// Returns the value of a header; `None` if it is missing, empty or not text.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().ok()?.trim();
    (!value.is_empty()).then_some(value)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn claims_are_taken_away_and_nothing_else() {
        let cases = [
            ("x-user-id", true),
            ("x-user-name", true),
            ("x-user", true),
            ("x-roles", true),
            ("x-role", true),
            ("x-project-id", true),
            ("x-tenant-id", true),
            ("x-domain-id", true),
            ("x-user-domain-id", true),
            ("x-project-domain-name", true),
            ("x-identity-status", true),
            ("x-is-admin-project", true),
            ("x-service-catalog", true),
            ("x-service-user-id", true),
            ("x-service-roles", true),
            ("x-service-identity-status", true),
            ("openstack-system-scope", true),
            ("x_user_id", true),
            ("x-service_roles", true),
            ("x-auth-token", false),
            ("x-service-token", false),
            ("x-openstack-request-id", false),
            ("openstack-api-version", false),
            ("x-tachi-fence-evidence", false),
            ("x-forwarded-for", false),
        ];
        for (name, claim) in cases {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("a"));
            headers.append(HeaderName::from_static(name), HeaderValue::from_static("b"));
            strip(&mut headers);
            assert_eq!(headers.is_empty(), claim, "{name}");
        }
    }
}
