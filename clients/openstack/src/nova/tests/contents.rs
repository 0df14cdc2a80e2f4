//! Tests of a host's contents, read between two reads of its service record.

use super::*;

/// Starts a Nova with an empty host, whose service reads return these states in turn, and returns the recorded list
/// requests.
async fn read_contents(
    services: &'static [&'static str],
    shown: bool,
) -> (Result<Contents, CallError>, Vec<String>) {
    let answered = AtomicUsize::new(0);
    let fake = Fake::start(move |recorded| match recorded.path.as_str() {
        "/v2.1/servers/detail" => Reply::Json(200, json!({"servers": []})),
        "/v2.1/os-migrations" => Reply::Json(200, json!({"migrations": []})),
        "/v2.1/os-services" => {
            let services = match services[answered.fetch_add(1, Ordering::SeqCst)] {
                "there" => json!([service_record()]),
                "down" => json!([{"binary": "nova-compute", "host": "c1", "status": "UNKNOWN"}]),
                _ => json!([]),
            };
            Reply::Json(200, json!({"services": services}))
        }
        _ => Reply::Unscripted,
    })
    .await;
    let contents = fake.nova().await.contents("c1", shown).await;
    let paths = fake.calls().into_iter();
    let paths = paths.map(|recorded| recorded.path.trim_start_matches("/v2.1/").to_owned());
    (contents, paths.collect())
}

/// Covers EW33.
#[tokio::test]
async fn empty_lists_need_a_service_check_before_and_after() {
    let (contents, paths) = read_contents(&["there", "there"], false).await;
    assert!(contents.unwrap().service.is_some());
    assert_eq!(
        paths,
        ["os-services", "os-migrations", "servers/detail", "os-services"]
    );
    let (contents, paths) = read_contents(&["there"], true).await;
    assert!(contents.unwrap().service.is_some());
    assert_eq!(paths, ["os-migrations", "servers/detail", "os-services"]);
}

/// Covers EW33.
#[tokio::test]
async fn a_cell_that_is_away_before_the_lists_or_after_them_is_no_empty_host() {
    for (services, shown) in [
        (&["down"][..], false),
        (&["there", "down"], false),
        (&["down"], true),
    ] {
        let error = read_contents(services, shown).await.0.unwrap_err();
        assert_eq!(error.fault.class, FaultClass::Transient, "{services:?}");
    }
    // A Nova before 2.69 leaves the record out.
    for (services, shown) in [
        (&["missing", "there"][..], false),
        (&["there", "missing"], false),
        (&["missing"], true),
    ] {
        let contents = read_contents(services, shown).await.0.unwrap();
        assert_eq!(contents.service, None, "{services:?}");
    }
}
