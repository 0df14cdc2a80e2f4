//! Extraction of the verdicts' input from the configuration's tree.

use std::time::Duration;

use super::tree::{Attributes, Index, Tag};
use super::{Cib, Device, Level, MONITOR_TIMEOUT, Target, span};
use crate::device::WATCHDOG;

/// Reads everything from the configuration.
pub(super) fn configuration(tree: &Tag, cib: &mut Cib) {
    let index = Index::of(tree);
    let options = Attributes::read("cluster_property_set", tree.all("crm_config"), &index);
    cib.cluster = options.one("cluster-name").map(str::to_owned);
    let fencing = |option: &str| {
        let mut names = ["fencing", "stonith"].iter();
        names.find_map(|prefix| options.one(&format!("{prefix}-{option}")))
    };
    cib.maintenance = options.one("maintenance-mode").is_some_and(crate::xml::yes);
    cib.is_fencing_disabled = fencing("enabled").is_some_and(|enabled| !crate::xml::yes(enabled));
    cib.fences_by = match fencing("action") {
        Some("off" | "poweroff") => "off",
        _ => "reboot",
    };
    let waits =
        fencing("watchdog-timeout").is_some_and(|timeout| !matches!(span(timeout), Some(Duration::ZERO)));
    cib.watchdog =
        waits && options.one("have-watchdog").is_some_and(crate::xml::yes) && options.unclear.is_none();
    let defaults = Attributes::read("meta_attributes", tree.all("rsc_defaults"), &index);
    for resources in tree.all("resources") {
        for (primitive, ancestors) in resources.deep("primitive") {
            resource(resources, primitive, &ancestors, &index, &defaults, cib);
        }
    }
    for topology in tree.all("fencing-topology") {
        cib.levels.extend(topology.all("fencing-level").filter_map(level));
    }
    for nodes in tree.all("nodes") {
        for node in nodes.all("node") {
            // The fencer also reads neither id-ref nor rules here.
            for pair in node.all("instance_attributes").flat_map(|set| set.all("nvpair")) {
                if let (Some(uname), Some(name), Some(value)) =
                    (node.get("uname"), pair.get("name"), pair.get("value"))
                {
                    let values = cib.attributes.entry(uname.to_owned()).or_default();
                    values.push((name.to_owned(), value.to_owned()));
                }
            }
        }
    }
}

fn resource<'t>(
    resources: &'t Tag,
    primitive: &'t Tag,
    ancestors: &[&'t Tag],
    index: &Index<'t>,
    defaults: &Attributes,
    cib: &mut Cib,
) {
    let id = primitive.id().to_owned();
    let template_id = primitive.get("template");
    let template = template_id.and_then(|template_id| {
        resources
            .all("template")
            .find(|template| template.id() == template_id)
    });
    // A primitive with a template has only its id of its own; its sets come after the template's.
    let kind = template.unwrap_or(primitive);
    let own = || template.into_iter().chain([primitive]);
    let role = || {
        let meta = |holder: &'t Tag| Attributes::read("meta_attributes", [holder], index);
        let all = [primitive]
            .into_iter()
            .chain(template)
            .chain(ancestors.iter().copied());
        let values = all
            .map(meta)
            .find_map(|meta| meta.one("target-role").map(str::to_owned));
        values.or_else(|| defaults.one("target-role").map(str::to_owned))
    };
    let stopped = role().is_some_and(|role| role.eq_ignore_ascii_case("stopped"));
    if stopped {
        cib.stopped.push(id.clone());
    }
    let meta = Attributes::read("meta_attributes", own(), index);
    if let Some(guest) = meta.one("remote-node") {
        cib.guests.push(guest.to_owned());
    }
    let lost = template_id.filter(|_| template.is_none());
    let fences = kind
        .get("class")
        .is_some_and(|class| class.eq_ignore_ascii_case("stonith"));
    if fences || lost.is_some() {
        let mut all = Attributes::read("instance_attributes", own(), index);
        for holder in ancestors {
            all.inherit(Attributes::read("instance_attributes", [*holder], index));
        }
        let unclear = all.unclear.take();
        let (parameters, several) = all.resolved();
        let missing = lost.map(|template| format!("uses the template {template:?}, which does not exist"));
        let agent = kind.get("type").unwrap_or_default().to_owned();
        cib.devices.push(Device {
            disabled: stopped || ignored_watchdog(&id, &agent, cib.watchdog),
            id,
            agent,
            parameters,
            several,
            unclear: missing.or(unclear),
        });
    } else if kind.get("type") == Some("remote") {
        cib.connections.push(id.clone());
        for operation in own()
            .flat_map(|holder| holder.all("operations"))
            .flat_map(|all| all.all("op"))
        {
            let time = |name: &str| operation.get(name).and_then(span);
            if operation.get("name") == Some("monitor")
                && let Some(interval) = time("interval").filter(|interval| !interval.is_zero())
            {
                let monitor_interval = interval.saturating_add(time("timeout").unwrap_or(MONITOR_TIMEOUT));
                cib.remotes.insert(id.clone(), monitor_interval);
            }
        }
    }
}

/// True if the fencer ignores this device as a watchdog's: it must have this id and this agent, and nodes that rely on
/// their watchdogs.
fn ignored_watchdog(id: &str, agent: &str, watchdog: bool) -> bool {
    let (by_id, by_agent) = (id == WATCHDOG, ["fence_watchdog", "#watchdog"].contains(&agent));
    (by_id || by_agent) && !(by_id && by_agent && watchdog)
}

/// Reads a level; `None` if the fencer ignores it.
fn level(tag: &Tag) -> Option<Level> {
    let index = tag.get("index")?.trim().parse().ok()?;
    if !(1..=9).contains(&index) {
        return None;
    }
    let text = |name: &str| tag.get(name).map(str::to_owned);
    let target = match (
        text("target"),
        text("target-pattern"),
        text("target-attribute"),
        text("target-value"),
    ) {
        (Some(name), _, _, _) => Target::Name(name),
        (None, Some(pattern), _, _) => Target::Pattern(pattern),
        (None, None, Some(name), Some(value)) => Target::Attribute { name, value },
        (None, None, _, _) => Target::Unreadable,
    };
    let devices = tag.get("devices").unwrap_or_default().split(',');
    Some(Level {
        target,
        index,
        devices: devices
            .map(|device| device.trim().to_owned())
            .filter(|device| !device.is_empty())
            .collect(),
    })
}
