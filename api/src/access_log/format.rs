//! The option `wsgi_log_format`: a format of the access log, in the syntax of Python's `%` operator.

use std::fmt::Write as _;

use tachi_domain::Timestamp;

/// The values available in a line. Eventlet's names come first, in its spelling; the others are Tachi's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    ClientIp,
    ClientPort,
    DateTime,
    RequestLine,
    StatusCode,
    BodyLength,
    WallSeconds,
    Method,
    Path,
    Route,
    RequestId,
    GlobalRequestId,
    UserId,
    ProjectId,
}

const NAMES: [(&str, Name); 14] = [
    ("client_ip", Name::ClientIp),
    ("client_port", Name::ClientPort),
    ("date_time", Name::DateTime),
    ("request_line", Name::RequestLine),
    ("status_code", Name::StatusCode),
    ("body_length", Name::BodyLength),
    ("wall_seconds", Name::WallSeconds),
    ("method", Name::Method),
    ("path", Name::Path),
    ("route", Name::Route),
    ("request_id", Name::RequestId),
    ("global_request_id", Name::GlobalRequestId),
    ("user_id", Name::UserId),
    ("project_id", Name::ProjectId),
];

/// A part of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Value {
        name: Name,
        /// Minimum number of characters. The value is left-aligned if `left`, else right-aligned.
        width: usize,
        left: bool,
        /// For numbers: digits after the decimal point. For texts: maximum number of characters.
        precision: Option<usize>,
        /// True for a conversion to a number with a fraction (such as `f`).
        fraction: bool,
    },
}

/// A format for the lines of the access log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFormat(Vec<Piece>);

/// A reason why a text is not a valid format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormatError {
    /// A `%` without a name in parentheses and a conversion follows.
    #[error("invalid `%` at character {at}; write `%(name)s`, or `%%` for a percent sign")]
    Percent {
        /// The position of the `%` in characters, counted from 1.
        at: usize,
    },
    /// The name is unknown.
    #[error("unknown name `{name}`; valid names: {}", NAMES.map(|(name, _)| name).join(", "))]
    Name { name: String },
    /// A width or a precision exceeds the limit.
    #[error("the width or precision at character {at} exceeds {MAX_CHARS}")]
    Width {
        /// The position of the `%` in characters, counted from 1.
        at: usize,
    },
}

/// Maximum width and precision, in characters.
const MAX_CHARS: usize = 200;

/// The values of one request.
#[derive(Clone, Debug)]
pub(super) struct RequestLine<'a> {
    pub(super) client_ip: String,
    pub(super) client_port: Option<u16>,
    /// The time of the answer.
    pub(super) ended: Timestamp,
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) version: &'a str,
    pub(super) route: &'a str,
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) request_id: &'a str,
    pub(super) global_request_id: Option<&'a str>,
    pub(super) user_id: Option<&'a str>,
    pub(super) project_id: Option<&'a str>,
}

impl Default for LineFormat {
    /// Returns Masakari's format.
    fn default() -> Self {
        let value = |name, precision| Piece::Value {
            name,
            width: 0,
            left: false,
            precision,
            fraction: precision.is_some(),
        };
        let text = |text: &str| Piece::Text(text.to_owned());
        Self(vec![
            value(Name::ClientIp, None),
            text(" \""),
            value(Name::RequestLine, None),
            text("\" status: "),
            value(Name::StatusCode, None),
            text(" len: "),
            value(Name::BodyLength, None),
            text(" time: "),
            value(Name::WallSeconds, Some(7)),
        ])
    }
}

impl LineFormat {
    /// Masakari's default, as written in a configuration file.
    pub const MASAKARI: &'static str = "%(client_ip)s \"%(request_line)s\" status: %(status_code)s len: \
                                        %(body_length)s time: %(wall_seconds).7f";

    /// Parses a format.
    ///
    /// # Errors
    ///
    /// The text is not a valid format, or uses an unknown name.
    pub fn parse(text: &str) -> Result<Self, FormatError> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(found) = rest.find('%') {
            let (before, after) = rest.split_at(found);
            plain.push_str(before);
            let at = text.len() - after.len();
            let at = text.get(..at).map_or(0, |before| before.chars().count()) + 1;
            let after = after.get(1..).unwrap_or_default();
            if let Some(after) = after.strip_prefix('%') {
                plain.push('%');
                rest = after;
                continue;
            }
            let (piece, after) = value(after, at)?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(piece);
            rest = after;
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    pub(super) fn line(&self, request: &RequestLine<'_>) -> String {
        let mut line = String::with_capacity(160);
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => line.push_str(text),
                Piece::Value {
                    name,
                    width,
                    left,
                    precision,
                    fraction,
                } => {
                    let text = request.text(*name, *precision, *fraction);
                    // Writing to a string cannot fail.
                    let _ = if *left {
                        write!(line, "{text:<width$}")
                    } else {
                        write!(line, "{text:>width$}")
                    };
                }
            }
        }
        line
    }
}

/// Parses a conversion after its `%`; returns it with the rest of the text.
fn value(text: &str, at: usize) -> Result<(Piece, &str), FormatError> {
    let wrong = || FormatError::Percent { at };
    let (name, rest) = text
        .strip_prefix('(')
        .and_then(|text| text.split_once(')'))
        .ok_or_else(wrong)?;
    let known = NAMES.iter().find(|(known, _)| *known == name);
    let Some(&(_, name)) = known else {
        return Err(FormatError::Name {
            name: name.to_owned(),
        });
    };
    let rest_without_flags = rest.trim_start_matches(['-', '+', ' ', '#', '0']);
    let flags = rest
        .get(..rest.len() - rest_without_flags.len())
        .unwrap_or_default();
    let left = flags.contains('-');
    let (width, rest) = number(rest_without_flags);
    let (precision, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let (precision, rest) = number(rest);
            (Some(precision.unwrap_or(0)), rest)
        }
        None => (None, rest),
    };
    let width = width.unwrap_or(0);
    if width > MAX_CHARS || precision.unwrap_or(0) > MAX_CHARS {
        return Err(FormatError::Width { at });
    }
    let mut characters = rest.chars();
    let fraction = match characters.next() {
        Some('s' | 'r' | 'a' | 'd' | 'i' | 'u') => false,
        Some('f' | 'F' | 'e' | 'E' | 'g' | 'G') => true,
        Some(_) | None => return Err(wrong()),
    };
    let piece = Piece::Value {
        name,
        width,
        left,
        precision,
        fraction,
    };
    Ok((piece, characters.as_str()))
}

/// Formats a time as Python's web servers do.
fn date_time(time: Timestamp) -> String {
    chrono::DateTime::from_timestamp_micros(time.micros())
        .map(|time| time.format("%d/%b/%Y %H:%M:%S").to_string())
        .unwrap_or_default()
}

/// Splits off a leading number. A number that overflows becomes `usize::MAX`, which exceeds every limit.
fn number(text: &str) -> (Option<usize>, &str) {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = text.get(..text.len() - rest.len()).unwrap_or_default();
    if digits.is_empty() {
        return (None, rest);
    }
    (Some(digits.parse().unwrap_or(usize::MAX)), rest)
}

impl RequestLine<'_> {
    fn text(&self, name: Name, precision: Option<usize>, fraction: bool) -> String {
        let maybe = |text: Option<&str>| text.unwrap_or("-").to_owned();
        let text = match name {
            Name::ClientIp => self.client_ip.clone(),
            Name::ClientPort => maybe(self.client_port.map(|port| port.to_string()).as_deref()),
            Name::DateTime => date_time(self.ended),
            Name::RequestLine => format!("{} {} {}", self.method, self.path, self.version),
            Name::StatusCode => self.status.to_string(),
            Name::BodyLength => self.bytes.to_string(),
            Name::WallSeconds if fraction => return format!("{:.*}", precision.unwrap_or(6), self.seconds),
            Name::WallSeconds => self.seconds.to_string(),
            Name::Method => self.method.to_owned(),
            Name::Path => self.path.to_owned(),
            Name::Route => self.route.to_owned(),
            Name::RequestId => self.request_id.to_owned(),
            Name::GlobalRequestId => maybe(self.global_request_id),
            Name::UserId => maybe(self.user_id),
            Name::ProjectId => maybe(self.project_id),
        };
        match precision {
            Some(precision) if !fraction => text.chars().take(precision).collect(),
            Some(_) | None => text,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample_line() -> RequestLine<'static> {
        RequestLine {
            client_ip: "192.0.2.1".to_owned(),
            client_port: Some(4711),
            ended: Timestamp::from_micros(1_795_168_800_000_000),
            method: "GET",
            path: "/v1/segments",
            version: "HTTP/1.1",
            route: "/v1/segments",
            status: 200,
            bytes: 15,
            seconds: 0.012_345_678_9,
            request_id: "req-1",
            global_request_id: None,
            user_id: Some("u"),
            project_id: None,
        }
    }

    #[test]
    fn lines() {
        let cases = [
            (
                "eventlet's own",
                "%(client_ip)s - - [%(date_time)s] \"%(request_line)s\" %(status_code)s %(body_length)s \
                 %(wall_seconds).6f",
                "192.0.2.1 - - [20/Nov/2026 10:00:00] \"GET /v1/segments HTTP/1.1\" 200 15 0.012346",
            ),
            ("no placeholder", "plain", "plain"),
            ("empty", "", ""),
            ("percent sign", "100%% %(status_code)d", "100% 200"),
            ("width", "[%(status_code)5s|%(status_code)-5s]", "[  200|200  ]"),
            ("longest text", "%(method).2s", "GE"),
            ("whole seconds", "%(wall_seconds).0f", "0"),
            ("python's default fraction", "%(wall_seconds)f", "0.012346"),
            (
                "ours",
                "%(client_port)s %(method)s %(path)s %(route)s %(request_id)s %(global_request_id)s %(user_id)s \
                 %(project_id)s",
                "4711 GET /v1/segments /v1/segments req-1 - u -",
            ),
        ];
        for (name, format, line) in cases {
            assert_eq!(
                LineFormat::parse(format).unwrap().line(&sample_line()),
                line,
                "{name}"
            );
        }
    }

    #[test]
    fn masakaris_default_is_ours() {
        let line = "192.0.2.1 \"GET /v1/segments HTTP/1.1\" status: 200 len: 15 time: 0.0123457";
        assert_eq!(LineFormat::default().line(&sample_line()), line);
        let parsed = LineFormat::parse(LineFormat::MASAKARI).unwrap();
        assert_eq!(parsed, LineFormat::default());
    }

    #[test]
    fn invalid_formats_are_refused() {
        let percent = |at| FormatError::Percent { at };
        let cases = [
            ("nothing behind it", "é%", percent(2)),
            ("no name", "a%s", percent(2)),
            ("an open name", "%(status_code", percent(1)),
            ("no conversion", "%(status_code)", percent(1)),
            ("another conversion", "%(status_code)x", percent(1)),
            (
                "a huge width",
                "%(method)99999999999999999999s",
                FormatError::Width { at: 1 },
            ),
            ("a huge precision", "%(method).201s", FormatError::Width { at: 1 }),
            (
                "another name",
                "%(token)s",
                FormatError::Name {
                    name: "token".to_owned(),
                },
            ),
        ];
        for (name, format, expected) in cases {
            assert_eq!(LineFormat::parse(format), Err(expected), "{name}");
        }
    }
}
