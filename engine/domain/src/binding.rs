//! The binding of reporters to hosts: an attacker in one hypervisor has its credentials, and must not be able to report
//! anything about other hosts. The names come from the issuer of the credentials, never from the request.

use std::str::FromStr;

use crate::entity::notification::{NewNotification, NotificationType};
use crate::evidence::claims_off;
use crate::reporter::Reporter;

/// `[api] reporter_binding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BindingMode {
    /// No reporter is bound: each may report anything about any host.
    Off,
    /// A reporter that is bound to no host may report as with Masakari, and is logged.
    #[default]
    Warn,
    /// A reporter that is bound to no host may not report unless it is a control node.
    Enforce,
}

/// A name pattern that contains a host name, such as `masakari-monitor-{host}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    before: String,
    after: String,
}

/// The error for a text that is not a [`HostPattern`].
#[derive(Debug, thiserror::Error)]
#[error("must contain {{host}} exactly once, and other text")]
pub struct HostPatternError;

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        let (before, after) = text.split_once("{host}").ok_or(HostPatternError)?;
        // A pattern without other text would bind every user to a host of the user's own name.
        if (before.is_empty() && after.is_empty()) || after.contains("{host}") {
            return Err(HostPatternError);
        }
        Ok(Self {
            before: before.to_owned(),
            after: after.to_owned(),
        })
    }
}

impl HostPattern {
    fn host<'a>(&self, name: &'a str) -> Option<&'a str> {
        let rest = name.strip_prefix(self.before.as_str())?;
        let host = rest.strip_suffix(self.after.as_str())?;
        (!host.is_empty()).then_some(host)
    }
}

/// The rules that bind reporters, and the treatment of unbound ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingOptions {
    /// `[api] reporter_binding`.
    pub mode: BindingMode,
    /// `[api] reporter_user_names`.
    pub user_names: Vec<HostPattern>,
    /// `[api] reporter_application_credentials`.
    pub application_credentials: Vec<HostPattern>,
    /// `[api] reporter_certificates`.
    pub certificates: Vec<HostPattern>,
}

impl BindingOptions {
    /// The name pattern of the users and application credentials that `tachi setup monitors` creates.
    pub const PATTERN: &'static str = "masakari-monitor-{host}";
}

impl Default for BindingOptions {
    fn default() -> Self {
        let ours: Vec<HostPattern> = Self::PATTERN.parse::<HostPattern>().into_iter().collect();
        Self {
            mode: BindingMode::default(),
            user_names: ours.clone(),
            application_credentials: ours,
            certificates: Vec::new(),
        }
    }
}

/// The reason why a reporter may not make a report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BindingViolation {
    /// The reporter's names contradict each other.
    #[error("its names bind it to two hosts, {one} and {other}: give it credentials whose names agree")]
    Conflicting { one: String, other: String },
    /// The report is about another host than the reporter's own.
    #[error("it is bound to host {host} and may report instances and processes of that host only")]
    OtherHost {
        /// The reporter's own host.
        host: String,
    },
    /// The reporter is bound to no host, and has to be.
    #[error(
        "it is bound to no host: give each host credentials of its own with `tachi setup monitors`, or set [api] \
         reporter_binding = warn until they are there"
    )]
    Unbound,
}

/// The binding that results from a reporter's names.
#[derive(Debug, PartialEq, Eq)]
enum Bound<'a> {
    ToNone,
    To(&'a str),
    /// The names contradict each other.
    Conflicting(&'a str, &'a str),
}

impl BindingOptions {
    fn bound<'a>(&self, reporter: &'a Reporter) -> Bound<'a> {
        let names = [
            (&self.certificates, reporter.certificate.as_deref()),
            (
                &self.application_credentials,
                reporter.application_credential.as_deref(),
            ),
            (&self.user_names, reporter.user_name.as_deref()),
        ];
        let hosts = names
            .into_iter()
            .filter_map(|(patterns, name)| patterns.iter().find_map(|pattern| pattern.host(name?)));
        let mut bound = Bound::ToNone;
        for host in hosts {
            match bound {
                Bound::To(other) if other != host => return Bound::Conflicting(other, host),
                Bound::ToNone | Bound::To(_) | Bound::Conflicting(..) => bound = Bound::To(host),
            }
        }
        bound
    }

    /// Returns the host that a reporter is bound to.
    pub fn host_of(&self, reporter: &Reporter) -> Option<String> {
        if self.mode == BindingMode::Off {
            return None;
        }
        match self.bound(reporter) {
            Bound::To(host) => Some(host.to_owned()),
            Bound::ToNone | Bound::Conflicting(..) => None,
        }
    }

    /// Checks that a reporter may send heartbeats for the monitors of `host`.
    ///
    /// # Errors
    ///
    /// Returns the reason if it may not.
    pub fn check_heartbeat(
        &self,
        reporter: &Reporter,
        is_admitted: impl FnOnce() -> bool,
        host: &str,
    ) -> Result<(), BindingViolation> {
        match self.bound(reporter) {
            _ if self.mode == BindingMode::Off => Ok(()),
            Bound::Conflicting(one, other) => Err(BindingViolation::Conflicting {
                one: one.to_owned(),
                other: other.to_owned(),
            }),
            Bound::To(own) if own != host => Err(BindingViolation::OtherHost { host: own.to_owned() }),
            Bound::ToNone if self.mode == BindingMode::Enforce && !is_admitted() => {
                Err(BindingViolation::Unbound)
            }
            Bound::To(_) | Bound::ToNone => Ok(()),
        }
    }

    /// Records the reporter in a report, and removes claims that this reporter cannot know to be true. `is_admitted`
    /// returns true if the policy accepts the reporter's claim that a host is off.
    ///
    /// # Errors
    ///
    /// Returns the reason if the reporter may not make this report at all.
    pub fn judge(
        &self,
        mut reporter: Reporter,
        is_admitted: impl FnOnce() -> bool,
        new: &mut NewNotification,
    ) -> Result<(), BindingViolation> {
        match self.bound(&reporter) {
            _ if self.mode == BindingMode::Off => reporter.control = is_admitted(),
            Bound::Conflicting(one, other) => {
                let (one, other) = (one.to_owned(), other.to_owned());
                return Err(BindingViolation::Conflicting { one, other });
            }
            Bound::To(host) => {
                let host = host.to_owned();
                if new.kind != NotificationType::ComputeHost && host != new.hostname {
                    return Err(BindingViolation::OtherHost { host });
                }
                reporter.host = Some(host);
            }
            Bound::ToNone => {
                reporter.control = is_admitted();
                if self.mode == BindingMode::Enforce && !reporter.control {
                    return Err(BindingViolation::Unbound);
                }
            }
        }
        if self.mode != BindingMode::Off && !reporter.control && claims_off(&new.payload) {
            reporter.discarded_status = new.payload.insert("host_status".into(), "UNKNOWN".into());
        }
        new.reporter = Some(Box::new(reporter));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reporter(user: &str, credential: Option<&str>, certificate: Option<&str>) -> Reporter {
        Reporter {
            user_name: Some(user.into()),
            application_credential: credential.map(Into::into),
            certificate: certificate.map(Into::into),
            ..Reporter::default()
        }
    }

    /// Covers T1.
    #[test]
    fn a_reporter_is_bound_by_the_names_of_its_credentials() {
        let options = BindingOptions {
            certificates: vec!["{host}.monitors.example.org".parse().unwrap()],
            ..BindingOptions::default()
        };
        let ours = "masakari-monitor-cmp1";
        let cases = [
            ("none", reporter("masakari", None, None), Bound::ToNone),
            ("user", reporter(ours, None, None), Bound::To("cmp1")),
            ("credential", reporter("m", Some(ours), None), Bound::To("cmp1")),
            (
                "certificate",
                reporter("m", None, Some("cmp1.monitors.example.org")),
                Bound::To("cmp1"),
            ),
            (
                "a host of several labels",
                reporter("masakari-monitor-cmp1.example.org", None, None),
                Bound::To("cmp1.example.org"),
            ),
            ("agreed", reporter(ours, Some(ours), None), Bound::To("cmp1")),
            (
                "torn",
                reporter("masakari-monitor-cmp2", Some(ours), None),
                Bound::Conflicting("cmp1", "cmp2"),
            ),
            (
                "no host",
                reporter("masakari-monitor-", None, None),
                Bound::ToNone,
            ),
            (
                "another case",
                reporter("Masakari-monitor-x", None, None),
                Bound::ToNone,
            ),
        ];
        for (name, reporter, expected) in cases {
            assert_eq!(options.bound(&reporter), expected, "{name}");
        }
    }

    /// Covers T1.
    #[test]
    fn a_monitor_sends_heartbeats_for_its_own_host_only() {
        let sign = |mode, reporter: &Reporter, admitted: bool| {
            let options = BindingOptions {
                mode,
                ..BindingOptions::default()
            };
            options.check_heartbeat(reporter, || admitted, "cmp1").is_ok()
        };
        let (own, other) = ("masakari-monitor-cmp1", "masakari-monitor-cmp2");
        let torn = reporter(own, Some(other), None);
        let (own, other, unbound) = (
            reporter(own, None, None),
            reporter(other, None, None),
            reporter("m", None, None),
        );
        for (mode, expected) in [
            (BindingMode::Off, [true, true, true, true]),
            (BindingMode::Warn, [true, false, false, true]),
            (BindingMode::Enforce, [true, false, false, false]),
        ] {
            let results = [&own, &other, &torn, &unbound].map(|reporter| sign(mode, reporter, false));
            assert_eq!(results, expected, "{mode:?}");
        }
        assert!(sign(BindingMode::Enforce, &unbound, true), "a control node");
    }

    #[test]
    fn patterns_that_would_bind_every_user_are_refused() {
        for text in ["", "masakari", "{host}", "{host}{host}", "a{host}b{host}"] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
