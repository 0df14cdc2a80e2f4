//! `tachi demo`: a simulated region, our real API and engine, one dead hypervisor, and every instance back exactly once.
//!
//! What is printed as lost or doubled is read from the region's ledger of who really ran where, never from the engine.

mod client;
mod outcome;
mod scene;
mod table;
mod view;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use crate::cli::{DemoArgs, DemoFault};
use crate::logging::{self, Logging};
use crate::out;

use super::Failure;
use outcome::Outcome;
use scene::Scene;
use view::View;

/// The demo ends within this time, whatever happens.
const LIMIT: Duration = Duration::from_secs(50);

/// Between two looks at what is going on.
const LOOK: Duration = Duration::from_millis(100);

/// Runs it.
pub(crate) async fn run(args: DemoArgs) -> Result<u8, Failure> {
    if args.fault == Some(DemoFault::RackLoss) && args.hosts < 3 {
        return Err(Failure::usage(
            "--fault rack-loss needs --hosts 3 or more: a rack holds two, and somebody has to be left to take their instances",
        ));
    }
    logging::start(Logging {
        debug: false,
        json: false,
        quiet: true,
    });
    let mut view = View::new(args.json, std::io::stdout().is_terminal());
    let began = Instant::now();
    // Dropping the play half way removes its folder and ends its servers with it.
    let played = tokio::select! {
        played = tokio::time::timeout(LIMIT, play(&args, &mut view, began)) => played,
        _ = tokio::signal::ctrl_c() => Ok(Err(Failure::told("interrupted"))),
    };
    let outcome = match played {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(failure)) => {
            view.end();
            if args.json {
                out::line(Outcome::failed(&args, &failure.chain()).to_json());
            }
            return Err(failure);
        }
        Err(_) => {
            view.end();
            let reason = format!("not over after {} s", LIMIT.as_secs());
            if args.json {
                out::line(Outcome::failed(&args, &reason).to_json());
            }
            return Err(Failure::told(reason));
        }
    };
    view.end();
    if args.json {
        out::line(outcome.to_json());
    } else {
        table::print(&outcome);
    }
    Ok(if outcome.is_good() {
        crate::DONE
    } else {
        crate::FAILED
    })
}

async fn play(args: &DemoArgs, view: &mut View, began: Instant) -> Result<Outcome, Failure> {
    let scene = Scene::set(args).await?;
    view.scene(&scene, began.elapsed());
    scene.strike().await?;
    view.struck(&scene);
    let mut ticker = tokio::time::interval(LOOK);
    let outcome = loop {
        ticker.tick().await;
        let seen = scene.look().await?;
        view.show(&scene, &seen);
        if scene.waits_for_a_word(&seen) {
            let said = scene.approve(&seen).await?;
            view.said(&scene, &said);
            continue;
        }
        if scene.was_just_approved(&seen) {
            continue;
        }
        if seen.is_settled() {
            break scene.judge(&seen);
        }
    };
    scene.end().await;
    Ok(outcome)
}
