//! The devices' file (`fencing.toml`): the devices, and for each host its devices in the order in which they are
//! tried.
//!
//! A few lines cover a thousand hosts: patterns match hosts, and their captures become part of addresses and plugs.
//! The result for a host is validated before use, because a host's name comes from outside. A file is accepted as a
//! whole or not at all, and all its problems are reported at once, with their lines.

mod build;
mod fields;
mod pattern;
pub(crate) mod plugs;
mod read;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::level::{Device as LevelDevice, Level, Target};
use tachi_engine::ports::Clock;

use crate::device::{Device, Plug};
use crate::maas::MaasOptions;

use build::DeviceSettings;
pub use fields::Problem;
use pattern::{Pattern, Template};

/// A device of the file: one for a single machine, one for many machines, or a template for many devices
/// (`{host}-bmc.example`).
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// `ipmi`, `redfish`, `maas`, `exec` or `manual`.
    pub(crate) kind: &'static str,
    endpoint: Template,
    plug: Option<Template>,
    /// The endpoints of hosts for which the template does not apply.
    endpoints: BTreeMap<String, String>,
    plugs: BTreeMap<String, String>,
    limit: Option<Duration>,
    poll: Option<Duration>,
    attempts: u32,
    out_of_service: bool,
    settings: DeviceSettings,
}

/// A rule that assigns devices to the hosts that match its patterns.
#[derive(Debug)]
struct Rule {
    patterns: Vec<Pattern>,
    levels: Vec<Vec<Arc<Entry>>>,
}

/// The parsed and validated devices' file.
#[derive(Debug, Default)]
pub struct Topology {
    devices: Vec<Arc<Entry>>,
    rules: Vec<Rule>,
    /// The source, for messages.
    source: String,
}

/// A device of one host.
#[derive(Clone, Debug)]
pub(crate) struct HostDevice {
    pub(crate) entry: Arc<Entry>,
    pub(crate) target: Target,
    pub(crate) plug: Plug,
}

/// The levels of a host.
#[derive(Clone, Debug, Default)]
pub struct HostLevels {
    pub(crate) levels: Vec<(u32, Vec<HostDevice>)>,
    /// The levels that cannot be used for this host: the number of each, and the reason as a sentence.
    pub notes: Vec<(u32, String)>,
}

impl Topology {
    /// Reads the text of a file and loads the secrets that it refers to.
    ///
    /// # Errors
    ///
    /// All problems of the file.
    pub fn parse(source: &str, text: &str) -> Result<Self, Vec<Problem>> {
        read::read(source, text)
    }

    /// Creates a topology with one MAAS for every host: the option `[fencing] maas_url`. Its timeouts are the
    /// policy's.
    pub fn of_maas(options: MaasOptions) -> Self {
        let entry = Arc::new(Entry {
            name: "maas".to_owned(),
            kind: "maas",
            endpoint: Template::plain(&options.url),
            plug: None,
            endpoints: BTreeMap::new(),
            plugs: options.system_ids.clone(),
            limit: None,
            poll: None,
            attempts: 2,
            out_of_service: false,
            settings: DeviceSettings::Maas(options),
        });
        Self {
            rules: vec![Rule {
                patterns: vec![Pattern::everything()],
                levels: vec![vec![Arc::clone(&entry)]],
            }],
            devices: vec![entry],
            source: "[fencing] maas_url".to_owned(),
        }
    }

    /// True if the file has no device.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// Returns the source of the configuration.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the names and kinds of the devices.
    pub fn devices(&self) -> impl Iterator<Item = (&str, &str)> {
        self.devices.iter().map(|entry| (entry.name.as_str(), entry.kind))
    }

    /// Returns the warnings about operators' overrides, a sentence for each device.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.devices.iter().filter_map(|entry| {
            let warning = entry.settings.warning()?;
            Some(format!("device {}: {warning}", entry.name))
        });
        warnings.collect()
    }

    /// Returns the levels of `host`.
    pub fn resolve(&self, host: &str) -> HostLevels {
        let mut resolved = HostLevels::default();
        if !pattern::is_plain(host) {
            let why = format!("{host:?} is not a valid host name, so no device is used for it");
            resolved.notes.push((0, why));
            return resolved;
        }
        let found = self.rules.iter().find_map(|rule| {
            let captures = rule
                .patterns
                .iter()
                .find_map(|pattern| pattern.captures_of(host))?;
            Some((rule, captures))
        });
        let Some((rule, captures)) = found else {
            return resolved;
        };
        for (number, level) in (1..).zip(&rule.levels) {
            let fittings: Result<Vec<HostDevice>, String> =
                level.iter().map(|entry| fit(entry, host, &captures)).collect();
            match fittings {
                Ok(fittings) => resolved.levels.push((number, fittings)),
                // A level confirms a host off only if all of its devices read off, so it is useless without one of
                // them.
                Err(why) => resolved.notes.push((number, why)),
            }
        }
        resolved
    }
}

impl Entry {
    /// Creates the device at this endpoint; `None` if only an operator can switch the host.
    pub(crate) fn build(
        &self,
        endpoint: &str,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Arc<dyn Device>>, String> {
        self.settings.build(&self.name, endpoint, clock)
    }
}

impl HostLevels {
    /// Converts the levels to the form that a recovery stores.
    pub fn levels(&self) -> Vec<Level> {
        let level = |(number, fittings): &(u32, Vec<HostDevice>)| Level {
            number: *number,
            devices: fittings
                .iter()
                .map(|host_device| LevelDevice {
                    target: host_device.target.clone(),
                    limit: host_device.entry.limit,
                    poll: host_device.entry.poll,
                    call: host_device.entry.settings.call_limit(),
                    attempts: host_device.entry.attempts,
                })
                .collect(),
        };
        self.levels.iter().map(level).collect()
    }

    /// Returns the device of `target`, if it still is one of this host's devices.
    pub(crate) fn host_device(&self, target: &Target) -> Option<&HostDevice> {
        let mut all = self.levels.iter().flat_map(|(_, fittings)| fittings);
        all.find(|host_device| host_device.target == *target)
    }
}

/// Applies an entry to a host, or returns the reason why it does not apply.
fn fit(entry: &Arc<Entry>, host: &str, captures: &[String]) -> Result<HostDevice, String> {
    let name = &entry.name;
    if entry.out_of_service {
        return Err(format!("device {name} is out of service"));
    }
    let lacking = |what: &str| format!("device {name} has no {what} for host {host}");
    let endpoint = match entry.endpoints.get(host) {
        Some(endpoint) => endpoint.clone(),
        None => entry
            .endpoint
            .fill(host, captures)
            .ok_or_else(|| lacking("endpoint"))?,
    };
    if endpoint.is_empty() && entry.settings.needs_endpoint() {
        return Err(lacking("endpoint"));
    }
    let at_device = match (entry.plugs.get(host), &entry.plug) {
        (Some(plug), _) => Some(plug.clone()),
        (None, Some(template)) => Some(template.fill(host, captures).ok_or_else(|| lacking("plug"))?),
        // If there is a map but no template, a host that the map lacks has no plug. MAAS knows machines by their names.
        (None, None) if !entry.plugs.is_empty() && entry.kind != "maas" => return Err(lacking("plug")),
        (None, None) => None,
    };
    let plug =
        Plug::new(host, at_device.clone()).map_err(|error| format!("device {name}, host {host}: {error}"))?;
    Ok(HostDevice {
        target: Target {
            device: name.clone(),
            kind: entry.kind.to_owned(),
            endpoint,
            plug: at_device,
        },
        plug,
        entry: Arc::clone(entry),
    })
}

#[cfg(test)]
mod tests;
