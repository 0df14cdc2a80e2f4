//! Connection URIs: the socket, and the driver behind it.

use std::path::{Path, PathBuf};

/// Folder of the libvirt daemons' sockets.
const FOLDER: &str = "/run/libvirt";

/// The sockets to try, in order, and the name of the connection to open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The sockets; the first that accepts a connection is used.
    pub sockets: Vec<PathBuf>,
    /// The connection URI, such as `qemu:///system`.
    pub name: String,
    /// True to open a read-only connection.
    pub read_only: bool,
}

/// An unsupported URI.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("cannot connect to libvirt at {uri:?}: {reason}")]
pub struct AddressError {
    uri: String,
    reason: &'static str,
}

impl Address {
    /// Parses a connection URI: `qemu:///system`, `qemu+unix:///system?socket=/path`.
    ///
    /// # Errors
    ///
    /// The text is not a URI, or names another machine: the monitors watch the host they run on.
    pub fn parse(uri: &str, read_only: bool) -> Result<Self, AddressError> {
        let refused = |reason| AddressError {
            uri: uri.to_owned(),
            reason,
        };
        let (scheme, rest) = uri
            .split_once("://")
            .ok_or_else(|| refused("not a URI of the form driver:///path"))?;
        let (driver, transport) = scheme.split_once('+').unwrap_or((scheme, "unix"));
        if driver.is_empty() || !driver.chars().all(|letter| letter.is_ascii_alphanumeric()) {
            return Err(refused("the driver's name is missing"));
        }
        if transport != "unix" {
            return Err(refused(
                "only the local Unix socket (driver:///path or driver+unix:///path) is supported",
            ));
        }
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !place.starts_with('/') {
            return Err(refused("it names another machine"));
        }
        let mut socket = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            if let Some(("socket", path)) = pair.split_once('=') {
                socket = Some(decoded(path).ok_or_else(|| refused("its socket cannot be decoded"))?);
            }
        }
        let sockets = match socket {
            Some(path) if Path::new(&path).is_absolute() => vec![PathBuf::from(path)],
            Some(_) => return Err(refused("its socket is not an absolute path")),
            None => default_sockets(driver, read_only),
        };
        Ok(Self {
            sockets,
            name: format!("{driver}://{place}"),
            read_only,
        })
    }
}

/// Returns the driver's own socket first, then the one for all drivers, like libvirt's own client.
fn default_sockets(driver: &str, read_only: bool) -> Vec<PathBuf> {
    let end = if read_only { "-ro" } else { "" };
    vec![
        PathBuf::from(format!("{FOLDER}/virt{driver}d-sock{end}")),
        PathBuf::from(format!("{FOLDER}/libvirt-sock{end}")),
    ]
}

/// Decodes percent escapes; `None` if one is invalid.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_followed_as_libvirt_does() {
        let sockets = |uri: &str, read_only| {
            let address = Address::parse(uri, read_only).unwrap();
            let paths: Vec<_> = address
                .sockets
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            (address.name, paths.join(" "))
        };
        for (uri, read_only, name, paths) in [
            (
                "qemu:///system",
                true,
                "qemu:///system",
                "/run/libvirt/virtqemud-sock-ro /run/libvirt/libvirt-sock-ro",
            ),
            (
                "qemu:///system",
                false,
                "qemu:///system",
                "/run/libvirt/virtqemud-sock /run/libvirt/libvirt-sock",
            ),
            (
                "qemu+unix:///system?socket=/tmp/a%20b/sock",
                true,
                "qemu:///system",
                "/tmp/a b/sock",
            ),
            (
                "test+unix:///default?socket=/s&mode=direct",
                true,
                "test:///default",
                "/s",
            ),
        ] {
            assert_eq!(
                sockets(uri, read_only),
                (name.to_owned(), paths.to_owned()),
                "{uri}"
            );
        }
    }

    #[test]
    fn other_machines_and_nonsense_are_refused() {
        for uri in [
            "",
            "qemu",
            "qemu:/system",
            "qemu+ssh://root@cmp1/system",
            "qemu+tls:///system",
            "qemu://cmp1/system",
            "://",
            "qemu+unix:///system?socket=relative",
            "qemu+unix:///system?socket=/%zz",
            "qemu+unix:///system?socket=/%f",
        ] {
            assert!(Address::parse(uri, true).is_err(), "{uri}");
        }
    }
}
