//! The plugs and endpoints of a device that are listed by host.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::Findings;
use super::pattern;

/// Returns an endpoint or the outlets of a plug in the form in which two of them are compared. Agents take several outlets, divided by
/// commas.
pub(crate) fn parts(what: &str, value: &str) -> BTreeSet<String> {
    let value = value.trim().to_ascii_lowercase();
    if what == "plug" {
        return value.split(',').map(|part| part.trim().to_owned()).collect();
    }
    let value = value.trim_end_matches('/');
    let plain = value
        .strip_suffix(":443")
        .filter(|_| value.starts_with("https://"));
    let plain = plain.or_else(|| value.strip_suffix(":623").filter(|_| !value.contains("://")));
    [plain.unwrap_or(value).to_owned()].into()
}

/// Converts a table to a map of hosts and their values.
pub(super) fn map(
    texts: BTreeMap<String, (usize, String)>,
    what: &str,
    device: &str,
    found: &mut Findings<'_>,
) -> BTreeMap<String, String> {
    let mut seen = BTreeSet::new();
    let mut map = BTreeMap::new();
    for (host, (at, value)) in texts {
        if !pattern::is_plain(&host) {
            found.add(at, format!("{device}: {host:?} is not a valid host name"));
        }
        if value.is_empty() {
            found.add(at, format!("{device}: host {host} has an empty {what}"));
        }
        let again = parts(what, &value).into_iter().any(|part| !seen.insert(part));
        if again {
            found.add(
                at,
                format!("{device}: {what} {value:?} is assigned to two hosts, so fencing one would power off the other"),
            );
        }
        map.insert(host, value);
    }
    map
}
