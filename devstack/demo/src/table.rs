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
    let (recovered, lost, doubled) = (outcome.recovered(), outcome.lost(), outcome.double_runs);
    let after = outcome.seconds().map_or_else(String::new, |(first, total)| {
        format!(" after {first:.1} to {total:.1} s")
    });
    print_text(&format!(
        "{} running again{after}; {} excluded, {lost} lost, {doubled} ran twice",
        count(recovered, "instance is", "instances are"),
        outcome.left_by_policy
    ));
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

fn print_text(text: &str) {
    out::line(out::wrapped(text, 2));
}
