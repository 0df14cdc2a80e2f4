//! Output of `tachi setup import`.

use serde_json::{Value, json};
use tachi_domain::{Timestamp, count};
use tachi_operator::{Failure, FromNovaView};

use crate::arguments::{FromNovaArgs, Method};
use crate::out::answer;

/// Shows what would be created, and if it is not created, what to do.
pub fn print_plan(
    view: &FromNovaView,
    args: &FromNovaArgs,
    not_made: &str,
    now: Timestamp,
) -> Result<u8, Failure> {
    answer::object(
        &args.shape,
        now,
        || with_made(view, 0),
        |_| {
            let end = if view.segments.is_empty() {
                Some("nothing to do")
            } else {
                (!args.apply).then_some(not_made)
            };
            let end = end.map(str::to_owned);
            lines(view, args.method).into_iter().chain(end).collect()
        },
    )?;
    Ok(crate::DONE)
}

/// Adds the number of created hosts, for programs.
fn with_made(view: &FromNovaView, made: usize) -> Value {
    let mut view = json!(view);
    if let Some(members) = view.as_object_mut() {
        members.insert("made".to_owned(), json!(made));
    }
    view
}

/// Shows how many hosts were created.
pub fn print_made(
    view: &FromNovaView,
    args: &FromNovaArgs,
    made: usize,
    now: Timestamp,
) -> Result<u8, Failure> {
    answer::object(
        &args.shape,
        now,
        || with_made(view, made),
        |_| {
            let hosts = count(made, "host is in its segment", "hosts are in their segments");
            vec![format!("{hosts} now: see `tachi status`")]
        },
    )?;
    Ok(crate::DONE)
}

/// Renders the plan as lines.
pub fn lines(view: &FromNovaView, method: Method) -> Vec<String> {
    let mut lines = Vec::new();
    for segment in &view.segments {
        lines.push(match segment.segment {
            Some(_) => format!("segment {}", segment.name),
            None => format!("segment {} ({})  + new", segment.name, method.as_str()),
        });
        lines.extend(segment.hosts.iter().map(|host| format!("  {host}  + add")));
    }
    if view.stay > 0 {
        lines.push(format!("in a segment already, and left there: {}", view.stay));
    }
    let left = view.left.iter();
    lines.extend(left.map(|one| format!("{} is left out: {}", one.host, one.why)));
    lines.extend(view.without_level.clone());
    lines
}
