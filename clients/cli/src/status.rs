//! `tachi status`.

pub(super) mod common;
pub(super) mod findings;
pub(super) mod host;
pub(super) mod part;
pub(super) mod tree;

use std::io::IsTerminal as _;
use std::time::Duration;

use serde_json::{Value, json};
use tachi_domain::situation::Severity;
use tachi_operator::{ExplanationView, Failure, SituationView};

use crate::arguments::StatusArgs;
use crate::out;
use crate::out::{View, answer};
use crate::source::{self, Controller, Source};

use part::Selection;

/// Interval between two refreshes of `--watch`.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

/// Escape sequence that clears a terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Shows what is protected, what is not and why, and what is in progress.
pub async fn run(args: StatusArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let check = args.check;
    match shown(args, controller).await {
        // With `--check` a failed read is an unknown state, neither good nor bad.
        Err(error) if check => {
            out::note(format!("tachi: {}", error.chain()));
            Ok(code(Severity::Unknown))
        }
        done => done,
    }
}

/// The situation of the region, or of the requested part.
struct StatusView {
    situation: SituationView,
    part: Option<Selection>,
    /// The explanation of the part, if it is a host.
    host: Option<ExplanationView>,
}

impl StatusView {
    async fn at(source: &dyn Source, requested: Option<&str>) -> Result<Self, Failure> {
        let whole = source.situation().await?;
        let Some(requested) = requested else {
            return Ok(Self {
                situation: whole,
                part: None,
                host: None,
            });
        };
        let part = Selection::named(requested, &whole)?;
        let host = match &part {
            Selection::Segment(_) => None,
            Selection::Host(name) => {
                let found = source.explanations(name).await?;
                found.into_iter().find(|one| one.kind == "host")
            }
        };
        Ok(Self {
            situation: part.of(whole),
            part: Some(part),
            host,
        })
    }

    fn lines(&self, all_hosts: bool, view: &View) -> Vec<String> {
        match &self.part {
            None => tree::lines(&self.situation, all_hosts, view),
            Some(part) => host::lines(part, &self.situation, self.host.as_ref()),
        }
    }

    /// Returns the situation in the format of the whole region, with the name of the part.
    fn json(&self) -> Value {
        let mut all = json!(self.situation);
        if let (Some(part), Value::Object(all)) = (&self.part, &mut all) {
            all.insert("part".into(), json!({"kind": part.kind(), "name": part.name()}));
            if let Selection::Host(_) = part {
                all.insert("explanation".into(), json!(self.host));
            }
        }
        all
    }
}

async fn shown(args: StatusArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let source = source::open(&args.source, controller).await?;
    let is_screen = std::io::stdout().is_terminal();
    loop {
        let looked = StatusView::at(source.as_ref(), args.name.as_deref()).await;
        if args.watch && is_screen {
            out::line(CLEAR);
        }
        let mut grade = Severity::Ok;
        match looked {
            Ok(snapshot) => {
                grade = snapshot.situation.grade;
                let now = snapshot.situation.at.0;
                answer::object(
                    &args.shape,
                    now,
                    || snapshot.json(),
                    |view| snapshot.lines(args.all_hosts, view),
                )?;
            }
            // With `--watch` the command keeps running, so that it also shows the source coming back.
            Err(error) if args.watch && !error.is_usage() => {
                out::note(format!("tachi: {}; trying again", error.chain()));
            }
            Err(error) => return Err(error),
        }
        if !args.watch {
            return Ok(if args.check { code(grade) } else { crate::DONE });
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

/// Returns the exit code of `--check`, as monitoring plugins do.
pub const fn code(grade: Severity) -> u8 {
    match grade {
        Severity::Ok | Severity::Info => 0,
        Severity::Warn => 1,
        Severity::Err => 2,
        Severity::Unknown => 3,
    }
}
