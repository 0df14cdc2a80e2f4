//! The buttons of pages. Each has with it what its dialog tells, the command that does the same, and the body of `POST /board/words`;
//! the page adds the reason, and for how long.

use std::borrow::Borrow;

use serde::Serialize;
use serde_json::{Value, json};
use tachi_domain::freeze::{Freeze, FreezeScope, command};
use tachi_domain::recovery::Life;
use tachi_domain::situation::Code;
use tachi_domain::{EndedBy, RecoveryId};
use tachi_operator::{FindingView, FreezeView, WaitView};

use super::pieces::{Piece, escaped};

/// Something that can be said.
#[derive(Serialize)]
struct Act {
    /// What stands over the dialog.
    title: String,
    /// What comes of it.
    about: String,
    /// What the dialog asks for: `lasts`, `reason`.
    asks: &'static [&'static str],
    /// The same as it is typed, without what is asked for.
    command: String,
    /// The word, without what is asked for.
    body: Value,
}

impl Act {
    /// `key` is the same when the page is drawn anew.
    fn button(&self, key: &str, label: &str) -> String {
        // Plain data with texts for keys: this cannot fail, and if it does, the dialog does not open.
        let act = serde_json::to_string(self).unwrap_or_default();
        format!(
            "<button type=\"button\" data-key=\"{}\" data-act=\"{}\" data-label=\"{label}\" aria-haspopup=\"dialog\" \
             aria-label=\"{}\">{label}…</button>",
            escaped(key),
            escaped(&act),
            escaped(&self.title)
        )
    }
}

fn row(buttons: &[String]) -> Piece {
    if buttons.is_empty() {
        return Piece::nothing();
    }
    Piece(format!("<div class=\"acts\">{}</div>", buttons.concat()))
}

/// What can be said of a recovery now.
#[expect(clippy::ref_option, reason = "so do templates give fields")]
pub(super) fn of_recovery(
    id: &RecoveryId,
    host: &str,
    life: impl Borrow<Life>,
    waits: &Option<WaitView>,
) -> Piece {
    let say = |word: &str, label: &str, title: String, about: &str| {
        let act = Act {
            title,
            about: about.to_owned(),
            asks: &["reason"],
            command: format!("tachi recovery {word} {id}"),
            body: json!({"word": {"word": word, "recovery": id}}),
        };
        act.button(&format!("{word} {id}"), label)
    };
    let mut buttons = Vec::new();
    if waits
        .as_ref()
        .is_some_and(|wait| wait.ended_by.contains(&EndedBy::Approve))
    {
        buttons.push(say(
            "approve",
            "Approve",
            format!("Approve the recovery of {host}"),
            "It looks again and goes on past the guards that it names, and past no others, if what it sees then allows it: the host is \
             fenced, and its instances are started elsewhere.",
        ));
    }
    if *life.borrow() == Life::Open {
        buttons.push(say(
            "abort",
            "Abort",
            format!("Give the recovery of {host} up"),
            "Nothing new is begun, what is under way is followed to its end, and it ends as failed. Instances that are down and were not \
             asked for yet stay down.",
        ));
    }
    row(&buttons)
}

/// Freezes something: `shown` is its name, `name` what it is found by.
pub(super) fn freeze(scope: FreezeScope, name: &str, shown: &str) -> Piece {
    let (what, label, asked) = match scope {
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
    let act = Act {
        title: format!("Freeze {what}"),
        about: "Nothing of it is fenced or moved until then. What is reported is kept, and what is dead at the end is recovered then. It \
                ends by itself. What has begun before goes on: the answer names it."
            .to_owned(),
        asks: &["lasts", "reason"],
        command: command("freeze", scope, name),
        body: json!({ "freeze": asked }),
    };
    row(&[act.button(&format!("freeze {scope} {name}"), label)])
}

/// Ends the freeze that a finding is about; nothing if that could be several.
pub(super) fn thaw(finding: &FindingView, freezes: &[FreezeView]) -> Piece {
    let same = |one: &&FreezeView| finding.fix.as_ref() == Some(&Freeze::from(*one).thaw());
    let mut own = freezes.iter().filter(same);
    let (Code::Frozen, Some(one), None) = (finding.code, own.next(), own.next()) else {
        return row(&[]);
    };
    let freeze = Freeze::from(one);
    let act = Act {
        title: format!("Thaw {}", freeze.what()),
        about: format!(
            "It is frozen {}. Whoever works at it may count on that. What waits for the end is looked at at once: a host that is dead by \
             then is fenced, and its instances are started elsewhere.",
            freeze.terms()
        ),
        asks: &[],
        command: freeze.thaw(),
        body: json!({"thaw": {"number": one.number}}),
    };
    row(&[act.button(&format!("thaw {}", one.number), "Thaw")])
}
