//! Published messages.

use std::time::{Duration, Instant};

use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use tachi_bus::amqp::{Lane, LinkState, OutboxMessage, Publisher, QueueFirst};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::harness::{Other, broker, options, shared, unique, until};

fn event(exchange: &str, queue: &str, body: &str) -> OutboxMessage {
    let mut message = OutboxMessage::json(Lane::Event, exchange, queue, body.as_bytes().to_vec());
    message.queue_first = Some(QueueFirst {
        name: queue.to_owned(),
    });
    message
}

#[tokio::test]
async fn a_message_waits_for_the_broker_and_its_queue_is_declared_first() {
    let options = options();
    let (exchange, queue) = (options.upstream.exchange.clone(), unique("versioned.info"));
    let (publisher, task) = Publisher::new(shared(options));
    // Before the publisher is connected.
    assert!(publisher.publish(event(&exchange, &queue, "1")));
    assert_eq!(publisher.status().state(), LinkState::Starting);
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(task.run(stop.clone()));
    assert!(publisher.publish(event(&exchange, &queue, "2")));
    let other = Other::connect().await;
    until(async || other.read_counts(&queue).await.filter(|counts| *counts == (0, 2))).await;
    let first = other.get(&queue).await;
    assert_eq!(first.data, b"1");
    assert_eq!(
        first.properties.content_type().as_ref().unwrap().as_str(),
        "application/json"
    );
    assert_eq!(first.properties.delivery_mode(), &Some(2));
    assert_eq!(other.get(&queue).await.data, b"2");
    assert!(publisher.status().state().is_up());
    assert_eq!(publisher.waiting(), 0);
    // The rest of the buffer is sent after cancellation.
    publisher.publish(event(&exchange, &queue, "3"));
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    assert_eq!(other.get(&queue).await.data, b"3");
}

/// Covers EW10.
#[tokio::test]
async fn an_exchange_with_other_options_is_used_unchanged() {
    let options = options();
    let (exchange, queue) = (options.upstream.exchange.clone(), unique("declared.info"));
    let other = Other::connect().await;
    // Durable, where ours would not be.
    let durable = ExchangeDeclareOptions {
        durable: true,
        ..ExchangeDeclareOptions::default()
    };
    let declared = other.channel.exchange_declare(
        exchange.as_str().into(),
        ExchangeKind::Topic,
        durable,
        FieldTable::default(),
    );
    declared.await.unwrap();
    let declared = other.channel.queue_declare(
        queue.as_str().into(),
        QueueDeclareOptions::durable(),
        FieldTable::default(),
    );
    declared.await.unwrap();
    let (publisher, task) = Publisher::new(shared(options));
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(task.run(stop.clone()));
    publisher.publish(event(&exchange, &queue, "x"));
    assert_eq!(other.get(&queue).await.data, b"x");
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}

/// Covers EW10.
#[tokio::test]
async fn a_silent_broker_blocks_no_caller_and_the_next_one_is_used() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut options = options();
    options.connect_limit = Duration::from_millis(300);
    // It accepts connections into its backlog and never answers.
    options
        .brokers
        .insert(0, broker("127.0.0.1", silent.local_addr().unwrap().port()));
    let (exchange, queue) = (options.upstream.exchange.clone(), unique("second.info"));
    let (publisher, task) = Publisher::new(shared(options));
    let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
    tasks.spawn(task.run(stop.clone()));
    let began = Instant::now();
    for _ in 0..1000 {
        publisher.publish(event(&exchange, &queue, "x"));
    }
    assert!(
        began.elapsed() < Duration::from_millis(100),
        "{:?}",
        began.elapsed()
    );
    let other = Other::connect().await;
    until(async || {
        other
            .read_counts(&queue)
            .await
            .filter(|counts| *counts == (0, 1000))
    })
    .await;
    stop.cancel();
    tasks.close();
    tasks.wait().await;
}
