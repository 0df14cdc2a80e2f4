//! Connection URIs: which socket, and which driver behind it.

use std::path::{Path, PathBuf};

/// Folder of the libvirt daemons' sockets.
const FOLDER: &str = "/run/libvirt";

/// Sockets to try, in order, and the name to ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Sockets; the first that can be connected to is used.
    pub sockets: Vec<PathBuf>,
    /// The connection URI, such as `qemu:///system`.
    pub name: String,
    /// Ask for nothing that changes anything.
    pub read_only: bool,
}

/// A URI that this client cannot follow.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("cannot connect to libvirt at {uri:?}: {reason}")]
pub struct AddressError {
    uri: String,
    reason: &'static str,
}

impl Address {
    /// Reads a connection URI: `qemu:///system`, `qemu+unix:///system?socket=/path`.
    ///
    /// # Errors
    ///
    /// When it is no URI, or names another machine: the monitors watch the host they run on.
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

/// The driver's own daemon first, then the one for all drivers, as libvirt's own client does.
fn default_sockets(driver: &str, read_only: bool) -> Vec<PathBuf> {
    let end = if read_only { "-ro" } else { "" };
    vec![
        PathBuf::from(format!("{FOLDER}/virt{driver}d-sock{end}")),
        PathBuf::from(format!("{FOLDER}/libvirt-sock{end}")),
    ]
}

/// Undoes percent encoding.
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
