//! The broker: wake-ups from API to engines, and requests of an upstream API.

use std::sync::Arc;
use std::time::Duration;

use tachi_bus::amqp::{
    AmqpNotifier, Consumers, LinkState, LinkStatus, Listener, ListenerPorts, Publisher, PublisherTask,
    Upstream,
};
use tachi_bus::{Fanout, InProcess, MessagingSettings};
use tachi_cli::arguments::UpstreamArgs;
use tachi_engine::ports::{Notifier, Wakeups};
use tachi_operator::Failure;
use tachi_store::Store;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use super::{Base, Process};
use crate::settings::Settings;

/// Time that a consumer of upstream's queue gets to disappear, such as an engine that is being stopped.
const CONSUMER_GRACE: Duration = Duration::from_secs(5);

/// Interval between two polls of the consumers.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// Timeout of all polls together: an engine does not wait for a broker.
const POLL_TIMEOUT: Duration = Duration::from_secs(12);

/// A process's access to the broker, if there is one.
pub(crate) struct Bus {
    link: Option<Link>,
    /// Wakes the engine.
    work: InProcess,
    /// Wakes the adoption of notifications that an API of upstream has accepted.
    adopt: InProcess,
}

struct Link {
    messaging: MessagingSettings,
    publisher: Publisher,
    task: PublisherTask,
}

impl Bus {
    /// Creates the access without connecting.
    pub(crate) fn open(settings: &Settings) -> Self {
        let link = settings.messaging.clone().map(|messaging| {
            let (publisher, task) = Publisher::new(messaging.options.clone());
            Link {
                messaging,
                publisher,
                task,
            }
        });
        Self {
            link,
            work: InProcess::default(),
            adopt: InProcess::default(),
        }
    }

    /// Returns the publisher, if there is a broker.
    pub(crate) fn publisher(&self) -> Option<Publisher> {
        self.link.as_ref().map(|link| link.publisher.clone())
    }

    /// Returns a sender that wakes local engines by `local`, and others through the broker.
    pub(crate) fn notify(&self, local: Arc<dyn Notifier>) -> Arc<dyn Notifier> {
        match &self.link {
            Some(link) => Arc::new(Fanout(local, AmqpNotifier::new(link.publisher.clone()))),
            None => local,
        }
    }

    /// Returns a receiver that is woken by `local` and through the broker.
    pub(crate) fn wake(&self, local: Arc<dyn Wakeups>) -> Arc<dyn Wakeups> {
        Arc::new(Fanout(local, self.work.clone()))
    }

    /// Refuses to run our engine beside one of upstream. A broker that does not answer blocks no start; the listener checks
    /// again once it answers.
    ///
    /// # Errors
    ///
    /// An engine of upstream consumes the queue, and no operator has stated that it is stopped.
    pub(crate) async fn refuse_beside_upstream(&self, args: &UpstreamArgs) -> Result<(), Failure> {
        let Some(link) = &self.link else { return Ok(()) };
        if args.upstream_engine_stopped {
            return Ok(());
        }
        match timeout(POLL_TIMEOUT, upstream_engines(&link.messaging)).await {
            Ok(Some((engines, broker))) => Err(Failure::from_text(format!(
                "{engines} consumers of the queue {} on the broker {broker} are not Tachi engines: stop masakari-engine everywhere first \
                 (two kinds of engines would recover the same host twice). If it is stopped, add --upstream-engine-stopped",
                link.messaging.options.upstream.topic
            ))),
            Ok(None) => Ok(()),
            Err(_) => {
                tracing::warn!("broker did not answer in time; starting without it");
                Ok(())
            }
        }
    }

    /// Sends what is queued.
    pub(crate) fn publish(self, process: &Process) {
        if let Some(link) = self.link {
            process.last(|stop| link.task.run(stop));
        }
    }

    /// Sends, listens, and adopts notifications that an API of upstream has accepted.
    pub(crate) fn listen(self, process: &mut Process, settings: &Settings, base: &Base, args: &UpstreamArgs) {
        let mut upstream = Upstream::default();
        if let Some(link) = self.link {
            let ends = ListenerPorts {
                work: self.work.clone(),
                adopt: self.adopt.clone(),
                progress: Arc::new(base.store.registry().clone()),
                publisher: link.publisher.clone(),
            };
            let listener = Listener::new(link.messaging.options.clone(), ends);
            upstream = listener.upstream();
            let links = [link.publisher.status(), listener.status()];
            let upstream_state = upstream.clone();
            process.fact("broker", Arc::new(move || fact(&links, &upstream_state)));
            process.last(|stop| link.task.run(stop));
            process.task(|stop| listener.run(stop));
        }
        let adopt = UpstreamIntake {
            store: base.store.clone(),
            expiry: settings.notification_expiry,
            every: settings.sweep_interval,
            wakeups: self.adopt,
            work: self.work,
            // An operator's statement that there is no such engine overrides the broker's data.
            upstream: (!args.upstream_engine_stopped).then_some(upstream),
        };
        process.task(|stop| adopt.run(stop));
    }
}

/// Describes the state of the broker, for the engine's heartbeat.
fn fact(links: &[LinkStatus], upstream: &Upstream) -> String {
    if !upstream.is_gone() {
        return "masakari-engine consumes this queue: stop it".to_owned();
    }
    for link in links {
        match link.state() {
            LinkState::Up { .. } => {}
            LinkState::Starting => return "not connected yet".to_owned(),
            LinkState::Blocked { broker } => return format!("{broker} blocks messages"),
            LinkState::Down { why } => return format!("down: {why}"),
        }
    }
    if let Some(LinkState::Up { broker }) = links.first().map(LinkStatus::state) {
        return format!("ok: {broker}");
    }
    "ok".to_owned()
}

/// Counts the engines of upstream that consume the queue at this moment.
///
/// # Errors
///
/// The reason why the broker gives no answer.
pub(crate) async fn upstream_engines_now(messaging: &MessagingSettings) -> Result<u32, String> {
    match Consumers::read_counts(&messaging.options).await {
        Ok((consumers, _)) => Ok(consumers.upstream()),
        Err(error) => Err(error.chain()),
    }
}

/// Returns the number of engines of upstream, and the broker that showed them; `None` if there is none, or if this is
/// unknown.
async fn upstream_engines(messaging: &MessagingSettings) -> Option<(u32, String)> {
    let began = Instant::now();
    loop {
        match Consumers::read_counts(&messaging.options).await {
            Ok((consumers, _)) if consumers.upstream() == 0 => return None,
            // This may be a Tachi engine whose connection is breaking, or an upstream engine that is stopping.
            Ok(_) if began.elapsed() < CONSUMER_GRACE => sleep(POLL_INTERVAL).await,
            Ok((consumers, broker)) => return Some((consumers.upstream(), broker)),
            Err(error) => {
                tracing::warn!(
                    broker = messaging.shown,
                    why = error.chain(),
                    "failed to check for upstream engines; starting, and checking again when the broker answers"
                );
                return None;
            }
        }
    }
}

/// Adoption of notifications that an API of upstream has accepted.
struct UpstreamIntake {
    store: Arc<Store>,
    expiry: Duration,
    every: Duration,
    wakeups: InProcess,
    work: InProcess,
    upstream: Option<Upstream>,
}

impl UpstreamIntake {
    async fn run(self, stop: CancellationToken) {
        let mut failing = false;
        loop {
            // Every branch only waits.
            tokio::select! {
                () = stop.cancelled() => return,
                _ = timeout(self.every, self.wakeups.woken()) => {}
            }
            if self.upstream.as_ref().is_some_and(|upstream| !upstream.is_gone()) {
                continue;
            }
            match self.store.adopt_new(self.expiry).await {
                Ok(adopted) => {
                    failing = false;
                    if adopted.opened > 0 {
                        self.work.notify();
                    }
                }
                Err(error) if failing => {
                    tracing::debug!(%error, "failed to adopt notifications of an upstream API; retrying");
                }
                Err(error) => {
                    failing = true;
                    let why = Failure::new("adopting notifications", error).chain();
                    tracing::warn!(%why, "failed to adopt notifications of an upstream API; retrying");
                }
            }
        }
    }
}
