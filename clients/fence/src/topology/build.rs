//! The fields of each kind of device apart from its endpoint, and the creation of devices.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tachi_engine::MACHINE_CHECK_TIMEOUT;
use tachi_engine::ports::Clock;

use super::fields::{Fields, Findings};
use crate::credential::Source;
use crate::device::{Device, Kind};
use crate::exec::{self, Exec, ExecOptions};
use crate::ipmi::{Ipmi, IpmiOptions, Privilege};
use crate::maas::{Maas, MaasOptions};
use crate::redfish::{Redfish, RedfishLogin, RedfishOptions, Trust, WebClients};

/// Range of the timeout of one call.
const CALL_TIMEOUT_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(300);

/// The fields of a kind of device apart from its endpoint. Secrets are loaded with the file.
#[derive(Debug)]
pub(super) enum DeviceSettings {
    Ipmi(IpmiOptions),
    Redfish(RedfishOptions),
    Maas(MaasOptions),
    Exec(ExecOptions),
    /// An operator switches the host by hand.
    Manual,
}

/// Reads the remaining fields of a device's table. `addressed` is true if the table names endpoints.
pub(super) fn settings(
    kind: Option<Kind>,
    addressed: bool,
    fields: &mut Fields<'_, '_>,
    found: &mut Findings<'_>,
) -> Option<DeviceSettings> {
    let Some(kind) = kind else {
        return Some(DeviceSettings::Manual);
    };
    match kind {
        Kind::Ipmi => ipmi(fields, found),
        Kind::Redfish => redfish(fields, found),
        Kind::Maas => maas(fields, found),
        Kind::Exec => exec(addressed, fields, found),
    }
}

fn secret(at: usize, what: &str, source: &str, found: &mut Findings<'_>) -> Option<SecretString> {
    let loaded = match source.parse::<Source>() {
        Ok(Source::Literal(_)) => {
            let text = "write file:/path or cred:name; this file must not contain the secret itself";
            found.add(at, format!("{what}: {text}"));
            return None;
        }
        parsed => parsed.and_then(|source| source.load()),
    };
    loaded
        .map_err(|error| {
            let below =
                std::error::Error::source(&error).map_or_else(String::new, |below| format!(": {below}"));
            found.add(at, format!("{what}: {error}{below}"));
        })
        .ok()
}

/// Loads the secret that a device requires. The file contains only the location of the secret.
fn credential(fields: &mut Fields<'_, '_>, found: &mut Findings<'_>) -> Option<SecretString> {
    let (at, source) = fields.needed("credential", found)?;
    let what = format!("{}: credential", fields.what);
    secret(at, &what, &source, found)
}

fn username(fields: &mut Fields<'_, '_>, found: &mut Findings<'_>) -> Option<String> {
    fields.needed("username", found).map(|(_, text)| text)
}

fn ipmi(fields: &mut Fields<'_, '_>, found: &mut Findings<'_>) -> Option<DeviceSettings> {
    let (user, password) = (username(fields, found), credential(fields, found));
    let suite = fields.number("cipher_suite", 0..=255, found);
    let privilege = fields.string("privilege", found);
    let call = fields.seconds("call_timeout", CALL_TIMEOUT_RANGE, found);
    let program = fields.string("program", found);
    let privilege = match privilege.as_ref().map(|(at, text)| (*at, text.as_str())) {
        None | Some((_, "operator")) => Privilege::Operator,
        Some((_, "administrator")) => Privilege::Administrator,
        Some((at, _)) => {
            found.add(
                at,
                format!("{}: privilege must be operator or administrator", fields.what),
            );
            Privilege::Operator
        }
    };
    let mut options = IpmiOptions::new("", "", user?, password?);
    options.privilege = privilege;
    options.cipher_suite = suite
        .and_then(|suite| u8::try_from(suite).ok())
        .unwrap_or(options.cipher_suite);
    options.call_timeout = call.unwrap_or(options.call_timeout);
    if let Some((_, program)) = program {
        options.program = program.into();
    }
    Some(DeviceSettings::Ipmi(options))
}

fn redfish(fields: &mut Fields<'_, '_>, found: &mut Findings<'_>) -> Option<DeviceSettings> {
    let (user, password) = (username(fields, found), credential(fields, found));
    let mut trust = Vec::new();
    let at = fields.place("fingerprint");
    if let Some((_, path)) = fields.string("ca_file", found) {
        trust.push(Trust::CaFile(path.into()));
    }
    if let Some((at, text)) = fields.string("fingerprint", found) {
        match text.parse() {
            Ok(fingerprint) => trust.push(Trust::Fingerprint(fingerprint)),
            Err(error) => found.add(at, format!("{}: {error}", fields.what)),
        }
    }
    if fields.bool("insecure", found) {
        trust.push(Trust::Insecure);
    }
    if trust.len() > 1 {
        let text = "set only one of ca_file, fingerprint and insecure";
        found.add(at, format!("{}: {text}", fields.what));
    }
    let login = fields.string("login", found);
    let login = match login.as_ref().map(|(at, text)| (*at, text.as_str())) {
        None | Some((_, "basic")) => RedfishLogin::Basic,
        Some((_, "session")) => RedfishLogin::Session,
        Some((at, _)) => {
            found.add(at, format!("{}: login must be basic or session", fields.what));
            RedfishLogin::Basic
        }
    };
    let allow_http = fields.bool("allow_http", found);
    let call = fields.seconds("call_timeout", CALL_TIMEOUT_RANGE, found);
    let mut options = RedfishOptions::new("", "", user?, password?);
    options.trust = trust.into_iter().next().unwrap_or_default();
    options.login = login;
    options.allow_http = allow_http;
    options.call_timeout = call.unwrap_or(options.call_timeout);
    options.clients = WebClients::default();
    Some(DeviceSettings::Redfish(options))
}

fn maas(fields: &mut Fields<'_, '_>, found: &mut Findings<'_>) -> Option<DeviceSettings> {
    let key = credential(fields, found);
    let ca_file = fields
        .string("ca_file", found)
        .map(|(_, path)| PathBuf::from(path));
    let allow_http = fields.bool("allow_http", found);
    let call = fields.seconds("call_timeout", CALL_TIMEOUT_RANGE, found);
    let query = fields.seconds("query_timeout", CALL_TIMEOUT_RANGE, found);
    let proves_off = fields.bool("proves_off", found);
    let mut options = MaasOptions::new("", key?);
    options.proves_off = proves_off;
    options.ca_file = ca_file;
    options.allow_http = allow_http;
    options.timeout = call.unwrap_or(options.timeout);
    options.query_timeout = query.unwrap_or(options.query_timeout);
    Some(DeviceSettings::Maas(options))
}

fn exec(addressed: bool, fields: &mut Fields<'_, '_>, found: &mut Findings<'_>) -> Option<DeviceSettings> {
    let agent = fields.needed("agent", found);
    let proves_off = fields.bool("proves_off", found);
    let parameters = fields.texts("parameters", found);
    let user = fields.string("username", found);
    let mut sources = fields.texts("secrets", found);
    if let Some(password) = fields.string("credential", found) {
        sources.insert("password".to_owned(), password);
    }
    let plug_param = fields.string("plug_parameter", found);
    let status = fields.seconds("status_timeout", CALL_TIMEOUT_RANGE, found);
    let command = fields.seconds("command_timeout", CALL_TIMEOUT_RANGE, found);
    let secret_names: BTreeMap<String, usize> = sources
        .iter()
        .map(|(name, (at, _))| (name.clone(), *at))
        .collect();
    let mut secrets = BTreeMap::new();
    for (name, (at, source)) in sources {
        let what = format!("{}: secret {name}", fields.what);
        if let Some(secret) = secret(at, &what, &source, found) {
            secrets.insert(name, secret);
        }
    }
    for (name, (at, value)) in &parameters {
        // An agent reads one parameter per line.
        if value.contains(['\n', '\r', '\0']) {
            found.add(
                *at,
                format!("{}: parameter {name} contains a line break", fields.what),
            );
        }
        // Other users can list processes and read the file, so it must not contain a secret.
        if name.contains("passw") {
            let text = format!("parameter {name} is not allowed here; put secrets into secrets");
            found.add(*at, format!("{}: {text}", fields.what));
        }
    }
    let plug_name = plug_param.as_ref().map_or("plug", |(_, name)| name);
    let mut before: BTreeMap<String, &str> = BTreeMap::new();
    before.extend(user.as_ref().map(|_| ("username".to_owned(), "username")));
    before.insert(tachi_agents::canonical(plug_name), plug_name);
    let parameters_at = parameters.iter().map(|(name, (at, _))| (name, *at));
    for (name, at) in parameters_at.chain(secret_names.iter().map(|(name, at)| (name, *at))) {
        let canonical = tachi_agents::canonical(name);
        let why = match canonical.as_str() {
            "action" | "nodename" => Some("Tachi sets it itself".to_owned()),
            "plug" => Some("put the plug into plug".to_owned()),
            "ip" | "ipport" if addressed => Some("the endpoint is the agent's address".to_owned()),
            _ => {
                let same = before.insert(canonical, name);
                same.map(|same| format!("{same} is the same option"))
            }
        };
        if let Some(why) = why {
            found.add(
                at,
                format!("{}: parameter {name} is not allowed here; {why}", fields.what),
            );
        }
    }
    let (at, agent) = agent?;
    let mut options = ExecOptions::new("", agent);
    options.params = parameters
        .into_iter()
        .map(|(name, (_, value))| (name, value))
        .collect();
    if let Some((_, user)) = user {
        options.params.insert("username".to_owned(), user);
    }
    options.secrets = secrets;
    options.plug_param = match plug_param {
        Some((_, name)) => (!name.is_empty()).then_some(name),
        None => options.plug_param,
    };
    options.status_timeout = status.unwrap_or(options.status_timeout);
    options.command_timeout = command.unwrap_or(options.command_timeout);
    match exec::no_proof_reason(&options) {
        Some(no_proof_reason) if !proves_off => found.add(
            at,
            format!(
                "{}: {no_proof_reason}. Its off would not be a fencing proof. If its off does mean that the power is off, set \
                 proves_off = true",
                fields.what
            ),
        ),
        no_proof_reason => options.no_proof_reason = no_proof_reason,
    }
    Some(DeviceSettings::Exec(options))
}

impl DeviceSettings {
    /// Returns the maximum time until a power command is answered; `None` if the kind sends none.
    pub(super) fn call_limit(&self) -> Option<Duration> {
        match self {
            // The device identifies its machine before it gets the command.
            Self::Ipmi(options) => Some(options.call_timeout + MACHINE_CHECK_TIMEOUT),
            // Login and logout are separate calls.
            Self::Redfish(options) => Some(options.call_timeout * 3 + MACHINE_CHECK_TIMEOUT),
            // The machine is read again right before the command.
            Self::Maas(options) => Some(options.timeout * 2 + MACHINE_CHECK_TIMEOUT),
            Self::Exec(options) => Some(options.command_timeout),
            Self::Manual => None,
        }
    }

    /// True if a device at one endpoint switches one machine, regardless of its plug.
    pub(super) fn one_machine(&self) -> bool {
        match self {
            Self::Ipmi(_) => true,
            Self::Exec(options) => exec::one_machine(options),
            Self::Redfish(_) | Self::Maas(_) | Self::Manual => false,
        }
    }

    /// True if it switches only the first of several outlets.
    pub(super) fn first_plug_only(&self) -> bool {
        match self {
            Self::Exec(options) => exec::first_plug_only(options),
            Self::Ipmi(_) | Self::Redfish(_) | Self::Maas(_) | Self::Manual => false,
        }
    }

    /// Returns a warning if an operator has overridden the doubt about an agent.
    pub(super) fn warning(&self) -> Option<String> {
        match self {
            Self::Exec(options) => options.warning(),
            Self::Maas(options) if options.proves_off => Some(
                "MAAS's off counts for machines of every power type only because the device has proves_off = true".to_owned(),
            ),
            Self::Ipmi(_) | Self::Redfish(_) | Self::Maas(_) | Self::Manual => None,
        }
    }

    /// True if a device of this kind requires an endpoint.
    pub(super) const fn needs_endpoint(&self) -> bool {
        matches!(self, Self::Ipmi(_) | Self::Redfish(_) | Self::Maas(_))
    }

    /// Checks that a device can be created at an endpoint.
    pub(super) fn check(&self, endpoint: &str, clock: &Arc<dyn Clock>) -> Result<(), String> {
        let Self::Maas(options) = self else {
            return self.build("sample", endpoint, clock).map(drop);
        };
        let options = MaasOptions {
            url: endpoint.to_owned(),
            ..options.clone()
        };
        Maas::check(&options).map_err(|error| tachi_text::chain(&error))
    }

    /// Creates the device at an endpoint; `None` if only an operator can switch the host.
    pub(super) fn build(
        &self,
        name: &str,
        endpoint: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Arc<dyn Device>>, String> {
        let clock = Arc::clone(clock);
        let name = name.to_owned();
        let device: Arc<dyn Device> = match self {
            Self::Ipmi(options) => {
                let (host, port) = host_and_port(endpoint)?;
                let options = IpmiOptions {
                    name,
                    host,
                    port: port.unwrap_or(options.port),
                    ..options.clone()
                };
                Arc::new(Ipmi::new(options, clock).map_err(|error| tachi_text::chain(&error))?)
            }
            Self::Redfish(options) => {
                let url = endpoint.to_owned();
                let options = RedfishOptions {
                    name,
                    url,
                    ..options.clone()
                };
                Arc::new(Redfish::new(options, clock).map_err(|error| tachi_text::chain(&error))?)
            }
            Self::Maas(options) => {
                let url = endpoint.to_owned();
                let options = MaasOptions {
                    name,
                    url,
                    ..options.clone()
                };
                Arc::new(Maas::new(options, clock).map_err(|error| tachi_text::chain(&error))?)
            }
            Self::Exec(options) => {
                let mut options = ExecOptions {
                    name,
                    ..options.clone()
                };
                if !endpoint.is_empty() {
                    let (host, port) = host_and_port(endpoint)?;
                    options.params.insert("ip".to_owned(), host);
                    if let Some(port) = port {
                        options.params.insert("ipport".to_owned(), port.to_string());
                    }
                    options.endpoint = Some(endpoint.to_owned());
                }
                Arc::new(Exec::new(options, clock).map_err(|error| tachi_text::chain(&error))?)
            }
            Self::Manual => return Ok(None),
        };
        Ok(Some(device))
    }
}

/// Parses `host`, `host:port`, `[v6]:port` or a bare v6 address.
fn host_and_port(text: &str) -> Result<(String, Option<u16>), String> {
    let wrong = || format!("{text:?} is not an address such as bmc.example, 10.0.0.7:623 or [fe80::7]:623");
    let (host, port) = if text.parse::<std::net::IpAddr>().is_ok() {
        (text, None)
    } else if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or_else(wrong)?;
        (host, port.strip_prefix(':'))
    } else {
        match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        }
    };
    let port = port
        .map(|port| port.parse::<u16>().map_err(|_| wrong()))
        .transpose()?;
    if !crate::address::is_host(host) || port == Some(0) {
        return Err(wrong());
    }
    Ok((host.to_owned(), port))
}
