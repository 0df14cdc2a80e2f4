//! Commands on a database of another version.

use sea_orm::ConnectionTrait as _;

use super::support::{Stage, quick_region};

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

fn run(stage: &Stage, words: &[&str]) -> (i32, String) {
    let conf = stage.conf();
    let mut all = words.to_vec();
    all.extend(["--config-file", conf.to_str().unwrap()]);
    let (code, _, stderr) = Stage::command(&all);
    (code, stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_leave_a_database_of_another_version_alone_and_say_what_to_run() {
    let stage = Stage::set(quick_region(3)).await;
    stage.protect().await;
    let db = sea_orm::Database::connect(&stage.database.url).await.unwrap();
    let version = stage.store.version().await.unwrap().unwrap();
    let put = async |sql: String| db.execute_unprepared(&sql).await.unwrap();

    put(format!(
        "DELETE FROM tachi_migrations WHERE version = '{version}'"
    ))
    .await;
    for words in COMMANDS {
        let (code, stderr) = run(&stage, words);
        assert_eq!(code, 1, "{words:?}: {stderr}");
        let wanted = format!("has an older version, without {version}: run `tachi db sync`");
        assert!(stderr.contains(&wanted), "{words:?}: {stderr}");
    }
    let pending = stage.store.pending().await.unwrap();
    assert_eq!(pending, [version], "it was not applied");
    let (code, stderr) = run(&stage, &["db", "sync"]);
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(run(&stage, &["recovery", "list"]).0, 0);

    put("INSERT INTO tachi_migrations (version, applied_at) VALUES ('m20991231_0010_to_come', 1)".into())
        .await;
    for words in COMMANDS {
        let (code, stderr) = run(&stage, words);
        assert_eq!(code, 1, "{words:?}: {stderr}");
        let wanted = "has a newer version, with m20991231_0010_to_come";
        assert!(stderr.contains(wanted), "{words:?}: {stderr}");
    }
}
