//! `transport_url` in oslo.messaging's form: several brokers, one virtual host, and options after a question mark.

use std::fmt::{self, Write as _};

use secrecy::{ExposeSecret as _, SecretString};

use crate::parse::Refusal;
use crate::percent::decoded;

/// RabbitMQ's default port.
const PORT: u16 = 5672;

/// Limit of brokers in one URL; clusters have three.
const MAX_BROKERS: usize = 64;

/// One broker out of a [`TransportUrl`].
#[derive(Clone, Debug)]
pub struct TransportHost {
    /// A name or an address, without brackets.
    pub host: String,
    pub port: u16,
    /// The user; `guest` by default, as in RabbitMQ's clients.
    pub user: String,
    pub password: SecretString,
}

/// A parsed `transport_url`. `Display` shows no credentials.
#[derive(Clone, Debug)]
pub struct TransportUrl {
    /// The brokers, in the order written; an empty list means that there is no broker.
    pub hosts: Vec<TransportHost>,
    /// The virtual host; `/` by default.
    pub virtual_host: String,
    /// The options after the question mark, decoded: options of `[oslo_messaging_rabbit]` for this URL only.
    pub query: Vec<(String, String)>,
}

/// Name and password of RabbitMQ's built-in user.
const GUEST: &str = "guest";

impl TransportUrl {
    /// True if the URL contains no password other than the well-known default.
    pub fn is_without_password(&self) -> bool {
        let known = |host: &TransportHost| matches!(host.password.expose_secret(), "" | GUEST);
        self.hosts.iter().all(known) && self.option("ssl_key_password").is_none()
    }

    /// Returns the last value of an option after the question mark.
    pub fn option(&self, name: &str) -> Option<&str> {
        let found = self.query.iter().rev().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for TransportUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hosts.is_empty() {
            return f.write_str("none");
        }
        f.write_str("rabbit://")?;
        for (index, host) in self.hosts.iter().enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            if host.host.contains(':') {
                write!(f, "[{}]:{}", host.host, host.port)?;
            } else {
                write!(f, "{}:{}", host.host, host.port)?;
            }
        }
        write!(f, "/{}", self.virtual_host.trim_start_matches('/'))
    }
}

/// Parses a `transport_url`; `none` and an empty text mean that there is no broker.
///
/// # Errors
///
/// The problem, and the text to write instead. Neither shows credentials.
pub fn transport_url(text: &str) -> Result<TransportUrl, Refusal> {
    const HELP: &str =
        "write rabbit://user:password@host:5672,user:password@other:5672/virtual_host, or none";
    let text = text.trim();
    let none = TransportUrl {
        hosts: Vec::new(),
        virtual_host: "/".to_owned(),
        query: Vec::new(),
    };
    let (scheme, rest) = match text.split_once(':') {
        None if text.is_empty() || text == "none" => return Ok(none),
        Some(("none", _)) => return Ok(none),
        Some((scheme, rest)) if rest.starts_with("//") => (scheme, rest.trim_start_matches("//")),
        None | Some(_) => return Err(Refusal::new("has no `://`", HELP)),
    };
    match scheme {
        "rabbit" | "amqp" | "amqps" | "kombu" | "kombu+amqp" | "kombu+pyamqp" => {}
        "fake" | "kafka" | "kombu+memory" => {
            return Err(Refusal::new(
                format!("has the scheme `{scheme}`, and only RabbitMQ is supported"),
                HELP,
            ));
        }
        _ => return Err(Refusal::new("has an unknown scheme", HELP)),
    }
    let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
    let query = query.split('#').next().unwrap_or_default();
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let hosts = authority
        .split(',')
        .map(str::trim)
        .filter(|host| !host.is_empty())
        .map(host)
        .collect::<Result<Vec<_>, _>>()?;
    if hosts.is_empty() {
        return Err(Refusal::new("names no host", HELP));
    }
    if hosts.len() > MAX_BROKERS {
        return Err(Refusal::new(format!("names more than {MAX_BROKERS} hosts"), HELP));
    }
    let virtual_host = match decoded(path.trim_end_matches('#')) {
        path if path.is_empty() => "/".to_owned(),
        path => path,
    };
    if virtual_host.len() > 255 {
        return Err(Refusal::new("has a virtual host of more than 255 bytes", HELP));
    }
    let mut options = query_options(query);
    if scheme == "amqps" && !options.iter().any(|(key, _)| key == "ssl") {
        options.push(("ssl".to_owned(), "1".to_owned()));
    }
    Ok(TransportUrl {
        hosts,
        virtual_host,
        query: options,
    })
}

fn query_options(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (decoded(key), decoded(&value.replace('+', " "))))
        .collect()
}

fn host(text: &str) -> Result<TransportHost, Refusal> {
    let (credentials, address) = match text.rsplit_once('@') {
        Some((credentials, address)) => (Some(credentials), address),
        None => (None, text),
    };
    let (user, password) = match credentials {
        None => (GUEST.to_owned(), GUEST.to_owned()),
        Some(credentials) => {
            let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
            (decoded(user), decoded(password))
        }
    };
    let (name, port) = address_of(address)?;
    Ok(TransportHost {
        host: name,
        port,
        user,
        password: SecretString::from(password),
    })
}

/// Parses `host`, `host:port`, `[address]` or `[address]:port`.
fn address_of(text: &str) -> Result<(String, u16), Refusal> {
    let wrong = |why: &str| Refusal::new(why, "write host:port, and [address]:port for IPv6");
    let (name, rest) = match text.strip_prefix('[') {
        Some(inner) => inner
            .split_once(']')
            .ok_or_else(|| wrong("has an IPv6 address without its `]`"))?,
        None => match text.split_once(':') {
            Some((name, port)) if !port.contains(':') => (name, &text[name.len()..]),
            Some(_) => return Err(wrong("has an IPv6 address without brackets")),
            None => (text, ""),
        },
    };
    crate::parse::host(name).map_err(|_| wrong("has an invalid host"))?;
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => PORT,
        Some("") => PORT,
        Some(port) => match port.parse() {
            Ok(port) if port > 0 => port,
            Ok(_) | Err(_) => return Err(wrong("has an invalid port")),
        },
        None => return Err(wrong("has text after the `]` that is not a port")),
    };
    Ok((name.to_owned(), port))
}

#[cfg(test)]
mod tests {

    use super::*;

    fn hosts(text: &str) -> Vec<(String, u16, String, String)> {
        let url = transport_url(text).unwrap();
        let host = |host: TransportHost| {
            let password = host.password.expose_secret().to_owned();
            (host.host, host.port, host.user, password)
        };
        url.hosts.into_iter().map(host).collect()
    }

    fn one(host: &str, port: u16, user: &str, password: &str) -> (String, u16, String, String) {
        (host.into(), port, user.into(), password.into())
    }

    #[test]
    fn hosts_and_credentials() {
        let cases = [
            ("one", "rabbit://u:p@h:5673/", vec![one("h", 5673, "u", "p")]),
            ("no port", "rabbit://u:p@h", vec![one("h", 5672, "u", "p")]),
            ("no user", "rabbit://h", vec![one("h", 5672, "guest", "guest")]),
            (
                "two",
                "rabbit://u:p@a:1,v:q@b:2/x",
                vec![one("a", 1, "u", "p"), one("b", 2, "v", "q")],
            ),
            (
                "a comma too many",
                "rabbit://u:p@a,/x",
                vec![one("a", 5672, "u", "p")],
            ),
            (
                "escapes",
                "rabbit://u%40d:p%2F%3A%40@h",
                vec![one("h", 5672, "u@d", "p/:@")],
            ),
            (
                "an @ in the password",
                "rabbit://u:p@q@h",
                vec![one("h", 5672, "u", "p@q")],
            ),
            (
                "IPv6",
                "rabbit://u:p@[::1]:5673",
                vec![one("::1", 5673, "u", "p")],
            ),
            (
                "IPv6 without port",
                "rabbit://[fe80::1]",
                vec![one("fe80::1", 5672, "guest", "guest")],
            ),
            ("no password", "rabbit://u@h", vec![one("h", 5672, "u", "")]),
            (
                "an empty port",
                "rabbit://h:",
                vec![one("h", 5672, "guest", "guest")],
            ),
        ];
        for (name, text, expected) in cases {
            assert_eq!(hosts(text), expected, "{name}");
        }
    }

    #[test]
    fn virtual_hosts() {
        let cases = [
            ("rabbit://h", "/"),
            ("rabbit://h/", "/"),
            ("rabbit://h//", "/"),
            ("rabbit://h/masakari", "masakari"),
            ("rabbit://h/%2f", "/"),
            ("rabbit://h/a%20b", "a b"),
            ("rabbit://h/masakari?ssl=1", "masakari"),
        ];
        for (text, expected) in cases {
            assert_eq!(transport_url(text).unwrap().virtual_host, expected, "{text}");
        }
    }

    #[test]
    fn options_after_the_question_mark() {
        let url = transport_url("rabbit://h/v?ssl=1&ssl_ca_file=%2Fetc%2Fca.pem&ssl=0&odd").unwrap();
        assert_eq!(url.option("ssl"), Some("0"), "the last one takes precedence");
        assert_eq!(url.option("ssl_ca_file"), Some("/etc/ca.pem"));
        assert_eq!(url.option("odd"), None);
        assert_eq!(transport_url("amqps://h").unwrap().option("ssl"), Some("1"));
    }

    #[test]
    fn no_broker_at_all() {
        for text in ["", " ", "none", "none:", "none://", "none:///"] {
            let url = transport_url(text).unwrap();
            assert!(url.hosts.is_empty(), "{text:?}");
            assert_eq!(url.to_string(), "none");
        }
    }

    #[test]
    fn errors_contain_the_reason_and_no_password() {
        let cases = [
            ("no scheme", "u:secret@h", "has no `://`"),
            ("unknown", "carrier://u:secret@h", "an unknown scheme"),
            ("another broker", "kafka://u:secret@h", "only RabbitMQ"),
            ("no host", "rabbit://", "names no host"),
            ("user without host", "rabbit://u:secret@/v", "an invalid host"),
            ("port", "rabbit://u:secret@h:x", "an invalid port"),
            ("port zero", "rabbit://h:0", "an invalid port"),
            ("large port", "rabbit://h:65536", "an invalid port"),
            ("bare IPv6", "rabbit://::1:5672", "without brackets"),
            ("open bracket", "rabbit://[::1", "without its `]`"),
            ("after the bracket", "rabbit://[::1]x", "not a port"),
        ];
        for (name, text, expected) in cases {
            let refusal = transport_url(text).unwrap_err();
            assert!(refusal.why.contains(expected), "{name}: {}", refusal.why);
            let text = format!("{} {}", refusal.why, refusal.help);
            assert!(!text.contains("secret"), "{name}: {text}");
        }
        let many = format!("rabbit://{}", vec!["h"; MAX_BROKERS + 1].join(","));
        assert!(transport_url(&many).unwrap_err().why.contains("more than 64"));
    }

    #[test]
    fn display_contains_no_credentials() {
        let url = transport_url("rabbit://u:secret@a:1,v:secret@[::1]:2/x?ssl_key_password=secret").unwrap();
        assert_eq!(url.to_string(), "rabbit://a:1,[::1]:2/x");
        assert!(!format!("{url:?}").contains("u:secret"));
    }
}
