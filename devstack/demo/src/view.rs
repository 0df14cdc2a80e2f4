//! The live view: bars on a terminal, lines otherwise, nothing with `--json`.

use std::collections::BTreeSet;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tachi_cli::arguments::DemoFault;
use tachi_cli::out;
use tachi_domain::count;
use tachi_operator::without_repeats;

use super::browser::Board;
use super::progress::{DemoNotification, DemoSnapshot};
use super::scene::Scene;

pub(super) struct View {
    silent: bool,
    bars: Option<Bars>,
    /// Texts that were printed, each with the index of its failed host.
    printed: BTreeSet<(usize, String)>,
    shares: usize,
}

/// Returns the cause of a hold, such as a failure domain or a guard, from its text.
fn hold_cause(text: &str) -> Option<&str> {
    let (_, reason) = text.split_once("on hold: ")?;
    reason.split(": ").next()
}

fn counts(moving: usize, waiting: usize, failed: usize) -> String {
    format!("{moving} moving, {waiting} waiting, {failed} failed")
}

/// Columns of the time in front of a line.
const WHEN: usize = 9;

struct Bars {
    status: ProgressBar,
    moves: ProgressBar,
    all: indicatif::MultiProgress,
}

/// Width of the narrowest terminal that has room for a wide bar.
const WIDE: usize = 80;

impl Bars {
    /// Creates the bars on a terminal of this width. On a narrow one the bar is short, so that its counts are not cut.
    fn on(target: ProgressDrawTarget, columns: usize) -> Self {
        let all = indicatif::MultiProgress::with_draw_target(target);
        let status = all.add(ProgressBar::new_spinner());
        // An empty bar is drawn as a full one, so it is shown once a host has failed.
        let moves = ProgressBar::hidden();
        let bar = if columns < WIDE { 8 } else { 24 };
        let template = format!("  {{prefix}} [{{bar:{bar}}}] {{pos}}/{{len}} {{wide_msg}}");
        if let Ok(style) = ProgressStyle::with_template(&template) {
            moves.set_style(style.progress_chars("=> "));
        }
        moves.set_prefix("back");
        Self { status, moves, all }
    }
}

impl View {
    /// Creates a view for `--json`, for a terminal, or for anything else.
    pub(super) fn new(json: bool, terminal: bool) -> Self {
        let bars = (!json && terminal).then(|| Bars::on(ProgressDrawTarget::stderr(), out::width()));
        Self {
            silent: json,
            bars,
            printed: BTreeSet::new(),
            shares: 0,
        }
    }

    fn print(&self, text: &str) {
        if self.silent {
            return;
        }
        let text = out::wrapped(&without_repeats(text), WHEN);
        match &self.bars {
            // A failed write to the terminal does not affect the demo's result.
            Some(bars) => {
                let _ = bars.all.println(&text);
            }
            None => out::line(text),
        }
    }

    /// Prints that the region, API and engine are up.
    pub(super) fn scene(&mut self, scene: &Scene, took: Duration) {
        self.print(&format!(
            "{} and {} simulated, API and engine up ({:.1} s, seed {})",
            count(scene.args.hosts, "hypervisor", "hypervisors"),
            count(scene.args.instances, "instance", "instances"),
            took.as_secs_f64(),
            scene.args.seed
        ));
    }

    /// Prints the address and the login of the board. The region is simulated, and its password opens nothing else.
    pub(super) fn board(&self, board: &Board) {
        self.print(&format!("board     {}", board.url));
        self.print(&format!(
            "log in as user {}, password {}, project {}",
            board.user, board.password, board.project
        ));
    }

    /// Prints which hosts have failed.
    pub(super) fn struck(&mut self, scene: &Scene) {
        let hosts = scene.failing.join(", ");
        let what = match scene.args.fault {
            None => format!("{hosts} lost power"),
            Some(DemoFault::LyingBmc) => format!(
                "{hosts} is cut off from the network, its instances still run, and its power controller accepts commands but ignores them"
            ),
            Some(DemoFault::DeadBmc) => {
                format!(
                    "{hosts} is cut off from the network, its instances still run, and its power controller is dead"
                )
            }
            Some(DemoFault::RackLoss) => format!("a rack lost power: {hosts}"),
        };
        self.print(&format!(
            "  0.0 s  {what}: {} on it",
            count(scene.covered.len(), "instance was", "instances were")
        ));
        if let Some(bars) = &mut self.bars {
            bars.moves
                .set_length(u64::try_from(scene.covered.len()).unwrap_or_default());
            bars.moves = bars.all.add(bars.moves.clone());
        }
    }

    /// Returns the steps and messages that were not printed yet, and marks them as printed.
    fn new_lines(&mut self, failing: &[String], notifications: &[DemoNotification]) -> Vec<String> {
        let mut lines = Vec::new();
        for (of, (notification, host)) in notifications.iter().zip(failing).enumerate() {
            for (task, text) in &notification.tasks {
                // The bar and the table show single instances.
                let single =
                    task == "EvacuateInstancesTask" && !text.contains("instances") && !text.contains("ALARM");
                if !single && !self.is_hold_of_another(of, text) && self.printed.insert((of, text.clone())) {
                    let names_it = failing.len() == 1 || text.contains(host.as_str());
                    lines.push(if names_it {
                        text.clone()
                    } else {
                        format!("{host}: {text}")
                    });
                }
            }
            // A recovery on hold gives its reason as a step and as its message. The view prints it once.
            let is_known = |message: &str| {
                self.printed
                    .iter()
                    .any(|(_, text)| message.ends_with(text.as_str()))
            };
            let message = notification.message.as_deref();
            let message =
                message.filter(|message| !self.is_hold_of_another(of, message) && !is_known(message));
            if let Some(message) = message
                && self.printed.insert((of, message.to_owned()))
            {
                lines.push(message.to_owned());
            }
        }
        lines
    }

    /// True if the text is a hold whose cause was printed for another host, with other numbers.
    fn is_hold_of_another(&self, of: usize, text: &str) -> bool {
        hold_cause(text).is_some_and(|cause| {
            self.printed
                .iter()
                .any(|(other, printed)| *other != of && hold_cause(printed) == Some(cause))
        })
    }

    /// Prints what has changed since the last call.
    pub(super) fn show(&mut self, scene: &Scene, snapshot: &DemoSnapshot) {
        let at = scene.seconds();
        let lines = self.new_lines(&scene.failing, &snapshot.notifications);
        for line in lines {
            self.print(&format!("{at:>5.1} s  {line}"));
        }
        let (back, all) = (snapshot.back.len(), scene.covered.len());
        if let Some(bars) = &self.bars {
            bars.moves.set_position(u64::try_from(back).unwrap_or_default());
            let of = |status: &str| {
                snapshot
                    .notifications
                    .iter()
                    .flat_map(|notification| &notification.vmoves)
                    .filter(|(_, label, ..)| label == status)
                    .count()
            };
            bars.moves
                .set_message(counts(of("ongoing"), of("pending"), of("failed")));
            bars.status.set_message(format!("{at:.1} s"));
            bars.status.tick();
            return;
        }
        // The view prints a line for each fifth of the instances, not for each instance.
        let share = (back * 5).checked_div(all).unwrap_or_default();
        if share > self.shares {
            self.shares = share;
            let all = count(all, "instance", "instances");
            self.print(&format!("{at:>5.1} s  {back} of {all} are running again"));
        }
    }

    /// Prints an operator's action.
    pub(super) fn approval(&mut self, scene: &Scene, text: &str) {
        self.print(&format!("{:>5.1} s  {text}", scene.seconds()));
    }

    /// Restores the terminal.
    pub(super) fn end(&mut self) {
        if let Some(bars) = self.bars.take() {
            bars.status.finish_and_clear();
            // If the demo stops early, the bar shows how far it came.
            bars.moves.abandon();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use indicatif::TermLike;

    use super::*;

    /// A terminal of this width that records what is written to it.
    #[derive(Clone, Debug)]
    struct RecordedTerminal(u16, Arc<Mutex<String>>);

    impl TermLike for RecordedTerminal {
        fn width(&self) -> u16 {
            self.0
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(&format!("{text}\n"))
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.1.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_bar_shows_all_its_counts_on_terminals_of_60_to_200_columns() {
        for columns in [60, 79, 80, 100, 200] {
            let written = Arc::<Mutex<String>>::default();
            let terminal = RecordedTerminal(columns, written.clone());
            let bars = Bars::on(
                ProgressDrawTarget::term_like(Box::new(terminal)),
                usize::from(columns),
            );
            bars.moves.set_length(40);
            let moves = bars.all.add(bars.moves.clone());
            moves.set_message(counts(10, 25, 3));
            moves.abandon();
            let written = written.lock().unwrap().clone();
            // Each drawing of the line begins like this.
            let begin = "  back [";
            let (_, line) = written.rsplit_once(begin).unwrap();
            assert!(
                line.contains("] 0/40 10 moving, 25 waiting, 3 failed"),
                "{columns}: {line}"
            );
            let width = begin.len() + line.trim_end().len();
            assert!(width <= usize::from(columns), "{columns}: {line}");
        }
    }

    fn notification(tasks: &[&str], message: Option<&str>) -> DemoNotification {
        DemoNotification {
            status: "running".into(),
            message: message.map(str::to_owned),
            wait: None,
            tasks: tasks
                .iter()
                .map(|text| ("guards".to_owned(), (*text).to_owned()))
                .collect(),
            vmoves: Vec::new(),
        }
    }

    /// The recovery of either host may be on hold first, and its approval may be seen first.
    #[test]
    fn the_hold_of_a_rack_is_printed_once_whichever_host_is_held_first() {
        let failing = ["compute-001".to_owned(), "compute-002".to_owned()];
        let hold = |age: u8| format!("on hold: rack rack-1: 2 of 2 hosts lost within {age} s; approve all");
        for first in [0, 1] {
            let mut view = View::new(true, false);
            let texts = [hold(0), hold(1)];
            let mut steps: [Vec<&str>; 2] = [vec![], vec![]];
            steps[first].push(&texts[0]);
            let snapshot_of =
                |steps: &[Vec<&str>; 2], of: usize| notification(&steps[of], steps[of].first().copied());
            let lines = view.new_lines(&failing, &[snapshot_of(&steps, 0), snapshot_of(&steps, 1)]);
            assert_eq!(lines, [format!("{}: {}", failing[first], texts[0])]);
            steps[1 - first].push(&texts[1]);
            let lines = view.new_lines(&failing, &[snapshot_of(&steps, 0), snapshot_of(&steps, 1)]);
            assert_eq!(lines, Vec::<String>::new(), "host {first} was on hold first");
            for of in [0, 1] {
                steps[of].push("approve by demo");
            }
            let after = [notification(&steps[0], None), notification(&steps[1], None)];
            let lines = view.new_lines(&failing, &after);
            assert_eq!(lines.len(), 2, "{lines:?}");
        }
    }

    #[test]
    fn holds_of_two_causes_are_both_printed() {
        let failing = ["compute-001".to_owned(), "compute-002".to_owned()];
        let mut view = View::new(true, false);
        let snapshot = [
            notification(&["on hold: rack rack-1: 2 of 2 hosts lost"], None),
            notification(&["on hold: G5 global: 2 of all 5 hosts went out"], None),
        ];
        assert_eq!(view.new_lines(&failing, &snapshot).len(), 2);
    }
}
