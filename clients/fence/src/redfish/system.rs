//! Selection of a host's system, and its power state.

use serde_json::Value;
use tachi_domain::fault::FaultClass;
use tachi_domain::machine_id::{MachineId, Mark};
use tachi_domain::power::Power;
use tachi_engine::ports::CallError;

use super::client::{Client, Login};
use crate::device::Plug;
use crate::fault::fault;

/// Limit of systems to search.
const MAX_SYSTEMS: usize = 256;

/// Finds the path of a plug's system. Several systems that cannot be distinguished are a configuration error and never
/// a guess: the last system of a list may well be another host's.
pub(super) async fn find(client: &Client, login: &Login, plug: &Plug) -> Result<String, CallError> {
    if let Some(given) = plug.at_device().filter(|given| given.starts_with('/')) {
        return client.own_path(given).ok_or_else(|| {
            CallError::refused(format!(
                "{given:?} of host {} is not a path of a Redfish service",
                plug.host()
            ))
        });
    }
    let members = members(client, login).await?;
    let Some(requested) = plug.at_device() else {
        return match members.as_slice() {
            [only] => Ok(only.clone()),
            [] => Err(refused(client, plug, "no system")),
            several => {
                let what = format!(
                    "{} systems, and the host's system is not configured: {}",
                    several.len(),
                    several.join(", ")
                );
                Err(refused(client, plug, &what))
            }
        };
    };
    let by_path: Vec<&String> = members.iter().filter(|path| last(path) == requested).collect();
    if let [only] = by_path.as_slice() {
        return Ok((*only).clone());
    }
    let mut found = Vec::new();
    for path in &members {
        if is_named(&client.get(login, path).await?, requested) {
            found.push(path.clone());
        }
    }
    match found.as_slice() {
        [only] => Ok(only.clone()),
        [] => Err(refused(
            client,
            plug,
            &format!("no system with the id, UUID, serial number or host name {requested}"),
        )),
        several => Err(refused(
            client,
            plug,
            &format!(
                "{} systems named {requested}: {}",
                several.len(),
                several.join(", ")
            ),
        )),
    }
}

fn refused(client: &Client, plug: &Plug, what: &str) -> CallError {
    let text = format!("redfish {} has {what} (host {})", client.authority(), plug.host());
    CallError::refused(client.secret_filter.line(&text))
}

fn last(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default()
}

fn is_named(system: &Value, requested: &str) -> bool {
    let text = |name: &str| system.get(name).and_then(Value::as_str).unwrap_or_default();
    text("Id") == requested
        || text("SerialNumber") == requested
        || text("UUID").eq_ignore_ascii_case(requested)
        || text("HostName").eq_ignore_ascii_case(requested)
}

async fn members(client: &Client, login: &Login) -> Result<Vec<String>, CallError> {
    let broken = |what: &str| {
        let text = format!("redfish {}: {what}", client.authority());
        fault(FaultClass::Permanent, Some(200), false, text)
    };
    let root = client.get(login, "/redfish/v1/").await?;
    let systems = root.pointer("/Systems/@odata.id").and_then(Value::as_str);
    let mut page = systems
        .and_then(|link| client.own_path(link))
        .ok_or_else(|| broken("the service has no systems"))?;
    let mut found = Vec::new();
    loop {
        let list = client.get(login, &page).await?;
        let links = list.get("Members").and_then(Value::as_array);
        for member in links.ok_or_else(|| broken("the list of systems has no members"))? {
            let path = member
                .get("@odata.id")
                .and_then(Value::as_str)
                .and_then(|link| client.own_path(link))
                .ok_or_else(|| broken("the list of systems has a member without a path of this service"))?;
            found.push(path);
        }
        if found.len() > MAX_SYSTEMS {
            return Err(broken("the service has too many systems"));
        }
        match list.get("Members@odata.nextLink").and_then(Value::as_str) {
            None => return Ok(found),
            Some(next) => {
                let next = client.own_path(next).filter(|next| *next != page);
                page =
                    next.ok_or_else(|| broken("the list of systems continues at an unexpected address"))?;
                if links.is_none_or(Vec::is_empty) {
                    return Err(broken("the list of systems has an empty page"));
                }
            }
        }
    }
}

/// The fields of a system.
pub(super) struct System {
    pub(super) path: String,
    pub(super) resource: Value,
}

impl System {
    pub(super) async fn read(client: &Client, login: &Login, path: String) -> Result<Self, CallError> {
        let resource = client.get(login, &path).await?;
        // A chassis has a power state too, of another machine or of many.
        match resource.get("@odata.type").and_then(Value::as_str) {
            Some(kind) if !kind.starts_with("#ComputerSystem.") => {
                let text = format!(
                    "redfish {}: {path} is {kind} and not a system; set plug to a path under /redfish/v1/Systems, or to an id, \
                     UUID, serial number or host name",
                    client.authority()
                );
                Err(CallError::refused(client.secret_filter.line(&text)))
            }
            None | Some(_) => Ok(Self { path, resource }),
        }
    }

    /// Returns the device's own text; empty if it has none.
    pub(super) fn raw(&self) -> &str {
        self.resource
            .get("PowerState")
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    /// Returns the power. Only `Off` is off: a system that is powering off still runs, and one that is powering on soon
    /// will.
    pub(super) fn power(&self) -> Power {
        match self.raw() {
            "Off" => Power::Off,
            "On" | "PoweringOff" | "PoweringOn" | "Paused" => Power::On,
            _ => Power::Unknown,
        }
    }

    /// Returns the hardware's UUID, if it has one.
    pub(super) fn uuid(&self) -> Option<String> {
        let uuid = self.resource.get("UUID").and_then(Value::as_str)?;
        Some(uuid.to_ascii_lowercase()).filter(|uuid| !uuid.is_empty())
    }

    /// Returns the machine's identity, if the system states one that is unique.
    pub(super) fn machine(&self) -> Option<MachineId> {
        let text = |name: &str| {
            self.resource
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        MachineId::of([(Mark::Uuid, text("UUID")), (Mark::Serial, text("SerialNumber"))])
    }

    /// Returns the path for resets.
    pub(super) fn target(&self, client: &Client) -> Result<String, CallError> {
        let target = self
            .resource
            .pointer("/Actions/#ComputerSystem.Reset/target")
            .and_then(Value::as_str);
        target.and_then(|link| client.own_path(link)).ok_or_else(|| {
            let text = format!(
                "redfish {}: system {} has no reset action",
                client.authority(),
                self.path
            );
            CallError::refused(text)
        })
    }

    /// Selects a reset type: the first wanted one that the system lists, or the first wanted one if it lists none. An
    /// announced list that does not exist counts as none, because it must not prevent a power-off.
    pub(super) async fn reset_type<'a>(
        &self,
        client: &Client,
        login: &Login,
        reset_types: &[&'a str],
    ) -> Result<&'a str, CallError> {
        let action = self.resource.pointer("/Actions/#ComputerSystem.Reset");
        let listed = action.and_then(|action| action.get("ResetType@Redfish.AllowableValues"));
        let info = action
            .and_then(|action| action.get("@Redfish.ActionInfo"))
            .and_then(Value::as_str);
        let listed = match (listed, info.and_then(|info| client.own_path(info))) {
            (Some(values), _) => Some(texts(values)),
            (None, Some(info)) => match client.get(login, &info).await {
                Ok(info) => from_info(&info),
                Err(error) if error.fault.status.is_some() => None,
                Err(error) => return Err(error),
            },
            (None, None) => None,
        };
        let Some(listed) = listed.filter(|listed| !listed.is_empty()) else {
            return reset_types
                .first()
                .copied()
                .ok_or_else(|| CallError::refused("no reset type was requested"));
        };
        let found = reset_types
            .iter()
            .find(|reset_type| listed.iter().any(|listed| listed == *reset_type));
        found.copied().ok_or_else(|| {
            let text = format!(
                "redfish {}: system {} supports none of {}, only {}",
                client.authority(),
                self.path,
                reset_types.join(", "),
                client.secret_filter.line(&listed.join(", "))
            );
            CallError::refused(text)
        })
    }
}

fn texts(values: &Value) -> Vec<String> {
    let values = values.as_array().into_iter().flatten();
    values.filter_map(Value::as_str).map(ToOwned::to_owned).collect()
}

fn from_info(info: &Value) -> Option<Vec<String>> {
    let parameters = info.get("Parameters").and_then(Value::as_array)?;
    let reset = parameters
        .iter()
        .find(|parameter| parameter.get("Name").and_then(Value::as_str) == Some("ResetType"))?;
    reset.get("AllowableValues").map(texts)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Covers I6.
    #[test]
    fn only_off_is_off() {
        for (state, expected) in [
            (json!("Off"), Power::Off),
            (json!("On"), Power::On),
            (json!("PoweringOff"), Power::On),
            (json!("PoweringOn"), Power::On),
            (json!("Paused"), Power::On),
            (json!("off"), Power::Unknown),
            (json!("Reset"), Power::Unknown),
            (json!("Unknown"), Power::Unknown),
            (json!(""), Power::Unknown),
            (json!(null), Power::Unknown),
            (json!(false), Power::Unknown),
            (json!(["Off"]), Power::Unknown),
        ] {
            let system = System {
                path: "/redfish/v1/Systems/1".into(),
                resource: json!({"PowerState": state}),
            };
            assert_eq!(system.power(), expected, "{state}");
        }
        let silent = System {
            path: String::new(),
            resource: json!({}),
        };
        assert_eq!(silent.power(), Power::Unknown);
    }
}
