//! Parser of the devices' file.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tachi_domain::Timestamp;
use tachi_engine::ports::Clock;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::build::{self, DeviceSettings};
use super::fields::{Fields, Findings, Problem};
use super::pattern::{Pattern, Template};
use super::plugs::map;
use super::{Entry, Rule, Topology};
use crate::device::Kind;

/// Range of a device's total time for a power-off.
const POWER_TIMEOUT_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3600);

/// Range of the interval between two readings.
const POLL_INTERVAL_RANGE: std::ops::RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(60);

pub(super) fn read(source: &str, text: &str) -> Result<Topology, Vec<Problem>> {
    let mut found = Findings::new(text);
    let (table, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        found.add(at, error.message());
    }
    if !errors.is_empty() {
        return Err(found.end());
    }
    let mut devices: Vec<(usize, Arc<Entry>)> = Vec::new();
    let mut names = BTreeSet::new();
    for (at, table) in tables(table.get_ref(), "device", &mut found) {
        let Some((at, entry)) = device(at, table, &mut found) else {
            continue;
        };
        if !names.insert(entry.name.clone()) {
            found.add(at, format!("device {:?}: the name is used twice", entry.name));
        }
        devices.push((at, Arc::new(entry)));
    }
    let by_name: BTreeMap<String, Arc<Entry>> = devices
        .iter()
        .map(|(_, entry)| (entry.name.clone(), Arc::clone(entry)))
        .collect();
    let mut rules = Vec::new();
    for (at, table) in tables(table.get_ref(), "hosts", &mut found) {
        rules.push(rule(at, table, &by_name, &mut found));
    }
    for (key, value) in table.get_ref() {
        if !["device", "hosts"].contains(&key.get_ref().as_ref()) {
            let text = format!(
                "unknown table {}; valid tables: [[device]] and [[hosts]]",
                key.get_ref()
            );
            found.add(value.span().start, text);
        }
    }
    if devices.is_empty() {
        found.whole("there is no device; add at least one [[device]]");
    }
    if rules.is_empty() && !devices.is_empty() && !table.get_ref().contains_key("hosts") {
        rules.push(every_host(&devices, &mut found));
    }
    let problems = found.end();
    if problems.is_empty() {
        Ok(Topology {
            devices: devices.into_iter().map(|(_, entry)| entry).collect(),
            rules,
            source: source.to_owned(),
        })
    } else {
        Err(problems)
    }
}

/// Returns the tables of an array of tables.
fn tables<'t, 'i>(
    all: &'t DeTable<'i>,
    key: &str,
    found: &mut Findings<'_>,
) -> Vec<(usize, &'t DeTable<'i>)> {
    let Some(value) = all.get(key) else {
        return Vec::new();
    };
    let table = |one: &'t Spanned<DeValue<'i>>| Some((one.span().start, one.get_ref().as_table()?));
    let tables: Option<Vec<_>> = value
        .get_ref()
        .as_array()
        .and_then(|array| array.iter().map(table).collect());
    tables.unwrap_or_else(|| {
        found.add(value.span().start, format!("{key} must be written [[{key}]]"));
        Vec::new()
    })
}

/// Creates the default rule for a file without rules: each device is a separate level for every host, in the order of
/// the file.
fn every_host(devices: &[(usize, Arc<Entry>)], found: &mut Findings<'_>) -> Rule {
    for (at, entry) in devices {
        if entry.endpoint.max_capture() > 0 || entry.plug.as_ref().is_some_and(|plug| plug.max_capture() > 0)
        {
            let text = format!(
                "device {:?} refers to a part of a pattern, but there is no [[hosts]]",
                entry.name
            );
            found.add(*at, text);
        }
        same_machine(*at, entry, false, found);
    }
    Rule {
        patterns: vec![Pattern::everything()],
        levels: devices.iter().map(|(_, entry)| vec![Arc::clone(entry)]).collect(),
    }
}

/// Rejects a device that is the same machine for several hosts, because fencing any of them would switch off that
/// machine.
fn same_machine(at: usize, entry: &Entry, one_host: bool, found: &mut Findings<'_>) {
    // A BMC has one machine, so a plug does not distinguish hosts.
    let plug = entry.plug.as_ref().filter(|_| !entry.settings.one_machine());
    let varies = entry.endpoint.varies() || plug.is_some_and(Template::varies);
    let by_name = matches!(entry.kind, "maas" | "manual");
    // A device whose endpoints come only from a map does not apply to other hosts.
    let nowhere_else = entry.endpoint.to_string().is_empty() && !entry.endpoints.is_empty();
    let mapped = (!entry.plugs.is_empty() && !entry.settings.one_machine()) || nowhere_else;
    if !varies && !by_name && !mapped && !one_host {
        found.add(
            at,
            format!(
                "device {:?} is the same machine for every host: use {{host}} in its endpoint or plug, list its hosts \
                 in plugs or endpoints, or assign it to one host",
                entry.name
            ),
        );
    }
}

fn rule(
    at: usize,
    table: &DeTable<'_>,
    devices: &BTreeMap<String, Arc<Entry>>,
    found: &mut Findings<'_>,
) -> Rule {
    let mut fields = Fields::new("hosts", at, table);
    let mut patterns = Vec::new();
    for (at, text) in fields.list("match", found) {
        match Pattern::parse(&text) {
            Ok(pattern) => patterns.push(pattern),
            Err(why) => found.add(at, format!("hosts: {why}")),
        }
    }
    let captures = patterns.iter().map(Pattern::captures).min().unwrap_or_default();
    let one_host = patterns.len() == 1 && patterns.iter().all(Pattern::is_exact);
    let mut levels = Vec::new();
    for names in fields.lists("levels", found) {
        let mut level: Vec<Arc<Entry>> = Vec::new();
        if names.is_empty() {
            found.add(at, "hosts: a level has no device");
        }
        for (at, name) in names {
            let Some(entry) = devices.get(&name) else {
                found.add(at, format!("hosts: unknown device {name:?}"));
                continue;
            };
            if level.iter().any(|other| other.name == name) {
                found.add(at, format!("hosts: device {name:?} appears twice in one level"));
            }
            let max_capture = entry.endpoint.max_capture();
            let max_capture = max_capture.max(entry.plug.as_ref().map_or(0, Template::max_capture));
            if max_capture > captures {
                let text = format!(
                    "hosts: device {name:?} needs {{{max_capture}}}, but a pattern here has {captures} captures"
                );
                found.add(at, text);
            }
            same_machine(at, entry, one_host, found);
            level.push(Arc::clone(entry));
        }
        levels.push(level);
    }
    if levels.is_empty() {
        found.add(at, "hosts: levels is empty");
    }
    fields.end(found);
    Rule { patterns, levels }
}

fn device(at: usize, table: &DeTable<'_>, found: &mut Findings<'_>) -> Option<(usize, Entry)> {
    let mut fields = Fields::new("device", at, table);
    let name = fields.needed("name", found);
    if let Some((_, name)) = &name {
        fields.what = format!("device {name:?}");
    }
    let kind = fields.needed("type", found);
    let kind = kind.and_then(|(at, text)| match text.as_str() {
        "manual" => Some(None),
        text => match text.parse::<Kind>() {
            Ok(kind) => Some(Some(kind)),
            Err(error) => {
                found.add(at, format!("{}: {error}, and manual", fields.what));
                None
            }
        },
    });
    let what = fields.what.clone();
    let template = |found: &mut Findings<'_>, field: Option<(usize, String)>| {
        let (at, text) = field?;
        Template::parse(&text)
            .map_err(|why| found.add(at, format!("{what}: {why}")))
            .ok()
    };
    let place = fields.place("endpoint");
    let endpoint = fields.string("endpoint", found);
    let endpoint = template(found, endpoint);
    let plug = fields.string("plug", found);
    let plug = template(found, plug);
    let endpoints = fields.texts("endpoints", found);
    let endpoints = map(endpoints, "endpoint", &what, found);
    let plugs = fields.texts("plugs", found);
    // Plugs are names at one endpoint, so with an endpoint per host several plugs may be equal.
    let plugs: BTreeMap<String, String> =
        if endpoint.as_ref().is_some_and(Template::varies) || !endpoints.is_empty() {
            plugs.into_iter().map(|(host, (_, plug))| (host, plug)).collect()
        } else {
            map(plugs, "plug", &what, found)
        };
    let limit = fields.seconds("timeout", POWER_TIMEOUT_RANGE, found);
    let poll = fields.seconds("poll", POLL_INTERVAL_RANGE, found);
    let attempts = fields.number("attempts", 1..=10, found);
    let out_of_service = fields.bool("out_of_service", found);
    if kind == Some(Some(Kind::Ipmi)) && (plug.is_some() || !plugs.is_empty()) {
        found.add(
            at,
            format!("{what}: a BMC has one machine and no plug; use one endpoint per host"),
        );
    }
    // Without a kind it is unknown which of the other fields belong to it.
    let (Some((name_at, name)), Some(kind)) = (name, kind) else {
        return None;
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 64 || name.starts_with('-') || !name.chars().all(plain) {
        found.add(
            name_at,
            format!("device {name:?}: a name has 1 to 64 letters, digits, and - _ ."),
        );
    }
    let addressed = endpoint.is_some() || !endpoints.is_empty();
    let settings = build::settings(kind, addressed, &mut fields, found)?;
    if settings.needs_endpoint() && endpoint.is_none() && endpoints.is_empty() {
        found.add(place, format!("{what}: endpoint is missing"));
    }
    let outlets = plugs.values().any(|plug| plug.contains(','));
    let outlets = outlets || plug.as_ref().is_some_and(|plug| plug.to_string().contains(','));
    if outlets && settings.first_plug_only() {
        found.add(
            at,
            format!("{what}: its agent switches only the first of several outlets: use a device for each, in one level"),
        );
    }
    check_endpoints(&settings, endpoint.as_ref(), &endpoints, place, &what, found);
    fields.end(found);
    let limits = kind.map(Kind::limits);
    let entry = Entry {
        name,
        kind: kind.map_or("manual", Kind::as_str),
        endpoint: endpoint.unwrap_or_else(|| Template::plain("")),
        plug,
        endpoints,
        plugs,
        limit: limit.or(limits.map(|limits| limits.timeout)),
        poll: poll.or(limits.map(|limits| limits.poll)),
        attempts: attempts.unwrap_or(limits.map_or(1, |limits| u32::from(limits.attempts))),
        out_of_service,
        settings,
    };
    Some((name_at, entry))
}

/// Validates the addresses that do not depend on the host's name, and a sample of the others.
fn check_endpoints(
    settings: &DeviceSettings,
    endpoint: Option<&Template>,
    endpoints: &BTreeMap<String, String>,
    at: usize,
    what: &str,
    found: &mut Findings<'_>,
) {
    let clock: Arc<dyn Clock> = Arc::new(StoppedClock);
    // All host names have this form, so a sample represents them.
    let captures: Vec<String> = (0..9).map(|_| "1".to_owned()).collect();
    let sample = endpoint.and_then(|endpoint| endpoint.fill("h1", &captures));
    for text in sample.iter().chain(endpoints.values()) {
        if let Err(why) = settings.check(text, &clock) {
            found.add(at, format!("{what}: {why}"));
        }
    }
}

/// A clock that stands still: a device that is created only to validate its options sends no request.
struct StoppedClock;

impl Clock for StoppedClock {
    fn wall(&self) -> Timestamp {
        Timestamp::from_micros(0)
    }

    fn boot(&self) -> Duration {
        Duration::ZERO
    }
}
