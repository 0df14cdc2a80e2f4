//! Instances that a live drill has built for itself: recognition, creation and deletion. Nothing else is ever deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tachi_domain::ServerId;
use tachi_domain::nova::{Server, VmState};
use tachi_engine::ports::canaries::{CanaryOrder, Networks};
use tachi_engine::ports::{Canaries, NovaCalls};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use crate::failure::Failure;

/// Prefix of a canary's name.
const PREFIX: &str = "tachi-canary-";

/// Metadata key of the drill's id.
const DRILL: &str = "tachi_drill";

/// Metadata key of the drilled host.
const HOST: &str = "tachi_drill_host";

/// Interval between two polls of what Nova builds or deletes.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Parameters of the canaries.
#[derive(Clone, Debug)]
pub struct Make {
    /// Number of canaries.
    pub count: u32,
    pub image: String,
    pub flavor: String,
    pub networks: Networks,
    /// Metadata key that marks instances for high availability.
    pub ha_key: String,
}

/// Returns the request for the canary of this number.
pub(super) fn order(make: &Make, drill: Uuid, host: &str, number: u32) -> CanaryOrder {
    let metadata = [
        (DRILL, drill.to_string()),
        (HOST, host.to_owned()),
        (make.ha_key.as_str(), "True".to_owned()),
    ];
    let short = drill.simple().to_string();
    let short = short.get(..8).unwrap_or(&short);
    CanaryOrder {
        name: format!("{PREFIX}{short}-{number}"),
        host: host.to_owned(),
        image: make.image.clone(),
        flavor: make.flavor.clone(),
        networks: make.networks.clone(),
        metadata: BTreeMap::from(metadata.map(|(key, value)| (key.to_owned(), value))),
    }
}

/// True if a server of our own project is a canary: of this drill, if one is given, else of any drill of the host.
pub(super) fn is_canary(server: &Server, host: &str, drill: Option<Uuid>) -> bool {
    let of = |key: &str| server.metadata.get(key).map(String::as_str);
    let its = of(DRILL).and_then(|text| Uuid::parse_str(text).ok());
    server.name.starts_with(PREFIX)
        && of(HOST) == Some(host)
        && its.is_some_and(|its| drill.is_none_or(|drill| drill == its))
}

/// Returns the canaries that Nova shows in our project.
///
/// # Errors
///
/// Nova or Keystone failed.
pub async fn found(nova: &dyn Canaries, host: &str, drill: Option<Uuid>) -> Result<Vec<Server>, Failure> {
    let all = nova.own_servers().await;
    let all = all.map_err(|error| Failure::new("listing the canaries", error))?;
    Ok(all
        .into_iter()
        .filter(|server| is_canary(server, host, drill))
        .collect())
}

/// Waits until all canaries run on the host.
pub(super) async fn until_active(
    nova: &dyn NovaCalls,
    host: &str,
    ids: &BTreeSet<ServerId>,
    limit: Duration,
) -> Result<(), Failure> {
    let ends = Instant::now() + limit;
    for id in ids {
        loop {
            let server = nova.server(*id).await;
            let server = server.map_err(|error| Failure::new("reading a canary", error))?;
            let Some(server) = server else {
                return Err(Failure::from_text(format!("canary {id} no longer exists")));
            };
            if server.vm_state == VmState::Active && server.task_state.is_none() {
                if server.host.as_deref() == Some(host) {
                    break;
                }
                let on = server.host.as_deref().unwrap_or("no host");
                return Err(Failure::from_text(format!("Nova has put canary {id} on {on}")));
            }
            if server.vm_state == VmState::Error {
                let why = server.fault.as_deref().unwrap_or("Nova gives no reason");
                return Err(Failure::from_text(format!(
                    "Nova could not build canary {id}: {why}"
                )));
            }
            if Instant::now() >= ends {
                return Err(Failure::from_text(format!(
                    "canary {id} is not built after {} min",
                    limit.as_secs() / 60
                )));
            }
            sleep(POLL_INTERVAL).await;
        }
    }
    Ok(())
}

/// Waits until the servers are deleted; returns those that are left.
pub(super) async fn until_gone(nova: &dyn NovaCalls, ids: &[ServerId], limit: Duration) -> Vec<ServerId> {
    let ends = Instant::now() + limit;
    let mut left = Vec::new();
    for id in ids {
        loop {
            match nova.server(*id).await {
                Ok(None) => break,
                Ok(Some(_)) | Err(_) if Instant::now() < ends => sleep(POLL_INTERVAL).await,
                Ok(Some(_)) | Err(_) => {
                    left.push(*id);
                    break;
                }
            }
        }
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drill::live::host_contents::tests::server;

    #[test]
    fn only_what_a_drill_of_the_host_has_built_is_a_canary() {
        let (drill, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let make = Make {
            count: 1,
            image: "i".into(),
            flavor: "f".into(),
            networks: Networks::None,
            ha_key: "HA_Enabled".into(),
        };
        let order = order(&make, drill, "c1", 3);
        assert_eq!(order.name, "tachi-canary-00000000-3");
        assert_eq!(order.metadata["HA_Enabled"], "True");
        let mut canary = server(9);
        canary.name = order.name;
        canary.metadata = order.metadata;
        assert!(is_canary(&canary, "c1", Some(drill)) && is_canary(&canary, "c1", None));
        assert!(!is_canary(&canary, "c1", Some(other)), "another drill's");
        assert!(!is_canary(&canary, "c2", None), "of another host's drill");
        let mut renamed = canary.clone();
        renamed.name = "db-1".into();
        assert!(
            !is_canary(&renamed, "c1", None),
            "somebody's with copied metadata"
        );
        let mut bare = canary.clone();
        bare.metadata.remove(DRILL);
        assert!(!is_canary(&bare, "c1", None), "somebody's of that name");
        canary.metadata.insert(DRILL.into(), "no id".into());
        assert!(!is_canary(&canary, "c1", None));
    }
}
