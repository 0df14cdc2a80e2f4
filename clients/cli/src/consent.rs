//! Rules of consent for every command. Commands that only read, or whose effect can be undone, ask nothing. Commands that start or end a
//! recovery,
//! cut power or confirm a host off ask for the host's name and for a reason.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use tachi_operator::Failure;

use crate::arguments::ConsentArgs;
use crate::out;

/// Asks for the host's name, unless `--yes` is given, and for a reason, unless `--reason` is given. Returns the reason.
///
/// # Errors
///
/// The name differs, there is no reason, or no terminal to ask at.
pub fn confirm(name: &str, consent: &ConsentArgs, what: &str, consequence: &str) -> Result<String, Failure> {
    let given = consent.reason.as_deref().map(str::trim);
    let can_ask = std::io::stdin().is_terminal();
    if given == Some("") || (given.is_none() && !can_ask) {
        return Err(Failure::usage("--reason: write why, for the record"));
    }
    confirmed((name, consent.yes), what, consequence)?;
    if let Some(reason) = given {
        return Ok(reason.to_owned());
    }
    let reason = typed("Why, for the record: ").unwrap_or_default();
    if reason.is_empty() {
        return Err(Failure::from_text("nothing was done: no reason was given"));
    }
    Ok(reason)
}

/// Asks for the host's name, unless `yes` is true.
///
/// # Errors
///
/// The name differs, or there is no terminal to ask at.
pub fn confirmed((host, yes): (&str, bool), what: &str, consequence: &str) -> Result<(), Failure> {
    if yes {
        return Ok(());
    }
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "refusing to {what} {host} without confirmation: add --yes"
        )));
    }
    let question = format!(
        "{what} {host}: {consequence}\nType {} to confirm: ",
        out::plain(host)
    );
    if typed(&question).is_some_and(|answer| answer == host) {
        return Ok(());
    }
    Err(Failure::from_text("nothing was done"))
}

/// Asks a question on the terminal and returns the typed answer.
fn typed(question: &str) -> Option<String> {
    let mut to = std::io::stderr();
    // If the question cannot be shown, it gets no answer.
    let _ = write!(to, "{question}");
    let _ = to.flush();
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok().then(|| answer.trim().to_owned())
}
