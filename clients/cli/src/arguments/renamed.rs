//! Old names of commands, kept as hidden aliases for two releases: each does what the new one does.

use super::*;

fn command(line: &str) -> Command {
    let given = std::iter::once("tachi").chain(line.split_whitespace());
    let given: Vec<_> = given.map(std::ffi::OsString::from).collect();
    parse(&given)
        .unwrap_or_else(|error| panic!("{line}: {error}"))
        .command
}

/// Returns the command that a line runs, as debug text of the new command.
#[expect(clippy::wildcard_enum_match_arm, reason = "what is not renamed is itself")]
fn carried_out(line: &str) -> String {
    match command(line) {
        Command::Vmove(VmoveCommand::List(args)) => {
            format!("{:?}", Command::Instance(InstanceCommand::List(args.into())))
        }
        Command::Vmove(VmoveCommand::Recover(args)) => {
            format!("{:?}", Command::Instance(InstanceCommand::Resolve(args.into())))
        }
        Command::Reporter(ReporterCommand::List(args)) => {
            format!("{:?}", Command::Monitor(MonitorCommand::List(args.into())))
        }
        Command::Reporter(ReporterCommand::Lift(args)) => {
            format!("{:?}", Command::Monitor(MonitorCommand::Unmute(args)))
        }
        Command::Upgrade(UpgradeCommand::Check(args)) => {
            format!("upgrade {:?} {:?}", args.config, args.shape)
        }
        Command::Doctor(args) if args.upgrade => format!("upgrade {:?} {:?}", args.source.config, args.shape),
        other => format!("{other:?}"),
    }
}

#[test]
fn each_old_name_does_what_the_new_one_does() {
    for (old, new) in [
        ("explain a", "show a"),
        ("explain a --if-dies -f json", "show a --if-fails -f json"),
        (
            "explain a --at 03:05 --within 5m",
            "show a --at 03:05 --within 5m",
        ),
        (
            "host fail a --reason x --yes",
            "host report-down a --reason x --yes",
        ),
        (
            "recovery vouch a --off a --reason x",
            "recovery confirm-off a --off a --reason x",
        ),
        ("vmove list", "instance list --recovering"),
        (
            "vmove list --needs-person -f json",
            "instance list --waiting -f json",
        ),
        (
            "vmove recover w --success --on a --reason x",
            "instance resolve w --running-on a --reason x",
        ),
        (
            "vmove recover w --failure --on a --yes",
            "instance resolve w --not-running-on a --yes",
        ),
        ("vmove recover w --failure", "instance resolve w --not-running"),
        ("vmove recover w --retry", "instance resolve w --retry"),
        ("vmove recover w --ignore", "instance resolve w --dismiss"),
        ("fence confirm a --yes", "fence trust a --yes"),
        ("init from-nova --by rack", "setup import --by rack"),
        ("init from-nova --apply", "setup import --apply"),
        ("init monitors --out d", "setup monitors --out d"),
        ("reporter list -f json", "monitor list --muted -f json"),
        ("reporter lift 7 --reason x", "monitor unmute 7 --reason x"),
        ("schedule list", "jobs list"),
        ("schedule run purge", "jobs run purge"),
        (
            "upgrade check --config-file f",
            "doctor --upgrade --config-file f",
        ),
    ] {
        assert_eq!(carried_out(old), carried_out(new), "{old}");
    }
}

/// `reject` aborts recoveries on hold, and `fence check` and `status` read what `fence test` does: these differ in one word.
#[test]
fn old_names_that_have_a_meaning_of_their_own_are_read_and_hidden() {
    for line in [
        "recovery reject a --reason x",
        "recovery reject --domain rack:r7 --reason x",
        "fence check --all",
        "fence status a",
        "drill a --paper",
        "drill a --shadow",
        "sandbox",
        "3am",
    ] {
        let _ = command(line);
    }
    for name in [
        "vmove", "reporter", "upgrade", "sandbox", "3am", "explain", "init", "schedule",
    ] {
        let shown = overview();
        let first = shown.lines().filter_map(|line| line.strip_prefix("  "));
        assert!(
            first.into_iter().all(|line| line.split(' ').next() != Some(name)),
            "{name}"
        );
    }
}
