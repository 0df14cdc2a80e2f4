//! `tachi host undrain`: the end of a drain in one command. Each step does what its own command does.

use tachi_cli::arguments::{HostGivebackArgs, HostReturnArgs, HostUndrainArgs};
use tachi_cli::consent::confirmed;
use tachi_cli::host::giveback;
use tachi_cli::out::answer::{self, ProgressReporter};
use tachi_cli::source::{self, Controller};
use tachi_domain::freeze::FreezeScope;
use tachi_operator::{Failure, RecoveryView, members};

use super::return_host;

/// Ends the drain's freeze, enables the service, and moves back the instances that the drain has moved away. Refuses before the first step if
/// a later one would be refused, such as enabling a service that Tachi has not disabled: the host would be left without its freeze. An
/// operator's freeze of the host refuses it, too: only its operator knows if that work is done.
pub(super) async fn run(args: HostUndrainArgs, controller: &dyn Controller) -> Result<u8, Failure> {
    let HostUndrainArgs {
        source: source_args,
        host,
        reason,
        mut planned,
    } = args;
    answer::accepts(&planned.shape, members::<RecoveryView>())?;
    if reason.trim().is_empty() {
        return Err(Failure::usage("--reason: write which work was done"));
    }
    let named = return_host::validate_undrain(&source_args, &host).await?.name;
    confirmed(
        (&named, planned.yes),
        "undrain",
        "its freeze ends, Nova may place instances there, and the instances that were moved away are live-migrated back.",
    )?;
    planned.yes = true;
    // The operator may have taken a while to answer.
    let host = return_host::validate_undrain(&source_args, &host).await?;
    let source = source::open(&source_args, controller).await?;
    let meanwhile = ProgressReporter::of(&planned.shape, source.now());
    let id = host.id.to_string();
    for freeze in source.freezes().await? {
        if freeze.scope == FreezeScope::Host && freeze.by_drain && freeze.id.as_ref() == Some(&id) {
            source.thaw(&freeze).await?;
            meanwhile.report(format!("{}: its freeze has ended", host.name));
        }
    }
    let back = HostReturnArgs {
        source: source_args.clone(),
        host: id.clone(),
        check: false,
        put_back: true,
        reason: Some(reason),
        yes: true,
        shape: planned.shape.clone(),
    };
    Box::pin(return_host::put_back(&back, meanwhile)).await?;
    giveback::run(
        HostGivebackArgs {
            source: source_args,
            host: id,
            dry_run: false,
            planned,
        },
        controller,
    )
    .await
}
