//! The buttons of pages. Each carries the text of its dialog, the equivalent command and the body of `POST /board/words`. The page
//! adds the reason and the duration.

use std::borrow::Borrow;
use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};
use tachi_domain::freeze::{Freeze, FreezeScope, command};
use tachi_domain::recovery::Life;
use tachi_domain::situation::FindingCode;
use tachi_domain::{EndedBy, RecoveryId};
use tachi_operator::consequence::{ABORT, APPROVE};
use tachi_operator::{FindingView, FreezeView, WaitView, WaitingRecoveryView, plain};

use super::fragments::{Fragment, escaped};

/// An action of the board.
#[derive(Serialize)]
struct ActionButton {
    /// The title of the dialog.
    title: String,
    /// The consequence of the action.
    about: String,
    /// The inputs of the dialog: `lasts`, `confirm`, `reason`.
    asks: &'static [&'static str],
    /// The targets, each with its command and body, without the inputs.
    each: Vec<ActionTarget>,
}

/// One host, segment or instance of an action.
#[derive(Serialize)]
struct ActionTarget {
    /// The text that the operator types to confirm the action.
    name: String,
    /// The known facts about the target.
    about: String,
    command: String,
    body: Value,
}

impl ActionButton {
    /// Renders the button. `key` stays the same when the page is rendered again.
    fn button(&self, key: &str, label: &str) -> String {
        // Serializing plain data with text keys cannot fail. If it did, the dialog would not open.
        let act = ascii(&serde_json::to_string(self).unwrap_or_default());
        format!(
            "<button type=\"button\" data-key=\"{}\" data-act=\"{}\" data-label=\"{label}\" aria-haspopup=\"dialog\" \
             aria-label=\"{}\">{label}…</button>",
            escaped(key),
            escaped(&act),
            escaped(&self.title)
        )
    }
}

/// Escapes all non-ASCII characters in JSON. [`visible`](super::pieces::visible) would otherwise change them.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    let mut units = [0; 2];
    for letter in json.chars() {
        if letter.is_ascii() {
            text.push(letter);
        } else {
            for unit in letter.encode_utf16(&mut units) {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{unit:04x}");
            }
        }
    }
    text
}

fn row(buttons: &[String]) -> Fragment {
    if buttons.is_empty() {
        return Fragment::nothing();
    }
    Fragment(format!("<div class=\"acts\">{}</div>", buttons.concat()))
}

/// Renders the buttons for the actions that a recovery allows now.
#[expect(clippy::ref_option, reason = "templates pass fields this way")]
pub(super) fn of_recovery(
    id: &RecoveryId,
    host: &str,
    life: impl Borrow<Life>,
    waits: &Option<WaitView>,
) -> Fragment {
    let button = |action: &str, label: &str, title: String, about: &str| {
        let act = ActionButton {
            title: plain(&title),
            about: sentence(about),
            asks: &["confirm", "reason"],
            each: vec![of(action, id, host, String::new(), waits)],
        };
        act.button(&format!("{action} {id}"), label)
    };
    let mut buttons = Vec::new();
    if may_approve(waits) {
        buttons.push(button(
            "approve",
            "Approve",
            format!("Approve the recovery of {host}"),
            APPROVE,
        ));
    }
    if *life.borrow() == Life::Open {
        buttons.push(button(
            "abort",
            "Abort",
            format!("Abort the recovery of {host}"),
            ABORT,
        ));
    }
    row(&buttons)
}

#[expect(clippy::ref_option, reason = "templates pass fields this way")]
fn may_approve(waits: &Option<WaitView>) -> bool {
    waits
        .as_ref()
        .is_some_and(|wait| wait.ended_by.contains(&EndedBy::Approve))
}

#[expect(clippy::ref_option, reason = "templates pass fields this way")]
fn of(action: &str, id: &RecoveryId, host: &str, about: String, waits: &Option<WaitView>) -> ActionTarget {
    ActionTarget {
        name: host.to_owned(),
        about,
        command: format!("tachi recovery {action} {id}"),
        body: json!({"word": {"word": action, "recovery": id, "waits": waits}}),
    }
}

/// Capitalizes a consequence, so that it is a sentence of its own.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_uppercase().to_string());
    format!("{}{}", first.unwrap_or_default(), letters.as_str())
}

/// Renders a button that approves several recoveries with one cause, with the known facts about each host.
pub(super) fn approve_all(group: &[&WaitingRecoveryView]) -> Fragment {
    let able: Vec<ActionTarget> = group
        .iter()
        .filter(|one| may_approve(&one.waits))
        .map(|one| {
            of(
                "approve",
                &one.recovery,
                &one.host,
                one.evidence.readings(),
                &one.waits,
            )
        })
        .collect();
    let (Some(first), true) = (group.first(), able.len() > 1) else {
        return Fragment::nothing();
    };
    let act = ActionButton {
        title: format!("Approve {} recoveries", able.len()),
        about: sentence(APPROVE),
        asks: &["confirm", "reason"],
        each: able,
    };
    row(&[act.button(&format!("approve-all {}", first.recovery), "Approve all")])
}

/// Renders a freeze button: `shown` is the displayed name, `name` identifies the object.
pub(super) fn freeze(scope: FreezeScope, name: &str, shown: &str) -> Fragment {
    let (what, label, request_body) = match scope {
        FreezeScope::Region => (
            "everything".to_owned(),
            "Freeze everything",
            json!({ "scope": scope }),
        ),
        FreezeScope::Segment | FreezeScope::Host | FreezeScope::Instance => (
            format!("{scope} {shown}"),
            "Freeze",
            json!({ "scope": scope, "name": name }),
        ),
    };
    let act = ActionButton {
        title: plain(&format!("Freeze {what}")),
        about: "No fencing and no evacuation until then. Failures are queued, and handled if the host is still down \
            when the freeze ends. It expires automatically. Operations in progress continue and are listed afterwards."
            .to_owned(),
        asks: &["lasts", "reason"],
        each: vec![ActionTarget {
            name: shown.to_owned(),
            about: String::new(),
            command: command("freeze", scope, name),
            body: json!({ "freeze": request_body }),
        }],
    };
    row(&[act.button(&format!("freeze {scope} {name}"), label)])
}

/// Renders a button that ends the freeze of a finding. Returns nothing if several freezes match.
pub(super) fn thaw(finding: &FindingView, freezes: &[FreezeView]) -> Fragment {
    let same = |freeze: &&FreezeView| finding.fix.as_ref() == Some(&Freeze::from(*freeze).thaw());
    let mut own = freezes.iter().filter(same);
    let (FindingCode::Frozen, Some(one), None) = (finding.code, own.next(), own.next()) else {
        return row(&[]);
    };
    let freeze = Freeze::from(one);
    let act = ActionButton {
        title: plain(&format!("Thaw {}", freeze.what())),
        about: plain(&format!(
            "It is frozen {}; ongoing maintenance may depend on that. Waiting work resumes at once: a host that is \
             down is fenced, and its instances are started elsewhere.",
            freeze.terms()
        )),
        asks: &[],
        each: vec![ActionTarget {
            name: freeze.what(),
            about: String::new(),
            command: freeze.thaw(),
            body: json!({"thaw": {"number": one.number}}),
        }],
    };
    row(&[act.button(&format!("thaw {}", one.number), "Thaw")])
}
