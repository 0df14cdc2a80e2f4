use serde_json::json;

use super::*;
use crate::fake::{Fake, RecordedRequest, Reply};

fn id(number: u32) -> String {
    format!("11111111-2222-3333-4444-{number:012}")
}

fn server(number: u32, vm_state: &str, host: Option<&str>) -> Value {
    json!({
        "id": id(number), "name": format!("vm{number}"), "status": "ACTIVE", "image": "", "metadata": {},
        "OS-EXT-SRV-ATTR:host": host, "OS-EXT-STS:vm_state": vm_state, "OS-EXT-STS:power_state": 1,
        "OS-SRV-USG:launched_at": "2023-11-14T22:13:20.000000",
    })
}

fn answer(recorded: &RecordedRequest) -> Reply {
    if recorded.path != "/v2.1/servers/detail" {
        return Reply::Unscripted;
    }
    match recorded.arg("marker").as_deref() {
        None => Reply::Json(
            200,
            json!({
                "servers": [
                    server(1, "active", Some("c1")),
                    server(2, "deleted", None),
                    {"id": id(3), "status": "UNKNOWN", "tenant_id": "p", "created": "2023-11-14T22:13:20Z", "links": []},
                ],
                "servers_links": [{"rel": "next", "href": format!("http://wrong.invalid/x?limit=3&marker={}", id(3))}],
            }),
        ),
        Some(marker) if marker == id(3) => {
            Reply::Json(200, json!({"servers": [server(4, "active", Some("c2"))]}))
        }
        Some(_) => Reply::Json(400, json!({"badRequest": {"message": "marker not found"}})),
    }
}

#[tokio::test]
async fn a_page_of_servers_is_one_request_and_names_where_the_next_begins() {
    let fake = Fake::start(answer).await;
    let nova = Nova::new(fake.session_with(|options| options.page_size = 3).await);
    let since = Timestamp::from_micros(1_700_000_000_123_456);
    let first = nova.servers(None, Some(since)).await.unwrap();
    let listed: Vec<_> = first
        .servers
        .iter()
        .map(|server| (server.name.as_str(), server.host.as_deref()))
        .collect();
    assert_eq!(
        listed,
        [("vm1", Some("c1")), ("vm2", None)],
        "of a cell that is away nothing is known"
    );
    assert_eq!(first.unknown, [id(3).parse().unwrap()]);
    assert_eq!(first.next, Some(id(3).parse().unwrap()));
    let last = nova.servers(first.next, None).await.unwrap();
    assert_eq!((last.servers.len(), last.next), (1, None));
    let gone = nova
        .servers(Some(id(9).parse().unwrap()), None)
        .await
        .unwrap_err();
    assert_eq!(gone.fault.status, Some(400));
    let lists: Vec<RecordedRequest> = fake
        .calls()
        .into_iter()
        .filter(|call| call.path.ends_with("detail"))
        .collect();
    assert_eq!(lists.len(), 3);
    assert_eq!(
        lists[0].arg("changes-since").as_deref(),
        Some("2023-11-14T22:13:20Z")
    );
    assert_eq!(lists[0].arg("all_tenants").as_deref(), Some("1"));
    assert!(lists[1].arg("changes-since").is_none() && lists[1].arg("host").is_none());
}
