//! The pictures of docs/design/pace.md: `TACHI_WRITE_PICTURES=yes cargo test --workspace --lib pictures` updates them.

use std::fmt::Write as _;
use std::path::Path;

use super::engine::{Pace, Trajectory, Trial, guess, learner};
use super::nova::Kind;
use super::{SMALL, in_turn, sharing};

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 150.0;
const LEFT_MARGIN: f64 = 50.0;
const TOP: f64 = 46.0;
const GAP: f64 = 44.0;

/// The line of one pace.
struct Line<'a> {
    name: &'a str,
    colour: &'a str,
    course: Trajectory,
}

/// One graph: the value that is drawn of each course.
struct Graph {
    title: &'static str,
    value: fn(&(f64, u32, usize, usize)) -> f64,
}

fn draw(title: &str, lines: &[Line<'_>]) -> String {
    let graphs = [
        Graph {
            title: "instances that are back",
            value: |one| f64::from(u32::try_from(one.3).unwrap()),
        },
        Graph {
            title: "evacuations in front of Nova that nobody has taken up",
            value: |one| f64::from(u32::try_from(one.2).unwrap()),
        },
    ];
    let end = lines
        .iter()
        .filter_map(|line| line.course.trace.last())
        .map(|one| one.0)
        .fold(1.0, f64::max);
    let height = TOP + 2.0 * (HEIGHT + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height:.0}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n<text x=\"{LEFT_MARGIN}\" y=\"16\" font-size=\"14\">{title}</text>\n",
        LEFT_MARGIN + WIDTH + 30.0,
    );
    let mut x = LEFT_MARGIN;
    for line in lines {
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.0}\" y=\"24\" width=\"14\" height=\"4\" fill=\"{}\"/><text x=\"{:.0}\" y=\"30\">{}</text>",
            line.colour,
            x + 20.0,
            line.name
        );
        x += 240.0;
    }
    for (graph, top) in graphs.iter().zip([TOP, TOP + HEIGHT + GAP]) {
        let points = lines.iter().flat_map(|line| &line.course.trace);
        let most = points.map(graph.value).fold(1.0, f64::max);
        let bottom = top + HEIGHT;
        let _ = writeln!(
            svg,
            "<text x=\"{LEFT_MARGIN}\" y=\"{:.0}\">{}</text>\n<path d=\"M{LEFT_MARGIN} {:.0}V{bottom:.0}H{:.0}\" stroke=\"#888888\" fill=\"none\"/>\n\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{most:.0}</text><text x=\"{:.0}\" y=\"{bottom:.0}\" text-anchor=\"end\">0</text>\n\
             <text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{end:.0} s</text>",
            top + 8.0,
            graph.title,
            top + 12.0,
            LEFT_MARGIN + WIDTH,
            LEFT_MARGIN - 6.0,
            top + 24.0,
            LEFT_MARGIN - 6.0,
            LEFT_MARGIN + WIDTH,
            bottom + 16.0,
        );
        for line in lines {
            let mut path = String::new();
            let mut before = None;
            for one in &line.course.trace {
                let at = LEFT_MARGIN + WIDTH * one.0 / end;
                let value = (graph.value)(one);
                if before == Some(value) {
                    continue;
                }
                before = Some(value);
                let y = bottom - (HEIGHT - 16.0) * value / most;
                // The values are steps, so they are drawn as steps.
                let _ = if path.is_empty() {
                    write!(path, "M{at:.0} {y:.0}")
                } else {
                    write!(path, "H{at:.0}V{y:.0}")
                };
            }
            let _ = writeln!(
                svg,
                "<path d=\"{path}\" stroke=\"{}\" stroke-width=\"1.5\" fill=\"none\"/>",
                line.colour
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

fn picture(title: &str, kind: Kind, each: usize) -> String {
    let course = |pace: &Pace| {
        let trial = Trial {
            kind,
            engines: 1,
            hosts: 1,
            each,
            seed: 1,
        };
        trial.run(pace)
    };
    let lines = [
        Line {
            name: "all asked for at once",
            colour: "#999999",
            course: course(&Pace::Loop),
        },
        Line {
            name: "begun with 24, as it was",
            colour: "#d9822b",
            course: course(&guess(24)),
        },
        Line {
            name: "learnt, as it is",
            colour: "#2b6cb0",
            course: course(&learner()),
        },
    ];
    draw(title, &lines)
}

#[test]
fn pictures_match_the_model() {
    let slows = Kind {
        slows: Some((4.0, 10.0)),
        ..in_turn(60.0)
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/pictures");
    for (name, svg) in [
        (
            "pace-small.svg",
            picture("A Nova of two cores, one host with 40 instances", SMALL, 40),
        ),
        (
            "pace-3.svg",
            picture("A Nova that takes up 3 a second, 40 instances", sharing(3.0), 40),
        ),
        (
            "pace-60.svg",
            picture(
                "A Nova that takes up 60 a second, 400 instances",
                sharing(60.0),
                400,
            ),
        ),
        (
            "pace-slows.svg",
            picture(
                "60 a second, and after four seconds a tenth of that, 200 instances",
                slows,
                200,
            ),
        ),
    ] {
        let file = folder.join(name);
        if std::env::var_os("TACHI_WRITE_PICTURES").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&file, &svg).unwrap();
        }
        let drawn = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            drawn == svg,
            "{name} is not what is drawn now: TACHI_WRITE_PICTURES=yes writes it"
        );
    }
}
