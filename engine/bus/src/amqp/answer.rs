//! The answer to `get_notification_recovery_workflow_details`, in the form of upstream's engine.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use tachi_domain::Timestamp;
use tachi_domain::entity::{Notification, TaskProgress};

use super::request::Call;

/// The result of a progress query.
pub(crate) enum ProgressAnswer<'a> {
    Progress(&'a Notification, &'a [TaskProgress]),
    /// There is no such notification.
    NotFound,
    /// The progress is unknown at the moment.
    Failed,
}

/// Returns the body of the answer, in its envelope.
pub(crate) fn body(call: &Call, answer: &ProgressAnswer<'_>) -> Vec<u8> {
    let (result, failure) = match answer {
        ProgressAnswer::Progress(notification, tasks) => (object(call, notification, tasks), Value::Null),
        ProgressAnswer::NotFound => {
            let message = format!("No notification with id {}.", call.notification);
            (Value::Null, failure("NotificationNotFound", &message))
        }
        ProgressAnswer::Failed => {
            let message = format!(
                "Failed to fetch notification recovery workflow details for {}",
                call.notification
            );
            (Value::Null, failure("MasakariException", &message))
        }
    };
    let inner = json!({
        "result": result,
        "failure": failure,
        "ending": true,
        "_msg_id": call.message,
        "_unique_id": uuid::Uuid::new_v4().simple().to_string(),
    });
    let outer = json!({"oslo.version": "2.0", "oslo.message": inner.to_string()});
    outer.to_string().into_bytes()
}

/// Returns an exception, as JSON text within the JSON text.
fn failure(class: &str, message: &str) -> Value {
    let exception = json!({
        "class": class,
        "module": "masakari.exception",
        "message": message,
        "tb": [],
        "args": [message],
        "kwargs": {},
    });
    Value::String(exception.to_string())
}

fn object(call: &Call, notification: &Notification, tasks: &[TaskProgress]) -> Value {
    let mut data = Map::new();
    let mut set = |key: &str, value: Value| data.insert(key.to_owned(), value);
    set("id", json!(notification.row));
    set("notification_uuid", json!(notification.id.to_string()));
    set("generated_time", iso(notification.generated_time));
    set("source_host_uuid", json!(notification.source_host.to_string()));
    set("type", json!(notification.kind.as_str()));
    set("payload", json!(notification.payload));
    set("status", json!(notification.status.as_str()));
    set("recovery_workflow_details", tasks.iter().map(task).collect());
    if call.object_minor >= 2 {
        // The segment may be null only in the newest version.
        if notification.segment.is_some() || call.object_minor >= 3 {
            let segment = notification.segment.map(|segment| segment.to_string());
            set("failover_segment_uuid", json!(segment));
        }
        set("message", json!(notification.message));
    }
    set("created_at", iso(notification.stamps.created_at));
    set(
        "updated_at",
        notification.stamps.updated_at.map_or(Value::Null, iso),
    );
    set("deleted_at", Value::Null);
    set("deleted", json!(false));
    versioned("Notification", &format!("1.{}", call.object_minor), &data)
}

fn task(task: &TaskProgress) -> Value {
    let details = task.details.iter().map(|detail| {
        json!({
            "timestamp": spaced(detail.at),
            "progress": number(detail.progress),
            "message": detail.message,
        })
    });
    let mut data = Map::new();
    data.insert("name".to_owned(), json!(task.name));
    data.insert("progress".to_owned(), json!(task.progress));
    data.insert("progress_details".to_owned(), details.collect());
    data.insert("state".to_owned(), json!(task.state));
    versioned("NotificationProgressDetails", "1.0", &data)
}

fn versioned(name: &str, version: &str, data: &Map<String, Value>) -> Value {
    json!({
        "masakari_object.name": name,
        "masakari_object.namespace": "masakari",
        "masakari_object.version": version,
        "masakari_object.data": data,
    })
}

/// Formats a float as Python does.
fn number(number: f64) -> String {
    format!("{number:?}")
}

fn utc(at: Timestamp) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(at.micros()).unwrap_or_default()
}

fn iso(at: Timestamp) -> Value {
    Value::String(utc(at).to_rfc3339_opts(SecondsFormat::Secs, true))
}

fn spaced(at: Timestamp) -> String {
    utc(at).format("%Y-%m-%d %H:%M:%S%.6f").to_string()
}

#[cfg(test)]
mod tests {
    use lapin::types::ShortString;
    use tachi_domain::entity::Stamps;
    use tachi_domain::entity::notification::{NotificationStatus, NotificationType};
    use tachi_domain::entity::progress::ProgressDetail;

    use super::*;

    const ID: &str = "6e8ee0de-0d0a-4fb4-a2b5-c8b4b9f0a4ee";

    fn call(object_minor: u32) -> Call {
        Call {
            notification: ID.parse().unwrap(),
            reply_to: ShortString::try_new("reply_1").unwrap(),
            message: "m".to_owned(),
            within: None,
            object_minor,
        }
    }

    fn notification() -> Notification {
        Notification {
            row: 7,
            id: ID.parse().unwrap(),
            kind: NotificationType::ComputeHost,
            generated_time: Timestamp::from_micros(1_551_966_868_842_031),
            source_host: ID.parse().unwrap(),
            segment: None,
            payload: [("event".to_owned(), "STOPPED".to_owned())].into(),
            status: NotificationStatus::Running,
            message: None,
            reporter: None,
            stamps: Stamps {
                created_at: Timestamp::from_micros(1_551_966_868_000_000),
                updated_at: None,
            },
        }
    }

    fn inner(body: &[u8]) -> Value {
        let outer: Value = serde_json::from_slice(body).unwrap();
        assert_eq!(outer["oslo.version"], "2.0");
        serde_json::from_str(outer["oslo.message"].as_str().unwrap()).unwrap()
    }

    #[test]
    fn progress_is_returned_in_the_callers_version_of_the_object() {
        let notification = notification();
        let tasks = [TaskProgress {
            name: "EvacuateInstancesTask".to_owned(),
            progress: 1.0,
            state: "SUCCESS".to_owned(),
            details: vec![ProgressDetail {
                at: Timestamp::from_micros(1_551_966_868_842_031),
                progress: 0.5,
                message: "half".to_owned(),
            }],
        }];
        for (minor, segment, message) in [(1, false, false), (2, false, true), (3, true, true)] {
            let answer = inner(&body(
                &call(minor),
                &ProgressAnswer::Progress(&notification, &tasks),
            ));
            assert_eq!(
                (&answer["_msg_id"], &answer["failure"], &answer["ending"]),
                (&json!("m"), &Value::Null, &json!(true))
            );
            let object = &answer["result"];
            assert_eq!(object["masakari_object.version"], format!("1.{minor}"));
            let data = object["masakari_object.data"].as_object().unwrap();
            assert_eq!(data.contains_key("failover_segment_uuid"), segment, "{minor}");
            assert_eq!(data.contains_key("message"), message, "{minor}");
            assert_eq!(data["generated_time"], "2019-03-07T13:54:28Z");
            let task = &data["recovery_workflow_details"][0];
            assert_eq!(task["masakari_object.name"], "NotificationProgressDetails");
            let expected =
                json!([{"timestamp": "2019-03-07 13:54:28.842031", "progress": "0.5", "message": "half"}]);
            assert_eq!(task["masakari_object.data"]["progress_details"], expected);
        }
    }

    #[test]
    fn a_failed_query_returns_an_exception_of_upstream() {
        for (expected, class) in [
            (ProgressAnswer::NotFound, "NotificationNotFound"),
            (ProgressAnswer::Failed, "MasakariException"),
        ] {
            let answer = inner(&body(&call(2), &expected));
            assert_eq!(answer["result"], Value::Null);
            let failure: Value = serde_json::from_str(answer["failure"].as_str().unwrap()).unwrap();
            assert_eq!(
                (&failure["class"], &failure["module"]),
                (&json!(class), &json!("masakari.exception"))
            );
        }
    }
}
