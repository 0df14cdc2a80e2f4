//! `tachi explain`: why a host or an instance is protected or not, what is happening to it, and what to type.

use serde_json::json;
use tachi_domain::situation::{Aspect, Explanation, Finding, Need, Subject};
use tachi_operator::{ExplanationView, Seen, Underway};

use super::status::findings::{mark, since};
use super::{Failure, command_settings, recovery, status, waits};
use crate::cli::{ExplainArgs, Format, RecoveryShowArgs, ShowFormat};
use crate::out;
use crate::wiring::{Base, existing};

/// Explains every host and instance of that name, else the recovery of that id.
pub(crate) async fn run(args: ExplainArgs) -> Result<u8, Failure> {
    let settings = command_settings(&args.config)?;
    let base = existing(&settings).await?;
    let seen = status::look(&settings, &base).await?;
    let found = seen.situation.explain(args.name.trim());
    if found.is_empty() {
        return Box::pin(of_recovery(&base, args, &seen)).await;
    }
    match args.format {
        Format::Table => {
            for (place, one) in found.iter().enumerate() {
                if place > 0 {
                    out::line("");
                }
                lines(&seen, one).iter().for_each(out::line);
            }
        }
        Format::Json => {
            let all: Vec<_> = found.iter().map(|one| ExplanationView::of(&seen, one)).collect();
            out::line(json!(all).to_string());
        }
    }
    Ok(crate::DONE)
}

/// No host and no instance: the story of a recovery is its explanation.
async fn of_recovery(base: &Base, args: ExplainArgs, seen: &Seen) -> Result<u8, Failure> {
    let listed = match seen.situation.instances {
        Some(_) => "",
        None => " (no engine has listed Nova's instances yet)",
    };
    out::note(format!(
        "tachi: no host and no instance is called {:?}{listed}",
        args.name
    ));
    let show = RecoveryShowArgs {
        config: args.config,
        recovery: args.name,
        follow: false,
        format: match args.format {
            Format::Table => ShowFormat::Text,
            Format::Json => ShowFormat::Json,
        },
    };
    recovery::show(base, show).await
}

fn head(subject: Subject<'_>) -> String {
    let word = subject.protection().as_str().to_ascii_uppercase();
    match subject {
        Subject::Instance(one) => format!("instance {} ({}) on {}: {word}", one.name, one.id, one.host),
        Subject::Host(one) => {
            let segment = one.segment.as_ref().map_or_else(
                || "in no segment".to_owned(),
                |name| {
                    format!(
                        "in segment {name}{}",
                        if one.reserved { ", reserved" } else { "" }
                    )
                },
            );
            let instances = one.counts.map_or_else(String::new, |counts| {
                format!(", {} instances to be recovered", counts.meant())
            });
            format!("host {} ({segment}{instances}): {word}", one.name)
        }
    }
}

fn lines(seen: &Seen, one: &Explanation<'_>) -> Vec<String> {
    let mut lines = vec![head(one.subject)];
    let underway = Underway::of(seen, one.subject);
    if let Some(line) = underway.waiting {
        let waits = line.wait.as_ref().map(|wait| waits::sentence(wait, seen.now));
        lines.push(format!("  waits for you: {}", waits.unwrap_or_default()));
        lines.extend(line.message.iter().map(|known| format!("  known: {known}")));
    } else if let Some(row) = underway.recovery {
        let message = row.message.as_deref().unwrap_or("under way");
        lines.push(format!("  recovery {} ({}): {message}", row.id, row.life));
    }
    lines.extend(underway.ways().iter().map(|way| format!("      -> {way}")));
    for (need, against) in &one.needs {
        lines.extend(need_lines(seen, one, *need, against));
    }
    lines
}

fn need_lines(seen: &Seen, one: &Explanation<'_>, need: Need, against: &[&Finding]) -> Vec<String> {
    let name = format!("{:<9}", need.as_str());
    if let (Need::Meant, Subject::Instance(instance)) = (need, one.subject)
        && let Some(left) = &instance.left
    {
        return vec![format!("  · {name} {left}")];
    }
    if against.is_empty() {
        return vec![match need.not_assessed() {
            None if one.holds(need, against) == Some(false) => format!("  ✗ {name} not so: {}", need.good()),
            None if one.holds(need, against).is_none() => {
                format!("  ? {name} not known: {}", need.good())
            }
            Some(Aspect::Room) => format!(
                "  · {name} {}; whether they have room is not assessed",
                need.good()
            ),
            Some(Aspect::Monitors) => format!(
                "  · {name} {}; which monitors are at work is not assessed",
                need.good()
            ),
            None => format!("  ✓ {name} {}", need.good()),
        }];
    }
    let mut lines = Vec::new();
    for finding in against {
        lines.push(format!(
            "  {} {name} {}: {}{}",
            mark(finding.grade),
            finding.code,
            finding.text,
            since(finding, seen.now)
        ));
        lines.extend(finding.fix.iter().map(|fix| format!("      -> {fix}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use tachi_domain::entity::host::MaintenanceReason;

    use super::super::status::seen::tests::{fine, host, judged};
    use super::*;

    #[test]
    fn a_host_is_explained_in_lines_and_for_programs() {
        let mut seen = fine();
        seen.tables.segments[0].hosts[0] = host("a", false, Some(MaintenanceReason::Operator));
        seen.situation = judged(&seen.tables);
        let one = &seen.situation.explain("a")[0];
        let told = lines(&seen, one);
        let wanted = [
            "host a (in segment all, 0 instances to be recovered): UNPROTECTED",
            "  ! meant     HOST_ON_MAINTENANCE: on maintenance: an operator has put it there",
            "      -> tachi host return a",
            "  ✓ heard     Nova hears its host",
            "  ✓ provable  nothing speaks against proving its host off",
            "  ! room      FEW_HOSTS: only one of its hosts works, so its instances may have nowhere to go",
            "  ✓ movable   nothing is under way with it",
            "  · watched   no reporter is doubted; which monitors are at work is not assessed",
            "  ✓ engine    an engine is at work",
            "  ✓ known     what is known is young",
        ];
        assert_eq!(told.join("\n"), wanted.join("\n"));
        let json = json!(ExplanationView::of(&seen, one));
        assert_eq!(json["protection"], "unprotected");
        assert_eq!(json["needs"][0]["findings"][0]["code"], "HOST_ON_MAINTENANCE");
        assert_eq!(json["needs"][1]["holds"], true);
        assert_eq!(json["needs"][5]["assessed"], false);
    }
}
