//! Fence agents: our devices for Pacemaker, by the contract of the `fence_*` programs.
//!
//! An agent reads its parameters from standard input, performs one action, and returns the result as its exit code.
//! Pacemaker trusts a 0 of `off`, so the agent returns it only after two consecutive readings of off.

mod actions;
mod maas;
mod metadata;
mod params;

use std::io::{Read, Write};

use actions::{AgentOutput, PollSchedule};
use params::{Param, ParameterError, Parameters, ValueType};

/// The invocation of an agent.
pub struct Invocation<'a> {
    /// The arguments, without the program name.
    pub args: Vec<String>,
    /// The source of parameters if there are no arguments.
    pub input: &'a mut (dyn Read + Send),
    /// The output for successes.
    pub out: &'a mut (dyn Write + Send),
    /// The output for failures.
    pub err: &'a mut (dyn Write + Send),
    /// True if Pacemaker's fencer runs it (`PCMK_service`) and kills it at its timeout.
    pub by_pacemaker: bool,
}

impl std::fmt::Debug for Invocation<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The arguments may contain secrets that should not have been passed there.
        f.debug_struct("Invocation")
            .field("args", &self.args.len())
            .field("by_pacemaker", &self.by_pacemaker)
            .finish_non_exhaustive()
    }
}

/// The names of all agents.
pub const AGENTS: &[&str] = &[maas::DESCRIPTION.name];

/// Maximum size of the input, in bytes.
const MAX_INPUT_BYTES: u64 = 1 << 20;

/// Runs the agent `name` and returns its exit code, or `None` if there is no such agent.
pub async fn run(name: &str, invocation: Invocation<'_>) -> Option<u8> {
    if name == maas::DESCRIPTION.name {
        return Some(maas::run(invocation).await);
    }
    None
}

/// Reads the parameters from the arguments, or from standard input if there are none.
fn parameters(invocation: &mut Invocation<'_>, params: &[Param]) -> Result<Parameters, String> {
    if !invocation.args.is_empty() {
        return Parameters::from_args(&invocation.args, params).map_err(|wrong| wrong.to_string());
    }
    let mut bytes = Vec::new();
    invocation
        .input
        .take(MAX_INPUT_BYTES)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("reading standard input: {error}"))?;
    Ok(Parameters::from_input(&String::from_utf8_lossy(&bytes), params))
}

/// Parameters that all agents accept.
const COMMON_PARAMS: [Param; 14] = [
    Param {
        aliases: &["option"],
        short: Some('o'),
        form: ValueType::OneOf(metadata::ACTION_NAMES),
        default: Some("reboot"),
        ..Param::text("action", "Fencing action")
    },
    Param {
        aliases: &["port"],
        short: Some('n'),
        ..Param::text("plug", "Name of the host")
    },
    Param {
        form: ValueType::Seconds,
        default: Some("150"),
        ..Param::text(
            "power_timeout",
            "Seconds from the command to the confirmed state; 0 means no limit",
        )
    },
    Param {
        form: ValueType::Seconds,
        default: Some("0"),
        ..Param::text("power_wait", "Seconds from the command to the first reading")
    },
    Param {
        form: ValueType::Seconds,
        default: Some("3"),
        ..Param::text("stonith_status_sleep", "Seconds between two readings")
    },
    Param {
        form: ValueType::Seconds,
        default: Some("5"),
        ..Param::text("login_timeout", "Connect timeout in seconds")
    },
    Param {
        form: ValueType::Seconds,
        default: Some("20"),
        ..Param::text(
            "shell_timeout",
            "Timeout of a request in seconds; a query of a power controller has 75",
        )
    },
    Param {
        form: ValueType::Seconds,
        default: Some("0"),
        ..Param::text("delay", "Seconds before the first command of off and reboot")
    },
    Param {
        form: ValueType::Flag,
        ..Param::text(
            "disable_timeout",
            "Wait for the state until killed; on by default when Pacemaker runs the agent",
        )
    },
    Param {
        form: ValueType::Number,
        default: Some("1"),
        ..Param::text(
            "retry_on",
            "Accepted and ignored: a rejected command is always repeated",
        )
    },
    Param {
        short: Some('q'),
        form: ValueType::Flag,
        ..Param::text("quiet", "Do not print successes")
    },
    Param {
        short: Some('v'),
        form: ValueType::Flag,
        ..Param::text("verbose", "Print each reading to standard error")
    },
    Param {
        short: Some('V'),
        form: ValueType::Flag,
        ..Param::text("version", "Print the version")
    },
    Param {
        short: Some('h'),
        form: ValueType::Flag,
        ..Param::text("help", "Print this help")
    },
];

fn poll_schedule(parameters: &Parameters, params: &[Param], by_pacemaker: bool) -> PollSchedule {
    let endless = parameters.flag("disable_timeout").unwrap_or(by_pacemaker);
    PollSchedule {
        power: if endless {
            std::time::Duration::ZERO
        } else {
            parameters.seconds("power_timeout", params)
        },
        wait: parameters.seconds("power_wait", params),
        // Two readings taken at the same moment count as one.
        poll: parameters
            .seconds("stonith_status_sleep", params)
            .max(std::time::Duration::from_secs(1)),
        delay: parameters.seconds("delay", params),
    }
}
