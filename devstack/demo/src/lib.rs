//! `tachi demo`: a simulated region, our real API and engine, one dead hypervisor, and every instance back exactly once. Also the region of
//! `tachi sandbox` and `tachi serve --sandbox`.
//!
//! The crate does not know how API and engine are put together: the program starts them as a [`Controller`].
//!
//! The counts of lost and doubled instances come from the region's ledger of where each instance really ran, never from the engine.

mod browser;
mod client;
mod controller;
mod faults;
mod lost;
mod monitors;
mod outcome;
mod progress;
pub mod region;
mod scene;
mod table;
mod view;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use tachi_cli::arguments::{DemoArgs, DemoFault};
use tachi_cli::out;
use tachi_operator::Failure;

use browser::stopped;
use outcome::Outcome;
use scene::Scene;
use view::View;

pub use controller::{Controller, RunningController};
pub use monitors::Monitors;

/// The demo ends within this time, whatever happens.
const LIMIT: Duration = Duration::from_secs(50);

/// Interval between two polls of the demo's state.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Runs the demo.
pub async fn run(args: DemoArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    if let Some(command) = args.command {
        return faults::run(command).await;
    }
    if args.scene.fault == Some(DemoFault::RackLoss) && args.scene.hosts < 3 {
        return Err(Failure::usage(
            "--fault rack-loss needs --hosts 3 or more: a rack holds two hosts, and another one must take their instances",
        ));
    }
    let mut view = View::new(args.json, std::io::stdout().is_terminal());
    let began = Instant::now();
    // Dropping an unfinished demo removes its folder and stops its servers.
    let played = play(&args, controller, &mut view, began).await;
    view.end();
    let (scene, outcome) = match played {
        Ok(played) => played,
        Err(failure) => {
            if args.json {
                out::line(Outcome::failed(args.scene, &failure.chain()).to_json());
            }
            return Err(failure);
        }
    };
    if args.json {
        out::line(outcome.to_json());
    } else {
        table::print(&outcome);
    }
    if args.board {
        out::line(format!(
            "the region keeps running, with its board at {}: stop with Ctrl-C",
            scene.board().url
        ));
        stopped().await?;
    }
    scene.end().await;
    Ok(if outcome.is_good() {
        tachi_cli::DONE
    } else {
        tachi_cli::FAILED
    })
}

/// Fails if the work is interrupted or takes longer than `limit`.
async fn bounded<T>(limit: Duration, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::select! {
        done = tokio::time::timeout(limit, work) => done.unwrap_or_else(|_| {
            Err(Failure::from_text(format!("not finished after {} s", LIMIT.as_secs())))
        }),
        _ = tokio::signal::ctrl_c() => Err(Failure::from_text("interrupted")),
    }
}

async fn play(
    args: &DemoArgs,
    controller: &dyn Controller,
    view: &mut View,
    began: Instant,
) -> Result<(Scene, Outcome), Failure> {
    let scene = bounded(LIMIT, Box::pin(Scene::set(args.scene, controller))).await?;
    view.scene(&scene, began.elapsed());
    let mut left = LIMIT.saturating_sub(began.elapsed());
    if args.board {
        view.board(&scene.board());
        let question = format!(
            "log in, then press Enter here: {} will fail",
            scene.failing.join(", ")
        );
        // The operator who reads and logs in has no time limit.
        bounded(Duration::MAX, browser::enter(&question)).await?;
        left = LIMIT;
    }
    let outcome = bounded(left, recovery(&scene, view)).await?;
    Ok((scene, outcome))
}

async fn recovery(scene: &Scene, view: &mut View) -> Result<Outcome, Failure> {
    scene.break_hosts().await?;
    view.struck(scene);
    let mut ticker = tokio::time::interval(POLL_INTERVAL);
    loop {
        ticker.tick().await;
        let snapshot = scene.snapshot().await?;
        view.show(scene, &snapshot);
        if scene.awaits_approval(&snapshot) {
            let approved = scene.approve(&snapshot).await?;
            view.approval(scene, &approved);
            continue;
        }
        if scene.was_just_approved(&snapshot) {
            continue;
        }
        if snapshot.is_finished() {
            return Ok(scene.judge(&snapshot));
        }
    }
}
