//! Streams of server-sent events: their limits and their events.
//!
//! A stream starts with the current state. A client that reconnects to any replica therefore misses nothing, and replicas need no
//! common event numbers. All streams of a process share one `RegionService`. It queries the database at most once a second for any number
//! of streams, and not at all without streams.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::Stream;
use serde::Serialize;
use tachi_domain::Timestamp;
use tachi_domain::situation::Severity;
use tachi_operator::{RegionSnapshot, SituationView, Time};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::state::ApiState;

/// Poll interval of a stream. The data of the `RegionService` is at most one second old.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Delay before a browser reconnects after its stream has ended.
const RECONNECT_DELAY: Duration = Duration::from_secs(1);

/// Limits of streams.
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// Maximum number of concurrent streams; far below the limit of connections.
    pub max_concurrent: usize,
    /// Maximum duration of a stream. The client then reconnects, which checks its authorization again.
    pub max_duration: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            max_concurrent: 100,
            max_duration: Duration::from_mins(5),
        }
    }
}

/// The shutdown signal. It is in the extensions of every request on a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct StopSignal(pub(crate) CancellationToken);

/// The state that all streams of a process share.
pub(crate) struct Streams {
    places: Arc<Semaphore>,
    max_duration: Duration,
    /// The event for the latest data. It is computed once for all streams.
    last: Mutex<(Weak<RegionSnapshot>, Option<LastEvent>)>,
}

impl Streams {
    pub(crate) fn new(options: StreamOptions) -> Self {
        Self {
            places: Arc::new(Semaphore::new(options.max_concurrent)),
            max_duration: options.max_duration,
            last: Mutex::default(),
        }
    }

    /// Reserves a stream; `None` if the limit is reached.
    pub(crate) fn reserve(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    fn cached_event(&self, snapshot: &Arc<RegionSnapshot>) -> LastEvent {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let (of, Some(event)) = &*last
            && std::ptr::eq(of.as_ptr(), Arc::as_ptr(snapshot))
        {
            return *event;
        }
        let event = LastEvent::of(snapshot);
        *last = (Arc::downgrade(snapshot), Some(event));
        event
    }
}

/// The state that a stream reported last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LastEvent {
    /// The current situation.
    Situation { grade: Severity, mark: u64 },
    /// The database does not answer, so the situation is unknown.
    Unknown,
}

#[derive(Serialize)]
struct SituationChanged {
    grade: Severity,
}

impl LastEvent {
    /// Hashes the situation without values that change all the time: the times of heartbeats and the age of data.
    fn of(snapshot: &RegionSnapshot) -> Self {
        let mut view = SituationView::from(snapshot);
        let never = Time(Timestamp::from_micros(0));
        view.at = never;
        view.looked_at = None;
        for engine in &mut view.engines {
            engine.signed_at = never;
            engine.facts.clear();
        }
        for monitor in &mut view.monitors {
            monitor.signed_at = never;
        }
        for recovery in &mut view.needs_person.recoveries {
            for level in &mut recovery.evidence.levels {
                level.tested_at = never;
            }
        }
        for fact in &mut view.facts {
            (fact.as_of, fact.age_seconds) = (None, None);
        }
        let mut hasher = DefaultHasher::new();
        // If serialization fails, the text is empty and only the grade counts.
        serde_json::to_string(&view).unwrap_or_default().hash(&mut hasher);
        Self::Situation {
            grade: view.grade,
            mark: hasher.finish(),
        }
    }

    fn event(self) -> Event {
        match self {
            Self::Situation { grade, .. } => {
                let event = Event::default().event("situation");
                event
                    .json_data(SituationChanged { grade })
                    .unwrap_or_else(|_| Event::default().event("situation").data("{}"))
            }
            Self::Unknown => Event::default().event("unknown").data("{}"),
        }
    }
}

/// A stream of an authorized client.
pub(crate) struct EventListener {
    app: ApiState,
    /// Released with the stream.
    _permit: OwnedSemaphorePermit,
    stop: CancellationToken,
    deadline: Instant,
    last_event: Option<LastEvent>,
}

impl EventListener {
    /// Creates a stream. It ends no later than the client's token, if the token's expiry is known.
    pub(crate) fn new(
        app: ApiState,
        reserve: OwnedSemaphorePermit,
        stop: CancellationToken,
        expires_at: Option<Timestamp>,
    ) -> Self {
        let left = expires_at.map(|at| at.micros_since(app.clock.wall()).max(0).unsigned_abs());
        let max_duration = app.streams.max_duration;
        let lasts = left.map_or(max_duration, |micros| {
            Duration::from_micros(micros).min(max_duration)
        });
        Self {
            app,
            _permit: reserve,
            stop,
            deadline: Instant::now() + lasts,
            last_event: None,
        }
    }

    /// Returns the events of the stream.
    pub(crate) fn events(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        futures_util::stream::unfold(self, |mut listening| async move {
            let is_first = listening.last_event.is_none();
            let event = listening.next().await?.event();
            let event = if is_first {
                event.retry(RECONNECT_DELAY)
            } else {
                event
            };
            Some((Ok(event), listening))
        })
    }

    /// Waits until the state differs from the one reported last.
    async fn next(&mut self) -> Option<LastEvent> {
        loop {
            let again = self.last_event.is_some();
            // Each branch only waits or reads, so dropping a branch loses nothing.
            let now = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                () = sleep_until(self.deadline), if again => return None,
                now = snapshot(&self.app, again) => now,
            };
            if self.last_event.replace(now) != Some(now) {
                return Some(now);
            }
        }
    }
}

async fn snapshot(app: &ApiState, again: bool) -> LastEvent {
    if again {
        sleep(POLL_INTERVAL).await;
    }
    match app.region.cached_snapshot().await {
        Ok(snapshot) => app.streams.cached_event(&snapshot),
        Err(error) => {
            tracing::debug!(%error, "failed to read the region for event streams");
            LastEvent::Unknown
        }
    }
}
