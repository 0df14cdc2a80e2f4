use tachi_domain::hooks::{Defaults, Hook};

use super::*;

pub(crate) fn run_of(entry: &str) -> HookRun {
    HookRun {
        hook: Hook::parse(entry, Defaults::default()).unwrap(),
        document: r#"{"version":1,"host":{"name":"compute-1"}}"#.into(),
        key: "recovery-pre-1".into(),
        facts: vec![("TACHI_PHASE", "pre".into()), ("TACHI_HOST", "compute-1".into())],
    }
}

#[tokio::test]
async fn a_hook_above_the_limit_is_not_started() {
    let runner = Runner::with_permits(1);
    let first = runner.run(run_of("exec:/bin/sleep 5"));
    tokio::pin!(first);
    // The first poll takes the permit.
    assert!(futures_poll(&mut first).await.is_none());
    assert_eq!(runner.run(run_of("exec:/bin/true")).await, None);
}

#[tokio::test]
async fn a_place_is_given_back() {
    let runner = Runner::with_permits(1);
    for _ in 0..3 {
        let outcome = runner.run(run_of("exec:/bin/true")).await.unwrap();
        assert_eq!(
            (outcome.verdict, outcome.text.as_str()),
            (HookVerdict::GoOn, "exit 0")
        );
    }
}

/// Polls a future once.
async fn futures_poll<T>(future: &mut (impl Future<Output = T> + Unpin)) -> Option<T> {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        })
    })
    .await
}

#[test]
fn a_file_of_authorities_must_hold_some() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    assert!(matches!(
        Runner::new(Some(empty)),
        Err(SetupError::Certificate { source: None, .. })
    ));
    let missing = folder.path().join("missing.pem");
    assert!(matches!(
        Runner::new(Some(missing)),
        Err(SetupError::Authorities { .. })
    ));
}
