//! The merged settings of one cloud.

use std::path::PathBuf;
use std::time::Duration;

use tachi_keystone::{Interface, Options, Region, Tls};

use crate::auth::{self, Layers};
use crate::files::Found;
use crate::node::{Map, Node};
use crate::regions::ChosenRegion;

/// Prefixes of settings that belong to the Instance-HA API.
const SERVICE_PREFIXES: [&str; 2] = ["instance_ha", "ha"];

/// The address and credentials of a cloud.
#[derive(Clone, Debug)]
pub struct Cloud {
    /// Keystone's address, the credentials, the region and the connection settings.
    pub keystone: Options,
    /// The endpoint interface to use from the catalogue.
    pub interface: Interface,
    /// Address of the API that overrides the catalogue.
    pub endpoint: Option<String>,
    /// The file or variables that define the cloud, for messages.
    pub config_source: String,
}

/// Merges a cloud's settings, as openstacksdk's `get_one` does.
pub(crate) fn assemble(found: &Found, region: &ChosenRegion) -> Result<Cloud, String> {
    let mut config = normalized(&found.profile)?;
    overlay(&mut config, normalized(&found.own)?);
    let mut values = normalized(&region.values)?;
    values.retain(|_, value| *value != Node::Null);
    overlay(&mut config, values);
    config.remove("region_name");
    if let Some(name) = &region.name {
        config.insert("region_name".to_owned(), Node::Text(name.clone()));
    }
    let empty = Map::new();
    let auth = match config.get("auth") {
        None | Some(Node::Null) => &empty,
        Some(Node::Map(auth)) => auth,
        Some(Node::Text(_) | Node::List(_)) => return Err("auth is not a mapping".to_owned()),
    };
    let layers = Layers {
        auth,
        top_level: &config,
    };
    let own = |what: &str| service_setting(&config, what);
    for what in ["service_type", "service_name"] {
        if own(what)?.is_some_and(|value| value != "instance-ha" && value != "masakari") {
            return Err(format!("instance_ha_{what} is not supported"));
        }
    }
    let endpoint = match own("endpoint_override")? {
        Some(endpoint) => Some(endpoint),
        None => own("endpoint")?,
    };
    if endpoint.as_ref().is_some_and(|endpoint| endpoint.contains("%(")) {
        return Err(
            "instance_ha_endpoint_override contains a %(placeholder), which is not supported".to_owned(),
        );
    }
    let region_name = match own("region_name")? {
        Some(own) => Some(own),
        None => text(&config, "region_name")?,
    };
    let auth_url = expand_references(&config, "auth_url", layers.required(&["auth_url"])?)?;
    let mut keystone = Options::new(auth_url, auth::credentials(&layers, auth::kind(&config)?)?);
    keystone.region = region_name.map_or(Region::Unset, Region::Named);
    keystone.region_option = if region.ignored.is_some() {
        "region_name for this cloud (OS_REGION_NAME is set, but belongs to the cloud of the other OS_* variables)"
    } else {
        "region_name for this cloud, or OS_REGION_NAME"
    };
    let interface = interface(&config)?;
    keystone.tls = tls(&config, found.is_environment)?;
    if let Some(text) = text(&config, "api_timeout")? {
        keystone.timeout = seconds(&text).ok_or("api_timeout is not a number of seconds")?;
        keystone.connect_timeout = keystone.connect_timeout.min(keystone.timeout);
    }
    Ok(Cloud {
        keystone,
        interface,
        endpoint,
        config_source: found.config_source.clone(),
    })
}

/// Returns `map` with underscores for dashes in its names.
fn normalized(map: &Map) -> Result<Map, String> {
    let mut all = Map::new();
    for (key, value) in map {
        let value = match value {
            Node::Map(inner) => Node::Map(normalized(inner)?),
            Node::Null | Node::Text(_) | Node::List(_) => value.clone(),
        };
        let name = key.replace('-', "_");
        if all.insert(name.clone(), value).is_some() {
            return Err(format!("{name} is set twice, with dashes and with underscores"));
        }
    }
    Ok(all)
}

/// Overlays `under` with `over`; `auth` is merged setting by setting.
fn overlay(under: &mut Map, over: Map) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Node::Map(under)), Node::Map(over)) if key == "auth" => under.extend(over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// Reads a text beside `auth` and expands its references.
fn text(config: &Map, key: &str) -> Result<Option<String>, String> {
    match config.get(key) {
        None | Some(Node::Null) => Ok(None),
        Some(Node::Text(text)) if text.is_empty() => Ok(None),
        Some(Node::Text(text)) => expand_references(config, key, text).map(Some),
        Some(Node::List(_) | Node::Map(_)) => {
            Err(format!("{key} is a list or a mapping, which is not supported"))
        }
    }
}

/// Reads a setting that belongs to the Instance-HA API.
fn service_setting(config: &Map, what: &str) -> Result<Option<String>, String> {
    let mut found: Option<(String, String)> = None;
    for prefix in SERVICE_PREFIXES {
        let key = format!("{prefix}_{what}");
        let Some(value) = text(config, &key)? else {
            continue;
        };
        match &found {
            Some((other, before)) if *before != value => {
                return Err(format!("{other} and {key} differ; set only one"));
            }
            Some(_) => {}
            None => found = Some((key, value)),
        }
    }
    Ok(found.map(|(_, value)| value))
}

fn interface(config: &Map) -> Result<Interface, String> {
    let either = |first: Option<String>, second: Option<String>, names: &str| match (first, second) {
        (Some(first), Some(second)) if first != second => Err(format!("{names} differ; set only one")),
        (first, second) => Ok(first.or(second)),
    };
    let own = either(
        service_setting(config, "interface")?,
        service_setting(config, "endpoint_type")?,
        "instance_ha_interface and instance_ha_endpoint_type",
    )?;
    let usual = || {
        either(
            text(config, "interface")?,
            text(config, "endpoint_type")?,
            "interface and endpoint_type",
        )
    };
    let setting = match own {
        Some(own) => Some(own),
        None => usual()?,
    };
    match setting {
        None => Ok(Interface::Public),
        Some(setting) => Interface::parse(&setting)
            .ok_or_else(|| format!("interface {setting:?} is not public, internal or admin")),
    }
}

fn tls(config: &Map, is_environment: bool) -> Result<Tls, String> {
    let path = |key: &str| Ok::<_, String>(text(config, key)?.map(|path| expand_home(&path)));
    let own = path("cert")?;
    let key = path("key")?;
    let insecure = boolean(config, "insecure", is_environment)?.unwrap_or(false);
    let verify = boolean(config, "verify", is_environment)?.unwrap_or(true);
    Ok(Tls {
        ca_file: path("cacert")?,
        client_certificate: own.map(|own| {
            let key = key.unwrap_or_else(|| own.clone());
            (own, key)
        }),
        insecure: insecure || !verify,
    })
}

/// Reads a boolean. In a variable openstacksdk accepts only `true`; in a file it accepts YAML's forms.
fn boolean(config: &Map, key: &str, is_environment: bool) -> Result<Option<bool>, String> {
    let Some(setting) = text(config, key)? else {
        return Ok(None);
    };
    match setting.to_ascii_lowercase().as_str() {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        "yes" | "on" if !is_environment => Ok(Some(true)),
        "no" | "off" if !is_environment => Ok(Some(false)),
        _ => Err(format!("{key} is neither true nor false")),
    }
}

fn seconds(text: &str) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    let span = Duration::try_from_secs_f64(number).ok()?;
    (!span.is_zero()).then_some(span)
}

/// Replaces `~` in `path` by the user's home.
fn expand_home(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(path),
    }
}

/// Expands references of the form `{name}` in `value`, as Python's formatting does.
fn expand_references(config: &Map, key: &str, value: &str) -> Result<String, String> {
    let wrong = |what: &str| format!("{key} refers to {{{what}}}, which is not a text setting of this cloud");
    let mut whole = String::new();
    let mut rest = value;
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        whole.push_str(before);
        if let Some(after) = from.strip_prefix("{{") {
            whole.push('{');
            rest = after;
        } else if let Some(after) = from.strip_prefix("}}") {
            whole.push('}');
            rest = after;
        } else {
            let inner = from.strip_prefix('{').and_then(|from| from.split_once('}'));
            let (name, after) = inner.ok_or_else(|| format!("{key} has an unpaired brace"))?;
            let referred = config
                .get(name)
                .and_then(Node::as_text)
                .filter(|text| !text.contains(['{', '}']));
            whole.push_str(referred.ok_or_else(|| wrong(name))?);
            rest = after;
        }
    }
    whole.push_str(rest);
    Ok(whole)
}
