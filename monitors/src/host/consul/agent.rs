//! A Consul agent and its view of the members.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::failure::Failure;

/// Timeout of an agent: on this machine or in this network it answers at once, or not at all.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest list of members, in bytes; a member takes some hundred.
const MAX_BYTES: usize = 16 << 20;
/// Default port of an agent.
const PORT: u16 = 8500;

/// The state of a member in one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    Up,
    Down,
    /// The agent was not queried, or the host is not listed or left in order.
    Unknown,
}

/// One entry of `/v1/agent/members`.
#[derive(Debug, Deserialize)]
struct Member {
    #[serde(rename = "Name")]
    name: String,
    #[serde(rename = "Status")]
    status: i64,
}

fn link(status: i64) -> Link {
    match status {
        1 => Link::Up,
        // 4 is failed. 2 and 3 are leaving and left: an operator intended that.
        4 => Link::Down,
        _ => Link::Unknown,
    }
}

/// Connection settings of agents, from the environment variables of Consul's own programs.
#[derive(Debug, Default)]
pub(super) struct Access {
    token: Option<String>,
    token_file: Option<PathBuf>,
    tls: bool,
    authority: Option<PathBuf>,
    /// The client certificate and its key.
    identity: Option<(PathBuf, PathBuf)>,
    unverified: bool,
}

impl Access {
    pub(super) fn of(variable: impl Fn(&str) -> Option<String>) -> Self {
        let text = |name: &str| variable(name).filter(|value| !value.trim().is_empty());
        let path = |name: &str| text(name).map(PathBuf::from);
        let flag = |name: &str| text(name).and_then(|value| yes(&value));
        Self {
            token: text("CONSUL_HTTP_TOKEN"),
            token_file: path("CONSUL_HTTP_TOKEN_FILE"),
            tls: flag("CONSUL_HTTP_SSL").unwrap_or(false),
            authority: path("CONSUL_CACERT"),
            identity: path("CONSUL_CLIENT_CERT").zip(path("CONSUL_CLIENT_KEY")),
            unverified: flag("CONSUL_HTTP_SSL_VERIFY") == Some(false),
        }
    }
}

fn yes(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" => Some(true),
        "0" | "f" | "false" => Some(false),
        _ => None,
    }
}

/// A client of the agents.
pub(super) struct Agents {
    http: reqwest::Client,
    scheme: &'static str,
    token: Option<String>,
    token_file: Option<PathBuf>,
}

impl Agents {
    pub(super) fn new(access: &Access) -> Result<Self, Failure> {
        let setting_up = |error| Failure::new("setting up the client of Consul", error);
        let read = |path: &PathBuf| {
            std::fs::read(path).map_err(|error| Failure::new(format!("reading {}", path.display()), error))
        };
        let mut http = reqwest::Client::builder().timeout(ANSWER_TIMEOUT).no_proxy();
        if let Some(path) = &access.authority {
            for certificate in reqwest::Certificate::from_pem_bundle(&read(path)?).map_err(setting_up)? {
                http = http.add_root_certificate(certificate);
            }
        }
        if let Some((certificate, key)) = &access.identity {
            let mut pem = read(certificate)?;
            pem.push(b'\n');
            pem.extend(read(key)?);
            http = http.identity(reqwest::Identity::from_pem(&pem).map_err(setting_up)?);
        }
        if access.unverified {
            tracing::warn!(
                "CONSUL_HTTP_SSL_VERIFY is false: an attacker on the network can answer for Consul"
            );
            http = http.danger_accept_invalid_certs(true);
        }
        Ok(Self {
            http: http.build().map_err(setting_up)?,
            scheme: if access.tls { "https" } else { "http" },
            token: access.token.clone(),
            token_file: access.token_file.clone(),
        })
    }

    /// Returns the address of the agent's list of members.
    pub(super) fn url(&self, address: &str) -> Result<String, &'static str> {
        Ok(format!(
            "{}://{}/v1/agent/members",
            self.scheme,
            with_port(address.trim())?
        ))
    }

    async fn token(&self) -> Result<Option<String>, Failure> {
        let Some(path) = self.token_file.as_ref().filter(|_| self.token.is_none()) else {
            return Ok(self.token.clone());
        };
        // The file is read each time, because it may change.
        let text = tokio::fs::read_to_string(path)
            .await
            .map_err(|error| Failure::new(format!("reading {}", path.display()), error))?;
        Ok(Some(text.trim().to_owned()))
    }

    /// Returns all members of the network in the agent's view; an error if the agent cannot be trusted.
    pub(super) async fn members(&self, url: &str) -> Result<BTreeMap<String, Link>, Failure> {
        let query_error = |error| Failure::new(format!("querying {url}"), error);
        let mut request = self.http.get(url);
        if let Some(token) = self.token().await? {
            request = request.header("x-consul-token", token);
        }
        let mut answer = request
            .send()
            .await
            .and_then(reqwest::Response::error_for_status)
            .map_err(query_error)?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(query_error)? {
            body.extend_from_slice(&chunk);
            if body.len() > MAX_BYTES {
                return Err(Failure::from_text(format!(
                    "the answer of {url} exceeds the size limit"
                )));
            }
        }
        let members: Vec<Member> = serde_json::from_slice(&body)
            .map_err(|error| Failure::new(format!("reading the answer of {url}"), error))?;
        let members: BTreeMap<String, Link> = members
            .into_iter()
            .map(|member| (member.name, link(member.status)))
            .collect();
        trusted(&members).map_err(|why| Failure::from_text(format!("{url} {why}")))?;
        Ok(members)
    }
}

/// Checks that an agent with this view of its network can judge others.
fn trusted(members: &BTreeMap<String, Link>) -> Result<(), String> {
    let count = |expected: Link| members.values().filter(|link| **link == expected).count();
    let (up, down) = (count(Link::Up), count(Link::Down));
    if up == 0 {
        // The agent sees itself up. A token without the permission to read nodes lists none.
        return Err(
            "lists no node that is up, not even itself: check that its token (CONSUL_HTTP_TOKEN) may read nodes"
                .to_owned(),
        );
    }
    if up <= down {
        return Err(format!(
            "sees {down} of {} members failed: it is probably isolated itself",
            up + down
        ));
    }
    Ok(())
}

/// Adds the port to an address: a name, an IPv4 or an IPv6 address, with or without brackets and port.
fn with_port(address: &str) -> Result<String, &'static str> {
    const WRONG: &str = "is not an address; write HOST, HOST:PORT, IPV6 or [IPV6]:PORT";
    if address.parse::<Ipv6Addr>().is_ok() {
        return Ok(format!("[{address}]:{PORT}"));
    }
    let (host, port) = match address.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or(WRONG)?;
            host.parse::<Ipv6Addr>().map_err(|_| WRONG)?;
            (
                format!("[{host}]"),
                port.strip_prefix(':').or(port.is_empty().then_some("")),
            )
        }
        None => match address.split_once(':') {
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (address.to_owned(), Some("")),
        },
    };
    let port = match port.ok_or(WRONG)? {
        "" => PORT,
        text => text.parse().map_err(|_| WRONG)?,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '[' | ']' | ':');
    if host.is_empty() || !host.chars().all(plain) {
        return Err(WRONG);
    }
    Ok(format!("{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers F13.
    #[test]
    fn addresses_of_agents() {
        for (text, expected) in [
            ("127.0.0.1", Some("127.0.0.1:8500")),
            ("127.0.0.1:8501", Some("127.0.0.1:8501")),
            ("consul.local", Some("consul.local:8500")),
            ("consul.local:1", Some("consul.local:1")),
            ("::1", Some("[::1]:8500")),
            ("fd00::8501", Some("[fd00::8501]:8500")),
            ("2001:db8::1:22", Some("[2001:db8::1:22]:8500")),
            ("[::1]", Some("[::1]:8500")),
            ("[::1]:8501", Some("[::1]:8501")),
            ("[::1]8501", None),
            ("[::1", None),
            ("[host]:1", None),
            ("host:", Some("host:8500")),
            ("host:x", None),
            ("host:70000", None),
            ("a:b:c", None),
            ("http://host", None),
            ("host/path", None),
            ("", None),
        ] {
            assert_eq!(with_port(text).ok().as_deref(), expected, "{text}");
        }
    }

    /// Covers F7.
    #[test]
    fn consuls_own_variables_are_read() {
        let of = |pairs: &'static [(&'static str, &'static str)]| {
            Access::of(move |name| {
                let found = pairs.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let none = of(&[("CONSUL_HTTP_SSL", ""), ("CONSUL_HTTP_TOKEN", " ")]);
        assert!(none.token.is_none() && !none.tls && !none.unverified);
        let all = of(&[
            ("CONSUL_HTTP_TOKEN", "t"),
            ("CONSUL_HTTP_SSL", "true"),
            ("CONSUL_HTTP_SSL_VERIFY", "0"),
            ("CONSUL_CACERT", "/ca"),
            ("CONSUL_CLIENT_CERT", "/c"),
            ("CONSUL_CLIENT_KEY", "/k"),
        ]);
        assert!(all.token.is_some() && all.tls && all.unverified);
        assert!(all.authority.is_some() && all.identity.is_some());
        let agents = Agents::new(&of(&[("CONSUL_HTTP_SSL", "1")])).unwrap();
        assert_eq!(agents.url("::1").unwrap(), "https://[::1]:8500/v1/agent/members");
        let missing = Agents::new(&of(&[("CONSUL_CACERT", "/nowhere/ca.pem")]))
            .err()
            .unwrap();
        assert!(missing.chain().contains("/nowhere/ca.pem"), "{}", missing.chain());
    }

    /// Covers F2.
    #[test]
    fn an_agent_that_sees_most_others_gone_judges_no_node() {
        let network = |up: usize, down: usize, left: usize| {
            let links = [(Link::Up, up), (Link::Down, down), (Link::Unknown, left)];
            let all = links
                .into_iter()
                .flat_map(|(link, count)| std::iter::repeat_n(link, count));
            let members = all
                .enumerate()
                .map(|(number, link)| (number.to_string(), link))
                .collect();
            trusted(&members).is_ok()
        };
        for (up, down, left, expected) in [
            (5, 0, 0, true),
            (3, 2, 0, true),
            (2, 1, 5, true),
            (2, 2, 0, false),
            (1, 4, 0, false),
            (1, 1, 0, false),
            (1, 0, 0, true),
            (0, 0, 0, false),
            (0, 0, 3, false),
        ] {
            assert_eq!(
                network(up, down, left),
                expected,
                "{up} up, {down} down, {left} left"
            );
        }
    }
}
