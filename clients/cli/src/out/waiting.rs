//! Notices about long waits, so that the operator knows what a silent command waits for.

use std::io::IsTerminal as _;
use std::time::Duration;

use super::note;

/// Delay of the notice on a terminal.
const TERMINAL_DELAY: Duration = Duration::from_millis(500);

/// Delay of the notice without a terminal: a log shows only long waits.
const LOG_DELAY: Duration = Duration::from_secs(5);

/// Waits for `work`, and prints a notice if it takes a while: `what` names what it waits for.
pub async fn waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    let after = if std::io::stderr().is_terminal() {
        TERMINAL_DELAY
    } else {
        LOG_DELAY
    };
    notify_after(after, work, || {
        note(format!("tachi: waiting for {}", super::plain(what)));
    })
    .await
}

async fn notify_after<T>(after: Duration, work: impl Future<Output = T>, notify: impl FnOnce()) -> T {
    let mut work = std::pin::pin!(work);
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(after) => notify(),
    }
    work.await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_takes_long_is_told_once_and_what_does_not_never() {
        for (milliseconds, expected) in [(0, 0), (499, 0), (501, 1), (60_000, 1)] {
            let notices = Cell::new(0);
            let work = async {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                7
            };
            let done = notify_after(TERMINAL_DELAY, work, || notices.set(notices.get() + 1)).await;
            assert_eq!((done, notices.get()), (7, expected), "{milliseconds}");
        }
    }
}
