//! Last check before a host is switched off: only canaries are on it.

use std::collections::BTreeSet;

use tachi_domain::ServerId;
use tachi_domain::nova::{Migration, Server, Service, VmState};
use tachi_engine::ports::{CallError, Canaries, NovaCalls};

/// Data of the host in Nova and Placement. All of it was read after the service had been disabled.
pub(super) struct HostContents {
    pub(super) service: Option<Service>,
    pub(super) servers: Vec<Server>,
    /// Number of instances that its cell counts.
    pub(super) counted: Option<usize>,
    pub(super) migrations: Vec<Migration>,
    /// The consumers of its resources in Placement.
    pub(super) consumers: Option<BTreeSet<String>>,
}

/// Reads the data.
pub(super) async fn shown(
    nova: &dyn NovaCalls,
    canaries: &dyn Canaries,
    host: &str,
) -> Result<HostContents, CallError> {
    Ok(HostContents {
        service: nova.service(host).await?,
        servers: nova.servers_on(host).await?,
        counted: nova.count_in_cell(host).await?,
        migrations: nova.migrations_touching(host).await?,
        consumers: canaries.consumers_on(host).await?,
    })
}

/// Returns what blocks switching it off; `None` if only canaries are there, and nothing can be placed there.
pub(super) fn blocker(shown: &HostContents, canaries: &BTreeSet<ServerId>, reason: &str) -> Option<String> {
    let Some(service) = &shown.service else {
        return Some("Nova has no nova-compute on it".into());
    };
    if !service.up {
        return Some("Nova shows it down".into());
    }
    if service.enabled || service.disabled_reason.as_deref() != Some(reason) {
        return Some(
            "its service is not disabled as the drill left it, so Nova may place an instance there".into(),
        );
    }
    if let Some(other) = shown.servers.iter().find(|server| !canaries.contains(&server.id)) {
        return Some(format!("instance {} ({}) is on it", other.name, other.id));
    }
    if let Some(missing) = canaries
        .iter()
        .find(|id| shown.servers.iter().all(|server| server.id != **id))
    {
        return Some(format!("canary {missing} is no longer on it"));
    }
    let at_work =
        |server: &&Server| server.vm_state != VmState::Active || server.task_state.is_some() || server.locked;
    if let Some(busy) = shown.servers.iter().find(at_work) {
        return Some(format!(
            "canary {} is not active, has a task or is locked",
            busy.name
        ));
    }
    match shown.counted {
        None => return Some("its cell reports no number of instances".into()),
        Some(count) if count > canaries.len() => {
            return Some(format!("its cell counts {count} instances on it"));
        }
        Some(_) => {}
    }
    if let Some(one) = shown
        .migrations
        .iter()
        .find(|migration| !migration.status.is_finished())
    {
        return Some(format!("instance {} is migrating from or to it", one.server));
    }
    let Some(consumers) = &shown.consumers else {
        return Some("Placement gives no allocations for it".into());
    };
    let ours: BTreeSet<String> = canaries.iter().map(ToString::to_string).collect();
    let other = consumers.iter().find(|one| !ours.contains(*one));
    other.map(|one| format!("Placement holds an allocation on it for {one}, which is not a canary"))
}

#[cfg(test)]
pub(in crate::drill) mod tests {
    use tachi_domain::nova::{InstanceTraits, PowerState};
    use tachi_domain::{ServiceId, Timestamp};
    use uuid::Uuid;

    use super::*;

    const REASON: &str = "drill [tachi drain 1]";

    pub(in crate::drill) fn server(id: u128) -> Server {
        Server {
            id: ServerId(Uuid::from_u128(id)),
            name: format!("canary-{id}"),
            host: Some("c1".into()),
            vm_state: VmState::Active,
            task_state: None,
            power_state: PowerState::Running,
            locked: false,
            locked_reason: None,
            metadata: [].into(),
            volume_backed: false,
            launched: true,
            fault: None,
            about: InstanceTraits::default(),
            needs: None,
            updated: None,
        }
    }

    fn clean() -> (HostContents, BTreeSet<ServerId>) {
        let servers = vec![server(1), server(2)];
        let ids: BTreeSet<ServerId> = servers.iter().map(|server| server.id).collect();
        let service = Service {
            id: ServiceId(Uuid::from_u128(7)),
            host: "c1".into(),
            enabled: false,
            disabled_reason: Some(REASON.into()),
            up: true,
            forced_down: false,
            last_heartbeat: Some(Timestamp::from_micros(5)),
            nova_now: Some(Timestamp::from_micros(8)),
        };
        let shown = HostContents {
            service: Some(service),
            servers,
            counted: Some(2),
            migrations: Vec::new(),
            consumers: Some(ids.iter().map(ToString::to_string).collect()),
        };
        (shown, ids)
    }

    type Change = fn(&mut HostContents);

    #[test]
    fn a_host_is_switched_off_only_with_canaries_alone_on_it_and_closed_to_all_others() {
        let (shown, ids) = clean();
        assert_eq!(blocker(&shown, &ids, REASON), None);
        let cases: &[(&str, Change, &str)] = &[
            ("no service", |shown| shown.service = None, "no nova-compute"),
            (
                "down",
                |shown| shown.service.as_mut().unwrap().up = false,
                "shows it down",
            ),
            (
                "enabled meanwhile",
                |shown| shown.service.as_mut().unwrap().enabled = true,
                "not disabled",
            ),
            (
                "disabled by another meanwhile",
                |shown| shown.service.as_mut().unwrap().disabled_reason = Some("mine".into()),
                "not disabled as",
            ),
            ("a stranger", |shown| shown.servers.push(server(3)), "canary-3"),
            (
                "one is gone",
                |shown| drop(shown.servers.pop()),
                "no longer on it",
            ),
            (
                "one is stopped",
                |shown| shown.servers[0].vm_state = VmState::Stopped,
                "is not active",
            ),
            (
                "one has a task",
                |shown| shown.servers[0].task_state = Some("rebooting".into()),
                "is not active",
            ),
            (
                "one is locked",
                |shown| shown.servers[0].locked = true,
                "is not active",
            ),
            (
                "the cell counts more",
                |shown| shown.counted = Some(3),
                "counts 3",
            ),
            (
                "the cell is silent",
                |shown| shown.counted = None,
                "reports no number",
            ),
            (
                "somebody is scheduled",
                |shown| {
                    let stranger = Uuid::from_u128(3).to_string();
                    shown.consumers.as_mut().unwrap().insert(stranger);
                },
                "is not a canary",
            ),
            (
                "Placement cannot tell",
                |shown| shown.consumers = None,
                "Placement gives no allocations",
            ),
        ];
        for (case, change, part) in cases {
            let (mut shown, ids) = clean();
            change(&mut shown);
            let why = blocker(&shown, &ids, REASON).unwrap_or_default();
            assert!(why.contains(part), "{case}: {why:?}");
        }
    }
}
