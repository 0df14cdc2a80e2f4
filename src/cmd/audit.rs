//! `tachi audit`.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tachi_audit::Keys;
use tachi_audit::read::{LineQuery, newest};
use tachi_audit::verify::{LogReport, logs, verify};
use tachi_cli::arguments::{AuditCommand, AuditNewKeyArgs, AuditShowArgs, AuditVerifyArgs, ConfigArgs};
use tachi_cli::out::{self, answer};
use tachi_cli::source::{self, Source as _};
use tachi_domain::count;
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_operator::Failure;

use super::command_settings;
use crate::settings::audit_places;

/// Checks or shows the log, or makes a new key.
pub(crate) async fn run(command: AuditCommand) -> Result<u8, Failure> {
    match command {
        AuditCommand::Verify(args) => check(&args),
        AuditCommand::NewKey(args) => new_key(&args),
        AuditCommand::Show(args) => show(&args).await,
    }
}

/// Returns the named logs, else all logs of this machine.
fn chosen(config: &ConfigArgs, files: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if !files.is_empty() {
        return Ok(files.to_vec());
    }
    let settings = command_settings(config)?;
    let places = audit_places(&settings.audit, &settings.state_path);
    let found: Vec<PathBuf> = places.iter().flat_map(|place| logs(place)).collect();
    if found.is_empty() {
        let places: Vec<String> = places.iter().map(|path| path.display().to_string()).collect();
        return Err(Failure::from_text(format!(
            "there is no audit log on this machine yet: looked for {}",
            places.join(", ")
        )));
    }
    Ok(found)
}

fn check(args: &AuditVerifyArgs) -> Result<u8, Failure> {
    let files = chosen(&args.config, &args.files)?;
    let keys = keys(args)?;
    // Named files belong to one log; found files are a log each.
    let one_log = !args.files.is_empty();
    let mut before = None;
    let mut lines = Vec::new();
    let mut unread = None;
    for (number, path) in files.iter().enumerate() {
        let newest = !one_log || number + 1 == files.len();
        let report = match verify(path, before.as_ref().filter(|_| one_log), newest, keys.as_ref()) {
            Ok((report, end)) => {
                before = end;
                report
            }
            Err(error) => {
                unread = Some(Failure::new(format!("reading {}", path.display()), error));
                break;
            }
        };
        let is_broken = report.broken.is_some();
        lines.push((path, report));
        if is_broken {
            break;
        }
    }
    let with_keys = keys.is_some();
    let objects = lines
        .iter()
        .map(|(path, report)| verdict(path, report, with_keys));
    let objects = objects.collect();
    let columns = ["file", "intact", "lines", "why"];
    // Results so far are shown even if a later file cannot be read.
    if !lines.is_empty() {
        answer::print(&args.shape, SystemClock.wall(), columns, objects, || {
            let lines = lines
                .iter()
                .map(|(path, report)| sentence(path, report, with_keys));
            lines.collect()
        })?;
    }
    match unread {
        Some(failure) => Err(failure),
        None if lines.iter().all(|(_, report)| is_intact(report, with_keys)) => Ok(crate::DONE),
        None => Ok(crate::FAILED),
    }
}

/// Reads the keys to check with, from the named or the configured key file; `None` if there is neither.
fn keys(args: &AuditVerifyArgs) -> Result<Option<Keys>, Failure> {
    let named = args.key_file.clone();
    let path = match (named, args.files.is_empty()) {
        (Some(path), _) => Some(path),
        // Named files may come from another machine, and there may be no configuration here.
        (None, false) => command_settings(&args.config)
            .ok()
            .and_then(|settings| settings.audit.key_file),
        (None, true) => command_settings(&args.config)?.audit.key_file,
    };
    let Some(path) = path else { return Ok(None) };
    let keys = Keys::read(&path);
    Ok(Some(keys.map_err(|error| {
        Failure::new("reading the keys of the audit log", error)
    })?))
}

/// True if the log is unchanged, as far as the check covers: with keys, lines must be sealed.
fn is_intact(report: &LogReport, with_keys: bool) -> bool {
    report.broken.is_none() && report.unchecked == 0 && !(with_keys && report.lines > 0 && report.keyed == 0)
}

/// Returns the result for one log, for programs.
fn verdict(path: &Path, report: &LogReport, with_keys: bool) -> Value {
    json!({
        "file": path.display().to_string(),
        "intact": is_intact(report, with_keys),
        "lines": report.lines,
        "first": report.span.map(|(first, _)| first),
        "last": report.span.map(|(_, last)| last),
        "sealed": report.keyed,
        "not_checked": report.unchecked,
        "continues_another": report.continues,
        "broken_line": report.broken.as_ref().map(|(line, _)| line),
        "why": report.broken.as_ref().map(|(_, why)| why),
    })
}

fn sentence(path: &Path, report: &LogReport, with_keys: bool) -> String {
    let path = path.display();
    if let Some((line, why)) = &report.broken {
        return format!("{path}: line {line}: {why}");
    }
    let Some((first, last)) = report.span else {
        return format!("{path}: empty");
    };
    let before = if report.continues {
        "; it continues another file, which was not checked"
    } else {
        ""
    };
    let hang = if report.lines == 1 {
        "is complete"
    } else {
        "form one chain"
    };
    let lines = count(report.lines, "line", "lines");
    if report.unchecked > 0 {
        return format!(
            "{path}: NOT CHECKED: {lines}, number {first} to {last}, {hang}, but {} sealed with a key: name it with \
             --key-file{before}",
            count(report.unchecked, "of them is", "of them are")
        );
    }
    if with_keys && report.keyed == 0 {
        return format!(
            "{path}: NOT SEALED: {lines}, number {first} to {last}, {hang}, but none is sealed with a key, so anyone who can write the \
             file may have forged it. If it is older than the key, move it away{before}"
        );
    }
    let seal = if with_keys {
        format!(", {} sealed with the key", report.keyed)
    } else {
        "; no signing key ([fencing] audit_key_file): anyone with write access could have rewritten it"
            .to_owned()
    };
    format!("{path}: intact: {lines}, number {first} to {last}{seal}{before}")
}

fn new_key(args: &AuditNewKeyArgs) -> Result<u8, Failure> {
    let path = match &args.file {
        Some(path) => path.clone(),
        None => command_settings(&args.config)?.audit.key_file.ok_or_else(|| {
            Failure::usage(
                "no key file is named: name one, or set [fencing] audit_key_file, such as /etc/tachi/audit.key",
            )
        })?,
    };
    let there = path.exists();
    let id = tachi_audit::new_key(&path).map_err(|error| Failure::new("making a key", error))?;
    let place = path.display();
    out::line(if there {
        format!(
            "{place}: key {id} seals new lines; running services use it from their next line on. Older keys stay, to check older lines"
        )
    } else {
        format!(
            "{place}: created with key {id}, readable by root only: give it to the service's group (chown root:tachi {place}; chmod 0640 \
             {place}), set [fencing] audit_key_file, and keep a copy where this machine cannot write"
        )
    });
    Ok(crate::DONE)
}

/// Lines of logs, and errors of the logs that could not be read.
type Found = (Vec<Map<String, Value>>, Vec<String>);

async fn show(args: &AuditShowArgs) -> Result<u8, Failure> {
    let recovery = args.recovery.as_ref().map(|id| id.to_ascii_lowercase());
    let api = if args.files.is_empty() {
        source::cloud(&args.source)?
    } else {
        None
    };
    let (lines, unread, now) = match api {
        None => {
            let (lines, unread) = read_local(args, recovery)?;
            (lines, unread, SystemClock.wall())
        }
        Some(api) => {
            let rows = api
                .audit(args.host.as_deref(), recovery.as_deref(), args.last)
                .await?;
            out::note(out::plain(&format!(
                "tachi: these are the audit logs of {}, whose API has answered; each controller has its own logs",
                rows.machine
            )));
            (rows.lines, rows.unread, api.now())
        }
    };
    tachi_cli::audit::show(&args.shape, now, lines, &unread)
}

/// Merges the logs of this machine's engines by time, as far as their clocks agree; newest first.
fn read_local(args: &AuditShowArgs, recovery: Option<String>) -> Result<Found, Failure> {
    let query = LineQuery {
        host: args.host.clone(),
        recovery,
        before: None,
        limit: args.last.unwrap_or(usize::MAX),
    };
    let page = newest(&chosen(&args.source.config, &args.files)?, &query);
    let unread = page.unread.iter();
    let unread = unread.map(|(path, why)| format!("{}: {why}", path.display()));
    Ok((page.lines, unread.collect()))
}
