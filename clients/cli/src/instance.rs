//! `tachi instance`: the instances of the region and of recoveries, and an operator's resolution of one.

use serde_json::json;
use tachi_domain::situation::Protection;
use tachi_domain::{Timestamp, WaitsFor};
use tachi_operator::{DiskView, Failure, ListedInstanceView, VmoveView, WaitView};

use super::consent::confirm;
use super::recovery::note_if_no_engine_runs;
use crate::arguments::{InstanceCommand, InstanceListArgs, ResolveArgs, VmoveCommand};
use crate::out::{Cell, Column, TextTable, answer};
use crate::source::{self, ActionRequest, Controller, Source};

pub async fn run(command: InstanceCommand, controller: &dyn Controller) -> Result<u8, Failure> {
    match command {
        InstanceCommand::List(args) => list(args, controller).await,
        InstanceCommand::Resolve(args) => resolve(args, controller).await,
    }
}

/// Runs the commands under their old names.
pub async fn of_vmove(command: VmoveCommand, controller: &dyn Controller) -> Result<u8, Failure> {
    match command {
        VmoveCommand::List(args) => list(args.into(), controller).await,
        VmoveCommand::Recover(args) => resolve(args.into(), controller).await,
    }
}

async fn list(args: InstanceListArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let now = source.now();
    if !args.waiting && !args.recovering {
        let found = source.hosted_instances(args.host.as_deref(), args.down).await?;
        let none = if found.is_empty() {
            none_hosted(source.as_ref(), args.down).await?
        } else {
            ""
        };
        answer::list(&args.shape, now, &hosted_sheet(found), none)?;
        return Ok(crate::DONE);
    }
    let mut found = source.instances(args.waiting).await?;
    if let Some(host) = &args.host {
        found.retain(|one| one.host == *host);
    }
    let none = if args.waiting {
        "no instance waits for an operator"
    } else {
        "no recovery with instances is open"
    };
    answer::list(&args.shape, now, &sheet(found, now), none)?;
    Ok(crate::DONE)
}

/// Returns the text for an empty list of instances on hosts.
async fn none_hosted(source: &dyn Source, down: bool) -> Result<&'static str, Failure> {
    Ok(match (source.situation().await?.instances, down) {
        (None, _) => "no engine has read Nova's instances yet",
        (Some(_), true) => "no instance is down",
        (Some(_), false) => "there are no instances",
    })
}

fn hosted_sheet(found: Vec<ListedInstanceView>) -> TextTable<6> {
    let columns = [
        Column::new("name"),
        Column::new("id"),
        Column::new("host"),
        Column::of("state", "protection"),
        Column::new("disk"),
        Column::of("why", "reasons"),
    ];
    TextTable::new(columns, found, |listed| {
        let one = &listed.hosted;
        let reasons: Vec<&str> = one.reasons.iter().map(|code| code.meaning()).collect();
        let why = match (&one.waits, &listed.dismissed_by, &one.left) {
            (Some(wait), ..) => wait.about(),
            (None, Some(by), _) => format!("dismissed by {by}"),
            (None, None, Some(left)) => left.clone(),
            (None, None, None) if listed.why.is_some() => {
                let parts = listed.why.iter().chain(&listed.command);
                parts.map(String::as_str).collect::<Vec<_>>().join(": ")
            }
            (None, None, None) if reasons.is_empty() && one.protection != Protection::Protected => {
                format!("as its host: tachi show {}", listed.host)
            }
            (None, None, None) => reasons.join("; "),
        };
        let cells = [
            Cell::text(&one.name),
            Cell::id(&one.id),
            Cell::text(&listed.host),
            Cell::text(one.protection.as_str()),
            Cell::text(one.disk.as_ref().map_or_else(String::new, DiskView::short)),
            Cell::prose(why),
        ];
        (cells, json!(listed))
    })
}

fn sheet(found: Vec<VmoveView>, now: Timestamp) -> TextTable<9> {
    let columns = [
        Column::of("id", "instance"),
        Column::new("name"),
        Column::new("host"),
        Column::new("to"),
        Column::new("state"),
        Column::new("recovery"),
        Column::of("waits for", "waits"),
        Column::of("what is known", "known"),
        Column::of("what ends the wait", "commands"),
    ];
    let waits = |wait: &Option<WaitView>| {
        let wait = wait.as_ref().filter(|wait| wait.what != WaitsFor::Nothing);
        wait.map_or_else(String::new, |wait| wait.sentence(now))
    };
    TextTable::new(columns, found, |one| {
        let cells = [
            Cell::id(&one.instance),
            Cell::text(&one.name),
            Cell::text(&one.host),
            Cell::text(one.to.clone().unwrap_or_default()),
            Cell::text(&one.state),
            Cell::id(&one.recovery),
            Cell::prose(waits(&one.waits)),
            Cell::prose(one.known.clone().unwrap_or_default()),
            Cell::prose(one.commands.join("; ")),
        ];
        (cells, json!(one))
    })
}

/// True if an instance with this name or id prefix is in a recovery, or was given up by one.
async fn is_known(source: &dyn Source, requested: &str) -> Result<bool, Failure> {
    let mut all = source.instances(false).await?;
    all.extend(source.instances(true).await?);
    let (_, found) =
        tachi_operator::search::best_matches(requested, all, |one| (one.instance.clone(), one.name.clone()));
    Ok(!found.is_empty())
}

async fn resolve(args: ResolveArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    answer::accepts(
        &args.confirmed.shape,
        ["word", "instance", "recovery", "by", "seen_to"],
    )?;
    let (resolution, on) = args.resolution();
    let source = source::open(&args.source, controller).await?;
    let mut reason = args.confirmed.consent.reason.clone();
    // This is the only resolution that starts an instance while another copy of it may run.
    if args.not_running || args.not_running_on.is_some() {
        // An unknown instance is refused before the operator is asked for a reason or for the confirmation.
        if !is_known(source.as_ref(), &args.instance).await? {
            return Err(Failure::from_text(format!(
                "no open recovery has an instance {:?} (a name, or the beginning of an id), and none has given it up: see `tachi instance \
                 list --recovering`",
                args.instance
            )));
        }
        let (name, what) = on.map_or_else(
            || {
                (
                    args.instance.as_str(),
                    "confirm that no evacuation can complete for".to_owned(),
                )
            },
            |host| (host, format!("confirm that {} does not run on", args.instance)),
        );
        let consequence = "it may be started elsewhere; if it is running after all, it runs twice and its disks are destroyed.";
        reason = Some(confirm(name, &args.confirmed.consent, &what, consequence)?);
    }
    let request = ActionRequest::OfInstance(&args.instance, resolution, on);
    let outcome = source.submit(request, reason.as_deref()).await?;
    let (name, by) = (&args.instance, &outcome.by);
    let object = || json!({"word": resolution.as_str(), "instance": name, "recovery": outcome.recovery, "by": by, "seen_to": outcome.seen_to});
    answer::object(&args.confirmed.shape, source.now(), object, |_| {
        let what = match (&args.running_on, &args.not_running_on) {
            (Some(host), _) => format!("{name} runs on {host}"),
            (None, Some(host)) => format!("{name} is not running on {host}; it may be started elsewhere"),
            (None, None) if args.not_running => format!("{name} runs nowhere; it may be started elsewhere"),
            (None, None) if args.retry => format!("request to evacuate {name} again"),
            (None, None) if outcome.seen_to => format!("{name} is acknowledged"),
            (None, None) => format!("{name} is left as it is"),
        };
        let mut lines = vec![format!("Recorded: {what}, by {by}")];
        if !outcome.seen_to {
            lines.push(format!("Follow: tachi recovery show {name} --follow"));
        }
        lines
    })?;
    if !outcome.seen_to {
        note_if_no_engine_runs(source.as_ref()).await;
    }
    Ok(crate::DONE)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value};

    use super::*;
    use crate::out::View;

    const ID: &str = "00000001-aaaa-4aaa-8aaa-aaaaaaaaaaaa";

    fn hosted() -> ListedInstanceView {
        let one = json!({
            "host": "a", "dismissed_by": null, "id": ID, "name": "web", "protection": "protected", "reasons": [], "left": null,
            "waits": null,
        });
        from_value(one).unwrap()
    }

    fn moved() -> VmoveView {
        let one = json!({
            "instance": ID, "name": "web", "host": "a", "to": null, "may_run_on": [], "state": "asked", "needs_person": false,
            "waits": null, "commands": [], "recovery": "00000002-aaaa-4aaa-8aaa-aaaaaaaaaaaa", "life": "open", "known": null,
        });
        from_value(one).unwrap()
    }

    /// A script that selects a column gets the same of either list.
    #[test]
    fn both_lists_have_the_id_below_id_and_the_name_below_name() {
        let now = Timestamp::from_micros(0);
        let view = View::bare(now);
        let column = |name: &str| {
            let names = [name.to_owned()];
            [
                hosted_sheet(vec![hosted()]).table(&names, &view).unwrap(),
                sheet(vec![moved()], now).table(&names, &view).unwrap(),
            ]
        };
        for (name, value) in [("id", ID), ("name", "web")] {
            for table in column(name) {
                assert!(
                    table.contains(&format!("| {name} ")) && table.contains(value),
                    "{table}"
                );
            }
        }
        let heads = [
            hosted_sheet(vec![hosted()]).table(&[], &view),
            sheet(vec![moved()], now).table(&[], &view),
        ];
        for table in heads.map(Result::unwrap) {
            assert!(!table.contains("| instance "), "{table}");
        }
        // The field of the JSON selects the column, too.
        let by_field = sheet(vec![moved()], now).table(&["instance".to_owned()], &view);
        assert!(by_field.unwrap().contains(ID));
        assert_eq!(json!(moved())["instance"], Value::from(ID));
    }
}
