//! Microversions: `OpenStack-API-Version: instance-ha X.Y`.

use http::{HeaderMap, HeaderName};

/// The header that requests a microversion and reports the one used.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("openstack-api-version");

/// Tachi's service type in the header.
const SERVICE_TYPE: &str = "instance-ha";

/// A microversion that the API supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Microversion {
    /// The minor number. The major number is always 1.
    minor: u8,
}

impl Microversion {
    /// The oldest microversion, and the default of requests without the header.
    pub(crate) const MIN: Self = Self { minor: 0 };
    /// The first microversion in which notifications show their progress.
    pub(crate) const PROGRESS: Self = Self { minor: 1 };
    /// The first microversion in which segments can be enabled and disabled.
    pub(crate) const SEGMENT_ENABLED: Self = Self { minor: 2 };
    /// The newest microversion.
    pub(crate) const MAX: Self = Self { minor: 3 };

    /// Returns all microversions, the oldest first.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (Self::MIN.minor..=Self::MAX.minor).map(|minor| Self { minor })
    }
}

impl std::fmt::Display for Microversion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "1.{}", self.minor)
    }
}

/// A reason why a header requests no valid microversion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum InvalidMicroversion {
    /// The version is not of the form `X.Y`.
    Malformed(String),
    /// The version is well-formed but not supported.
    OutOfRange(String),
}

/// Returns the microversion that a request asks for.
pub(crate) fn requested(headers: &HeaderMap) -> Result<Microversion, InvalidMicroversion> {
    let mut requested = None;
    for value in headers.get_all(HEADER) {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        for entry in value.split(',') {
            let Some((service, version)) = entry.trim().split_once(char::is_whitespace) else {
                continue;
            };
            if service.eq_ignore_ascii_case(SERVICE_TYPE) {
                requested = Some(version.trim().to_owned());
            }
        }
    }
    match requested {
        None => Ok(Microversion::MIN),
        Some(requested) => parse(requested),
    }
}

fn parse(requested: String) -> Result<Microversion, InvalidMicroversion> {
    if requested == "latest" {
        return Ok(Microversion::MAX);
    }
    let well_formed = requested.split_once('.').is_some_and(|(major, minor)| {
        is_number(major)
            && !major.starts_with('0')
            && is_number(minor)
            && (minor == "0" || !minor.starts_with('0'))
    });
    if !well_formed {
        return Err(InvalidMicroversion::Malformed(requested));
    }
    let minor = requested
        .strip_prefix("1.")
        .and_then(|minor| minor.parse::<u8>().ok());
    match minor {
        Some(minor) if minor <= Microversion::MAX.minor => Ok(Microversion { minor }),
        _ => Err(InvalidMicroversion::OutOfRange(requested)),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn each_header_selects_its_microversion() {
        let malformed = |requested: &str| Err(InvalidMicroversion::Malformed(requested.to_owned()));
        let outside = |requested: &str| Err(InvalidMicroversion::OutOfRange(requested.to_owned()));
        let cases: &[(&str, &[&str], Result<Microversion, InvalidMicroversion>)] = &[
            ("absent", &[], Ok(Microversion::MIN)),
            ("empty", &[""], Ok(Microversion::MIN)),
            ("another service", &["compute 2.1"], Ok(Microversion::MIN)),
            ("the project's name", &["masakari 1.2"], Ok(Microversion::MIN)),
            ("the alias", &["ha 1.2"], Ok(Microversion::MIN)),
            ("bare version", &["1.2"], Ok(Microversion::MIN)),
            ("bare service", &["instance-ha"], Ok(Microversion::MIN)),
            ("1.0", &["instance-ha 1.0"], Ok(Microversion::MIN)),
            ("1.1", &["instance-ha 1.1"], Ok(Microversion::PROGRESS)),
            ("1.2", &["instance-ha 1.2"], Ok(Microversion::SEGMENT_ENABLED)),
            (
                "upper case",
                &["INSTANCE-HA 1.2"],
                Ok(Microversion::SEGMENT_ENABLED),
            ),
            (
                "more blanks",
                &["  instance-ha    1.2  "],
                Ok(Microversion::SEGMENT_ENABLED),
            ),
            (
                "list",
                &["instance-ha 1.2, compute 2.1"],
                Ok(Microversion::SEGMENT_ENABLED),
            ),
            (
                "last wins",
                &["instance-ha 1.1, instance-ha 1.2"],
                Ok(Microversion::SEGMENT_ENABLED),
            ),
            (
                "last line wins",
                &["instance-ha 1.1", "instance-ha 1.2"],
                Ok(Microversion::SEGMENT_ENABLED),
            ),
            ("latest", &["instance-ha latest"], Ok(Microversion::MAX)),
            ("LATEST", &["instance-ha LATEST"], malformed("LATEST")),
            ("1.4", &["instance-ha 1.4"], outside("1.4")),
            ("2.0", &["instance-ha 2.0"], outside("2.0")),
            (
                "huge",
                &["instance-ha 1.99999999999999999999"],
                outside("1.99999999999999999999"),
            ),
            (
                "huge major",
                &["instance-ha 99999999999999999999.1"],
                outside("99999999999999999999.1"),
            ),
            ("text", &["instance-ha abc"], malformed("abc")),
            ("no minor", &["instance-ha 1"], malformed("1")),
            ("empty minor", &["instance-ha 1."], malformed("1.")),
            ("major 0", &["instance-ha 0.9"], malformed("0.9")),
            ("leading zero, major", &["instance-ha 01.2"], malformed("01.2")),
            ("leading zero, minor", &["instance-ha 1.02"], malformed("1.02")),
            ("three parts", &["instance-ha 1.2.3"], malformed("1.2.3")),
            ("rest", &["instance-ha 1.2 foo"], malformed("1.2 foo")),
        ];
        for (name, lines, expected) in cases {
            let mut headers = HeaderMap::new();
            for line in *lines {
                headers.append(HEADER, HeaderValue::from_static(line));
            }
            assert_eq!(&requested(&headers), expected, "{name}");
        }
    }
}
