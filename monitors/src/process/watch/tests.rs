use std::sync::Mutex;

use async_trait::async_trait;
use tokio::sync::watch;

use super::*;
use crate::process::list;

/// A command, what it does to the process, and how it ends.
type Does = (&'static str, Option<State>, Result<(), String>);

/// A process, the commands for it, and its reports.
struct World {
    state: watch::Sender<State>,
    done: Mutex<Vec<String>>,
    reports: Mutex<Vec<String>>,
    /// The effects of commands: by their text, on the process and the result.
    commands: Mutex<Vec<Does>>,
    /// True if nothing can be stored.
    disk_full: Mutex<bool>,
}

struct StateProbe(watch::Receiver<State>);

#[async_trait]
impl Probe for StateProbe {
    async fn state(&mut self) -> State {
        self.0.borrow_and_update().clone()
    }

    async fn changed(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

#[async_trait]
impl CommandRunner for World {
    async fn run(&self, command: &Command, _as_root: bool) -> Result<(), String> {
        let Command::Program(arguments) = command else {
            return Ok(());
        };
        let text = arguments.join(" ");
        self.done.lock().unwrap().push(text.clone());
        let found = self
            .commands
            .lock()
            .unwrap()
            .iter()
            .find(|(of, ..)| *of == text)
            .cloned();
        let Some((_, state, outcome)) = found else {
            return Ok(());
        };
        if let Some(state) = state {
            self.state.send_replace(state);
        }
        outcome
    }
}

#[async_trait]
impl Outlet for World {
    async fn gone(&self, process: &str) -> Result<(), String> {
        if *self.disk_full.lock().unwrap() {
            return Err("full".to_owned());
        }
        self.reports.lock().unwrap().push(format!("gone {process}"));
        Ok(())
    }

    async fn back(&self, process: &str) {
        self.reports.lock().unwrap().push(format!("back {process}"));
    }
}

fn down() -> State {
    State::Down("gone".to_owned())
}

const LIST: &str = "
- {process_name: /usr/bin/d, start_command: start, pre_start_command: pre-start, post_start_command: post-start,
   restart_command: restart, pre_restart_command: pre, post_restart_command: post, run_as_root: false}
";

fn pace() -> Pace {
    Pace {
        interval: Duration::from_secs(5),
        confirm: Duration::from_secs(1),
        retries: 3,
        pause: Duration::from_secs(5),
        pause_max: Duration::from_secs(60),
        watch_only: false,
    }
}

fn world(state: State) -> Arc<World> {
    Arc::new(World {
        state: watch::Sender::new(state),
        done: Mutex::default(),
        reports: Mutex::default(),
        commands: Mutex::default(),
        disk_full: Mutex::default(),
    })
}

fn watch_of(world: &Arc<World>, pace: Pace) -> Watch {
    Watch {
        entry: list::parse(LIST).unwrap().remove(0),
        probe: Box::new(StateProbe(world.state.subscribe())),
        runner: Arc::clone(world) as Arc<dyn CommandRunner>,
        outlet: Arc::clone(world) as Arc<dyn Outlet>,
        pace,
        given_up: false,
    }
}

impl World {
    fn does(&self, command: &'static str, state: Option<State>, outcome: Result<(), &str>) {
        let outcome = outcome.map_err(ToOwned::to_owned);
        let mut commands = self.commands.lock().unwrap();
        commands.retain(|(of, ..)| *of != command);
        commands.push((command, state, outcome));
    }

    fn done(&self) -> Vec<String> {
        std::mem::take(&mut self.done.lock().unwrap())
    }

    fn reports(&self) -> Vec<String> {
        std::mem::take(&mut self.reports.lock().unwrap())
    }
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_goes_is_restarted_in_the_order_of_its_steps() {
    let world = world(State::Up);
    world.does("restart", Some(State::Up), Ok(()));
    tokio::spawn(watch_of(&world, pace()).run());
    seconds(60).await;
    assert!(world.done().is_empty());
    let begin = Instant::now();
    world.state.send_replace(down());
    while world.done.lock().unwrap().len() < 3 {
        sleep(Duration::from_millis(10)).await;
    }
    // At once, but for the moment in which it may come back by itself.
    assert!(
        begin.elapsed() < Duration::from_millis(1100),
        "{:?}",
        begin.elapsed()
    );
    assert_eq!(world.done(), ["pre", "restart", "post"]);
    seconds(60).await;
    assert!(world.reports().is_empty());
}

/// Covers MW18.
#[tokio::test(start_paused = true)]
async fn what_works_in_the_last_round_is_not_reported() {
    let world = world(State::Up);
    world.does("restart", None, Err("exit status: 1"));
    tokio::spawn(watch_of(&world, pace()).run());
    world.state.send_replace(down());
    // Rounds begin after 1, 6, 16 and 36 s: one more and it works.
    seconds(30).await;
    assert_eq!(world.done().iter().filter(|done| *done == "restart").count(), 3);
    world.does("restart", Some(State::Up), Ok(()));
    seconds(600).await;
    assert_eq!(world.done(), ["pre", "restart", "post"]);
    assert!(world.reports().is_empty());
}

/// Covers MW18.
#[tokio::test(start_paused = true)]
async fn a_process_that_cannot_be_restarted_is_reported_once_and_when_it_is_back() {
    let world = world(State::Up);
    world.does("restart", None, Err("exit status: 1"));
    tokio::spawn(watch_of(&world, pace()).run());
    world.state.send_replace(down());
    seconds(3600).await;
    let restarts = world.done().iter().filter(|done| *done == "restart").count();
    assert_eq!((restarts, world.reports()), (4, vec!["gone d".to_owned()]));
    world.state.send_replace(State::Up);
    seconds(60).await;
    assert_eq!(world.reports(), ["back d"]);
    world.state.send_replace(down());
    seconds(3600).await;
    assert_eq!(
        world.reports(),
        ["gone d"],
        "the next failure is counted from zero"
    );
}

#[tokio::test(start_paused = true)]
async fn a_restart_that_goes_well_without_a_process_is_none() {
    let world = world(State::Up);
    tokio::spawn(watch_of(&world, pace()).run());
    world.state.send_replace(down());
    seconds(3600).await;
    assert_eq!(world.reports(), ["gone d"]);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_fails_ends_its_round() {
    let world = world(State::Up);
    world.does("pre", None, Err("no"));
    let pace = Pace { retries: 1, ..pace() };
    tokio::spawn(watch_of(&world, pace).run());
    world.state.send_replace(down());
    seconds(3600).await;
    assert_eq!(
        (world.done(), world.reports()),
        (vec!["pre".into(), "pre".into()], vec!["gone d".into()])
    );
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_by_itself_is_left_alone() {
    let world = world(State::Up);
    tokio::spawn(watch_of(&world, pace()).run());
    for _ in 0..5 {
        world.state.send_replace(down());
        sleep(Duration::from_millis(500)).await;
        world.state.send_replace(State::Changing);
        seconds(20).await;
        world.state.send_replace(State::Up);
        seconds(20).await;
    }
    assert!(world.done().is_empty() && world.reports().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_told_is_no_failure() {
    let world = world(State::Up);
    tokio::spawn(watch_of(&world, pace()).run());
    world
        .state
        .send_replace(State::Unknown("systemd is unreachable".to_owned()));
    seconds(3600).await;
    assert!(world.done().is_empty() && world.reports().is_empty());
}

#[tokio::test(start_paused = true)]
async fn at_the_start_only_what_does_not_run_is_started() {
    for (state, expected) in [
        (State::Up, vec![]),
        (State::Changing, vec![]),
        (State::Unknown(String::new()), vec![]),
        (down(), vec!["pre-start", "start", "post-start"]),
    ] {
        let world = world(state.clone());
        watch_of(&world, pace()).start().await;
        assert_eq!(world.done(), expected, "{state:?}");
    }
    let world = world(down());
    world.does("pre-start", None, Err("no"));
    watch_of(&world, pace()).start().await;
    assert_eq!(world.done(), ["pre-start"]);
}

#[tokio::test(start_paused = true)]
async fn who_only_watches_touches_nothing() {
    let world = world(down());
    let pace = Pace {
        watch_only: true,
        ..pace()
    };
    let mut watch = watch_of(&world, pace);
    watch.start().await;
    tokio::spawn(watch.run());
    seconds(3).await;
    assert_eq!(
        (world.done(), world.reports()),
        (vec![], vec!["gone d".to_owned()])
    );
}

/// Covers MW3.
#[tokio::test(start_paused = true)]
async fn a_report_that_cannot_be_stored_is_repeated_until_it_is() {
    let world = world(State::Up);
    *world.disk_full.lock().unwrap() = true;
    let pace = Pace {
        watch_only: true,
        ..pace()
    };
    tokio::spawn(watch_of(&world, pace).run());
    world.state.send_replace(down());
    seconds(600).await;
    assert!(world.reports().is_empty());
    *world.disk_full.lock().unwrap() = false;
    seconds(600).await;
    assert_eq!(world.reports(), ["gone d"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_reported_before_a_restart_of_the_monitor_is_not_again() {
    let world = world(down());
    let mut watch = watch_of(&world, pace());
    watch.given_up = true;
    tokio::spawn(watch.run());
    seconds(600).await;
    assert!(world.reports().is_empty() && world.done().is_empty());
    world.state.send_replace(State::Up);
    seconds(10).await;
    assert_eq!(world.reports(), ["back d"]);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_given_up_stays_in_the_metrics_of_a_restarted_monitor() {
    let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
    let numbers = recorder.handle();
    let _guard = metrics::set_default_local_recorder(&recorder);
    let world = world(down());
    let mut watch = watch_of(&world, pace());
    watch.given_up = true;
    tokio::spawn(watch.run());
    let shown = |value: &str| {
        numbers
            .render()
            .contains(&format!("tachi_monitor_process_up{{process=\"d\"}} {value}"))
    };
    seconds(10).await;
    assert!(shown("0"), "{}", numbers.render());
    world.state.send_replace(State::Up);
    seconds(10).await;
    assert!(shown("1"), "{}", numbers.render());
}
