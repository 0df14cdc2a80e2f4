//! Output of `tachi fence test`, and of its old names `status` and `check`.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tachi_domain::count;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_engine::ports::device_report::Report;
use tachi_engine::ports::machines::MachineLine;
use tachi_operator::fence::power_text;
use tachi_operator::fence::trust::KnownMachines;
use tachi_operator::{Failure, when};

use crate::out::{self, Cell, Column, ShapeArgs, TextTable, answer};

/// Prints that the devices' configuration is valid, if no host was named. `devices` are their names and kinds.
pub fn show_valid(shape: &ShapeArgs, source: &str, devices: &[(String, String)]) -> Result<(), Failure> {
    let object = json!({ "source": source, "devices": [], "faults": 0 });
    answer::object(
        shape,
        SystemClock.wall(),
        || object,
        |_| {
            let named = devices.iter().map(|(name, kind)| format!("{name} ({kind})"));
            let many = count(devices.len(), "device", "devices");
            let sum = format!("{source} is valid: {many}; no host was named");
            named.chain([sum]).collect()
        },
    )
}

/// A progress bar, if an operator waits at a terminal.
pub struct TestProgress(Option<ProgressBar>);

impl TestProgress {
    pub fn of(shape: &ShapeArgs) -> Self {
        Self(bar(shape))
    }

    /// Shows that a device was tested: the number of those that are done, and of all.
    pub fn tested(&self, report: &Report, done: usize, all: usize) {
        let Some(bar) = &self.0 else { return };
        bar.set_length(u64::try_from(all).unwrap_or_default());
        bar.set_position(u64::try_from(done).unwrap_or_default());
        if let Some(fault) = &report.fault {
            bar.println(format!("{} {}: {fault}", report.host, report.device));
        }
    }

    /// Removes the bar.
    pub fn end(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}

/// Prints the numbers of a test of these hosts, for people.
pub fn show_sum(shape: &ShapeArgs, hosts: usize, reports: &[Report], took: Duration) {
    if shape.is_text() {
        let faults = reports.iter().filter(|report| report.fault.is_some()).count();
        out::line(format!(
            "{}, {}, {}, {:.1} s",
            count(hosts, "host", "hosts"),
            count(reports.len(), "device", "devices"),
            count(faults, "fault", "faults"),
            took.as_secs_f64()
        ));
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

/// Returns the exit code: a fault of a device is a failure.
pub fn verdict(reports: &[Report]) -> u8 {
    if reports.iter().any(|report| report.fault.is_some()) {
        crate::FAILED
    } else {
        crate::DONE
    }
}

/// Prints a row for each report.
pub fn show(reports: &[Report], lines: &KnownMachines, shape: &ShapeArgs) -> Result<(), Failure> {
    let faults = reports.iter().filter(|report| report.fault.is_some()).count();
    let whole = |rows: Vec<Value>| json!({ "devices": rows, "faults": faults });
    let sheet = sheet(reports, lines);
    answer::listed(shape, SystemClock.wall(), &sheet, "no device was tested", whole)
}

fn as_json(report: &Report, lines: &KnownMachines) -> Value {
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
        "machine": machine_as_json(report, lines),
        "latency_ms": u64::try_from(report.latency.as_millis()).unwrap_or(u64::MAX),
        "fault": report.fault,
        "warnings": report.warnings,
    })
}

fn sheet(reports: &[Report], lines: &KnownMachines) -> TextTable<7> {
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
            Cell::prose(machine(report, lines)),
            Cell::prose(parts.join("; ")),
        ];
        (cells, as_json(report, lines))
    })
}

/// Returns the known machine of a report's device.
fn line_of<'a>(report: &Report, lines: &'a KnownMachines) -> Option<&'a MachineLine> {
    let device = report.target.as_ref()?.to_string();
    lines.get(&(report.host.clone(), device))
}

/// Returns the table's cell: the machine, since when it is known, and how.
fn machine(report: &Report, lines: &KnownMachines) -> String {
    let line = line_of(report, lines);
    match (
        line.and_then(|line| line.machine.as_ref().zip(Some(line))),
        &report.machine,
    ) {
        (Some((machine, line)), _) => {
            let how = line
                .said_by
                .as_ref()
                .map_or_else(|| "learned".to_owned(), |by| format!("by {by}"));
            format!("{machine} since {} ({how})", when::time(line.since))
        }
        (None, Some(machine)) => format!("{machine} (not learned yet)"),
        (None, None) if report.power.is_some() => "none".to_owned(),
        (None, None) => String::new(),
    }
}

/// Returns the same as JSON; null if no machine is known and none answers.
fn machine_as_json(report: &Report, lines: &KnownMachines) -> Value {
    let line = line_of(report, lines).filter(|line| line.machine.is_some());
    if line.is_none() && report.machine.is_none() {
        return Value::Null;
    }
    json!({
        "answers": report.machine.as_ref().map(ToString::to_string),
        "expected": line.and_then(|line| line.machine.as_ref()).map(ToString::to_string),
        "since": line.map(|line| when::time(line.since)),
        "said_by": line.and_then(|line| line.said_by.as_ref()),
    })
}

#[cfg(test)]
mod tests {
    use tachi_domain::Timestamp;
    use tachi_domain::level::Target;
    use tachi_domain::power::Power;

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

    fn render(reports: &[Report], lines: &KnownMachines) -> String {
        let view = crate::out::View::bare(Timestamp::from_micros(0));
        sheet(reports, lines).table(&[], &view).unwrap()
    }

    #[test]
    fn a_row_has_everything_one_asks_for_and_a_fault_is_the_exit_code() {
        let (good, bad) = (report(None), report(Some("no route")));
        let shown = render(&[good.clone(), bad.clone()], &KnownMachines::new());
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
        let object = as_json(&good, &KnownMachines::new());
        assert_eq!((&object["power"], &object["plug"]), (&json!("on"), &json!("7")));
        assert_eq!(as_json(&bad, &KnownMachines::new())["power"], Value::Null);
        assert_eq!((verdict(&[good]), verdict(&[bad])), (crate::DONE, crate::FAILED));
    }

    /// Regression test: the table was once 147 columns wide on a terminal of 100.
    #[test]
    fn a_check_of_devices_fits_the_terminal() {
        let bad = report(Some(
            "redfish: GET /redfish/v1/Systems/1 was answered 500 Internal Server Error: Unable to reach the BMC of this machine",
        ));
        let sheet = sheet(&[report(None), bad], &KnownMachines::new());
        insta::assert_snapshot!(crate::out::at_widths(&sheet, Timestamp::from_micros(0)));
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
        let lines = |line| KnownMachines::from([(("c1".to_owned(), "pdu plug 7".to_owned()), line)]);
        let shown = render(std::slice::from_ref(&new_report), &KnownMachines::new());
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
        assert!(render(std::slice::from_ref(&bare), &KnownMachines::new()).contains("none"));
        assert_eq!(as_json(&bare, &KnownMachines::new())["machine"], Value::Null);
    }
}
