use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use super::*;

/// The API's answers in turn; the last one repeats.
#[derive(Clone)]
struct Api {
    script: Arc<Mutex<VecDeque<Result<BootGuard, String>>>>,
    queries: Arc<Mutex<Vec<Instant>>>,
}

#[async_trait]
impl HoldQuery for Api {
    async fn query(&self) -> Result<BootGuard, String> {
        self.queries.lock().unwrap().push(Instant::now());
        let mut script = self.script.lock().unwrap();
        if script.len() > 1 {
            return script.pop_front().unwrap();
        }
        script.front().unwrap().clone()
    }
}

#[derive(Clone, Default)]
struct Disk(Arc<Mutex<(BootRecord, usize)>>);

impl Memory for Disk {
    fn read(&self) -> BootRecord {
        self.0.lock().unwrap().0.clone()
    }

    fn write(&self, now: &BootRecord) {
        let mut disk = self.0.lock().unwrap();
        disk.0 = now.clone();
        disk.1 += 1;
    }
}

/// The operator's signals, each some seconds after the one before.
struct ScriptedOperator(VecDeque<(u64, OperatorSignal)>, Option<Instant>);

impl ScriptedOperator {
    fn with_signals(signals: &[(u64, OperatorSignal)]) -> Self {
        Self(signals.iter().copied().collect(), None)
    }
}

#[async_trait]
impl SignalSource for ScriptedOperator {
    async fn next(&mut self) -> OperatorSignal {
        let since = *self.1.get_or_insert_with(Instant::now);
        let Some((after, came)) = self.0.front().copied() else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(since + Duration::from_secs(after)).await;
        self.0.pop_front();
        self.1 = None;
        came
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands in a script of answers and failures"
)]
fn free() -> Result<BootGuard, String> {
    Ok(BootGuard {
        hold: false,
        reason: "nothing keeps it".to_owned(),
        queue_only: false,
        recovery: None,
    })
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands in a script of answers and failures"
)]
fn on_hold(queue_only: bool) -> Result<BootGuard, String> {
    Ok(BootGuard {
        hold: true,
        reason: "why".to_owned(),
        queue_only,
        recovery: Some("r".to_owned()),
    })
}

fn silent() -> Result<BootGuard, String> {
    Err("connection refused".to_owned())
}

struct Rig {
    disk: Disk,
    queries: Arc<Mutex<Vec<Instant>>>,
}

impl Rig {
    fn new() -> Self {
        Self {
            disk: Disk::default(),
            queries: Arc::default(),
        }
    }

    /// A boot: the exit code and how long it took; `None` if it still waits after a day.
    async fn boot(
        &self,
        script: Vec<Result<BootGuard, String>>,
        signals: &[(u64, OperatorSignal)],
    ) -> Option<(u8, u64)> {
        let api = Api {
            script: Arc::new(Mutex::new(script.into())),
            queries: Arc::clone(&self.queries),
        };
        let guard = Guard::new("cmp1".to_owned(), api, self.disk.clone(), || 0.0);
        let begun = Instant::now();
        let mut operator = ScriptedOperator::with_signals(signals);
        let ended = tokio::time::timeout(Duration::from_secs(86_400), guard.run(&mut operator)).await;
        Some((ended.ok()?, begun.elapsed().as_secs()))
    }

    fn is_remembered_on_hold(&self) -> bool {
        self.disk.read().on_hold
    }
}

/// Covers R25.
#[tokio::test(start_paused = true)]
async fn a_host_that_may_start_starts_at_once() {
    let rig = Rig::new();
    assert_eq!(rig.boot(vec![free()], &[]).await, Some((out::DONE, 0)));
    assert_eq!(
        rig.disk.0.lock().unwrap().1,
        0,
        "what has not changed is not written"
    );
}

/// Covers R25.
#[tokio::test(start_paused = true)]
async fn without_an_answer_it_opens_after_two_minutes_and_not_before() {
    let rig = Rig::new();
    let (code, took) = rig.boot(vec![silent()], &[]).await.unwrap();
    assert_eq!(code, out::DONE);
    assert!((120..=135).contains(&took), "{took} s");
    let queries = rig.queries.lock().unwrap().len();
    assert!(
        (8..=15).contains(&queries),
        "with growing pauses: {queries} queries"
    );
}

/// Covers R25.
#[tokio::test(start_paused = true)]
async fn a_host_that_was_held_stays_held_through_silence_and_the_next_boot() {
    let rig = Rig::new();
    let silence = vec![on_hold(false), silent()];
    assert_eq!(
        rig.boot(silence, &[(600, OperatorSignal::Stop)]).await,
        Some((out::FAILED, 600))
    );
    assert!(rig.is_remembered_on_hold());
    assert_eq!(rig.boot(vec![silent()], &[]).await, None, "a day of it");
    let back = vec![silent(), silent(), free()];
    assert_eq!(rig.boot(back, &[]).await.unwrap().0, out::DONE);
    assert!(!rig.is_remembered_on_hold());
    assert_eq!(
        rig.boot(vec![silent()], &[]).await.unwrap().0,
        out::DONE,
        "and forgotten"
    );
}

/// Covers R25.
#[tokio::test(start_paused = true)]
async fn the_boot_continues_seconds_after_the_recovery_is_done() {
    let rig = Rig::new();
    let script = vec![on_hold(false), on_hold(false), on_hold(false), free()];
    assert_eq!(rig.boot(script, &[]).await, Some((out::DONE, 15)));
}

/// Covers R12.
#[tokio::test(start_paused = true)]
async fn an_emptied_queue_opens_it_only_when_nothing_else_is_waited_for() {
    let rig = Rig::new();
    let early = rig
        .boot(vec![on_hold(false)], &[(2, OperatorSignal::QueueEmpty)])
        .await;
    assert_eq!(early, None, "its recovery is not over");
    assert_eq!(rig.boot(vec![on_hold(true)], &[]).await, None, "without a signal");
    let output = rig
        .boot(vec![on_hold(true)], &[(2, OperatorSignal::QueueEmpty)])
        .await;
    assert_eq!(output, Some((out::DONE, 2)));
    assert!(
        !rig.is_remembered_on_hold(),
        "a boot long after that, while the API is away, is an ordinary one"
    );
    let overtaken = vec![on_hold(true), on_hold(false), on_hold(true)];
    let output = rig.boot(overtaken, &[(2, OperatorSignal::QueueEmpty)]).await;
    assert_eq!(
        output, None,
        "a new recovery has started: the emptied queue fills again"
    );
    let nobody = vec![on_hold(true), silent(), on_hold(true)];
    assert_eq!(
        rig.boot(nobody, &[(2, OperatorSignal::QueueEmpty)]).await,
        None,
        "a signal while the API does not answer"
    );
    assert!(
        rig.is_remembered_on_hold(),
        "the next boot asks for its queue again"
    );
}

#[tokio::test(start_paused = true)]
async fn an_operator_overrides_the_api() {
    let rig = Rig::new();
    let anyway = rig
        .boot(vec![on_hold(false)], &[(7, OperatorSignal::StartNow)])
        .await;
    assert_eq!(anyway, Some((out::DONE, 7)));
    let stopped = rig.boot(vec![silent()], &[(7, OperatorSignal::Stop)]).await;
    assert_eq!(stopped, Some((out::FAILED, 7)));
}
