//! Actions that users or Nova have requested on a server.

use serde::Deserialize;
use tachi_domain::ServerId;
use tachi_domain::nova::{Actor, ServerAction};
use tachi_engine::ports::CallError;
use tachi_keystone::Need;

use super::version::Feature;
use super::{Nova, read};
use crate::fault::ErrorScope;
use crate::time;

#[derive(Deserialize)]
struct List {
    #[serde(rename = "instanceActions")]
    actions: Vec<Record>,
}

#[derive(Deserialize)]
struct Record {
    action: String,
    /// The user; `None` for an action of Nova itself.
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    start_time: String,
}

/// Lists the actions, the latest first; `None` if Nova does not know the server.
pub(super) async fn of(nova: &Nova, server: ServerId) -> Result<Option<Vec<ServerAction>>, CallError> {
    let id = server.to_string();
    let path = ["servers", id.as_str(), "os-instance-actions"];
    let request = read(&path, &[], ErrorScope::Object);
    let answer = match nova.call(Feature::ACTIONS, request).await {
        Ok(answer) => answer,
        Err(error) if error.fault.is_gone() => return Ok(None),
        Err(error) => return Err(error),
    };
    let ours = nova.session.keystone().token(Need::Quick).await?.user.clone();
    let List { mut actions } = answer.json()?;
    // Nova sorts in this order, too. Texts of one format sort like the times.
    actions.sort_by(|one, other| other.start_time.cmp(&one.start_time));
    let order = |record: Record| ServerAction {
        by: match &record.user_id {
            None => Actor::Nova,
            Some(_) if record.user_id == ours => Actor::Ours,
            Some(_) => Actor::Person,
        },
        at: time::parse(&record.start_time),
        action: record.action,
    };
    Ok(Some(actions.into_iter().map(order).collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tachi_engine::ports::Inventory as _;

    use super::*;
    use crate::fake::{Fake, RecordedRequest, Reply};

    const ONE: &str = "11111111-2222-3333-4444-555555555555";
    const GONE: &str = "11111111-2222-3333-4444-666666666666";

    fn action(action: &str, second: u32, user: &Value) -> Value {
        json!({"action": action, "user_id": user, "start_time": format!("2026-10-04T09:14:{second:02}.000000")})
    }

    /// Covers R36.
    #[tokio::test]
    async fn who_stopped_a_server_is_read_from_novas_record() {
        let fake = Fake::start(|recorded: &RecordedRequest| {
            let listed = |id: &str| recorded.path == format!("/v2.1/servers/{id}/os-instance-actions");
            if listed(GONE) {
                return Reply::Json(404, json!({"itemNotFound": {"message": "gone"}}));
            }
            if !listed(ONE) {
                return Reply::Unscripted;
            }
            let rows = [
                action("create", 1, &json!("somebody")),
                action("stop", 3, &Value::Null),
                action("start", 2, &json!(crate::fake::USER)),
            ];
            Reply::Json(200, json!({"instanceActions": rows}))
        })
        .await;
        let nova = fake.nova().await;
        let orders = nova.orders(ONE.parse().unwrap()).await.unwrap().unwrap();
        let got: Vec<_> = orders.iter().map(|one| (one.action.as_str(), one.by)).collect();
        assert_eq!(
            got,
            [
                ("stop", Actor::Nova),
                ("start", Actor::Ours),
                ("create", Actor::Person)
            ]
        );
        assert_eq!(orders[0].at, time::parse("2026-10-04T09:14:03Z"));
        assert!(orders[0].at.is_some());
        assert_eq!(nova.orders(GONE.parse().unwrap()).await.unwrap(), None);
    }
}
