//! A broker for tests, and a plain client of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use lapin::message::BasicGetMessage;
use lapin::options::{BasicGetOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use secrecy::SecretString;
use tachi_bus::amqp::{AmqpOptions, Broker};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Timeout of every step of these tests.
pub(crate) const LIMIT: Duration = Duration::from_secs(20);

/// Returns a name that no other test uses.
pub(crate) fn unique(what: &str) -> String {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    format!("{what}-{}-{number}", std::process::id())
}

/// Host, port.
pub(crate) fn address() -> (String, u16) {
    let url =
        std::env::var("TACHI_TEST_RABBIT_URL").expect("TACHI_TEST_RABBIT_URL: see tests/lib/rabbitmq.sh");
    let address = url.rsplit_once('@').unwrap().1.trim_end_matches('/');
    let (host, port) = address.split_once(':').unwrap();
    (host.to_owned(), port.parse().unwrap())
}

pub(crate) fn broker(host: &str, port: u16) -> Broker {
    Broker {
        host: host.to_owned(),
        port,
        user: "guest".to_owned(),
        password: SecretString::from("guest"),
    }
}

/// Returns options with names that no other test uses.
pub(crate) fn options() -> AmqpOptions {
    let (host, port) = address();
    let mut options = AmqpOptions::new(vec![broker(&host, port)], unique("host"));
    options.upstream.exchange = unique("masakari");
    options.upstream.topic = unique("ha_engine");
    options.connect_limit = Duration::from_secs(2);
    options.answer_limit = Duration::from_secs(2);
    options.first_pause = Duration::from_millis(20);
    options.longest_pause = Duration::from_millis(200);
    options
}

/// Another client of the broker.
pub(crate) struct Other {
    connection: Connection,
    pub(crate) channel: Channel,
}

impl Other {
    pub(crate) async fn connect() -> Self {
        let (host, port) = address();
        let url = format!("amqp://guest:guest@{host}:{port}/%2f");
        let connection = Connection::connect(&url, ConnectionProperties::default())
            .await
            .unwrap();
        let channel = connection.create_channel().await.unwrap();
        Self { connection, channel }
    }

    pub(crate) async fn channel(&self) -> Channel {
        self.connection.create_channel().await.unwrap()
    }

    /// Returns the numbers of consumers and messages of a queue, or `None` without the queue.
    pub(crate) async fn read_counts(&self, queue: &str) -> Option<(u32, u32)> {
        let options = QueueDeclareOptions::durable().passive();
        let channel = self.channel().await;
        let counts = channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await;
        counts
            .ok()
            .map(|counts| (counts.consumer_count(), counts.message_count()))
    }

    /// Waits for the next message of a queue.
    pub(crate) async fn get(&self, queue: &str) -> BasicGetMessage {
        until(async || {
            let options = BasicGetOptions { no_ack: true };
            self.channel.basic_get(queue.into(), options).await.unwrap()
        })
        .await
    }
}

/// Polls until there is an answer, at most for [`LIMIT`].
pub(crate) async fn until<T>(question: impl AsyncFn() -> Option<T>) -> T {
    let asking = async {
        let mut every = tokio::time::interval(Duration::from_millis(20));
        loop {
            every.tick().await;
            if let Some(answer) = question().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(LIMIT, asking).await.expect("it never came")
}

pub(crate) fn shared(options: AmqpOptions) -> Arc<AmqpOptions> {
    Arc::new(options)
}
