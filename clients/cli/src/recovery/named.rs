//! Lookup of the recovery that an operator names.

use std::collections::BTreeMap;

use tachi_domain::RecoveryId;
use tachi_domain::recovery::{Life, RecoveryKind};
use tachi_domain::situation::MIN_ID_PREFIX_LENGTH;
use tachi_engine::ports::operator::RecoveryFilter;
use tachi_operator::search::{best_matches, several_matches};
use tachi_operator::when::time;
use tachi_operator::{Failure, RecoveryView, VmoveView};

use crate::out;
use crate::source::Source;

/// Limit of the candidates that are shown if the name is ambiguous.
const MAX_LISTED: usize = 6;

/// Finds the recovery with this id or host, as [`find`] does. A name of none is an error.
pub(super) async fn named(source: &dyn Source, requested: &str) -> Result<RecoveryId, Failure> {
    find(source, requested).await?.ok_or_else(|| {
        Failure::from_text(format!(
            "no recovery matches {:?} by its host, its id (at least the first {MIN_ID_PREFIX_LENGTH} characters) or an instance: see `tachi \
             recovery list --all`",
            requested.trim()
        ))
    })
}

/// Finds the recovery with this id or host. Of several recoveries of a host it takes the host's own open one, then another open one, then
/// the one that watches for the host's return, else the newest.
pub(crate) async fn find(source: &dyn Source, requested: &str) -> Result<Option<RecoveryId>, Failure> {
    let requested = requested.trim();
    if let Ok(id) = requested.parse() {
        return Ok(Some(id));
    }
    // Without a limit: recoveries of single instances would hide the host's own.
    let of_host = RecoveryFilter {
        host: Some(requested.to_owned()),
        ..RecoveryFilter::default()
    };
    let unsettled = source.recoveries(&of_host).await?;
    if let Some(id) = only(requested, &foremost(unsettled))? {
        return Ok(Some(id));
    }
    let closed = RecoveryFilter {
        closed: true,
        limit: Some(1),
        ..of_host
    };
    if let Some(newest) = source.recoveries(&closed).await?.first() {
        return Ok(Some(newest.recovery));
    }
    let is_id = requested.len() >= MIN_ID_PREFIX_LENGTH
        && requested.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if is_id {
        let begins = RecoveryFilter {
            closed: true,
            id: Some(requested.to_ascii_lowercase()),
            limit: Some(MAX_LISTED as u64),
            ..RecoveryFilter::default()
        };
        if let Some(id) = only(requested, &source.recoveries(&begins).await?)? {
            return Ok(Some(id));
        }
    }
    of_instance(source, requested).await
}

/// Keeps the recoveries of the highest rank that is present.
fn foremost(unsettled: Vec<RecoveryView>) -> Vec<RecoveryView> {
    let rank = |row: &RecoveryView| match (row.life, row.kind) {
        (Life::Open, RecoveryKind::Host | RecoveryKind::Drain | RecoveryKind::Giveback) => 0,
        (Life::Open, RecoveryKind::Vm | RecoveryKind::Process) => 1,
        (Life::Watching | Life::Closed, _) => 2,
    };
    let first = unsettled.iter().map(rank).min();
    unsettled
        .into_iter()
        .filter(|row| Some(rank(row)) == first)
        .collect()
}

/// Finds the recovery of the instance with this name or id prefix.
async fn of_instance(source: &dyn Source, requested: &str) -> Result<Option<RecoveryId>, Failure> {
    let all = source.instances(false).await?;
    let called = |vmove: &VmoveView| (vmove.instance.clone(), vmove.name.clone());
    let (_, found) = best_matches(requested, all, called);
    let found: BTreeMap<RecoveryId, VmoveView> = found.into_iter().map(|one| (one.recovery, one)).collect();
    if found.len() > 1 {
        let each = found.iter().map(|(id, one)| {
            let (name, host) = (out::plain(&one.name), out::plain(&one.host));
            format!("{id} of {host}, with {name} ({})", one.instance)
        });
        return Err(Failure::usage(several_matches(requested, "recoveries", each)));
    }
    Ok(found.into_keys().next())
}

/// Returns the only candidate; `None` if there is none, an error if there are several.
fn only(requested: &str, found: &[RecoveryView]) -> Result<Option<RecoveryId>, Failure> {
    if let [one] = found {
        return Ok(Some(one.recovery));
    }
    if found.is_empty() {
        return Ok(None);
    }
    let each = |row: &RecoveryView| {
        format!(
            "{} {} of {}, {}, opened {}",
            row.recovery,
            row.kind,
            out::plain(&row.host),
            row.life,
            time(row.opened_at.0)
        )
    };
    let more = found.len().saturating_sub(MAX_LISTED);
    let more = (more > 0).then(|| format!("and {more} more"));
    let each = found.iter().take(MAX_LISTED).map(each).chain(more);
    Err(Failure::usage(several_matches(requested, "recoveries", each)))
}

#[cfg(test)]
mod tests {
    use tachi_domain::{HostId, NotificationId, Timestamp};
    use tachi_engine::ports::operator::{MoveCounts, RecoverySummary};
    use uuid::Uuid;

    use super::*;

    fn row(number: u128, host: &str) -> RecoveryView {
        RecoveryView::from(&RecoverySummary {
            id: RecoveryId(Uuid::from_u128(number)),
            notification: NotificationId(Uuid::from_u128(number)),
            kind: RecoveryKind::Host,
            host: host.into(),
            host_id: HostId(Uuid::from_u128(1)),
            segment: None,
            moves: MoveCounts::default(),
            life: Life::Open,
            status: "running".into(),
            wait: None,
            message: None,
            owner: None,
            opened_at: Timestamp::from_micros(1),
            first_reported_at: Timestamp::from_micros(1),
        })
    }

    /// The commands that `tachi` prints name the host.
    #[test]
    fn the_name_of_a_host_means_its_own_open_recovery() {
        let of = |number, kind, life| RecoveryView {
            kind,
            life,
            ..row(number, "a")
        };
        let own = of(1, RecoveryKind::Host, Life::Open);
        let process = of(2, RecoveryKind::Process, Life::Open);
        let before = of(3, RecoveryKind::Host, Life::Watching);
        for (all, meant) in [
            (vec![&before, &process, &own], vec![&own]),
            (vec![&before, &process], vec![&process]),
            (vec![&before], vec![&before]),
            (vec![], vec![]),
        ] {
            let owned = |all: Vec<&RecoveryView>| all.into_iter().cloned().collect::<Vec<_>>();
            assert_eq!(foremost(owned(all)), owned(meant));
        }
    }

    #[test]
    fn one_that_could_be_several_is_not_guessed() {
        assert_eq!(only("a", &[]).unwrap(), None);
        assert_eq!(only("a", &[row(7, "a")]).unwrap(), Some(row(7, "a").recovery));
        let several = only("a", &[row(7, "a"), row(8, "a")]).unwrap_err();
        let message = several.chain();
        assert!(
            several.is_usage() && message.contains(&row(7, "a").recovery.to_string()),
            "{message}"
        );
        assert!(message.contains(&row(8, "a").recovery.to_string()), "{message}");
        let many: Vec<RecoveryView> = (1..=8).map(|number| row(number, "a")).collect();
        let message = only("a", &many).unwrap_err().chain();
        assert!(message.ends_with("and 2 more"), "{message}");
    }
}
