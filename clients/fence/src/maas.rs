//! MAAS as a fencer.
//!
//! MAAS identifies a machine by its system id and queries the machine's power controller on request. The power that
//! MAAS *shows* is a cache that may be minutes old. Only `query_power_state` queries the controller, so only that
//! counts.
//!
//! A machine is found by its short host name, once, and re-checked before anything depends on its identity: before
//! every power-off, and before an off is trusted. A name can move to another machine, and an off of another machine
//! proves nothing.

mod client;
mod key;
mod machine;
mod url;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::Deserialize;
use tachi_domain::fault::FaultClass;
use tachi_domain::machine_id::MachineId;
use tachi_domain::power::{Power, PowerReading};
use tachi_engine::ports::{CallError, Clock};
use tokio::time::Instant;
use tracing::instrument;

use client::{Client, Effect, Request};
use key::Key;
use machine::Machine;

use crate::device::{Device, Kind, Plug, SelfTestOutcome};
use crate::fault::fault;
use crate::web::AuthorityError;

/// Time for which a cached system id is used for readings without re-checking the machine.
const SYSTEM_ID_MAX_AGE: Duration = Duration::from_hours(1);

/// Maximum age of a check of the machine for an off to be trusted.
const IDENTITY_MAX_AGE: Duration = Duration::from_secs(10);

/// Maximum age of the checks of a machine and of our user for a self-test. A thousand hosts are tested 25 times a
/// second, and only their power controllers change.
const TEST_MAX_AGE: Duration = Duration::from_mins(1);

/// Clock difference from which the self-test warns, in seconds.
const SKEW_WARNING_SECONDS: u64 = 60;

/// Maximum length of the comment that MAAS accepts with a power command, in characters.
const MAX_COMMENT_CHARS: usize = 255;

/// Options of MAAS.
#[derive(Clone, Debug)]
pub struct MaasOptions {
    /// The device's name.
    pub name: String,
    /// `maas_url`, such as `https://maas.example:5443/MAAS`, with or without `/api/2.0/`.
    pub url: String,
    /// `maas_api_key`: `consumer:token:secret`. The key is sent in clear text, so the connection has to be encrypted.
    pub api_key: SecretString,
    /// `maas_ca_file`: PEM file with the authorities to trust *instead of* the system's.
    pub ca_file: Option<PathBuf>,
    /// `maas_allow_http`: accept an address that is neither https nor on this machine.
    pub allow_http: bool,
    /// Hosts whose system id is configured and not looked up by name.
    pub system_ids: BTreeMap<String, String>,
    /// True if an operator has declared that an off means that the power is off, whatever the machines' power type is.
    pub proves_off: bool,
    /// Timeout for establishing a connection.
    pub connect_timeout: Duration,
    /// Timeout for finding a machine or sending a command.
    pub timeout: Duration,
    /// Timeout of a query: MAAS itself waits up to 60 s for a power controller.
    pub query_timeout: Duration,
    /// Limit of concurrent requests.
    pub concurrency: usize,
}

impl MaasOptions {
    /// Creates options with the default timeouts.
    pub fn new(url: impl Into<String>, api_key: SecretString) -> Self {
        Self {
            name: "maas".to_owned(),
            url: url.into(),
            api_key,
            ca_file: None,
            allow_http: false,
            system_ids: BTreeMap::new(),
            proves_off: false,
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
            query_timeout: Duration::from_secs(75),
            concurrency: 16,
        }
    }
}

/// An error in the options of MAAS.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The text is not an address of MAAS.
    #[error("using {url:?} as the address of MAAS: {why}")]
    Url {
        /// The address.
        url: String,
        /// The reason.
        why: String,
    },
    /// The text is not an API key.
    #[error("maas_api_key is not three parts `consumer:token:secret` of plain characters")]
    ApiKey,
    /// A configured system id is not one.
    #[error("{system_id:?} is not a MAAS system id (host {host})")]
    SystemId {
        /// The host.
        host: String,
        /// The configured text.
        system_id: String,
    },
    /// The CA file cannot be used.
    #[error("using maas_ca_file")]
    Authorities {
        /// The error.
        #[from]
        #[source]
        source: AuthorityError,
    },
    /// The HTTP client could not be set up.
    #[error("setting up the HTTP client for MAAS")]
    Client {
        /// The error.
        #[source]
        source: reqwest::Error,
    },
}

/// A MAAS region controller with the machines of all hosts.
pub struct Maas {
    name: String,
    endpoint: String,
    client: Client,
    system_ids: BTreeMap<String, String>,
    proves_off: bool,
    cached: Mutex<HashMap<Plug, CachedMachine>>,
    /// The MAAS user of the API key, and the time when it was checked.
    user: Mutex<Option<(User, Duration)>>,
    clock: Arc<dyn Clock>,
}

/// A machine as of its last check.
#[derive(Clone, Debug)]
struct CachedMachine {
    system_id: String,
    machine: Option<MachineId>,
    owner: String,
    checked_at: Duration,
}

impl CachedMachine {
    fn of(machine: &Machine, checked_at: Duration) -> Self {
        Self {
            system_id: machine.system_id.clone(),
            machine: machine.id(),
            owner: machine.owner.clone().unwrap_or_default(),
            checked_at,
        }
    }
}

impl std::fmt::Debug for Maas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Maas")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl Maas {
    /// Checks everything that can be checked without a request.
    ///
    /// # Errors
    ///
    /// The address, the key, a system id or the CA file is wrong.
    pub(crate) fn check(options: &MaasOptions) -> Result<(), SetupError> {
        Self::key(options).map(drop)
    }

    fn key(options: &MaasOptions) -> Result<Key, SetupError> {
        let key = Key::parse(&options.api_key).ok_or(SetupError::ApiKey)?;
        for (host, system_id) in &options.system_ids {
            if !machine::is_system_id(system_id) {
                return Err(SetupError::SystemId {
                    host: host.clone(),
                    system_id: system_id.clone(),
                });
            }
        }
        Client::check(options)?;
        Ok(key)
    }

    /// Creates the fencer. Sends no request yet.
    ///
    /// # Errors
    ///
    /// The address, the key, a system id or the CA file is wrong.
    pub fn new(options: MaasOptions, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let key = Self::key(&options)?;
        let client = Client::new(&options, key, Arc::clone(&clock))?;
        Ok(Self {
            name: options.name,
            endpoint: format!("maas:{}", client.address()),
            client,
            system_ids: options.system_ids,
            proves_off: options.proves_off,
            cached: Mutex::default(),
            user: Mutex::default(),
            clock,
        })
    }

    /// Checks address and key, and returns the user's name. Used for a check at start-up.
    ///
    /// # Errors
    ///
    /// The same as for [`Device::read_power`].
    pub async fn whoami(&self) -> Result<String, CallError> {
        Ok(self.user().await?.username)
    }

    /// Returns every machine whose power can be switched: host name, system id, and the power that MAAS *remembers*,
    /// which proves nothing.
    ///
    /// # Errors
    ///
    /// The same as for [`Device::read_power`].
    pub(crate) async fn machines(&self) -> Result<Vec<(String, String, String)>, CallError> {
        machine::all(&self.client).await
    }

    async fn user(&self) -> Result<User, CallError> {
        let request = Request::get("users/", &[("op", "whoami")]);
        self.client.send(&request).await?.json()
    }

    /// Returns the plug of a host, with its configured system id if there is one.
    ///
    /// # Errors
    ///
    /// The name is not valid for a plug.
    pub fn plug(&self, host: &str) -> Result<Plug, CallError> {
        Plug::new(host, self.system_ids.get(host).cloned())
            .map_err(|error| CallError::refused(error.to_string()))
    }

    /// Reads the machine of a plug from MAAS.
    async fn read_machine(&self, plug: &Plug) -> Result<Machine, CallError> {
        let machine = match plug.at_device() {
            Some(system_id) if !machine::is_system_id(system_id) => {
                let text = format!("{system_id:?} is not a MAAS system id (host {})", plug.host());
                return Err(CallError::refused(text));
            }
            Some(system_id) => machine::show(&self.client, system_id).await?,
            None => machine::find(&self.client, plug.host()).await?,
        };
        machine.ensure_switchable(plug.host(), self.proves_off)?;
        let cached = CachedMachine::of(&machine, self.clock.boot());
        self.cached().insert(plug.clone(), cached);
        Ok(machine)
    }

    /// Returns the machine, re-checked if the last check is older than `fresh`.
    async fn cached_or_read(&self, plug: &Plug, fresh: Duration) -> Result<CachedMachine, CallError> {
        let cached = self.cached().get(plug).cloned();
        if let Some(cached) = cached.filter(|cached| self.since(cached.checked_at) < fresh) {
            return Ok(cached);
        }
        let machine = self.read_machine(plug).await?;
        Ok(CachedMachine::of(&machine, self.clock.boot()))
    }

    /// Returns the MAAS user, re-checked if the last check is old.
    async fn recent_user(&self) -> Result<User, CallError> {
        let lock = || self.user.lock().unwrap_or_else(PoisonError::into_inner);
        let cached = lock().clone();
        if let Some((user, _)) = cached.filter(|(_, at)| self.since(*at) < TEST_MAX_AGE) {
            return Ok(user);
        }
        let user = self.user().await?;
        *lock() = Some((user.clone(), self.clock.boot()));
        Ok(user)
    }

    fn since(&self, then: Duration) -> Duration {
        self.clock.boot().saturating_sub(then)
    }

    fn discard(&self, plug: &Plug) {
        self.cached().remove(plug);
    }

    fn cached(&self) -> std::sync::MutexGuard<'_, HashMap<Plug, CachedMachine>> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn query(&self, system_id: &str) -> Result<String, CallError> {
        #[derive(serde::Deserialize)]
        struct State {
            state: String,
        }
        let path = format!("machines/{system_id}/");
        let mut request = Request::get(&path, &[("op", "query_power_state")]);
        request.effect = Effect::Query;
        let State { state } = self.client.send(&request).await?.json()?;
        Ok(state)
    }

    async fn read_cached(&self, plug: &Plug, mut cached: CachedMachine) -> Result<PowerReading, CallError> {
        let state = self.query(&cached.system_id).await?;
        let power = match state.as_str() {
            "on" => Power::On,
            "off" => Power::Off,
            _ => Power::Unknown,
        };
        if power == Power::Off && self.since(cached.checked_at) > IDENTITY_MAX_AGE {
            let machine = self.read_machine(plug).await?;
            if machine.system_id != cached.system_id {
                let text = format!(
                    "MAAS now has machine {} for host {}, not {}, so the answer is about another machine",
                    machine.system_id,
                    plug.host(),
                    cached.system_id
                );
                return Err(fault(FaultClass::Transient, None, false, text));
            }
            cached.machine = machine.id();
        }
        Ok(PowerReading {
            power,
            raw: self.client.clean(&state),
            device: format!("maas:{} system {}", self.client.address(), cached.system_id),
            at: self.clock.wall(),
            machine: cached.machine,
        })
    }

    async fn command(&self, plug: &Plug, verb: &str, form: &[(&str, &str)]) -> Result<(), CallError> {
        // One time limit for the reading and another for the command.
        let not_after = self.clock.boot() + self.client.timeout() * 2;
        let machine = self.read_machine(plug).await?;
        let path = format!("machines/{}/", machine.system_id);
        let request = Request {
            not_after: Some(not_after),
            post: true,
            path: &path,
            query: &[("op", verb)],
            form,
            effect: Effect::Command,
        };
        let outcome = self.client.send(&request).await;
        if outcome
            .as_ref()
            .is_err_and(|error| error.fault.status == Some(404))
        {
            self.discard(plug);
        }
        let answer = outcome?;
        match answer.command_json::<Machine>()? {
            Some(after) if after.system_id == machine.system_id => Ok(()),
            Some(after) => {
                let text = format!(
                    "the answer to {verb} of machine {} is about machine {}",
                    machine.system_id, after.system_id
                );
                Err(fault(FaultClass::Permanent, Some(200), true, text))
            }
            None => {
                let text = format!(
                    "MAAS cannot {verb} machine {} of host {}: its power type ({}) does not allow it",
                    machine.system_id,
                    plug.host(),
                    machine.power_type
                );
                Err(fault(FaultClass::Permanent, Some(200), false, text))
            }
        }
    }
}

/// The MAAS user of the API key.
#[derive(Clone, Debug, Deserialize)]
struct User {
    username: String,
    #[serde(default)]
    is_superuser: bool,
}

fn comment(reason: &str) -> String {
    reason.chars().take(MAX_COMMENT_CHARS).collect()
}

#[async_trait]
impl Device for Maas {
    fn name(&self) -> &str {
        &self.name
    }

    fn kind(&self) -> Kind {
        Kind::Maas
    }

    fn endpoint(&self) -> &str {
        &self.endpoint
    }

    #[instrument(name = "maas::read_power", skip_all, fields(device = %self.name, %plug), err(level = "debug"))]
    async fn read_power(&self, plug: &Plug) -> Result<PowerReading, CallError> {
        let cached = self.cached_or_read(plug, SYSTEM_ID_MAX_AGE).await?;
        match self.read_cached(plug, cached).await {
            // The machine was deleted and perhaps enlisted again.
            Err(error) if error.fault.status == Some(404) => {
                self.discard(plug);
                let cached = self.cached_or_read(plug, SYSTEM_ID_MAX_AGE).await?;
                self.read_cached(plug, cached).await
            }
            outcome => outcome,
        }
    }

    #[instrument(name = "maas::machine", skip_all, fields(device = %self.name, %plug), err(level = "debug"))]
    async fn machine(&self, plug: &Plug) -> Result<Option<MachineId>, CallError> {
        Ok(self.read_machine(plug).await?.id())
    }

    #[instrument(name = "maas::power_off", skip_all, fields(device = %self.name, %plug), err(level = "debug"))]
    async fn power_off(&self, plug: &Plug, reason: &str) -> Result<(), CallError> {
        let form = [("stop_mode", "hard"), ("comment", &comment(reason))];
        self.command(plug, "power_off", &form).await
    }

    /// Reads the power first: with IPMI, MAAS powers on by a power *cycle*, which would reset a running host.
    #[instrument(name = "maas::power_on", skip_all, fields(device = %self.name, %plug), err(level = "debug"))]
    async fn power_on(&self, plug: &Plug, reason: &str) -> Result<(), CallError> {
        let reading = Device::read_power(self, plug).await?;
        if reading.power != Power::Off {
            let text = format!(
                "refusing to power on host {}: it reads {:?}, and MAAS may power-cycle a running machine",
                plug.host(),
                reading.raw
            );
            return Err(fault(FaultClass::Conflict, None, false, text));
        }
        self.command(plug, "power_on", &[("comment", &comment(reason))])
            .await
    }

    /// Also checks whether the key may switch this machine, and whether the clocks agree.
    #[instrument(name = "maas::check", skip_all, fields(device = %self.name, %plug), err(level = "debug"))]
    async fn check(&self, plug: &Plug) -> Result<SelfTestOutcome, CallError> {
        let started_at = Instant::now();
        let cached = self.cached_or_read(plug, TEST_MAX_AGE).await?;
        let reading = Device::read_power(self, plug).await?;
        let mut warnings = Vec::new();
        let user = self.recent_user().await?;
        if !user.is_superuser && user.username != cached.owner {
            warnings.push(format!(
                "machine {} belongs to {:?} and {:?} is not an administrator: MAAS may refuse to switch it",
                cached.system_id, cached.owner, user.username
            ));
        }
        if let Some(skew) = self
            .client
            .skew()
            .filter(|skew| skew.unsigned_abs() >= SKEW_WARNING_SECONDS)
        {
            let side = if skew > 0 { "ahead of" } else { "behind" };
            warnings.push(format!(
                "this clock is {} s {side} MAAS's; MAAS refuses the key from 300 s on",
                skew.unsigned_abs()
            ));
        }
        Ok(SelfTestOutcome {
            reading,
            latency: started_at.elapsed(),
            warnings: warnings
                .iter()
                .map(|warning| self.client.clean(warning))
                .collect(),
            obstacle: None,
        })
    }
}

#[cfg(test)]
mod tests;
