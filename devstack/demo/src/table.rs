//! Result table of a demo.

use comfy_table::{CellAlignment, Table};
use tachi_cli::out;
use tachi_domain::count;
use tachi_operator::downtime;

use super::outcome::{Instance, Outcome};

/// Prints the instances, the proof, and the verdict.
pub(super) fn print(outcome: &Outcome) {
    let mut table = Table::new();
    table.load_style(out::TABLE_STYLE);
    table.set_header(["instance", "HA_Enabled", "from", "to", "seconds"]);
    if let Some(column) = table.column_mut(4) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    // Instances with HA_Enabled come first: operators look for them.
    let mut instances: Vec<_> = outcome.instances.iter().collect();
    instances.sort_by(|a, b| {
        let order = b.tagged.cmp(&a.tagged);
        let seconds = |instance: &Instance| instance.seconds.unwrap_or(f64::INFINITY);
        order.then(seconds(a).total_cmp(&seconds(b)))
    });
    for instance in instances {
        table.add_row([
            instance.name.clone(),
            if instance.tagged { "True" } else { "" }.to_owned(),
            instance.from.clone(),
            instance.to.clone().unwrap_or_else(|| {
                if instance.lost {
                    "NOWHERE".into()
                } else {
                    "not moved".into()
                }
            }),
            instance
                .seconds
                .map_or_else(String::new, |seconds| format!("{seconds:.1}")),
        ]);
    }
    if !outcome.instances.is_empty() {
        out::line(table.to_string());
    }
    match &outcome.proof {
        Some(proof) => print_text(&format!("proof: {proof}")),
        None => print_text("proof: none, so nothing was evacuated"),
    }
    let after = outcome.seconds().map_or_else(String::new, |(first, total)| {
        format!(" after {first:.1} to {total:.1} s")
    });
    let counts = Counts {
        recovered: outcome.recovered(),
        excluded: outcome.left_by_policy,
        lost: outcome.lost(),
        doubled: outcome.double_runs,
    };
    print_text(&counts.sentence(&after));
    for (name, down) in downtime::parts(outcome.down()) {
        if let Some(line) = downtime::line(&down) {
            print_text(&format!("downtime, {name}: {line}"));
        }
    }
    for one in outcome.instances.iter().filter(|instance| instance.lost) {
        print_text(&format!("LOST: {} ({}) runs nowhere", one.name, one.id));
    }
    for id in &outcome.doubled {
        print_text(&format!("DOUBLED: {id} ran on two hosts at once"));
    }
    if let Some(reason) = &outcome.reason {
        print_text(&format!("not recovered: {reason}"));
    }
}

/// Counts of instances after a demo.
#[derive(Clone, Copy)]
struct Counts {
    recovered: usize,
    excluded: usize,
    lost: usize,
    doubled: usize,
}

impl Counts {
    /// Returns the result in a sentence. A count of zero is shown only of the two guarantees.
    fn sentence(self, after: &str) -> String {
        let running = match (self.recovered, self.lost) {
            (0, _) => "no instance is".to_owned(),
            (all, 0) if all > 1 => format!("all {all} instances are"),
            (some, _) => count(some, "instance is", "instances are"),
        };
        let excluded = match self.excluded {
            0 => String::new(),
            some => format!("{some} excluded, "),
        };
        let number = |number: usize, what: &str| match number {
            0 => format!("none {what}"),
            some => format!("{some} {what}"),
        };
        let (lost, doubled) = (number(self.lost, "lost"), number(self.doubled, "ran twice"));
        format!("{running} running again{after}; {excluded}{lost}, {doubled}")
    }
}

fn print_text(text: &str) {
    out::line(out::wrapped(text, 2));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_result_counts_what_happened_and_names_both_guarantees() {
        let sentence = |[recovered, excluded, lost, doubled]: [usize; 4]| {
            let counts = Counts {
                recovered,
                excluded,
                lost,
                doubled,
            };
            counts.sentence(" after 5.7 to 7.0 s")
        };
        for (counts, expected) in [
            (
                [8, 0, 0, 0],
                "all 8 instances are running again after 5.7 to 7.0 s; none lost, none ran twice",
            ),
            (
                [1, 2, 0, 0],
                "1 instance is running again after 5.7 to 7.0 s; 2 excluded, none lost, none ran twice",
            ),
            (
                [7, 0, 1, 2],
                "7 instances are running again after 5.7 to 7.0 s; 1 lost, 2 ran twice",
            ),
        ] {
            assert_eq!(sentence(counts), expected);
        }
    }
}
