//! polkit: the rule that lets the process monitor start and restart units, and the check that it is in force.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use tokio::process::{Child, Command as Program};
use zbus::Connection;
use zbus::Variant;
use zbus::proxy::CacheProperties;

use super::list::{Command, Entry};
use super::systemd::{Systemd, answered};
use crate::check::Finding;
use crate::cli::PolkitForm;
use crate::failure::Failure;

/// The action for which systemd asks polkit.
const ACTION: &str = "org.freedesktop.systemd1.manage-units";

/// Users of the monitors, of our packages and of openstack-ansible's units.
const USERS: [&str; 2] = ["masakarimonitors", "masakari"];

/// A unit and the action on it.
type UnitAction<'e> = (&'e str, &'static str);

/// Returns every unit that the list starts or restarts, with the action.
fn unit_actions(entries: &[Entry]) -> BTreeSet<UnitAction<'_>> {
    let steps = entries.iter().flat_map(|entry| [&entry.start, &entry.restart]);
    let commands = steps.flat_map(|steps| [&steps.before, &steps.main, &steps.after]);
    let unit_actions = commands.filter_map(|command| match command {
        Command::Unit { restart, unit } => Some((unit.as_str(), if *restart { "restart" } else { "start" })),
        Command::Nothing | Command::Program(_) => None,
    });
    unit_actions.collect()
}

/// Returns the rule for `user` and the units of the list, as a polkit file.
///
/// # Errors
///
/// The list starts no unit.
pub(super) fn rule(entries: &[Entry], user: &str, form: PolkitForm) -> Result<String, Failure> {
    let units: BTreeSet<&str> = unit_actions(entries).into_iter().map(|(unit, _)| unit).collect();
    if units.is_empty() {
        return Err(Failure::from_text(
            "the list starts and restarts no unit, so no rule is needed",
        ));
    }
    Ok(match form {
        PolkitForm::Rules => javascript(&units, user),
        PolkitForm::Pkla => pkla(&units, user),
    })
}

fn javascript(units: &BTreeSet<&str>, user: &str) -> String {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let units: Vec<String> = units.iter().map(|unit| quoted(unit)).collect();
    format!(
        r#"// Lets the process monitor start and restart the units of its process_list.yaml, and nothing else.
// Written by `tachi-monitor init polkit`. Its place is /etc/polkit-1/rules.d/49-tachi-process-monitor.rules.
polkit.addRule(function (action, subject) {{
    var units = [{}];
    if (action.id === "{ACTION}" &&
        subject.user === {} &&
        units.indexOf(action.lookup("unit")) >= 0 &&
        ["start", "restart"].indexOf(action.lookup("verb")) >= 0) {{
        return polkit.Result.YES;
    }}
    return polkit.Result.NOT_HANDLED;
}});
"#,
        units.join(", "),
        quoted(user)
    )
}

fn pkla(units: &BTreeSet<&str>, user: &str) -> String {
    let mut text = String::from(
        "# For polkit before 0.106 (Ubuntu 22.04), which reads no JavaScript. THIS FORM CANNOT NAME UNITS: the user may start, stop and \
         restart every\n\
         # unit of this host. The process monitor restarts these:\n",
    );
    for unit in units {
        // Writing into a string cannot fail.
        let _ = writeln!(text, "#   {unit}");
    }
    let _ = write!(
        text,
        "# Written by `tachi-monitor init polkit --form pkla`. Its place is\n\
         # /etc/polkit-1/localauthority/50-local.d/49-tachi-process-monitor.pkla.\n\
         [Tachi's process monitor]\n\
         Identity=unix-user:{user}\n\
         Action={ACTION}\n\
         ResultAny=yes\n\
         ResultInactive=yes\n\
         ResultActive=yes\n"
    );
    text
}

#[zbus::proxy(
    interface = "org.freedesktop.PolicyKit1.Authority",
    default_service = "org.freedesktop.PolicyKit1",
    default_path = "/org/freedesktop/PolicyKit1/Authority"
)]
trait Authority {
    fn check_authorization(
        &self,
        subject: &(&str, HashMap<&str, Variant<'_>>),
        action_id: &str,
        details: &HashMap<&str, &str>,
        flags: u32,
        cancellation_id: &str,
    ) -> zbus::Result<(bool, bool, HashMap<String, String>)>;
}

/// A process of a user, for polkit's check.
#[derive(Clone, Copy)]
struct Subject {
    pid: u32,
    started: u64,
    uid: u32,
}

/// Returns the actions that polkit denies to the monitor.
async fn denied_actions<'e>(
    connection: &Connection,
    subject: Subject,
    unit_actions: &BTreeSet<UnitAction<'e>>,
) -> Result<Vec<UnitAction<'e>>, String> {
    let authority = AuthorityProxy::builder(connection)
        .cache_properties(CacheProperties::No)
        .build();
    let authority = answered("reaching polkit", authority).await?;
    let mut denied_actions = Vec::new();
    for (unit, verb) in unit_actions {
        let process = HashMap::from([
            ("pid", Variant::from(subject.pid)),
            ("start-time", Variant::from(subject.started)),
            ("uid", Variant::from(i32::try_from(subject.uid).unwrap_or(-1))),
        ]);
        let process = ("unix-process", process);
        let details = HashMap::from([("unit", *unit), ("verb", *verb)]);
        let answer = authority.check_authorization(&process, ACTION, &details, 0, "");
        let (may, _, _) = answered("querying polkit", answer).await?;
        if !may {
            denied_actions.push((*unit, *verb));
        }
    }
    Ok(denied_actions)
}

/// Starts an idle process under the user's id, which runs until it is dropped: polkit answers only about processes.
fn spawn_placeholder(uid: u32) -> Result<(Child, Subject), String> {
    let failed = |error: &dyn std::fmt::Display| format!("starting a process as user {uid}: {error}");
    let child = Program::new("sleep")
        .arg("60")
        .uid(uid)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| failed(&error))?;
    let pid = child.id().unwrap_or_default();
    let stat = i32::try_from(pid)
        .map_err(|error| failed(&error))
        .and_then(|pid| {
            procfs::process::Process::new(pid)
                .and_then(|process| process.stat())
                .map_err(|error| failed(&error))
        })?;
    let subject = Subject {
        pid,
        started: stat.starttime,
        uid,
    };
    Ok((child, subject))
}

/// Returns the first of our users that exists on this machine.
fn user() -> Option<(String, u32)> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    USERS
        .iter()
        .find_map(|user| Some(((*user).to_owned(), uid_of(&text, user)?)))
}

fn uid_of(passwd: &str, user: &str) -> Option<u32> {
    let mut lines = passwd.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| {
        (fields.next()? == user)
            .then(|| fields.nth(1)?.parse().ok())
            .flatten()
    })
}

/// Checks that polkit permits the actions of the list to the monitor.
pub(super) async fn check(entries: &[Entry], systemd: &Systemd) -> Option<Finding> {
    const SUBSYSTEM: &str = "process";
    let unit_actions = unit_actions(entries);
    if unit_actions.is_empty() {
        return None;
    }
    if !rustix::process::geteuid().is_root() {
        let text = "only root can check in polkit if the monitor may restart its units: sudo tachi-monitor check process";
        return Some(Finding::note(SUBSYSTEM, text));
    }
    let Some((user, uid)) = user() else {
        let text = format!(
            "there is no user {}: it is unknown if the monitor may restart its units",
            USERS.join(" and no user ")
        );
        return Some(Finding::note(SUBSYSTEM, text));
    };
    let answer = async {
        let (_child, subject) = spawn_placeholder(uid)?;
        denied_actions(&systemd.connection().await?, subject, &unit_actions).await
    };
    Some(finding(&user, answer.await))
}

fn finding(user: &str, answer: Result<Vec<UnitAction<'_>>, String>) -> Finding {
    const SUBSYSTEM: &str = "process";
    match answer {
        Ok(denied_actions) if denied_actions.is_empty() => Finding::good(
            SUBSYSTEM,
            format!("polkit lets {user} start and restart the units of the list"),
        ),
        Ok(denied_actions) => {
            let unit_actions: Vec<String> = denied_actions
                .iter()
                .map(|(unit, verb)| format!("{verb} {unit}"))
                .collect();
            Finding::wrong(
                SUBSYSTEM,
                format!(
                    "polkit does not let {user} {}: each restart fails, and the process is reported: tachi-monitor init polkit prints the \
                     rule",
                    unit_actions.join(", ")
                ),
            )
        }
        Err(why) => Finding::wrong(
            SUBSYSTEM,
            format!("{why}: it is unknown if {user} may restart the units of the list"),
        ),
    }
}

#[cfg(test)]
#[path = "polkit/tests.rs"]
mod tests;
