//! `tachi audit`.

use std::path::PathBuf;

use serde_json::{Map, Value};
use tachi_audit::Keys;
use tachi_audit::read::{LineQuery, newest};
use tachi_audit::verify::{logs, verify};
use tachi_cli::arguments::{AuditCommand, AuditNewKeyArgs, AuditShowArgs, AuditVerifyArgs, ConfigArgs};
use tachi_cli::out;
use tachi_cli::source::{self, Source as _};
use tachi_engine::SystemClock;
use tachi_engine::ports::Clock as _;
use tachi_operator::Failure;

use super::command_settings;

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
    let places = settings.audit.places(&settings.state_path);
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
        lines.push((path.as_path(), report));
        if is_broken {
            break;
        }
    }
    let with_keys = keys.is_some();
    let intact = tachi_cli::audit::show_verified(&args.shape, &lines, with_keys)?;
    match unread {
        Some(failure) => Err(failure),
        None if intact => Ok(crate::DONE),
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
    tachi_cli::audit::show_key(&path, &id, there);
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
