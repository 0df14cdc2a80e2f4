//! Devices that use any installed `fence_*` agent.
//!
//! An agent gets all parameters on its standard input, as from Pacemaker. Its output is for people; its exit code
//! decides: `status` exits with 0 for on and 2 for off, and everything else is a failure. Only an off also needs a
//! `Status:` line.

mod output;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use tachi_agents::Targeting;
use tachi_domain::fault::FaultClass;
use tachi_domain::power::{Power, PowerReading};
use tachi_engine::ports::{CallError, Clock};
use tokio::time::Instant;
use tracing::instrument;

use crate::child::{self, Call, ChildError, ChildExit};
use crate::device::{Device, Kind, Plug, SelfTestOutcome};
use crate::fault::fault;
use crate::text::SecretFilter;

/// Agents that pass their password to another program as an argument, where every local user can read it.
const EXPOSE_PASSWORD: &[&str] = &[
    "fence_ipmilan",
    "fence_ipmilanplus",
    "fence_idrac",
    "fence_ilo3",
    "fence_ilo4",
    "fence_ilo5",
    "fence_imm",
    "fence_amt",
];

/// Options of an agent.
#[derive(Clone, Debug)]
pub struct ExecOptions {
    /// The device's name.
    pub name: String,
    /// The agent: the name of a `fence_...` program in `/usr/sbin`, or the full path of such a file.
    pub agent: String,
    /// The agent's parameters, without action and plug.
    pub params: BTreeMap<String, String>,
    /// Parameters that are secrets, such as `password`.
    pub secrets: BTreeMap<String, SecretString>,
    /// The parameter that names the plug, for agents that have one.
    pub plug_param: Option<String>,
    /// The endpoint for the limit of one call at a time, if not derived from `ip` and `ipport`.
    pub endpoint: Option<String>,
    /// Timeout of `status`.
    pub status_timeout: Duration,
    /// Timeout of `off` and `on`: agents wait for the effect.
    pub command_timeout: Duration,
    /// The reason why its off would prove nothing, if an operator has overridden it (`proves_off`).
    pub no_proof_reason: Option<String>,
}

impl ExecOptions {
    /// Creates options with the default plug parameter and timeouts.
    pub fn new(name: impl Into<String>, agent: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            agent: agent.into(),
            params: BTreeMap::new(),
            secrets: BTreeMap::new(),
            plug_param: Some("plug".into()),
            endpoint: None,
            status_timeout: Duration::from_secs(25),
            command_timeout: Duration::from_secs(50),
            no_proof_reason: None,
        }
    }

    /// Returns a warning if an operator has overridden the doubt about the agent.
    pub(crate) fn warning(&self) -> Option<String> {
        let no_proof_reason = self.no_proof_reason.as_ref()?;
        Some(format!(
            "{no_proof_reason}; its off counts only because its entry has proves_off = true"
        ))
    }

    /// Returns the agent's name without its folder.
    fn agent_name(&self) -> &str {
        self.agent.rsplit('/').next().unwrap_or_default()
    }

    /// Returns the parameters for the table of agents. Of a secret it includes only the name.
    fn judged(&self) -> BTreeMap<String, String> {
        let secrets = self.secrets.keys().map(|name| (name.clone(), "set".to_owned()));
        self.params.clone().into_iter().chain(secrets).collect()
    }
}

/// Returns the reason why an off that this agent reads with these options does not prove that the power is off.
pub(crate) fn no_proof_reason(options: &ExecOptions) -> Option<String> {
    let agent = options.agent_name();
    let judged = tachi_agents::judge_reading(agent, &options.judged());
    judged
        .err()
        .map(|no_proof_reason| format!("{agent}, {no_proof_reason}"))
}

/// True if the agent talks to the power controller of one machine, regardless of its plug parameter.
pub(crate) fn one_machine(options: &ExecOptions) -> bool {
    let own = tachi_agents::targeting(options.agent_name(), &options.params) == Some(Targeting::Machine);
    own && !tachi_agents::is_set(&options.params, "port_as_ip")
}

/// True if the agent switches only the first of several outlets.
pub(crate) fn first_plug_only(options: &ExecOptions) -> bool {
    tachi_agents::first_plug_only(options.agent_name())
}

/// An error in the options of a device.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExecError {
    /// The text does not name a fence agent.
    #[error("{agent:?} is not a fence agent; use the name or the full path of a fence_... program")]
    Agent {
        /// The configured text.
        agent: String,
    },
    /// A parameter cannot be passed to an agent.
    #[error("the parameter {name:?} of a fence agent: {why}")]
    Parameter {
        /// The parameter's name.
        name: String,
        /// The reason.
        why: &'static str,
    },
}

/// A fence agent with its parameters.
pub struct Exec {
    options: ExecOptions,
    program: PathBuf,
    endpoint: String,
    secret_filter: SecretFilter,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Exec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exec")
            .field("name", &self.options.name)
            .field("endpoint", &self.endpoint)
            .finish_non_exhaustive()
    }
}

impl Exec {
    /// Creates the device. Runs no program yet.
    ///
    /// # Errors
    ///
    /// An option is wrong.
    pub fn new(options: ExecOptions, clock: Arc<dyn Clock>) -> Result<Self, ExecError> {
        let program = program(&options.agent)?;
        let plug_param = options.plug_param.iter();
        for name in options
            .params
            .keys()
            .chain(options.secrets.keys())
            .chain(plug_param)
        {
            checked_name(name)?;
        }
        if tachi_agents::is_set_by_no(&options.params, "port_as_ip") {
            return Err(ExecError::Parameter {
                name: "port_as_ip".to_owned(),
                why: "fence agents take any value as yes; remove it, or set it to 1",
            });
        }
        let secrets = options
            .secrets
            .iter()
            .map(|(name, value)| (name, value.expose_secret()));
        for (name, value) in options
            .params
            .iter()
            .map(|(name, value)| (name, value.as_str()))
            .chain(secrets)
        {
            if value.contains(['\n', '\r', '\0']) {
                return Err(ExecError::Parameter {
                    name: name.clone(),
                    why: "its value contains a line break",
                });
            }
            if options.params.contains_key(name) && options.secrets.contains_key(name) {
                return Err(ExecError::Parameter {
                    name: name.clone(),
                    why: "it is set twice, as a secret and as a plain parameter",
                });
            }
        }
        let agent = program
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let param = |names: &[&str]| names.iter().find_map(|name| options.params.get(*name));
        let user = param(&["username", "login"]).cloned().unwrap_or_default();
        let endpoint = options.endpoint.clone().unwrap_or_else(|| {
            let address = param(&["ip", "ipaddr"]).map_or("", String::as_str);
            let port = param(&["ipport"])
                .map(|port| format!(":{port}"))
                .unwrap_or_default();
            format!("{agent}:{}{port}", address.to_ascii_lowercase())
        });
        Ok(Self {
            secret_filter: SecretFilter::of(options.secrets.values().map(|secret| (user.as_str(), secret))),
            program,
            endpoint,
            options,
            clock,
        })
    }

    fn agent(&self) -> std::borrow::Cow<'_, str> {
        self.program.file_name().unwrap_or_default().to_string_lossy()
    }

    fn call(&self, action: &str, plug: &Plug, limit: Duration) -> Call<'_> {
        let mut input = format!("action={action}\n");
        let mut add = |name: &str, value: &str| {
            input.push_str(name);
            input.push('=');
            input.push_str(value);
            input.push('\n');
        };
        for (name, value) in &self.options.params {
            add(name, value);
        }
        for (name, value) in &self.options.secrets {
            add(name, value.expose_secret());
        }
        // A plug among the parameters belongs to an agent of one host, so it is not overridden.
        if let Some(param) = &self.options.plug_param
            && !self.options.params.contains_key(param)
        {
            add(param, plug.name());
        }
        add("nodename", plug.host());
        Call {
            program: &self.program,
            args: Vec::new(),
            input: input.into(),
            limit,
        }
    }

    async fn run(&self, action: &str, plug: &Plug, limit: Duration) -> Result<ChildExit, CallError> {
        let switches = action != "status";
        child::run(&self.call(action, plug, limit))
            .await
            .map_err(|error| {
                let (class, maybe_done) = match &error {
                    ChildError::Missing { .. } => (FaultClass::Permanent, false),
                    ChildError::Start { .. } => (FaultClass::Transient, false),
                    ChildError::TimedOut { .. } | ChildError::Wait { .. } => {
                        (FaultClass::Transient, switches)
                    }
                };
                let text = format!(
                    "{} action={action} of {plug} failed: {}",
                    self.agent(),
                    tachi_text::chain(&error)
                );
                CallError {
                    source: Some(Box::new(error)),
                    ..fault(class, None, maybe_done, text)
                }
            })
    }

    fn failed(&self, action: &str, plug: &Plug, finished: &ChildExit) -> CallError {
        let output = format!("{} {}", finished.stderr, finished.stdout);
        let ended = finished
            .code
            .map_or("by a signal".to_owned(), |code| format!("with {code}"));
        let message = self.secret_filter.line(&output::without_noise(&output));
        let text = format!(
            "{} action={action} of {plug} exited {ended}: {message}",
            self.agent()
        );
        let class = output::class(&output);
        let maybe_done = action != "status" && class != FaultClass::Permanent;
        fault(class, None, maybe_done, text)
    }

    async fn switch(&self, action: &str, plug: &Plug) -> Result<(), CallError> {
        let finished = self.run(action, plug, self.options.command_timeout).await?;
        if finished.code == Some(0) {
            return Ok(());
        }
        Err(self.failed(action, plug, &finished))
    }
}

#[async_trait]
impl Device for Exec {
    fn name(&self) -> &str {
        &self.options.name
    }

    fn kind(&self) -> Kind {
        Kind::Exec
    }

    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    #[instrument(name = "exec::read_power", skip_all, fields(device = %self.options.name, %plug), err(level = "debug"))]
    async fn read_power(&self, plug: &Plug) -> Result<PowerReading, CallError> {
        let finished = self.run("status", plug, self.options.status_timeout).await?;
        let power = match finished.code {
            Some(0) => Power::On,
            Some(2) => Power::Off,
            _ => return Err(self.failed("status", plug, &finished)),
        };
        // A shell exits with 2 for a script that it cannot read, and Python for unknown options. So an off also needs a
        // `Status:` line, and no line may contradict an on.
        let power = match (power, output::status(&finished.stdout)) {
            (power, Some(printed)) if printed == power => power,
            (Power::On, None) => Power::On,
            (Power::On | Power::Off | Power::Unknown, _) => Power::Unknown,
        };
        let message = self.secret_filter.line(&finished.stdout);
        let code = finished.code.unwrap_or_default();
        Ok(PowerReading {
            power,
            raw: if message.is_empty() {
                format!("exit code {code}")
            } else {
                message
            },
            device: format!("{} plug {}", self.endpoint, plug.name()),
            at: self.clock.wall(),
            machine: None,
        })
    }

    #[instrument(name = "exec::power_off", skip_all, fields(device = %self.options.name, %plug), err(level = "debug"))]
    async fn power_off(&self, plug: &Plug, _reason: &str) -> Result<(), CallError> {
        self.switch("off", plug).await
    }

    #[instrument(name = "exec::power_on", skip_all, fields(device = %self.options.name, %plug), err(level = "debug"))]
    async fn power_on(&self, plug: &Plug, _reason: &str) -> Result<(), CallError> {
        self.switch("on", plug).await
    }

    async fn check(&self, plug: &Plug) -> Result<SelfTestOutcome, CallError> {
        let started_at = Instant::now();
        let reading = self.read_power(plug).await?;
        let mut warnings: Vec<String> = self.options.warning().into_iter().collect();
        if EXPOSE_PASSWORD.contains(&&*self.agent()) && self.options.secrets.contains_key("password") {
            warnings.push(format!(
                "{} exposes the password to all users of this machine, as an argument of the tool it runs; a device \
                 of type ipmi does not",
                self.agent()
            ));
        }
        Ok(SelfTestOutcome {
            reading,
            latency: started_at.elapsed(),
            warnings,
            obstacle: None,
        })
    }
}

fn program(agent: &str) -> Result<PathBuf, ExecError> {
    let wrong = || ExecError::Agent {
        agent: agent.to_owned(),
    };
    let path = PathBuf::from(agent);
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .ok_or_else(wrong)?;
    let rest = name.strip_prefix("fence_").ok_or_else(wrong)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if rest.is_empty() || !rest.chars().all(plain) {
        return Err(wrong());
    }
    if path.is_absolute() {
        return Ok(path);
    }
    if agent == name {
        Ok(PathBuf::from("/usr/sbin").join(name))
    } else {
        Err(wrong())
    }
}

fn checked_name(name: &str) -> Result<(), ExecError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let why = if name.is_empty() || !name.chars().all(plain) {
        "its name may contain only letters, digits and underscores"
    } else if matches!(name.replace('-', "_").as_str(), "action" | "option" | "nodename") {
        "Tachi sets it itself"
    } else if matches!(
        name.replace('-', "_").as_str(),
        "debug" | "debug_file" | "verbose" | "verbose_level"
    ) {
        "it makes agents log what they send, including the password"
    } else {
        return Ok(());
    };
    Err(ExecError::Parameter {
        name: name.to_owned(),
        why,
    })
}
