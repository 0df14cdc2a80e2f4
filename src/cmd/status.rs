//! `tachi status`.

pub(super) mod findings;
pub(super) mod seen;
mod tree;

use std::io::IsTerminal as _;
use std::time::Duration;

use tachi_domain::situation::Grade;

use super::Failure;
use crate::cli::{Format, StatusArgs};
use crate::{out, source};

/// Between two looks of `--watch`.
const LOOK: Duration = Duration::from_secs(2);

/// Clears a terminal.
const CLEAR: &str = "\u{1b}[H\u{1b}[2J";

/// Says what is protected, what is not and why, and what is going on.
pub(crate) async fn run(args: StatusArgs) -> Result<u8, Failure> {
    let check = args.check;
    match shown(args).await {
        // Whoever checks is not told that all is well, nor that something is wrong.
        Err(error) if check => {
            out::note(format!("tachi: {}", error.chain()));
            Ok(code(Grade::Unknown))
        }
        done => done,
    }
}

async fn shown(args: StatusArgs) -> Result<u8, Failure> {
    let source = source::open(&args.source).await?;
    loop {
        let looked = source.situation().await;
        if args.watch && std::io::stdout().is_terminal() {
            out::line(CLEAR);
        }
        let mut grade = Grade::Ok;
        match looked {
            Ok(seen) => {
                grade = seen.grade;
                match args.format {
                    Format::Table => tree::lines(&seen, args.all_hosts).iter().for_each(out::told),
                    Format::Json => out::line(serde_json::json!(seen).to_string()),
                }
            }
            // Who watches wants to see what was away come back too.
            Err(error) if args.watch => out::note(format!("tachi: {}; trying again", error.chain())),
            Err(error) => return Err(error),
        }
        if !args.watch {
            return Ok(if args.check { code(grade) } else { crate::DONE });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What `--check` exits with, as monitoring plugins do.
const fn code(grade: Grade) -> u8 {
    match grade {
        Grade::Ok | Grade::Info => 0,
        Grade::Warn => 1,
        Grade::Err => 2,
        Grade::Unknown => 3,
    }
}
