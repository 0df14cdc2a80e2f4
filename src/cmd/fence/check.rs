//! `tachi fence test`, and its old names `status` and `check`.

use std::sync::Arc;
use std::time::Instant;

use tachi_cli::arguments::{FenceHostArgs, FenceTestArgs};
use tachi_cli::fence::check::{TestProgress, show, show_sum, show_valid, verdict};
use tachi_cli::out;
use tachi_engine::ports::OperatorJournal as _;
use tachi_engine::ports::device_report::Report;
use tachi_fence::Fencers;
use tachi_operator::Failure;
use tachi_operator::fence::trust::KnownMachines;

use super::devices;
use super::machines::Book;
use crate::settings::Settings;
use crate::wiring;

/// Shows the levels of a host and the readings of their devices; a device that does not answer is no failure of the command.
pub(super) async fn status(args: FenceHostArgs) -> Result<u8, Failure> {
    let (settings, fencers) = devices(&args.config)?;
    let mut reports = fencers.check(&[args.host], &mut |_, _, _| {}).await;
    let lines = examine(&mut reports, &settings, &fencers).await;
    show(&reports, &lines, &args.shape)?;
    let clear = reports.iter().any(|report| report.fault.is_none());
    Ok(if clear { crate::DONE } else { crate::FAILED })
}

/// Tests devices. Anything that would refuse a power-off is a fault if `strict`, else a warning.
pub(super) async fn test(args: FenceTestArgs, strict: bool) -> Result<u8, Failure> {
    let (settings, fencers) = devices(&args.config)?;
    let hosts = if args.all {
        let base = wiring::existing(&settings).await?;
        let segments = base.store.operator_journal().region().await;
        let segments = segments.map_err(|error| Failure::new("reading which hosts are registered", error))?;
        let hosts = segments.into_iter().flat_map(|view| view.hosts);
        hosts.map(|view| view.host.name).collect()
    } else {
        args.hosts
    };
    if hosts.is_empty() {
        show_valid(&args.shape, &fencers.source(), &fencers.devices())?;
        return Ok(crate::DONE);
    }
    let began = Instant::now();
    let bar = TestProgress::of(&args.shape);
    let mut reports = fencers
        .check(&hosts, &mut |report, done, all| bar.tested(report, done, all))
        .await;
    bar.end();
    if strict {
        reports = reports.into_iter().map(Report::strict).collect();
    }
    let lines = examine(&mut reports, &settings, &fencers).await;
    show(&reports, &lines, &args.shape)?;
    show_sum(&args.shape, hosts.len(), &reports, began.elapsed());
    Ok(verdict(&reports))
}

/// Compares the machines with the stored ones, and stores the result for `tachi status`. If the database cannot be read, the devices are
/// shown without the comparison.
async fn examine(reports: &mut [Report], settings: &Settings, fencers: &Arc<Fencers>) -> KnownMachines {
    let examined = async {
        let book = Book::open(settings, fencers).await?;
        book.examine(reports, settings).await?;
        if let Err(error) = book.keep(reports, settings).await {
            out::note(format!(
                "tachi: the result is not stored, so `tachi status` does not count it: {}",
                error.chain()
            ));
        }
        book.lines().await
    };
    match Box::pin(examined).await {
        Ok(lines) => lines,
        Err(error) => {
            out::note(format!(
                "tachi: the machines behind the devices were not compared with the known ones, and the result is not stored: {}",
                error.chain()
            ));
            KnownMachines::new()
        }
    }
}
