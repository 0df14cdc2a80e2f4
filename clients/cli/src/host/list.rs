//! `tachi host list`.

use std::cmp::Reverse;

use serde_json::json;
use tachi_domain::situation::Protection;
use tachi_operator::{Failure, HostView, SituationView};

use crate::arguments::HostListArgs;
use crate::out::{Cell, Column, TextTable, answer};
use crate::source::{self, Controller};

/// Lists hosts, worst first.
pub async fn run(args: HostListArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let situation = source.situation().await?;
    if let Some(segment) = &args.segment
        && situation.segments.iter().all(|one| one.name != *segment)
    {
        let all: Vec<&str> = situation
            .segments
            .iter()
            .map(|segment| segment.name.as_str())
            .collect();
        return Err(Failure::from_text(format!(
            "no segment is named {segment}; segments: {}",
            all.join(", ")
        )));
    }
    let mut hosts: Vec<&HostView> = situation.hosts.iter().collect();
    hosts.retain(|host| args.segment.is_none() || host.segment == args.segment);
    hosts.sort_by_key(|host| Reverse(badness(host.protection)));
    answer::list(
        &args.shape,
        source.now(),
        &sheet(&hosts, &situation),
        "there are no hosts",
    )?;
    Ok(crate::DONE)
}

/// Returns the rank in the list; the highest is listed first.
const fn badness(protection: Protection) -> u8 {
    match protection {
        Protection::Down => 5,
        Protection::Unprotected => 4,
        Protection::Unknown => 3,
        Protection::Degraded => 2,
        Protection::Protected => 1,
        Protection::NotMeant => 0,
    }
}

fn sheet(hosts: &[&HostView], situation: &SituationView) -> TextTable<7> {
    let columns = [
        Column::of("host", "name"),
        Column::new("segment"),
        Column::of("nova", "up"),
        Column::of("state", "protection"),
        Column::new("instances"),
        Column::new("recovery"),
        Column::of("why", "reasons"),
    ];
    TextTable::new(columns, hosts, |host| {
        let up = match host.up {
            Some(true) => "up",
            Some(false) => "down",
            None => "unknown",
        };
        let instances = host.instances.map_or_else(
            || "?".to_owned(),
            |counts| (counts.included() + counts.not_meant).to_string(),
        );
        let recovery = situation.recoveries.iter().find(|row| row.host == host.name);
        let recovery = recovery.map(|row| row.id.to_string());
        let reasons: Vec<&str> = host.reasons.iter().map(|code| code.as_str()).collect();
        let cells = [
            Cell::text(&host.name),
            Cell::text(host.segment.clone().unwrap_or_default()),
            Cell::text(up),
            Cell::text(host.protection.as_str()),
            Cell::number(&instances),
            Cell::id(&recovery.as_deref().unwrap_or_default()),
            Cell::prose(reasons.join(", ")),
        ];
        let mut object = json!(host);
        object["recovery"] = json!(recovery);
        (cells, object)
    })
}
