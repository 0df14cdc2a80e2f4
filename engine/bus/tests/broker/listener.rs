//! Received messages: wake-ups, casts, calls, and the detection of upstream engines.

use std::sync::Arc;

use lapin::BasicProperties;
use lapin::options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use serde_json::{Value, json};
use tachi_bus::InProcess;
use tachi_bus::amqp::{AmqpNotifier, AmqpOptions, Consumers, Listener, ListenerPorts, Publisher, Upstream};
use tachi_engine::ports::{Notifier as _, Wakeups as _};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::harness::{LIMIT, Other, options, shared, unique, until};
use crate::registry::{ID, OneNotification};

/// A running listener and its publisher.
struct RunningListener {
    options: Arc<AmqpOptions>,
    work: InProcess,
    adopt: InProcess,
    publisher: Publisher,
    upstream: Upstream,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl RunningListener {
    fn open(options: AmqpOptions) -> Self {
        let options = shared(options);
        let (publisher, task) = Publisher::new(options.clone());
        let (work, adopt) = (InProcess::default(), InProcess::default());
        let ends = ListenerPorts {
            work: work.clone(),
            adopt: adopt.clone(),
            progress: Arc::new(OneNotification),
            publisher: publisher.clone(),
        };
        let listener = Listener::new(options.clone(), ends);
        let upstream = listener.upstream();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn(task.run(stop.clone()));
        tasks.spawn(listener.run(stop.clone()));
        Self {
            options,
            work,
            adopt,
            publisher,
            upstream,
            tasks,
            stop,
        }
    }

    /// A new connection wakes the engine, which may have missed a message.
    async fn connected(&self) {
        timeout(LIMIT, self.work.woken()).await.expect("connected");
        timeout(LIMIT, self.adopt.woken()).await.expect("connected");
    }

    async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        timeout(LIMIT, self.tasks.wait()).await.expect("stopped");
    }
}

async fn cast(other: &Other, options: &AmqpOptions, key: &str, inner: &Value) {
    let body = json!({"oslo.version": "2.0", "oslo.message": inner.to_string()}).to_string();
    let publishing = other.channel.basic_publish(
        options.upstream.exchange.as_str().into(),
        key.into(),
        BasicPublishOptions::default(),
        body.as_bytes(),
        BasicProperties::default(),
    );
    publishing.await.unwrap().await.unwrap();
}

fn message(method: &str, more: &Value) -> Value {
    let mut message = json!({
        "method": method, "version": "1.0", "_context_auth_token": "hunter2",
        "args": {"notification": {"masakari_object.version": "1.3", "masakari_object.data": {"notification_uuid": ID}}},
    });
    for (key, value) in more.as_object().unwrap() {
        message[key.as_str()] = value.clone();
    }
    message
}

#[tokio::test]
async fn every_host_s_engine_is_woken_by_one_wake_up() {
    let (one, mut second) = (options(), options());
    second.upstream = one.upstream.clone();
    let (one, other) = (RunningListener::open(one), RunningListener::open(second));
    one.connected().await;
    other.connected().await;
    AmqpNotifier::new(one.publisher.clone()).notify();
    timeout(LIMIT, one.work.woken()).await.expect("the one");
    timeout(LIMIT, other.work.woken()).await.expect("the other");
    // Neither counts the other as an upstream engine.
    let (counts, _) = Consumers::read_counts(&one.options).await.unwrap();
    assert_eq!((counts.all, counts.ours, counts.upstream()), (2, 2, 0));
    one.close().await;
    other.close().await;
}

#[tokio::test]
async fn casts_on_either_queue_are_handled_and_hostile_ones_dropped() {
    let running = RunningListener::open(options());
    running.connected().await;
    let other = Other::connect().await;
    let topic = running.options.upstream.topic.clone();
    let own = format!("{topic}.{}", running.options.host);
    for key in [&topic, &own] {
        cast(&other, &running.options, key, &json!({"method": 7})).await;
        cast(
            &other,
            &running.options,
            key,
            &message("process_notification", &json!({})),
        )
        .await;
        timeout(LIMIT, running.adopt.woken()).await.expect("heard");
    }
    until(async || other.read_counts(&topic).await.filter(|counts| *counts == (1, 0))).await;
    running.close().await;
}

#[tokio::test]
async fn a_call_is_answered_to_the_caller_s_queue() {
    let running = RunningListener::open(options());
    running.connected().await;
    let other = Other::connect().await;
    let reply = unique("reply");
    let declared = other.channel.queue_declare(
        reply.as_str().into(),
        QueueDeclareOptions::default(),
        FieldTable::default(),
    );
    declared.await.unwrap();
    let more = json!({"version": "1.1", "_msg_id": "m1", "_reply_q": reply, "_timeout": 60});
    let call = message("get_notification_recovery_workflow_details", &more);
    // The first caller's queue was deleted; the others still get their answers.
    let mut lost = call.clone();
    lost["_reply_q"] = json!("nobody");
    for call in [&lost, &call] {
        cast(&other, &running.options, &running.options.upstream.topic, call).await;
    }
    let answer = other.get(&reply).await;
    let outer: Value = serde_json::from_slice(&answer.data).unwrap();
    let inner: Value = serde_json::from_str(outer["oslo.message"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&inner["_msg_id"], &inner["failure"]),
        (&json!("m1"), &Value::Null)
    );
    let object = &inner["result"];
    assert_eq!(object["masakari_object.version"], "1.3");
    assert_eq!(object["masakari_object.data"]["notification_uuid"], ID);
    let tasks = &object["masakari_object.data"]["recovery_workflow_details"];
    assert_eq!(tasks[0]["masakari_object.data"]["name"], "EvacuateInstancesTask");
    running.close().await;
}

/// Covers R21.
#[tokio::test]
async fn an_upstream_engine_is_detected_before_and_while_we_listen() {
    let options = options();
    let topic = options.upstream.topic.clone();
    let other = Other::connect().await;
    // Consumes as an upstream engine does.
    let declared = other.channel.queue_declare(
        topic.as_str().into(),
        QueueDeclareOptions::default(),
        FieldTable::default(),
    );
    declared.await.unwrap();
    let stranger = other.channel().await;
    let consuming = stranger.basic_consume(
        topic.as_str().into(),
        "stranger".into(),
        BasicConsumeOptions::default(),
        FieldTable::default(),
    );
    let _consumer = consuming.await.unwrap();
    let running = RunningListener::open(options);
    running.connected().await;
    assert!(!running.upstream.is_gone());
    let (counts, _) = Consumers::read_counts(&running.options).await.unwrap();
    assert_eq!(counts.upstream(), 1);
    stranger.close(200, "bye".into()).await.unwrap();
    until(async || running.upstream.is_gone().then_some(())).await;
    running.close().await;
}

/// Covers EW10.
#[tokio::test]
async fn our_queue_with_other_options_is_used_and_a_deleted_one_is_declared_again() {
    let options = options();
    let queue = format!("tachi.wake.{}", options.host);
    let other = Other::connect().await;
    // Neither durable nor a quorum queue.
    let declared = other.channel.queue_declare(
        queue.as_str().into(),
        QueueDeclareOptions::default(),
        FieldTable::default(),
    );
    declared.await.unwrap();
    let running = RunningListener::open(options);
    running.connected().await;
    let notify = AmqpNotifier::new(running.publisher.clone());
    notify.notify();
    timeout(LIMIT, running.work.woken()).await.expect("woken");
    let deleted = other
        .channel
        .queue_delete(queue.as_str().into(), QueueDeleteOptions::default());
    deleted.await.unwrap();
    running.connected().await;
    notify.notify();
    timeout(LIMIT, running.work.woken())
        .await
        .expect("woken by a new queue");
    running.close().await;
}
