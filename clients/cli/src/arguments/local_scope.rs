//! Check of commands that use no API while a shell's `OS_CLOUD` names a cloud. Without it half of the commands would act on that cloud and
//! half on this machine's database, and the operator could not see which.

use tachi_operator::Failure;

use super::{
    AuditCommand, Command, ConfigArgs, ConfigCommand, DbCommand, FenceCommand, HostCommand, InitCommand,
    PolicyCommand, RecoveryCommand, ScheduleCommand, UpgradeCommand,
};
use crate::out;

/// The effect of a command that uses no API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LocalScope {
    /// The command changes a region.
    Changes,
    /// The command shows the state of a region.
    Reads,
    /// The command is about this machine, or about what it is started for: only its own region can be the intended one.
    OwnRegion,
}

/// Returns the command's effect and its configuration; `None` if the command uses an API wherever `OS_CLOUD` names one.
fn scope_of(command: &Command) -> Option<(LocalScope, Option<&ConfigArgs>)> {
    let acts = |really: bool| {
        if really {
            LocalScope::Changes
        } else {
            LocalScope::Reads
        }
    };
    let (scope, config) = match command {
        Command::Status(_)
        | Command::Forecast(_)
        | Command::Mon(_)
        | Command::Show(_)
        | Command::Events(_)
        | Command::Instance(_)
        | Command::Freeze(_)
        | Command::Thaw(_)
        | Command::Vmove(_)
        | Command::Host(
            HostCommand::List(_)
            | HostCommand::ReportDown(_)
            | HostCommand::Drain(_)
            | HostCommand::Giveback(_),
        )
        | Command::Audit(AuditCommand::Show(_))
        | Command::Jobs(ScheduleCommand::List(_))
        | Command::Monitor(_)
        | Command::Reporter(_)
        | Command::Recovery(
            RecoveryCommand::List(_)
            | RecoveryCommand::Show(_)
            | RecoveryCommand::Report(_)
            | RecoveryCommand::Retry(_)
            | RecoveryCommand::Approve(_)
            | RecoveryCommand::Abort(_)
            | RecoveryCommand::Reject(_),
        ) => return None,
        Command::Ack(args) => (acts(!args.list), &args.config),
        Command::Recovery(RecoveryCommand::ConfirmOff(args)) => (LocalScope::Changes, &args.config),
        Command::Host(HostCommand::Return(args)) if !args.put_back => return None,
        Command::Host(HostCommand::Return(args)) => (LocalScope::Changes, &args.source.config),
        Command::Host(HostCommand::Undrain(args)) => (LocalScope::Changes, &args.source.config),
        Command::Jobs(ScheduleCommand::Run(args)) => (LocalScope::Changes, &args.config),
        Command::Setup(InitCommand::Import(args)) if !args.apply => return None,
        Command::Setup(InitCommand::Import(args)) => (LocalScope::Changes, &args.source.config),
        Command::Setup(InitCommand::Monitors(args)) => (acts(!args.dry_run), &args.config),
        Command::Doctor(args) if args.upgrade => (LocalScope::Reads, &args.source.config),
        Command::Doctor(args) if !args.fix => return None,
        Command::Doctor(args) => (acts(!args.dry_run), &args.source.config),
        Command::Drill(args) if args.paper => return None,
        Command::Drill(args) => (acts(args.live || args.clean_up), &args.source.config),
        Command::Fence(FenceCommand::Off(args) | FenceCommand::On(args)) => {
            (LocalScope::Changes, &args.config)
        }
        Command::Fence(FenceCommand::Trust(args)) => (LocalScope::Changes, &args.config),
        Command::Fence(FenceCommand::Status(args)) => (LocalScope::Reads, &args.config),
        Command::Fence(FenceCommand::Test(args) | FenceCommand::Check(args)) => {
            (LocalScope::Reads, &args.config)
        }
        Command::Db(DbCommand::Purge(args)) => (acts(!args.dry_run), &args.config),
        Command::Db(DbCommand::Grants(args)) => (acts(args.execute), &args.config),
        // A package upgrades its own database while it is installed, whatever the shell has in its environment.
        Command::Db(DbCommand::Sync(args)) => (LocalScope::Reads, &args.config),
        Command::Db(DbCommand::Version(args)) => (LocalScope::Reads, &args.db.config),
        Command::Upgrade(UpgradeCommand::Check(args)) => (LocalScope::Reads, &args.config),
        Command::Config(ConfigCommand::Show(args)) => (LocalScope::Reads, &args.config),
        Command::Policy(PolicyCommand::List { config, .. }) => (LocalScope::Reads, config),
        Command::Policy(PolicyCommand::Check(args)) => (LocalScope::Reads, &args.config),
        Command::Audit(AuditCommand::Verify(args)) => (LocalScope::Reads, &args.config),
        Command::Demo(_)
        | Command::Serve(_)
        | Command::Api(_)
        | Command::Engine(_)
        | Command::Sandbox(_)
        | Command::Config(ConfigCommand::Sample)
        | Command::Policy(PolicyCommand::Sample)
        | Command::Openapi(_)
        | Command::Audit(AuditCommand::NewKey(_))
        | Command::Completions { .. }
        | Command::Night
        | Command::Overview
        | Command::FenceAgent(_)
        | Command::Manage(..)
        | Command::MasakariStatus(..) => return Some((LocalScope::OwnRegion, None)),
    };
    Some((scope, Some(config)))
}

/// Returns why the command uses no API with these options, if `--os-cloud` names one and other options would allow it.
fn api_refusal(command: &Command) -> Option<&'static str> {
    let (source, why) = if let Command::Drill(args) = command
        && !args.paper
    {
        (
            &args.source,
            "the API serves only `tachi show HOST --if-fails`; a drill that calls Nova and fence devices, or powers a host off, runs on a controller",
        )
    } else if let Command::Host(HostCommand::Return(args)) = command
        && args.put_back
    {
        (
            &args.source,
            "without --do the API shows what blocks the return; returning a host to service changes its service in Nova, by its state at that moment, and runs on a controller",
        )
    } else if let Command::Host(HostCommand::Undrain(args)) = command {
        (
            &args.source,
            "this command changes the host's service in Nova, by its state at that moment, and runs on a controller",
        )
    } else if let Command::Setup(InitCommand::Import(args)) = command
        && args.apply
    {
        (
            &args.source,
            "without --apply the API shows the plan; segments and hosts are created on a controller",
        )
    } else if let Command::Doctor(args) = command
        && args.upgrade
    {
        (
            &args.source,
            "without --upgrade the API shows what is wrong; files, database and access to Nova are checked on a controller",
        )
    } else if let Command::Doctor(args) = command
        && args.fix
    {
        (
            &args.source,
            "without --fix the API shows what is wrong; rows and files are fixed on a controller",
        )
    } else {
        return None;
    };
    source.os_cloud.is_some().then_some(why)
}

/// Refuses a command that would act on another region than that of the shell's `OS_CLOUD`. A command that only reads prints a note with the
/// configuration that it reads. Naming a configuration selects its region.
///
/// # Errors
///
/// The command would act and no configuration is named, or `--os-cloud` names an API that its options do not allow.
pub fn check_scope(command: &Command) -> Result<(), Failure> {
    if let Some(why) = api_refusal(command) {
        return Err(Failure::usage(format!(
            "--os-cloud: {why}. Log in there and run it without --os-cloud"
        )));
    }
    let Some((scope, Some(config))) = scope_of(command) else {
        return Ok(());
    };
    let cloud = std::env::var("OS_CLOUD").ok().filter(|name| !name.is_empty());
    let (Some(cloud), true, true) = (cloud, config.config_file.is_empty(), config.config_dir.is_empty())
    else {
        return Ok(());
    };
    let usual = tachi_config::default_search();
    let file = usual.iter().find(|file| file.exists()).unwrap_or(&usual[0]);
    let file = file.display();
    match scope {
        LocalScope::Changes => Err(Failure::usage(format!(
            "refused: OS_CLOUD names cloud {cloud:?}, but this command acts on the region of this machine's configuration. To act on it, \
             add --config-file {file} or unset OS_CLOUD"
        ))),
        LocalScope::Reads => {
            out::note(format!(
                "tachi: this command ignores OS_CLOUD ({cloud:?}) and reads {file}; --config-file {file} hides this note"
            ));
            Ok(())
        }
        LocalScope::OwnRegion => Ok(()),
    }
}
