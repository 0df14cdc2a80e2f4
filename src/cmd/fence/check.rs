//! `tachi fence test`, and its old names `status` and `check`.

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tachi_cli::arguments::{FenceHostArgs, FenceTestArgs, ShapeArgs};
use tachi_cli::out::{self, Cell, Column, TextTable, answer};
use tachi_domain::count;
use tachi_domain::power::Power;
use tachi_engine::SystemClock;
use tachi_engine::ports::device_report::Report;
use tachi_engine::ports::{Clock as _, OperatorJournal as _};
use tachi_fence::Fencers;
use tachi_operator::Failure;

use super::machines::{Book, Lines};
use super::{devices, machines};
use crate::settings::Settings;
use crate::wiring;

/// Shows the levels of a host and the readings of their devices; a device that does not answer is no failure of the command.
pub(super) async fn status(args: FenceHostArgs) -> Result<u8, Failure> {
    let (settings, fencers) = devices(&args.config)?;
    let mut reports = fencers.check(&[args.host], &mut |_, _, _| {}).await;
    let lines = examine(&mut reports, &settings, &fencers).await;
    show(&reports, &lines, &args.shape)?;
    let clear = reports.iter().any(|report| report.fault.is_none());
    Ok(if clear { crate::DONE } else { crate::FAILED })
}

/// Tests devices. Anything that would refuse a power-off is a fault if `strict`, else a warning.
pub(super) async fn test(args: FenceTestArgs, strict: bool) -> Result<u8, Failure> {
    let (settings, fencers) = devices(&args.config)?;
    let hosts = if args.all {
        let base = wiring::existing(&settings).await?;
        let segments = base.store.operator_journal().region().await;
        let segments = segments.map_err(|error| Failure::new("reading which hosts are registered", error))?;
        let hosts = segments.into_iter().flat_map(|view| view.hosts);
        hosts.map(|view| view.host.name).collect()
    } else {
        args.hosts
    };
    if hosts.is_empty() {
        let source = fencers.source();
        let devices = fencers.devices();
        let object = json!({ "source": source, "devices": [], "faults": 0 });
        answer::object(
            &args.shape,
            SystemClock.wall(),
            || object,
            |_| {
                let named = devices.iter().map(|(name, kind)| format!("{name} ({kind})"));
                let many = count(devices.len(), "device", "devices");
                let sum = format!("{source} is valid: {many}; no host was named");
                named.chain([sum]).collect()
            },
        )?;
        return Ok(crate::DONE);
    }
    let began = Instant::now();
    let bar = bar(&args.shape);
    let mut reports = fencers
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
    if strict {
        reports = reports.into_iter().map(Report::strict).collect();
    }
    let lines = examine(&mut reports, &settings, &fencers).await;
    show(&reports, &lines, &args.shape)?;
    if args.shape.is_text() {
        let faults = reports.iter().filter(|report| report.fault.is_some()).count();
        out::line(format!(
            "{}, {}, {}, {:.1} s",
            count(hosts.len(), "host", "hosts"),
            count(reports.len(), "device", "devices"),
            count(faults, "fault", "faults"),
            began.elapsed().as_secs_f64()
        ));
    }
    Ok(verdict(&reports))
}

/// Compares the machines with the stored ones, and stores the result for `tachi status`. If the database cannot be read, the devices are
/// shown without the comparison.
async fn examine(reports: &mut [Report], settings: &Settings, fencers: &Arc<Fencers>) -> Lines {
    let examined = async {
        let book = Book::open(settings, fencers).await?;
        book.examine(reports, settings).await?;
        if let Err(error) = book.keep(reports, settings).await {
            out::note(format!(
                "tachi: the result is not stored, so `tachi status` does not count it: {}",
                error.chain()
            ));
        }
        book.lines().await
    };
    match Box::pin(examined).await {
        Ok(lines) => lines,
        Err(error) => {
            out::note(format!(
                "tachi: the machines behind the devices were not compared with the known ones, and the result is not stored: {}",
                error.chain()
            ));
            Lines::new()
        }
    }
}

/// Returns a progress bar if an operator waits at a terminal.
fn bar(shape: &ShapeArgs) -> Option<ProgressBar> {
    if !shape.is_text() || !std::io::stderr().is_terminal() {
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

fn show(reports: &[Report], lines: &Lines, shape: &ShapeArgs) -> Result<(), Failure> {
    let faults = reports.iter().filter(|report| report.fault.is_some()).count();
    let whole = |rows: Vec<Value>| json!({ "devices": rows, "faults": faults });
    let sheet = sheet(reports, lines);
    answer::listed(shape, SystemClock.wall(), &sheet, "no device was tested", whole)
}

fn as_json(report: &Report, lines: &Lines) -> Value {
    let target = report.target.as_ref();
    json!({
        "host": report.host,
        "level": report.level,
        "device": report.device,
        "type": report.kind,
        "endpoint": target.map(|target| &target.endpoint),
        "plug": target.and_then(|target| target.plug.as_ref()),
        "power": report.power.map(power_text),
        "raw": report.raw,
        "machine": machines::as_json(report, lines),
        "latency_ms": u64::try_from(report.latency.as_millis()).unwrap_or(u64::MAX),
        "fault": report.fault,
        "warnings": report.warnings,
    })
}

fn sheet(reports: &[Report], lines: &Lines) -> TextTable<7> {
    let columns = [
        Column::new("host"),
        Column::new("level"),
        Column::new("device"),
        Column::new("power"),
        Column::of("ms", "latency_ms"),
        Column::new("machine"),
        Column::new("fault"),
    ];
    TextTable::new(columns, reports, |report| {
        let device = report.target.as_ref().map(ToString::to_string);
        let mut parts: Vec<String> = report.fault.iter().cloned().collect();
        let warnings = report.warnings.iter();
        parts.extend(warnings.map(|warning| format!("warning: {warning}")));
        let level = match report.level {
            0 => String::new(),
            level => level.to_string(),
        };
        let cells = [
            Cell::text(&report.host),
            Cell::number(&level),
            Cell::text(device.unwrap_or_default()),
            Cell::text(report.power.map_or("", power_text)),
            Cell::number(&report.latency.as_millis()),
            Cell::prose(machines::cell(report, lines)),
            Cell::prose(parts.join("; ")),
        ];
        (cells, as_json(report, lines))
    })
}

pub(super) fn power_text(power: Power) -> &'static str {
    match power {
        Power::On => "on",
        Power::Off => "off",
        Power::Unknown => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tachi_domain::Timestamp;
    use tachi_domain::level::Target;
    use tachi_engine::ports::machines::MachineLine;

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
            machine: Some("guid=a".parse().unwrap()),
            latency: Duration::from_millis(1234),
            fault: fault.map(str::to_owned),
            alarm: None,
            warnings: vec!["its clock is 7 s off".into()],
            obstacle: None,
        }
    }

    fn render(reports: &[Report], lines: &Lines) -> String {
        let view = tachi_cli::out::View::bare(Timestamp::from_micros(0));
        sheet(reports, lines).table(&[], &view).unwrap()
    }

    #[test]
    fn a_row_has_everything_one_asks_for_and_a_fault_is_the_exit_code() {
        let (good, bad) = (report(None), report(Some("no route")));
        let shown = render(&[good.clone(), bad.clone()], &Lines::new());
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
        let object = as_json(&good, &Lines::new());
        assert_eq!((&object["power"], &object["plug"]), (&json!("on"), &json!("7")));
        assert_eq!(as_json(&bad, &Lines::new())["power"], Value::Null);
        assert_eq!((verdict(&[good]), verdict(&[bad])), (crate::DONE, crate::FAILED));
    }

    /// Regression test: the table was once 147 columns wide on a terminal of 100.
    #[test]
    fn a_check_of_devices_fits_the_terminal() {
        let bad = report(Some(
            "redfish: GET /redfish/v1/Systems/1 was answered 500 Internal Server Error: Unable to reach the BMC of this machine",
        ));
        let sheet = sheet(&[report(None), bad], &Lines::new());
        insta::assert_snapshot!(tachi_cli::out::at_widths(&sheet, Timestamp::from_micros(0)));
    }

    /// Covers T9.
    #[test]
    fn the_machine_of_each_device_is_shown_with_how_and_since_when_it_is_known() {
        let new_report = report(None);
        let line = MachineLine {
            host: "c1".into(),
            device: "pdu plug 7".into(),
            machine: Some("guid=a".parse().unwrap()),
            since: Timestamp::from_micros(0),
            said_by: None,
            foreign: None,
        };
        let lines = |line| Lines::from([(("c1".to_owned(), "pdu plug 7".to_owned()), line)]);
        let shown = render(std::slice::from_ref(&new_report), &Lines::new());
        assert!(shown.contains("guid=a (not learned yet)"), "{shown}");
        let machine_lines = lines(line.clone());
        let shown = render(std::slice::from_ref(&new_report), &machine_lines);
        assert!(
            shown.contains("guid=a since 1970-01-01T00:00:00.000Z (learned)"),
            "{shown}"
        );
        let object = &as_json(&new_report, &machine_lines)["machine"];
        assert_eq!(
            (&object["answers"], &object["expected"]),
            (&json!("guid=a"), &json!("guid=a"))
        );
        assert_eq!(
            (&object["since"], &object["said_by"]),
            (&json!("1970-01-01T00:00:00.000Z"), &Value::Null)
        );
        let confirmed_lines = lines(MachineLine {
            said_by: Some("ada".into()),
            ..line
        });
        assert!(render(std::slice::from_ref(&new_report), &confirmed_lines).contains("(by ada)"));
        let bare = Report {
            machine: None,
            ..new_report
        };
        assert!(render(std::slice::from_ref(&bare), &Lines::new()).contains("none"));
        assert_eq!(as_json(&bare, &Lines::new())["machine"], Value::Null);
    }
}
