//! Commands on a database of another version.

use sea_orm::ConnectionTrait as _;

use super::support::{Harness, quick_region};

/// Commands that read, and commands that act. None may change the schema of running services.
const COMMANDS: [&[&str]; 7] = [
    &["status"],
    &["recovery", "list"],
    &["recovery", "show", "compute-001"],
    &["recovery", "approve", "compute-001", "--yes", "--reason", "x"],
    &["instance", "list", "--recovering"],
    &["host", "return", "compute-001", "--check"],
    &["db", "purge", "--age-in-days", "1"],
];

fn run(harness: &Harness, arguments: &[&str]) -> (i32, String) {
    let conf = harness.conf();
    let mut all = arguments.to_vec();
    all.extend(["--config-file", conf.to_str().unwrap()]);
    let (code, _, stderr) = Harness::command(&all);
    (code, stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_leave_a_database_of_another_version_alone_and_say_what_to_run() {
    let harness = Harness::set(quick_region(3)).await;
    harness.protect().await;
    let db = sea_orm::Database::connect(&harness.database.url).await.unwrap();
    let version = harness.store.version().await.unwrap().unwrap();
    let put = async |sql: String| db.execute_unprepared(&sql).await.unwrap();

    put(format!(
        "DELETE FROM tachi_migrations WHERE version = '{version}'"
    ))
    .await;
    for arguments in COMMANDS {
        let (code, stderr) = run(&harness, arguments);
        assert_eq!(code, 1, "{arguments:?}: {stderr}");
        let expected = format!("has an older version, without {version}: run `tachi db sync`");
        assert!(stderr.contains(&expected), "{arguments:?}: {stderr}");
    }
    let pending = harness.store.pending().await.unwrap();
    assert_eq!(pending, [version], "it was not applied");
    let (code, stderr) = run(&harness, &["db", "sync"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(run(&harness, &["recovery", "list"]).0, 0);

    put("INSERT INTO tachi_migrations (version, applied_at) VALUES ('m20991231_0010_to_come', 1)".into())
        .await;
    for arguments in COMMANDS {
        let (code, stderr) = run(&harness, arguments);
        assert_eq!(code, 1, "{arguments:?}: {stderr}");
        let expected = "has a newer version, with m20991231_0010_to_come";
        assert!(stderr.contains(expected), "{arguments:?}: {stderr}");
    }
}
