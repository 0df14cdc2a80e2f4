//! `tachi fence status`, `test` and `check`.

use std::io::IsTerminal as _;
use std::time::Instant;

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tachi_domain::power::Power;
use tachi_engine::ports::OperatorDesk as _;
use tachi_fence::Report;

use super::devices;
use crate::cli::{FenceCheckArgs, FenceHostArgs, Format};
use crate::cmd::Failure;
use crate::{out, wiring};

/// Shows the levels of a host and what their devices say; a device that does not answer is no failure of the question.
pub(super) async fn status(args: FenceHostArgs) -> Result<u8, Failure> {
    let (_, fencers) = devices(&args.config)?;
    let reports = fencers.check(&[args.host], &mut |_, _, _| {}).await;
    show(&reports, args.format);
    let clear = reports.iter().any(|report| report.fault.is_none());
    Ok(if clear { crate::DONE } else { crate::FAILED })
}

/// Tests one host.
pub(super) async fn test(args: FenceHostArgs) -> Result<u8, Failure> {
    let (_, fencers) = devices(&args.config)?;
    let reports = fencers.check(&[args.host], &mut |_, _, _| {}).await;
    show(&reports, args.format);
    Ok(verdict(&reports))
}

/// Tests many.
pub(super) async fn check(args: FenceCheckArgs) -> Result<u8, Failure> {
    let (settings, fencers) = devices(&args.config)?;
    let hosts = if args.all {
        let base = wiring::existing(&settings).await?;
        let segments = base.store.region().await;
        let segments = segments.map_err(|error| Failure::new("reading which hosts are registered", error))?;
        let hosts = segments.into_iter().flat_map(|view| view.hosts);
        hosts.map(|view| view.host.name).collect()
    } else {
        args.hosts
    };
    if hosts.is_empty() {
        if args.format == Format::Json {
            out::line(json!({ "source": fencers.source(), "devices": [], "faults": 0 }).to_string());
        } else {
            let devices = fencers.devices();
            for (name, kind) in &devices {
                out::line(format!("{name} ({kind})"));
            }
            let count = devices.len();
            out::line(format!(
                "{} is good: {count} devices; no host was asked for",
                fencers.source()
            ));
        }
        return Ok(crate::DONE);
    }
    let began = Instant::now();
    let bar = bar(args.format);
    let reports = fencers
        .check(&hosts, &mut |report, done, all| {
            let Some(bar) = &bar else { return };
            bar.set_length(u64::try_from(all).unwrap_or_default());
            bar.set_position(u64::try_from(done).unwrap_or_default());
            if let Some(fault) = &report.fault {
                bar.println(format!("{} {}: {fault}", report.host, report.device));
            }
        })
        .await;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    show(&reports, args.format);
    if args.format == Format::Table {
        let faults = reports.iter().filter(|report| report.fault.is_some()).count();
        out::line(format!(
            "{} hosts, {} devices, {faults} faults, {:.1} s",
            hosts.len(),
            reports.len(),
            began.elapsed().as_secs_f64()
        ));
    }
    Ok(verdict(&reports))
}

/// On a terminal somebody waits.
fn bar(format: Format) -> Option<ProgressBar> {
    if format == Format::Json || !std::io::stderr().is_terminal() {
        return None;
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("  [{bar:40}] {pos}/{len} devices, {elapsed}") {
        bar.set_style(style.progress_chars("=> "));
    }
    Some(bar)
}

fn verdict(reports: &[Report]) -> u8 {
    if reports.iter().any(|report| report.fault.is_some()) {
        crate::FAILED
    } else {
        crate::DONE
    }
}

fn show(reports: &[Report], format: Format) {
    match format {
        Format::Json => out::line(as_json(reports).to_string()),
        Format::Table => out::line(as_table(reports).to_string()),
    }
}

fn as_json(reports: &[Report]) -> Value {
    let rows: Vec<Value> = reports
        .iter()
        .map(|report| {
            let target = report.target.as_ref();
            json!({
                "host": report.host,
                "level": report.level,
                "device": report.device,
                "type": report.kind,
                "endpoint": target.map(|target| &target.endpoint),
                "plug": target.and_then(|target| target.plug.as_ref()),
                "power": report.power.map(word),
                "raw": report.raw,
                "latency_ms": u64::try_from(report.latency.as_millis()).unwrap_or(u64::MAX),
                "fault": report.fault,
                "warnings": report.warnings,
            })
        })
        .collect();
    let faults = reports.iter().filter(|report| report.fault.is_some()).count();
    json!({ "devices": rows, "faults": faults })
}

fn as_table(reports: &[Report]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_FULL_CONDENSED);
    table.set_header(["host", "level", "device", "power", "ms", "fault"]);
    for column in [1, 4] {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for report in reports {
        let device = report.target.as_ref().map(ToString::to_string);
        let mut said: Vec<String> = report.fault.iter().cloned().collect();
        said.extend(
            report
                .warnings
                .iter()
                .map(|warning| format!("warning: {warning}")),
        );
        table.add_row([
            report.host.clone(),
            if report.level == 0 {
                String::new()
            } else {
                report.level.to_string()
            },
            device.unwrap_or_default(),
            report.power.map_or("", word).to_owned(),
            report.latency.as_millis().to_string(),
            said.join("; "),
        ]);
    }
    table
}

pub(super) fn word(power: Power) -> &'static str {
    match power {
        Power::On => "on",
        Power::Off => "off",
        Power::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tachi_domain::level::Target;

    use super::*;

    fn report(fault: Option<&str>) -> Report {
        Report {
            host: "c1".into(),
            level: 2,
            device: "pdu".into(),
            kind: "exec".into(),
            target: Some(Target {
                device: "pdu".into(),
                kind: "exec".into(),
                endpoint: "10.0.0.1".into(),
                plug: Some("7".into()),
            }),
            power: fault.is_none().then_some(Power::On),
            raw: "on".into(),
            latency: Duration::from_millis(1234),
            fault: fault.map(str::to_owned),
            warnings: vec!["its clock is 7 s off".into()],
        }
    }

    #[test]
    fn a_row_has_everything_one_asks_for_and_a_fault_is_the_exit_code() {
        let (good, bad) = (report(None), report(Some("no route")));
        let shown = as_table(&[good.clone(), bad.clone()]).to_string();
        for part in [
            "c1",
            "2",
            "pdu plug 7",
            "on",
            "1234",
            "no route; warning: its clock",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let object = as_json(&[good.clone(), bad.clone()]);
        assert_eq!(object["faults"], 1);
        assert_eq!(object["devices"][0]["power"], "on");
        assert_eq!(object["devices"][1]["power"], Value::Null);
        assert_eq!(object["devices"][0]["plug"], "7");
        assert_eq!((verdict(&[good]), verdict(&[bad])), (crate::DONE, crate::FAILED));
    }
}
