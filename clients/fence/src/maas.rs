//! MAAS as a fencer.
//!
//! MAAS knows a machine by its system id and asks the machine's power controller when told to. What MAAS *shows* as a
//! machine's power is a cache that is minutes old; only `query_power_state` asks the controller, so only that counts.
//!
//! A machine is found by its short host name, once, and looked at again before anything depends on its identity: before
//! every power-off, and before an "off" is believed. Names move between machines, and the wrong machine being off proves
//! nothing about ours.

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
use tachi_domain::fault::FaultClass;
use tachi_domain::power::{Power, PowerReading};
use tachi_engine::ports::{CallError, Clock, Fencer};

use client::{Client, Effect, Request};
use key::Key;
use machine::Machine;

/// How long a host's system id is used for readings without looking at the machine.
const REMEMBERED: Duration = Duration::from_hours(1);

/// How long a look at the machine is good enough to believe an "off".
const IDENTITY_FRESH: Duration = Duration::from_secs(10);

/// Longest comment MAAS takes with a power command, in characters.
const LONGEST_COMMENT: usize = 255;

/// How to reach MAAS.
#[derive(Clone, Debug)]
pub struct MaasOptions {
    /// `maas_url`: such as `https://maas.example:5443/MAAS`, with or without `/api/2.0/`.
    pub url: String,
    /// `maas_api_key`: `consumer:token:secret`. It is sent in clear, so the connection must not be.
    pub api_key: SecretString,
    /// `maas_ca_file`: PEM file with the authorities to trust *instead of* the system's.
    pub ca_file: Option<PathBuf>,
    /// `maas_allow_http`: accept an address that is neither https nor on this machine.
    pub allow_http: bool,
    /// Hosts whose system id is given rather than looked up by name.
    pub system_ids: BTreeMap<String, String>,
    /// How long a connection may take to be set up.
    pub connect_timeout: Duration,
    /// How long finding a machine or sending a command may take.
    pub timeout: Duration,
    /// How long a query may take: MAAS itself waits up to 60 s for a power controller.
    pub query_timeout: Duration,
    /// How many requests may be under way at once.
    pub concurrency: usize,
}

impl MaasOptions {
    /// With the default deadlines.
    pub fn new(url: impl Into<String>, api_key: SecretString) -> Self {
        Self {
            url: url.into(),
            api_key,
            ca_file: None,
            allow_http: false,
            system_ids: BTreeMap::new(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(20),
            query_timeout: Duration::from_secs(75),
            concurrency: 16,
        }
    }
}

/// Why the fencer cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The address is none.
    #[error("using {url:?} as maas_url: {why}")]
    Url {
        /// The address.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// The key is none.
    #[error("maas_api_key is not three parts `consumer:token:secret` of plain characters")]
    ApiKey,
    /// A given system id is none.
    #[error("{system_id:?} is not a MAAS system id (of host {host})")]
    SystemId {
        /// The host.
        host: String,
        /// What was given.
        system_id: String,
    },
    /// The CA file cannot be read.
    #[error("reading maas_ca_file {}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The CA file has something else in it.
    #[error("reading the certificates in maas_ca_file {}", path.display())]
    CaCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: reqwest::Error,
    },
    /// The CA file has no certificate in it.
    #[error("there is no PEM certificate in maas_ca_file {}", path.display())]
    CaEmpty {
        /// The file.
        path: PathBuf,
    },
    /// The HTTP client could not be set up.
    #[error("setting up the HTTP client for MAAS")]
    Client {
        /// What it said.
        #[source]
        source: reqwest::Error,
    },
}

/// MAAS, for every host it has a machine for.
pub struct Maas {
    client: Client,
    system_ids: BTreeMap<String, String>,
    known: Mutex<HashMap<String, Known>>,
    clock: Arc<dyn Clock>,
}

/// A machine as it was last looked at.
#[derive(Clone, Debug)]
struct Known {
    system_id: String,
    looked_at: Duration,
}

impl std::fmt::Debug for Maas {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Maas")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl Maas {
    /// Makes the fencer. Nothing is asked yet.
    ///
    /// # Errors
    ///
    /// The address, the key, a system id or the CA file is wrong.
    pub fn new(options: MaasOptions, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let key = Key::parse(&options.api_key).ok_or(SetupError::ApiKey)?;
        for (host, system_id) in &options.system_ids {
            if !machine::is_system_id(system_id) {
                return Err(SetupError::SystemId {
                    host: host.clone(),
                    system_id: system_id.clone(),
                });
            }
        }
        Ok(Self {
            client: Client::new(&options, key, Arc::clone(&clock))?,
            system_ids: options.system_ids,
            known: Mutex::default(),
            clock,
        })
    }

    /// Checks address and key, and returns the user's name; for a check at the start.
    ///
    /// # Errors
    ///
    /// As for [`Fencer::read_power`].
    pub async fn whoami(&self) -> Result<String, CallError> {
        #[derive(serde::Deserialize)]
        struct User {
            username: String,
        }
        let request = Request::get("users/", &[("op", "whoami")]);
        let user: User = self.client.send(&request).await?.json()?;
        Ok(user.username)
    }

    /// The machine of `host`, as MAAS shows it now.
    async fn look(&self, host: &str) -> Result<Machine, CallError> {
        let machine = if let Some(system_id) = self.system_ids.get(host) {
            machine::show(&self.client, system_id).await?
        } else {
            machine::find(&self.client, host).await?
        };
        machine.ensure_switchable(host)?;
        let known = Known {
            system_id: machine.system_id.clone(),
            looked_at: self.clock.boot(),
        };
        self.known().insert(host.to_owned(), known);
        Ok(machine)
    }

    /// The machine's system id, looked up if it was not for a while.
    async fn known_or_look(&self, host: &str) -> Result<Known, CallError> {
        let now = self.clock.boot();
        let known = self.known().get(host).cloned();
        if let Some(known) = known.filter(|known| now.saturating_sub(known.looked_at) < REMEMBERED) {
            return Ok(known);
        }
        let machine = self.look(host).await?;
        Ok(Known {
            system_id: machine.system_id,
            looked_at: self.clock.boot(),
        })
    }

    fn forget(&self, host: &str) {
        self.known().remove(host);
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
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

    async fn read_known(&self, host: &str, known: Known) -> Result<PowerReading, CallError> {
        let state = self.query(&known.system_id).await?;
        let power = match state.as_str() {
            "on" => Power::On,
            "off" => Power::Off,
            _ => Power::Unknown,
        };
        if power == Power::Off && self.clock.boot().saturating_sub(known.looked_at) > IDENTITY_FRESH {
            let machine = self.look(host).await?;
            if machine.system_id != known.system_id {
                let text = format!(
                    "MAAS now has machine {} for host {host}, not {}: its answer is not about this host",
                    machine.system_id, known.system_id
                );
                return Err(client::fault(FaultClass::Transient, None, false, text));
            }
        }
        Ok(PowerReading {
            power,
            raw: self.client.clean(&state),
            device: format!("maas:{} system {}", self.client.address(), known.system_id),
            at: self.clock.wall(),
        })
    }
}

#[async_trait]
impl Fencer for Maas {
    /// Every host: whether MAAS has a machine for it shows when it is asked.
    fn covers(&self, _host: &str) -> bool {
        true
    }

    async fn read_power(&self, host: &str) -> Result<PowerReading, CallError> {
        let known = self.known_or_look(host).await?;
        match self.read_known(host, known).await {
            // The machine was deleted and perhaps enlisted anew.
            Err(error) if error.fault.status == Some(404) => {
                self.forget(host);
                let known = self.known_or_look(host).await?;
                self.read_known(host, known).await
            }
            outcome => outcome,
        }
    }

    async fn power_off(&self, host: &str, reason: &str) -> Result<(), CallError> {
        let machine = self.look(host).await?;
        let path = format!("machines/{}/", machine.system_id);
        let comment: String = reason.chars().take(LONGEST_COMMENT).collect();
        let request = Request {
            post: true,
            path: &path,
            query: &[("op", "power_off")],
            form: &[("stop_mode", "hard"), ("comment", &comment)],
            effect: Effect::Command,
        };
        let outcome = self.client.send(&request).await;
        if outcome
            .as_ref()
            .is_err_and(|error| error.fault.status == Some(404))
        {
            self.forget(host);
        }
        let answer = outcome?;
        match answer.command_json::<Machine>()? {
            Some(after) if after.system_id == machine.system_id => Ok(()),
            Some(after) => {
                let text = format!(
                    "MAAS was asked to power off machine {} and answered about {}",
                    machine.system_id, after.system_id
                );
                Err(client::fault(FaultClass::Permanent, Some(200), true, text))
            }
            None => {
                let text = format!(
                    "MAAS cannot power off machine {} of host {host}: its power type ({}) does not allow it",
                    machine.system_id, machine.power_type
                );
                Err(client::fault(FaultClass::Permanent, Some(200), false, text))
            }
        }
    }
}

#[cfg(test)]
mod tests;
