//! Helpers that render fragments of pages. They escape all names and texts from outside.
#![expect(
    clippy::ref_option,
    clippy::trivially_copy_pass_by_ref,
    reason = "templates pass fields this way"
)]

use std::borrow::Borrow;
use std::fmt::{self, Write as _};
use std::time::Duration;

use askama::filters::{Escaper as _, Html, HtmlSafe};
use tachi_domain::count;
use tachi_domain::entity::vmove::VmoveStatus;
use tachi_domain::forecast::Room;
use tachi_domain::power::Power;
use tachi_domain::recovery::Life;
use tachi_domain::situation::Severity;
use tachi_operator::consequence::SuggestedCommand;
use tachi_operator::{
    CountsView, HostedView, InstanceView, LevelView, MonitorView, RecoveryView, Time, WaitView, headroom,
    plain,
};

/// A fragment of HTML in which all outside data is escaped.
pub(super) struct Fragment(pub(super) String);

impl Fragment {
    pub(super) const fn nothing() -> Self {
        Self(String::new())
    }
}

impl fmt::Display for Fragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Fragment {}

/// Escapes a text for HTML, also within a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    // Writing to a string cannot fail.
    let _ = Html.write_escaped_str(&mut safe, text);
    safe
}

/// Renders a text whose commands stand between backticks, as it is written for a terminal.
pub(super) fn with_code(text: &str) -> Fragment {
    if text.matches('`').count() % 2 == 1 {
        return Fragment(escaped(text));
    }
    let mut html = String::with_capacity(text.len());
    for (place, part) in text.split('`').enumerate() {
        let part = escaped(part);
        if place % 2 == 1 {
            // Writing to a string cannot fail.
            let _ = write!(html, "<code>{part}</code>");
        } else {
            html.push_str(&part);
        }
    }
    Fragment(html)
}

/// Makes hidden characters of a page visible: those that reverse a text or have no width are written as escapes, as in a terminal.
pub(super) fn visible(html: &str) -> String {
    let lines: Vec<String> = html.split('\n').map(plain).collect();
    lines.join("\n")
}

/// Percent-encodes a name for a URL.
pub(super) fn encoded(name: &str) -> String {
    let mut part = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            part.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(part, "%{byte:02X}");
        }
    }
    part
}

/// Returns the symbol of a grade, for people who cannot see colours.
pub(super) fn symbol(grade: &str) -> &'static str {
    match grade {
        "ok" | "protected" => "●",
        "info" | "not_meant" | "not-meant" => "·",
        "busy" => "…",
        "warn" | "degraded" => "!",
        "err" | "unprotected" | "down" => "✗",
        _ => "?",
    }
}

/// Renders a grade as a symbol and a word. An empty `label` means the default word of the grade.
pub(super) fn mark(grade: &str, label: &str) -> Fragment {
    let label = match (label, grade) {
        ("", "err") => "error".to_owned(),
        ("", "warn") => "warning".to_owned(),
        ("", "not_meant" | "not-meant") => "excluded".to_owned(),
        ("", grade) => grade.replace('_', " "),
        (label, _) => label.to_owned(),
    };
    let icon = symbol(grade);
    Fragment(format!(
        "<span class=\"mark {grade}\">{icon} {}</span>",
        escaped(&label)
    ))
}

/// Renders a link to a page of the board.
#[expect(
    clippy::needless_pass_by_value,
    reason = "templates pass copies and references"
)]
pub(super) fn link(page: &str, name: impl ToString, text: &str) -> Fragment {
    let name = name.to_string();
    let text = if text.is_empty() { &name } else { text };
    Fragment(format!(
        "<a href=\"#/{page}/{}\">{}</a>",
        encoded(&name),
        escaped(text)
    ))
}

/// A time or an optional time, as templates pass fields.
pub(super) trait OptionalTime {
    fn at(&self) -> Option<Time>;
}

impl OptionalTime for Time {
    fn at(&self) -> Option<Time> {
        Some(*self)
    }
}

impl OptionalTime for Option<Time> {
    fn at(&self) -> Option<Time> {
        *self
    }
}

/// Renders a time for the browser to format with its own clock: as `ago`, `until`, `clock`, `day` or `age`.
fn time_element(kind: &str, at: &impl OptionalTime, without: &str) -> Fragment {
    Fragment(at.at().map_or_else(
        || without.to_owned(),
        |at| format!("<time datetime=\"{at}\" data-kind=\"{kind}\"></time>"),
    ))
}

pub(super) fn ago(at: &impl OptionalTime) -> Fragment {
    time_element("ago", at, "never")
}

/// Renders the age of a time as a duration.
pub(super) fn age(at: &impl OptionalTime) -> Fragment {
    time_element("age", at, "")
}

pub(super) fn until(at: &impl OptionalTime) -> Fragment {
    time_element("until", at, "")
}

pub(super) fn clock(at: &impl OptionalTime) -> Fragment {
    time_element("clock", at, "")
}

pub(super) fn day(at: &impl OptionalTime) -> Fragment {
    time_element("day", at, "")
}

/// Returns an optional value as text, or an empty text.
pub(super) fn or_nothing<T: ToString>(value: &Option<T>) -> String {
    value.as_ref().map_or_else(String::new, ToString::to_string)
}

/// Returns a number with its noun, which forms its plural with `s`.
pub(super) fn many(number: impl Borrow<u64>, one: &str) -> String {
    count(*number.borrow(), one, &format!("{one}s"))
}

/// Formats a duration.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Renders instance-seconds of downtime, or the downtime of one instance.
pub(super) fn lasted(seconds: &Option<f64>) -> Fragment {
    let Some(seconds) = *seconds else {
        return Fragment::nothing();
    };
    let shown = match Duration::try_from_secs_f64(seconds) {
        Ok(lasted) if seconds >= 60.0 => span(lasted.as_secs()),
        Ok(_) | Err(_) => format!("{seconds:.1} s"),
    };
    Fragment(format!(
        "<span class=\"whole\" title=\"{seconds} s\">{shown}</span>"
    ))
}

/// Renders the total number of instances.
pub(super) fn total(counts: &Option<CountsView>) -> Fragment {
    counts.map_or_else(
        || mark("unknown", ""),
        |counts| Fragment((counts.included() + counts.not_meant).to_string()),
    )
}

/// Returns the number of instances in each protection state, the best state first. A zero gets a neutral symbol.
pub(super) fn tiles(counts: &CountsView) -> Vec<(u64, Fragment)> {
    let kinds = [
        ("protected", counts.protected),
        ("degraded", counts.degraded),
        ("unknown", counts.unknown),
        ("unprotected", counts.unprotected),
        ("down", counts.down),
        ("not_meant", counts.not_meant),
    ];
    kinds
        .map(|(kind, number)| {
            let grade = if number == 0 { "info" } else { kind };
            let label = if kind == "not_meant" { "excluded" } else { kind };
            (number, mark(grade, label))
        })
        .into()
}

/// Renders the state of a host in Nova.
pub(super) fn nova(up: &Option<bool>) -> Fragment {
    match up {
        Some(true) => mark("ok", "up"),
        Some(false) => mark("err", "down"),
        None => mark("unknown", ""),
    }
}

/// Renders the worst state of a host's monitors. If the host is down in Nova, a good state is outdated and shown as unknown.
pub(super) fn watched(monitors: &[&MonitorView], up: Option<bool>) -> Fragment {
    let Some(most_severe) = monitors
        .iter()
        .map(|monitor| monitor.grade)
        .max_by_key(|grade| severity(*grade))
    else {
        return mark("unknown", "none");
    };
    let kinds: Vec<_> = monitors.iter().map(|monitor| monitor.kind.as_str()).collect();
    if up == Some(false) && severity(most_severe) == 0 {
        let last = monitors
            .iter()
            .map(|monitor| monitor.signed_at)
            .max_by_key(|at| at.0);
        let pill = mark("unknown", &kinds.join(", "));
        return Fragment(format!(
            "{pill} <span class=\"soft\">last heartbeat {}</span>",
            ago(&last)
        ));
    }
    mark(most_severe.as_str(), &kinds.join(", "))
}

const fn severity(grade: Severity) -> u8 {
    match grade {
        Severity::Ok | Severity::Info => 0,
        Severity::Warn => 1,
        Severity::Unknown => 2,
        Severity::Err => 3,
    }
}

/// Renders the state of a fence device by its last test.
pub(super) fn tested(level: &LevelView) -> Fragment {
    match (&level.fault, level.good) {
        (Some(_), _) => mark("err", "fails"),
        (None, true) => mark("ok", "works"),
        (None, false) => mark("unknown", "test is stale"),
    }
}

/// Renders the power state as evidence that a host is off, with its age.
pub(super) fn power(level: &LevelView) -> Fragment {
    let grade = match (&level.fault, level.power) {
        (None, Some(Power::Off)) => "ok",
        (Some(_), _) | (None, Some(Power::On)) => "err",
        (None, Some(Power::Unknown) | None) => "unknown",
    };
    Fragment(format!(
        "<div>{} <span class=\"soft\" title=\"{}\">level {}, {}</span></div>",
        mark(grade, level.reading()),
        escaped(&level.device),
        level.level,
        ago(&level.tested_at)
    ))
}

/// Returns the reasons for the state of an instance, besides the state of its host.
pub(super) fn why(instance: &HostedView) -> String {
    if let Some(wait) = &instance.waits {
        return wait.about();
    }
    if let Some(left) = &instance.left {
        return left.clone();
    }
    let reasons: Vec<&str> = instance.reasons.iter().map(|code| code.meaning()).collect();
    reasons.join("; ")
}

/// Renders the state of a recovery and its result.
pub(super) fn state(recovery: &RecoveryView) -> Fragment {
    state_with(recovery, false)
}

/// Renders the state of a recovery and its result. An operator who has dismissed an instance has not brought it back.
pub(super) fn state_with(recovery: &RecoveryView, dismissed: bool) -> Fragment {
    if is_on_hold(&recovery.waits) {
        return mark("err", "on hold");
    }
    // A closed recovery that did not bring every instance back is not a success, no matter who has decided that.
    let is_failed = ["failed", "error"].contains(&recovery.status.as_str());
    let (back, all) = (recovery.moves.succeeded, recovery.moves.total);
    if recovery.life != Life::Open && !is_failed && back < all {
        let label = if recovery.kind.is_planned() {
            "moved"
        } else {
            "back"
        };
        let is_lacking = dismissed || back + recovery.moves.ignored < all;
        let grade = if is_lacking { "warn" } else { "info" };
        return mark(grade, &format!("{}, {back} of {all} {label}", recovery.status));
    }
    let is_closed = recovery.life == Life::Closed;
    let grade = match recovery.status.as_str() {
        "finished" => "ok",
        "failed" | "error" => "err",
        _ if is_closed => "info",
        _ => "busy",
    };
    if is_closed {
        mark(grade, &recovery.status)
    } else {
        mark(grade, &format!("{}, {}", recovery.life, recovery.status))
    }
}

pub(super) fn is_on_hold(waits: &Option<WaitView>) -> bool {
    waits.as_ref().is_some_and(|wait| wait.held)
}

/// Renders the state of an instance in a recovery.
pub(super) fn move_state(instance: &InstanceView) -> Fragment {
    match instance.status {
        Some(VmoveStatus::Succeeded) => mark("ok", "back"),
        // It was started after its host's return, or a later recovery has moved it.
        Some(VmoveStatus::Ignored | VmoveStatus::Failed)
            if instance.moved_by.is_some() || instance.down_seconds.is_some() =>
        {
            mark("ok", "back")
        }
        Some(VmoveStatus::Failed) => mark("err", "failed"),
        Some(VmoveStatus::Ignored) => mark("info", "left"),
        Some(VmoveStatus::Ongoing) => mark("busy", "under way"),
        Some(VmoveStatus::Pending) => mark("busy", "to come"),
        None => mark("unknown", ""),
    }
}

/// Renders the capacity for instances.
pub(super) fn room(room: &Room) -> Fragment {
    let (grade, label) = match room {
        Room::Enough => ("ok", "room"),
        Room::Tight => ("warn", "no promise"),
        Room::Short => ("err", "no room"),
        Room::Unknown => ("unknown", "unknown"),
    };
    mark(grade, label)
}

/// Renders the number of hosts that a segment can lose, with a plus if it may be higher.
pub(super) fn n_plus(hosts: &Option<u64>, exact: &bool, room: &Option<u64>) -> Fragment {
    if hosts.is_none() {
        return mark("unknown", "unknown");
    }
    Fragment(format!(
        "<span class=\"good\">{}</span>",
        headroom(*hosts, *exact, *room)
    ))
}

/// Renders commands to type.
pub(super) fn commands<'a>(all: impl IntoIterator<Item = &'a String>) -> Fragment {
    let all = all.into_iter();
    Fragment(all.map(|text| typed(text)).collect::<Vec<_>>().concat())
}

/// Renders a command to type, with a button that copies it.
fn typed(command: &str) -> String {
    format!(
        "<span class=\"do\"><code>{}</code><button type=\"button\" class=\"copy\" aria-label=\"Copy the \
         command\">copy</button></span>",
        escaped(command)
    )
}

/// Renders commands with their consequences. A command that can destroy disks comes last, behind the check that must precede it.
pub(super) fn ways(commands: &[String]) -> Fragment {
    let choices = SuggestedCommand::all(commands).into_iter().map(|way| {
        let meaning = if way.meaning.is_empty() {
            String::new()
        } else {
            format!("<span class=\"soft\">{}</span>", escaped(&way.meaning))
        };
        let shown = format!("<div class=\"way\">{}{meaning}</div>", typed(way.command));
        match way.first {
            None => shown,
            Some(first) => format!(
                "<details data-key=\"{}\"><summary>{first}</summary>{shown}</details>",
                escaped(way.command)
            ),
        }
    });
    Fragment(choices.collect::<Vec<_>>().concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_in_a_text_are_code_and_all_else_is_escaped() {
        for (text, html) in [
            ("type `tachi <b>` now", "type <code>tachi &#60;b&#62;</code> now"),
            ("a ` alone & more", "a ` alone &#38; more"),
            ("plain", "plain"),
        ] {
            assert_eq!(with_code(text).0, html);
        }
    }

    #[test]
    fn names_from_outside_are_escaped_everywhere() {
        let evil = "<b>\"x\"/%&'";
        assert_eq!(
            link("host", evil, "").0,
            "<a href=\"#/host/%3Cb%3E%22x%22%2F%25%26%27\">&#60;b&#62;&#34;x&#34;/%&#38;&#39;</a>"
        );
        assert!(!mark("ok", evil).0.contains("<b>"));
        assert!(!commands([&evil.to_owned()]).0.contains("<b>"));
    }

    #[test]
    fn no_character_of_a_page_is_hidden() {
        assert_eq!(
            visible("<b>\n\u{202e}x\u{200b}</b>"),
            "<b>\n\\u{202e}x\\u{200b}</b>"
        );
    }

    #[test]
    fn spans_have_two_units() {
        let shown = [0, 59, 60, 3_599, 3_600, 86_399, 90_000].map(span);
        assert_eq!(
            shown,
            [
                "0 s",
                "59 s",
                "1 min 0 s",
                "59 min 59 s",
                "1 h 0 min",
                "23 h 59 min",
                "1 d 1 h"
            ]
        );
        assert!(lasted(&Some(12.34)).0.contains(">12.3 s<"));
        assert!(lasted(&Some(61.0)).0.contains(">1 min 1 s<"));
        assert_eq!(lasted(&None).0, "");
    }
}
