//! What goes on telling: streams of server-sent events, how many there are, and what they tell.
//!
//! A stream begins with how it is now. So whoever connects again, to whichever replica, has missed nothing: there is no number of
//! the last event that replicas would have to agree on. All streams of a process see the one look-out, which asks the database once
//! a second however many ask, and nobody asks it when nobody listens.

use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use axum::response::sse::Event;
use futures_util::Stream;
use serde::Serialize;
use tachi_domain::Timestamp;
use tachi_domain::situation::Grade;
use tachi_operator::{Seen, SituationView, Time};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Between two looks. The look-out itself is a second old at most.
const LOOK: Duration = Duration::from_millis(500);

/// So soon a browser whose stream has ended connects again.
const RETRY: Duration = Duration::from_secs(1);

/// How long and how many.
#[derive(Clone, Copy, Debug)]
pub struct StreamOptions {
    /// How many there may be at a time: far fewer than connections.
    pub at_once: usize,
    /// The longest that one lasts. The client connects again, and whether it still may is asked again.
    pub longest: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            at_once: 100,
            longest: Duration::from_mins(5),
        }
    }
}

/// The word to stop. In the extensions of every request that came over a connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stopping(pub(crate) CancellationToken);

/// What all streams of a process share.
pub(crate) struct Streams {
    places: Arc<Semaphore>,
    longest: Duration,
    /// What was made of the last look: with a hundred streams it is made once.
    last: Mutex<(Weak<Seen>, Option<Told>)>,
}

impl Streams {
    pub(crate) fn new(options: StreamOptions) -> Self {
        Self {
            places: Arc::new(Semaphore::new(options.at_once)),
            longest: options.longest,
            last: Mutex::default(),
        }
    }

    /// A place for one more; `None` if there are enough.
    pub(crate) fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    fn made(&self, seen: &Arc<Seen>) -> Told {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let (of, Some(told)) = &*last
            && std::ptr::eq(of.as_ptr(), Arc::as_ptr(seen))
        {
            return *told;
        }
        let told = Told::of(seen);
        *last = (Arc::downgrade(seen), Some(told));
        told
    }
}

/// What was told last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// This is how it is.
    Situation { grade: Grade, mark: u64 },
    /// The database does not answer, so how it is is not known.
    Unknown,
}

#[derive(Serialize)]
struct SituationChanged {
    grade: Grade,
}

impl Told {
    /// What it says, without what changes although nothing happens: when engines and monitors signed, and how old facts are.
    fn of(seen: &Seen) -> Self {
        let mut view = SituationView::from(seen);
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
        for held in &mut view.needs_person.recoveries {
            for level in &mut held.evidence.levels {
                level.tested_at = never;
            }
        }
        for fact in &mut view.facts {
            (fact.as_of, fact.age_seconds) = (None, None);
        }
        let mut hasher = DefaultHasher::new();
        // What cannot be written is no text, and then the grade alone counts.
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

/// A stream of somebody who was let in.
pub(crate) struct Listening {
    app: App,
    /// Given back with the stream.
    _place: OwnedSemaphorePermit,
    stop: CancellationToken,
    ends: Instant,
    told: Option<Told>,
}

impl Listening {
    /// It ends with the token whose time is over then, if that is known.
    pub(crate) fn new(
        app: App,
        place: OwnedSemaphorePermit,
        stop: CancellationToken,
        expires_at: Option<Timestamp>,
    ) -> Self {
        let left = expires_at.map(|at| at.micros_since(app.clock.wall()).max(0).unsigned_abs());
        let longest = app.streams.longest;
        let lasts = left.map_or(longest, |micros| Duration::from_micros(micros).min(longest));
        Self {
            app,
            _place: place,
            stop,
            ends: Instant::now() + lasts,
            told: None,
        }
    }

    /// The events, to the end.
    pub(crate) fn events(self) -> impl Stream<Item = Result<Event, Infallible>> + Send {
        futures_util::stream::unfold(self, |mut listening| async move {
            let is_first = listening.told.is_none();
            let event = listening.next().await?.event();
            let event = if is_first { event.retry(RETRY) } else { event };
            Some((Ok(event), listening))
        })
    }

    /// Waits until there is something else to tell.
    async fn next(&mut self) -> Option<Told> {
        loop {
            let again = self.told.is_some();
            // Each branch only waits or reads, so nothing is lost with those that are dropped.
            let now = tokio::select! {
                biased;
                () = self.stop.cancelled() => return None,
                () = sleep_until(self.ends), if again => return None,
                now = look(&self.app, again) => now,
            };
            if self.told.replace(now) != Some(now) {
                return Some(now);
            }
        }
    }
}

async fn look(app: &App, again: bool) -> Told {
    if again {
        sleep(LOOK).await;
    }
    match app.lookout.look().await {
        Ok(seen) => app.streams.made(&seen),
        Err(error) => {
            tracing::debug!(%error, "looking for those who listen failed");
            Told::Unknown
        }
    }
}
