//! Messages of an upstream API: envelopes, casts and calls.
//!
//! Only the notification's id in a message is trusted, and the row that it names. The rest may be written by anyone
//! with access to the broker, and may contain a caller's bearer token: it is never logged.

use std::time::Duration;

use lapin::types::ShortString;
use serde_json::{Map, Value};
use tachi_domain::NotificationId;

/// The longest message that is parsed, in bytes. Those of an upstream API have a few thousand.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// The longest text from the caller that an answer repeats.
const MAX_TEXT_BYTES: usize = 255;

/// The newest supported version of the notification object.
const NEWEST_OBJECT: u32 = 3;

/// The request in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Request {
    /// `process_notification`: there is a new row.
    Process(NotificationId),
    /// `get_notification_recovery_workflow_details`: a caller waits for the progress.
    Details(Call),
}

/// A call that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) notification: NotificationId,
    /// The queue of the answer.
    pub(crate) reply_to: ShortString,
    /// The id by which the caller matches the answer.
    pub(crate) message: String,
    /// The time that the caller waits for the answer.
    pub(crate) within: Option<Duration>,
    /// The minor version of the caller's notification object; the major version is 1.
    pub(crate) object_minor: u32,
}

/// The reason why a message is rejected, as a name for metrics and the log, without any part of the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RejectReason {
    TooLong,
    NotJson,
    Envelope,
    Version,
    Method,
    Notification,
    Reply,
}

impl RejectReason {
    pub(crate) const fn label(self) -> &'static str {
        match self {
            Self::TooLong => "too_long",
            Self::NotJson => "not_json",
            Self::Envelope => "envelope",
            Self::Version => "version",
            Self::Method => "method",
            Self::Notification => "notification",
            Self::Reply => "reply",
        }
    }
}

/// Reads a message's body.
pub(crate) fn read(body: &[u8]) -> Result<Request, RejectReason> {
    let inner = unwrapped(body)?;
    let text = |key: &str| inner.get(key).and_then(Value::as_str);
    if inner
        .get("namespace")
        .is_some_and(|namespace| !namespace.is_null())
    {
        return Err(RejectReason::Method);
    }
    // Upstream's dispatcher also takes a missing version as the first.
    let (major, minor) = version(text("version").unwrap_or("1.0")).ok_or(RejectReason::Version)?;
    if major != 1 || minor > 1 {
        return Err(RejectReason::Version);
    }
    let argument = inner.get("args").and_then(|args| args.get("notification"));
    match text("method") {
        Some("process_notification") => notification(argument).map(Request::Process),
        Some("get_notification_recovery_workflow_details") => {
            let notification = notification(argument)?;
            let reply_to = text("_reply_q")
                .filter(|queue| !queue.is_empty())
                .and_then(|queue| ShortString::try_new(queue).ok())
                .ok_or(RejectReason::Reply)?;
            let message = text("_msg_id")
                .filter(|id| !id.is_empty() && id.len() <= MAX_TEXT_BYTES)
                .ok_or(RejectReason::Reply)?;
            let within = inner.get("_timeout").and_then(Value::as_f64);
            let object = argument
                .and_then(|object| object.get("masakari_object.version"))
                .and_then(Value::as_str);
            Ok(Request::Details(Call {
                notification,
                reply_to,
                message: message.to_owned(),
                within: within.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
                object_minor: object
                    .and_then(version)
                    .map_or(2, |(_, minor)| minor.min(NEWEST_OBJECT)),
            }))
        }
        Some(_) | None => Err(RejectReason::Method),
    }
}

/// Returns the message inside its envelope. There are two kinds: no envelope, and version 2.
fn unwrapped(body: &[u8]) -> Result<Map<String, Value>, RejectReason> {
    let outer = object(body)?;
    match (outer.get("oslo.version"), outer.get("oslo.message")) {
        (Some(wrapped), Some(message)) => {
            let wrapped = wrapped.as_str().and_then(version).ok_or(RejectReason::Envelope)?;
            if wrapped.0 != 2 {
                return Err(RejectReason::Envelope);
            }
            object(message.as_str().ok_or(RejectReason::Envelope)?.as_bytes())
        }
        (None | Some(_), None | Some(_)) => Ok(outer),
    }
}

fn object(text: &[u8]) -> Result<Map<String, Value>, RejectReason> {
    if text.len() > MAX_MESSAGE_BYTES {
        return Err(RejectReason::TooLong);
    }
    // The parser limits the nesting depth.
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) | Err(_) => Err(RejectReason::NotJson),
    }
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    let number = |text: &str| {
        let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok()).flatten()
    };
    Some((number(major)?, number(minor)?))
}

fn notification(argument: Option<&Value>) -> Result<NotificationId, RejectReason> {
    let data = argument.and_then(|object| object.get("masakari_object.data"));
    let id = data.or(argument).and_then(|data| data.get("notification_uuid"));
    let id = id.and_then(Value::as_str).ok_or(RejectReason::Notification)?;
    id.parse().map_err(|_| RejectReason::Notification)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ID: &str = "6e8ee0de-0d0a-4fb4-a2b5-c8b4b9f0a4ee";

    fn cast() -> Value {
        json!({
            "method": "process_notification", "version": "1.0", "_unique_id": "11", "_context_auth_token": "secret",
            "args": {"notification": {"masakari_object.name": "Notification", "masakari_object.version": "1.2",
                "masakari_object.data": {"notification_uuid": ID, "status": "finished"}}},
        })
    }

    fn call() -> Value {
        let mut call = cast();
        call["method"] = json!("get_notification_recovery_workflow_details");
        call["version"] = json!("1.1");
        call["_msg_id"] = json!("m");
        call["_reply_q"] = json!("reply_1");
        call["_timeout"] = json!(60);
        call
    }

    fn wrapped(inner: &Value) -> Vec<u8> {
        json!({"oslo.version": "2.0", "oslo.message": inner.to_string()})
            .to_string()
            .into_bytes()
    }

    fn with(mut value: Value, changes: &[(&str, Value)]) -> Value {
        for (key, change) in changes {
            value[*key] = change.clone();
        }
        value
    }

    #[test]
    fn casts_and_calls_are_read_in_both_envelopes() {
        let expected = Request::Process(ID.parse().unwrap());
        assert_eq!(read(&wrapped(&cast())), Ok(expected.clone()));
        assert_eq!(read(cast().to_string().as_bytes()), Ok(expected));
        let Ok(Request::Details(details)) = read(&wrapped(&call())) else {
            panic!("a call");
        };
        assert_eq!(details.reply_to.as_str(), "reply_1");
        assert_eq!((details.message.as_str(), details.object_minor), ("m", 2));
        assert_eq!(details.within, Some(Duration::from_secs(60)));
    }

    /// Covers EW10.
    #[test]
    fn foreign_messages_are_rejected_without_a_panic() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let long = format!("{{\"a\": \"{}\"}}", "x".repeat(MAX_MESSAGE_BYTES));
        let text = |value: Value| value.to_string().into_bytes();
        let cases: Vec<(&str, Vec<u8>, RejectReason)> = vec![
            ("empty", Vec::new(), RejectReason::NotJson),
            ("not UTF-8", vec![0xff, 0xfe, b'{'], RejectReason::NotJson),
            ("no object", b"[]".to_vec(), RejectReason::NotJson),
            ("deep", deep.into_bytes(), RejectReason::NotJson),
            ("long", long.into_bytes(), RejectReason::TooLong),
            (
                "another envelope",
                text(json!({"oslo.version": "3.0", "oslo.message": "{}"})),
                RejectReason::Envelope,
            ),
            (
                "an envelope within an envelope",
                wrapped(&json!({"oslo.version": "2.0", "oslo.message": cast().to_string()})),
                RejectReason::Method,
            ),
            (
                "no text inside",
                text(json!({"oslo.version": "2.0", "oslo.message": {}})),
                RejectReason::Envelope,
            ),
            (
                "version 2",
                text(with(cast(), &[("version", json!("2.0"))])),
                RejectReason::Version,
            ),
            (
                "version 1.2",
                text(with(cast(), &[("version", json!("1.2"))])),
                RejectReason::Version,
            ),
            (
                "version with a letter",
                text(with(cast(), &[("version", json!("1.x"))])),
                RejectReason::Version,
            ),
            (
                "another method",
                text(with(cast(), &[("method", json!("_private"))])),
                RejectReason::Method,
            ),
            (
                "no method",
                text(with(cast(), &[("method", json!(7))])),
                RejectReason::Method,
            ),
            (
                "another namespace",
                text(with(cast(), &[("namespace", json!("baseapi"))])),
                RejectReason::Method,
            ),
            (
                "no arguments",
                text(with(cast(), &[("args", json!({}))])),
                RejectReason::Notification,
            ),
            (
                "no id",
                text(with(
                    cast(),
                    &[("args", json!({"notification": {"notification_uuid": "' OR 1=1"}}))],
                )),
                RejectReason::Notification,
            ),
            (
                "no reply queue",
                text(with(call(), &[("_reply_q", Value::Null)])),
                RejectReason::Reply,
            ),
            (
                "a long queue",
                text(with(call(), &[("_reply_q", json!("q".repeat(256)))])),
                RejectReason::Reply,
            ),
            (
                "a long id",
                text(with(call(), &[("_msg_id", json!("m".repeat(256)))])),
                RejectReason::Reply,
            ),
        ];
        for (name, body, expected) in cases {
            assert_eq!(read(&body), Err(expected), "{name}");
        }
    }

    #[test]
    fn invalid_optional_values_are_ignored() {
        let cases = [
            ("a negative wait", with(call(), &[("_timeout", json!(-1))]), None),
            (
                "an endless wait",
                with(call(), &[("_timeout", json!(1e300))]),
                None,
            ),
            ("no wait", with(call(), &[("_timeout", Value::Null)]), None),
            (
                "half a second",
                with(call(), &[("_timeout", json!(0.5))]),
                Some(Duration::from_millis(500)),
            ),
        ];
        for (name, value, expected) in cases {
            let Ok(Request::Details(details)) = read(&wrapped(&value)) else {
                panic!("{name}");
            };
            assert_eq!(details.within, expected, "{name}");
        }
        let mut newer = call();
        newer["args"]["notification"]["masakari_object.version"] = json!("1.9");
        let Ok(Request::Details(details)) = read(&wrapped(&newer)) else {
            panic!("a call");
        };
        assert_eq!(details.object_minor, NEWEST_OBJECT);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&body);
        }

        #[test]
        fn arbitrary_text_as_a_value_does_not_panic(key in "[a-z_.]{0,20}", value in any::<String>(), at in 0..6_usize) {
            let keys = ["method", "version", "_reply_q", "_msg_id", "_timeout", key.as_str()];
            let changed = with(call(), &[(keys[at], json!(value))]);
            let _ = read(&wrapped(&changed));
            let _ = read(changed.to_string().as_bytes());
        }
    }
}
