//! The activity of a connection: idle, receiving the head of a request, or processing a request.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The connection waits for a request, since this time.
    Idle(Instant),
    /// The head of a request has started to arrive, at this time.
    Head(Instant),
    /// A request is being processed.
    Busy,
}

/// The shared activity of a connection. Clones share the state.
#[derive(Clone, Debug)]
pub(super) struct Activity {
    state: Arc<watch::Sender<State>>,
    /// True if the last request came from an authenticated client.
    known: Arc<AtomicBool>,
}

impl Activity {
    pub(super) fn new() -> Self {
        Self {
            state: Arc::new(watch::Sender::new(State::Idle(Instant::now()))),
            known: Arc::default(),
        }
    }

    /// Records that a request's head is complete.
    pub(super) fn start_request(&self) {
        self.state.send_replace(State::Busy);
    }

    /// Records that the answer is complete.
    pub(super) fn finish_request(&self, known: bool) {
        self.known.store(known, Ordering::Relaxed);
        self.state.send_replace(State::Idle(Instant::now()));
    }

    fn received(&self) {
        self.state.send_if_modified(|state| {
            let idle = matches!(state, State::Idle(_));
            if idle {
                *state = State::Head(Instant::now());
            }
            idle
        });
    }

    /// Returns the time since when no request is processed; `None` while one is.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        match *self.state.borrow() {
            State::Idle(since) | State::Head(since) => Some(since),
            State::Busy => None,
        }
    }

    pub(super) fn is_known(&self) -> bool {
        self.known.load(Ordering::Relaxed)
    }

    /// Returns when a head has taken longer than `limit` to arrive.
    pub(super) async fn wait_for_head_timeout(&self, limit: Duration) {
        let mut states = self.state.subscribe();
        loop {
            let activity_state = *states.borrow_and_update();
            let late = async {
                match activity_state {
                    State::Head(since) => sleep_until(since + limit).await,
                    State::Idle(_) | State::Busy => std::future::pending().await,
                }
            };
            tokio::select! {
                () = late => return,
                changed = states.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// A stream that records the first bytes of a request.
pub(super) struct WatchedStream<S> {
    pub(super) stream: S,
    pub(super) activity: Activity,
}

impl<S: AsyncRead + Unpin> AsyncRead for WatchedStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.activity.received();
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WatchedStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// Covers T6.
    #[tokio::test(start_paused = true)]
    async fn a_head_has_a_deadline_of_its_own_and_waiting_has_none() {
        let activity = Activity::new();
        let late = |seconds| {
            tokio::time::timeout(
                Duration::from_secs(seconds),
                activity.wait_for_head_timeout(LIMIT),
            )
        };
        assert!(late(100).await.is_err(), "nothing has arrived");
        activity.received();
        tokio::time::sleep(Duration::from_secs(6)).await;
        activity.received();
        assert!(late(3).await.is_err());
        assert!(late(2).await.is_ok(), "it counts from the first byte");
        activity.start_request();
        assert!(late(100).await.is_err(), "a request may take longer");
        activity.finish_request(true);
        assert!(late(100).await.is_err());
        assert!(activity.is_known());
    }
}
