//! `disable_ipmi_check = false`: reads the host's own power controller before the host is reported as off.
//!
//! The parameters come from a device of the host in the CIB, as in the Python monitor, but the check can only veto: the
//! proof is the cluster's. A controller that does not answer, and a host without one in the CIB, change nothing.

use std::time::Duration;

use tachi_pacemaker::{Cib, Device};

use super::tools::run;

/// Devices whose parameters `ipmitool` understands.
const AGENTS: [&str; 3] = ["external/ipmi", "fence_ipmilan", "fence_ipmilanplus"];

/// A power controller's reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Power {
    On,
    Off,
}

/// Options for reading power controllers.
#[derive(Debug, Clone)]
pub(crate) struct PowerCheck {
    pub(crate) program: String,
    pub(crate) timeout: Duration,
    pub(crate) retries: u32,
    pub(crate) interval: Duration,
}

/// Timeout of all attempts together: the recovery of a fenced host waits for them.
pub(crate) const MAX_TOTAL: Duration = Duration::from_secs(15);

impl PowerCheck {
    /// Reads the power controller of this node after an off; `None` if it has none, or several, or does not answer.
    pub(crate) async fn read_power(&self, cib: &Cib, node: &str) -> Option<Power> {
        let devices = cib.devices.iter().flat_map(Device::each);
        let mut calls = devices.filter_map(|device| call(&device, node));
        let call = calls.next()?;
        if calls.any(|other| other != call) {
            return None;
        }
        let attempts = async {
            for attempt in 0..=self.retries {
                if attempt > 0 {
                    tokio::time::sleep(self.interval).await;
                }
                if let Some(power) = self.read_once(&call).await {
                    return Some(power);
                }
            }
            None
        };
        tokio::time::timeout(MAX_TOTAL, attempts).await.ok().flatten()
    }

    async fn read_once(&self, call: &Call) -> Option<Power> {
        let args: Vec<&str> = call.args.iter().map(String::as_str).collect();
        // The password goes into the environment: every user of the machine can read a command line, but only processes
        // of the same user an environment.
        match run(&self.program, &args, Some(&call.password), self.timeout).await {
            Ok(text) if text.contains("Power is off") => Some(Power::Off),
            Ok(text) if text.contains("Power is on") => Some(Power::On),
            Ok(_) => None,
            Err(error) => {
                tracing::warn!(%error, "power controller does not answer");
                None
            }
        }
    }
}

/// The arguments and the password of a call to `ipmitool`.
#[derive(PartialEq, Eq)]
struct Call {
    args: Vec<String>,
    password: String,
}

fn call(device: &Device, node: &str) -> Option<Call> {
    let off = device.parameters.get("pcmk_off_action");
    if device.disabled || device.unclear.is_some() || off.is_some_and(|action| action != "off") {
        return None;
    }
    let one_of = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| device.parameters.get(*name))
            .filter(|value| !value.is_empty())
    };
    // Only a device that names this node and no other qualifies: its address is one machine's.
    let names = one_of(&["hostname", "pcmk_host_list", "hostlist"])?;
    let mut names = names.split([' ', ',', ';']).filter(|name| !name.is_empty());
    // Pacemaker compares names of nodes ignoring case.
    let is_for_node = names.next().is_some_and(|name| name.eq_ignore_ascii_case(node));
    if !AGENTS.contains(&device.agent.as_str()) || !is_for_node || names.next().is_some() {
        return None;
    }
    let address = one_of(&["ipaddr", "ip"])?;
    let user = one_of(&["userid", "username", "login"])?;
    let password = one_of(&["passwd", "password"])?;
    let interface = one_of(&["interface"]).map_or("lanplus", String::as_str);
    let mut args: Vec<String> = ["-f", "/dev/stdin", "-I", interface, "-H", address, "-U", user]
        .map(str::to_owned)
        .to_vec();
    if let Some(port) = one_of(&["ipport"]) {
        args.extend(["-p".to_owned(), port.clone()]);
    }
    args.extend(["power".to_owned(), "status".to_owned()]);
    // A value with a leading dash would be an option of ipmitool.
    let harmless = [interface, address, user]
        .iter()
        .all(|value| !value.starts_with('-'));
    harmless.then(|| Call {
        args,
        password: password.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn device(agent: &str, parameters: &[(&str, &str)]) -> Device {
        Device {
            id: "d".to_owned(),
            agent: agent.to_owned(),
            parameters: parameters
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Device::default()
        }
    }

    const UPSTREAM: [(&str, &str); 5] = [
        ("hostname", "cmp1"),
        ("ipaddr", "10.0.0.1"),
        ("userid", "u"),
        ("passwd", "hunter2"),
        ("interface", "lanplus"),
    ];

    fn check(script: &str, folder: &std::path::Path) -> PowerCheck {
        let program = folder.join("ipmitool");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        PowerCheck {
            program: program.to_str().unwrap().to_owned(),
            timeout: Duration::from_secs(20),
            retries: 1,
            interval: Duration::ZERO,
        }
    }

    fn cib() -> Cib {
        Cib {
            devices: vec![device("external/ipmi", &UPSTREAM)],
            ..Cib::default()
        }
    }

    /// Covers MW21.
    #[test]
    fn which_devices_are_asked() {
        let modern = [
            ("pcmk_host_list", "cmp1"),
            ("ip", "10.0.0.1"),
            ("username", "u"),
            ("password", "p"),
        ];
        for (name, agent, parameters, expected) in [
            ("upstream's", "external/ipmi", UPSTREAM.to_vec(), true),
            ("fence_ipmilan", "fence_ipmilan", modern.to_vec(), true),
            ("another agent", "fence_redfish", modern.to_vec(), false),
            (
                "another node",
                "external/ipmi",
                [("hostname", "cmp2")]
                    .into_iter()
                    .chain(UPSTREAM.into_iter().skip(1))
                    .collect(),
                false,
            ),
            (
                "the node in another case",
                "external/ipmi",
                [("hostname", "CMP1")]
                    .into_iter()
                    .chain(UPSTREAM.into_iter().skip(1))
                    .collect(),
                true,
            ),
            (
                "several nodes",
                "fence_ipmilan",
                [("pcmk_host_list", "cmp1 cmp2")]
                    .into_iter()
                    .chain(modern.into_iter().skip(1))
                    .collect(),
                false,
            ),
            (
                "no address",
                "fence_ipmilan",
                vec![("pcmk_host_list", "cmp1")],
                false,
            ),
            (
                "an address that is an option",
                "fence_ipmilan",
                vec![
                    ("pcmk_host_list", "cmp1"),
                    ("ip", "-f"),
                    ("username", "u"),
                    ("password", "p"),
                ],
                false,
            ),
        ] {
            assert_eq!(
                call(&device(agent, &parameters), "cmp1").is_some(),
                expected,
                "{name}"
            );
        }
    }

    /// Covers MW21.
    #[tokio::test]
    async fn the_password_is_neither_on_the_command_line_nor_in_the_environment() {
        let folder = tempfile::tempdir().unwrap();
        let script = "case \"$* $(env)\" in *hunter2*) exit 1;; *'-f /dev/stdin'*) ;; *) exit 2;; esac; read word; \
                      [ \"$word\" = hunter2 ] && echo Chassis Power is off";
        assert_eq!(
            check(script, folder.path()).read_power(&cib(), "cmp1").await,
            Some(Power::Off)
        );
    }

    /// Covers MW21.
    #[tokio::test]
    async fn a_host_without_one_known_power_controller_is_not_asked() {
        let folder = tempfile::tempdir().unwrap();
        let check = check("echo Chassis Power is on", folder.path());
        let with = |name: &'static str, value: &'static str| {
            let mut all = UPSTREAM.to_vec();
            all.retain(|(other, _)| *other != name);
            all.push((name, value));
            device("external/ipmi", &all)
        };
        let own = || device("external/ipmi", &UPSTREAM);
        for (name, devices, expected) in [
            ("one", vec![own()], Some(Power::On)),
            ("the same twice", vec![own(), own()], Some(Power::On)),
            ("two addresses", vec![own(), with("ipaddr", "10.0.0.2")], None),
            (
                "another host's beside it",
                vec![own(), with("hostname", "cmp2")],
                Some(Power::On),
            ),
            (
                "disabled",
                vec![Device {
                    disabled: true,
                    ..own()
                }],
                None,
            ),
            (
                "unclear",
                vec![Device {
                    unclear: Some("has attributes that depend on a rule".to_owned()),
                    ..own()
                }],
                None,
            ),
            (
                "its off is a reboot",
                vec![with("pcmk_off_action", "reboot")],
                None,
            ),
        ] {
            let cib = Cib {
                devices,
                ..Cib::default()
            };
            assert_eq!(check.read_power(&cib, "cmp1").await, expected, "{name}");
        }
    }

    #[tokio::test]
    async fn answers() {
        for (name, script, expected) in [
            ("on", "echo Chassis Power is on", Some(Power::On)),
            ("nonsense", "echo what", None),
            ("failure", "exit 1", None),
        ] {
            let folder = tempfile::tempdir().unwrap();
            assert_eq!(
                check(script, folder.path()).read_power(&cib(), "cmp1").await,
                expected,
                "{name}"
            );
            assert_eq!(
                check(script, folder.path()).read_power(&cib(), "cmp2").await,
                None,
                "{name}: another node"
            );
        }
    }
}
