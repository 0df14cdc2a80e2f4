//! The reporter of a failure, as the API identified it at that moment. An attacker in one hypervisor has its credentials, so
//! a report counts only for what its reporter can know.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The maximum number of different reporters stored with one recovery; more add no information.
pub const MAX_REPORTERS: usize = 16;

/// The identity of a reporter. The names come from Keystone and from the certificate, and may contain anything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reporter {
    /// Keystone's id of the user; empty if nothing was checked (`noauth2`).
    pub user_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name: Option<String>,
    /// The name of the application credential behind the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application_credential: Option<String>,
    /// The name in the client's certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<String>,
    /// The project of the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project_id: Option<String>,
    /// The roles in that project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The host the reporter is bound to; `None` if it is bound to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// True if its claim that a host is off counts: it is bound to no host, and the policy admits it.
    #[serde(default)]
    pub control: bool,
    /// The reported state of the host, if that did not count and UNKNOWN was stored instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "unheard")]
    pub discarded_status: Option<String>,
    /// True if the reporter was muted at the time of the report, or is now: its claims count for nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[serde(rename = "set_aside")]
    pub muted: bool,
}

/// An identity that counts once, whatever credentials it reports with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum ReporterIdentity<'a> {
    /// All credentials that are bound to this host.
    Host(&'a str),
    /// A reporter that is bound to no host.
    Credentials {
        /// Keystone's id of the user.
        user: &'a str,
        application_credential: Option<&'a str>,
        /// The name in the certificate.
        certificate: Option<&'a str>,
    },
}

impl Reporter {
    /// True if its claim about `host` is only a suspicion: it reports from one host about another.
    pub fn only_suspects(&self, host: &str) -> bool {
        self.host.as_deref().is_some_and(|own| own != host)
    }

    /// True if both are one identity. An attacker in a host has all credentials of that host.
    pub fn is_same_identity(&self, other: &Self) -> bool {
        self.voice() == other.voice()
    }

    /// Returns the identity that counts once.
    pub fn voice(&self) -> ReporterIdentity<'_> {
        match &self.host {
            Some(host) => ReporterIdentity::Host(host),
            None => ReporterIdentity::Credentials {
                user: &self.user_id,
                application_credential: self.application_credential.as_deref(),
                certificate: self.certificate.as_deref(),
            },
        }
    }

    /// Adds it to the reporters; returns false if its identity is among them already, or there are enough.
    pub fn join(self, others: &mut Vec<Self>) -> bool {
        let new = others.len() < MAX_REPORTERS && !others.iter().any(|known| known.is_same_identity(&self));
        if new {
            others.push(self);
        }
        new
    }
}

/// Renders the reporter for people, in one line.
impl fmt::Display for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let user = self.user_name.as_deref().unwrap_or(&self.user_id);
        write!(f, "{}", if user.is_empty() { "unknown user" } else { user })?;
        if let Some(credential) = &self.application_credential {
            write!(f, ", application credential {credential}")?;
        }
        if let Some(certificate) = &self.certificate {
            write!(f, ", certificate {certificate}")?;
        }
        match &self.host {
            Some(host) => write!(f, " (bound to {host})"),
            None if self.control => write!(f, " (trusted, bound to no host)"),
            None => write!(f, " (bound to no host)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(user: &str, credential: Option<&str>, host: Option<&str>) -> Reporter {
        Reporter {
            user_id: user.into(),
            application_credential: credential.map(Into::into),
            host: host.map(Into::into),
            ..Reporter::default()
        }
    }

    /// Covers T2.
    #[test]
    fn a_reporter_is_counted_once_whatever_credentials_it_uses() {
        let bound = of("u1", Some("a"), Some("cmp1"));
        let cases = [
            ("the same", of("u1", Some("a"), Some("cmp1")), false),
            ("another user of that host", of("u2", None, Some("cmp1")), false),
            ("another host", of("u1", Some("b"), Some("cmp2")), true),
            ("bound to none", of("u1", Some("a"), None), true),
        ];
        for (name, other, expected) in cases {
            let mut reporters = vec![bound.clone()];
            assert_eq!(other.join(&mut reporters), expected, "{name}");
            assert_eq!(reporters.len(), 1 + usize::from(expected), "{name}");
        }
        let (one, other) = (of("u", Some("a"), None), of("u", Some("b"), None));
        assert!(!one.is_same_identity(&other));
    }

    /// Covers T2.
    #[test]
    fn the_list_of_reporters_is_bounded() {
        let mut reporters = Vec::new();
        let joined = (0..1_000).filter(|n| of(&n.to_string(), None, None).join(&mut reporters));
        assert_eq!(joined.count(), MAX_REPORTERS);
    }

    /// Covers T1.
    #[test]
    fn a_report_from_one_host_about_another_is_a_suspicion() {
        assert!(of("u", None, Some("cmp1")).only_suspects("cmp2"));
        assert!(!of("u", None, Some("cmp1")).only_suspects("cmp1"));
        assert!(!of("u", None, None).only_suspects("cmp1"));
    }

    #[test]
    fn a_reporter_is_shown_in_one_line() {
        let mut reporter = of("u1", Some("tachi-monitor-cmp1"), Some("cmp1"));
        reporter.user_name = Some("tachi".into());
        let shown = "tachi, application credential tachi-monitor-cmp1 (bound to cmp1)";
        assert_eq!(reporter.to_string(), shown);
        assert_eq!(Reporter::default().to_string(), "unknown user (bound to no host)");
    }
}
