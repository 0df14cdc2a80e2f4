//! Moves by others that were not finished.

use super::*;
use crate::MigrationId;
use crate::nova::{MigrationStatus, MigrationType};

fn migration(status: MigrationStatus, source: &str, dest: &str) -> Migration {
    Migration {
        id: MigrationId(1),
        server: server_id(),
        kind: MigrationType::LiveMigration,
        status,
        source: Some(source.to_owned()),
        dest: Some(dest.to_owned()),
        created_at: Some(Timestamp::from_micros(0)),
        updated_at: None,
    }
}

/// Reads everything that is asked for, every second.
fn read_for(run: &mut Run, seconds: u64, shown: &VmState) {
    for _ in 0..seconds {
        if run.state.stage == Stage::Done {
            return;
        }
        run.at(run.at + 1_000, is(shown.clone()));
        if run.commands.contains(&Command::ReadService) {
            run.observe(up());
        }
    }
}

/// The guest was switched to the other host before the source failed. Seed 865180265 of the simulation.
/// Covers R10, R11.
#[test]
fn an_instance_that_an_unfinished_live_migration_may_have_moved_is_not_restarted() {
    for (status, source, dest) in [
        (MigrationStatus::Running, HOST, "c2"),
        (MigrationStatus::Completed, HOST, "c2"),
        (MigrationStatus::Running, "c2", HOST),
    ] {
        for shown in [VmState::Active, VmState::Stopped] {
            let mut run = Run::begun();
            run.migrations = Some(vec![migration(status.clone(), source, dest)]);
            read_for(&mut run, 60, &shown);
            assert_eq!(run.calls, [], "{status}");
            let (ended, message) = run.end();
            assert_eq!(ended, NotificationStatus::Failed, "{message}");
            let remedy = "so it may run on c2, and it is not restarted: check there (virsh list --all); if it does not run there: \
                          openstack server reboot --hard 00000000-0000-0000-0000-000000000007";
            assert!(message.contains(remedy), "{message}");
        }
    }
}

#[test]
fn a_live_migration_that_a_lagging_copy_shows_as_unfinished_delays_the_restart() {
    let mut run = Run::begun();
    run.migrations = Some(vec![migration(MigrationStatus::Running, "c2", HOST)]);
    read_for(&mut run, 20, &VmState::Active);
    assert_eq!(run.calls, []);
    run.migrations = Some(vec![migration(MigrationStatus::Completed, "c2", HOST)]);
    read_for(&mut run, 10, &VmState::Active);
    assert_eq!(run.calls.len(), 1);
}

#[test]
fn a_live_migration_that_has_failed_or_ended_before_delays_no_restart() {
    let long_ago = Policy::default().nova_long_rpc_timeout.as_secs() + 1;
    let ended = Migration {
        created_at: Some(Timestamp::from_micros(0).minus_seconds(i64::try_from(long_ago).unwrap())),
        ..migration(MigrationStatus::Completed, HOST, "c2")
    };
    let evacuated = Migration {
        id: MigrationId(2),
        kind: MigrationType::Evacuation,
        ..migration(MigrationStatus::Done, "c2", HOST)
    };
    let old = migration(MigrationStatus::Running, "c2", "c3");
    for shown in [
        vec![migration(MigrationStatus::Error, HOST, "c2")],
        vec![ended],
        vec![evacuated, old],
    ] {
        let mut run = Run::begun();
        run.migrations = Some(shown);
        read_for(&mut run, 5, &VmState::Active);
        assert_eq!(run.calls.len(), 1);
    }
}

#[test]
fn without_novas_migrations_nothing_is_restarted() {
    let mut run = Run::begun();
    run.migrations = None;
    read_for(&mut run, 5, &VmState::Stopped);
    run.observe(migrations(Err(fault(FaultClass::Transient, Some(503), false))));
    read_for(&mut run, 5, &VmState::Stopped);
    assert_eq!(run.calls, []);
    run.migrations = Some(Vec::new());
    run.observe(migrations(Ok(Vec::new())));
    read_for(&mut run, 5, &VmState::Stopped);
    assert_eq!(run.calls.len(), 1);
}
