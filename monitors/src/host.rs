//! The host monitor: watches the other hosts through a cluster.
//!
//! ```text
//! alert agent -> poke --+
//! timer ----------------+-> crm_mon, cibadmin -> tachi-pacemaker (verdict, plan) -> claims -> Reporter
//! ```

mod bridge;
mod checks;
mod claims;
mod consul;
mod detection;
mod evidence;
mod explain;
#[cfg(test)]
mod fake_http;
mod ipmi;
mod kubernetes;
mod notify;
mod samples;
mod state;
mod tools;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tachi_pacemaker::{Brake, Names, Pace, Rules};

use crate::cli::HostCommand;
use crate::clock::Clock;
use crate::failure::Failure;
use crate::heartbeat::DetectionTime;
use crate::kind::Kind;
use crate::monitor::Monitor;
use crate::settings::Settings;

pub(crate) use checks::Checks;
pub(crate) use explain::ExplainArgs;
pub(crate) use ipmi::MAX_TOTAL as MAX_IPMI_TOTAL;
pub(crate) use notify::SOCKET as ALERT_SOCKET;

use bridge::{Bridge, Setup};
use ipmi::PowerCheck;
use tools::Programs;

/// Timeout for reading attributes, which only decide which bridge reports first.
const ATTRIBUTE_TIMEOUT: Duration = Duration::from_secs(2);

/// Creates the monitor.
pub(crate) fn monitor(settings: &Settings, clock: &Clock) -> Result<Box<dyn Monitor>, Failure> {
    match settings.host.driver {
        "consul" => Ok(Box::new(consul::Driver::monitor(settings, clock)?)),
        "kubernetes" => Ok(Box::new(kubernetes::Driver::monitor(settings, clock)?)),
        _ => pacemaker(settings, clock),
    }
}

fn pacemaker(settings: &Settings, clock: &Clock) -> Result<Box<dyn Monitor>, Failure> {
    let file = state::File::open(&settings.folder(Kind::Host));
    let cluster = Arc::new(Programs {
        limit: settings.bridge.limit,
        short: ATTRIBUTE_TIMEOUT,
    });
    let power = (!settings.host.disable_ipmi_check).then(|| PowerCheck {
        program: "ipmitool".to_owned(),
        timeout: settings.host.ipmi_timeout,
        retries: settings.host.ipmi_retry_max,
        interval: settings.host.ipmi_retry_interval,
    });
    let bridge = Bridge::new(
        setup(settings),
        cluster,
        settings.bridge.socket.clone(),
        power,
        clock.clone(),
        file,
    )?;
    Ok(Box::new(bridge))
}

/// Returns the longest time until a host that has lost its power is reported.
pub(crate) fn report_latency(settings: &Settings) -> DetectionTime {
    match settings.host.driver {
        "consul" => consul::report_latency(settings),
        "kubernetes" => kubernetes::report_latency(settings),
        _ => checks::report_latency(settings),
    }
}

fn setup(settings: &Settings) -> Setup {
    let (host, bridge) = (&settings.host, &settings.bridge);
    let span = |duration| chrono::TimeDelta::from_std(duration).unwrap_or_default();
    let mut rules = Rules {
        skew: span(bridge.skew),
        need_cib: true,
        ..Rules::default()
    };
    rules.null_agents.extend(bridge.null_agents.iter().cloned());
    rules.power_agents.extend(bridge.power_agents.iter().cloned());
    // Upstream's samples: the number of equal results before a report without proof.
    let samples = bridge.poll * u32::try_from(host.samples.saturating_sub(1)).unwrap_or(u32::MAX);
    Setup {
        hostname: settings.hostname.clone(),
        restrict_to_remotes: host.restrict_to_remotes,
        poll: bridge.poll,
        standby: bridge.standby,
        turn: bridge.turn,
        pace: Pace {
            started_after: bridge.started_after.max(samples),
            lost_after: (!bridge.lost_after.is_zero()).then(|| bridge.lost_after.max(samples)),
            left_after: (!bridge.left_after.is_zero()).then(|| bridge.left_after.max(samples)),
            brake: Brake {
                percent: bridge.storm_percent,
                floor: bridge.storm_floor,
                window: bridge.storm_window,
                hold: bridge.storm_hold,
            },
        },
        rules,
        names: Names {
            map: bridge.node_map.iter().cloned().collect(),
            hosts: Vec::new(),
        },
        cluster: bridge.cluster.clone(),
    }
}

/// Runs `tachi-monitor host explain` or `tachi-monitor host alert`.
pub(crate) fn command(command: &HostCommand) -> Result<u8, Failure> {
    match command {
        HostCommand::Explain(args) => explain::run(args),
        HostCommand::Alert => {
            notify();
            Ok(crate::out::DONE)
        }
    }
}

/// True if Pacemaker has started this process as its alert agent.
pub(crate) fn is_alert_agent() -> bool {
    notify::is_agent(std::env::args_os().next().as_deref())
}

/// Runs the alert agent.
pub(crate) fn alert() -> ExitCode {
    notify();
    ExitCode::from(crate::out::DONE)
}

fn notify() {
    let variable = |name: &str| std::env::var(name).ok();
    notify::alert(
        variable("CRM_alert_kind").as_deref(),
        variable("CRM_alert_recipient").as_deref(),
    );
}
