//! `tachi-monitor host explain`: the verdict on each node of a saved output, with its reason.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value, json};
use tachi_pacemaker::{Cib, CrmMon, History, Judgement, Rules, Snapshot, Time, parse_time, verdict};

use crate::cli::Format;
use crate::failure::Failure;
use crate::out;

/// Arguments of `tachi-monitor host explain`.
#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    /// Output of `crm_mon --output-as=xml`; - is standard input
    #[arg(long, value_name = "FILE")]
    crm_mon: PathBuf,
    /// Output of `cibadmin --query` at the same moment. A bridge always reads both
    #[arg(long, value_name = "FILE")]
    cib: Option<PathBuf>,
    /// When a node was last seen up, such as cmp1=2026-11-20T07:06:43Z; may be repeated
    #[arg(long, value_name = "NODE=TIME", value_parser = last_up)]
    last_up: Vec<(String, Time)>,
    /// An additional fence agent that switches power; may be repeated
    #[arg(long, value_name = "AGENT")]
    power_agent: Vec<String>,
    /// Output format
    #[arg(short = 'f', long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

fn last_up(text: &str) -> Result<(String, Time), String> {
    // Times have no equals sign; a name may.
    let (node, time) = text
        .rsplit_once('=')
        .ok_or("write it like cmp1=2026-11-20T07:06:43Z")?;
    if node.is_empty() {
        return Err("the node's name is missing".to_owned());
    }
    let time = parse_time(time).map_err(|error| error.to_string())?;
    Ok((node.to_owned(), time))
}

/// Prints the verdicts. Returns 1 if the cluster's output cannot be parsed: then every node is `blind`.
pub(crate) fn run(args: &ExplainArgs) -> Result<u8, Failure> {
    let mon = read(&args.crm_mon)?;
    let cib = args.cib.as_deref().map(read).transpose()?;
    let rules = Rules {
        need_cib: cib.is_some(),
        power_agents: args.power_agent.clone(),
        ..Rules::default()
    };
    let parsed = CrmMon::parse(&mon).and_then(|mon| Ok((mon, cib.as_deref().map(Cib::parse).transpose()?)));
    let (nodes, problem) = match parsed {
        Ok((mon, cib)) => {
            let judged = verdict(&history(args, &mon), &Snapshot::new(mon, cib), &rules);
            (judged.into_iter().map(verdict_row).collect::<Vec<_>>(), None)
        }
        Err(error) => {
            let why = Failure::new("the cluster cannot be read", error).chain();
            let nodes: BTreeMap<_, _> = args.last_up.iter().cloned().collect();
            let nodes = nodes.into_keys().map(|node| (node, "blind", why.clone()));
            (nodes.collect(), Some(why))
        }
    };
    match args.format {
        Format::Json => out::line(as_json(&nodes).to_string()),
        Format::Text => {
            let widest = nodes
                .iter()
                .map(|(node, _, _)| node.chars().count())
                .max()
                .unwrap_or(0);
            for (node, verdict, reason) in &nodes {
                out::line(format!("{node:widest$}  {verdict:7}  {reason}"));
            }
        }
    }
    match problem {
        Some(why) => Err(Failure::from_text(why)),
        None => Ok(out::DONE),
    }
}

/// Returns the time each node was last up, under the name that the cluster lists, which it compares without regard to
/// case.
fn history(args: &ExplainArgs, mon: &CrmMon) -> History {
    args.last_up
        .iter()
        .fold(History::default(), |history, (node, at)| {
            let mut listed = mon.nodes.iter().map(|listed| listed.name.as_str());
            let name = listed
                .find(|name| name.eq_ignore_ascii_case(node))
                .unwrap_or(node);
            history.with_last_up(name, *at)
        })
}

fn verdict_row((node, judgement): (String, Judgement)) -> (String, &'static str, String) {
    (node, judgement.verdict.as_str(), judgement.reason)
}

fn as_json(nodes: &[(String, &'static str, String)]) -> Value {
    let nodes: Map<String, Value> = nodes
        .iter()
        .map(|(node, verdict, reason)| (node.clone(), json!({"verdict": verdict, "reason": reason})))
        .collect();
    json!({ "nodes": nodes })
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let outcome = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).map(|_| ())
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    outcome.map_err(|error| Failure::new(format!("reading {}", path.display()), error))?;
    // Binary input is invalid XML: reported as such, not as a missing input.
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_node_was_last_up() {
        for (text, expected) in [
            ("cmp1=2026-11-20T07:06:43Z", Some("cmp1")),
            ("cmp1=2026-11-20 07:06:43Z", Some("cmp1")),
            ("a=b=1795158416", Some("a=b")),
            ("cmp1", None),
            ("=2026-11-20T07:06:43Z", None),
            ("cmp1=yesterday", None),
        ] {
            assert_eq!(
                last_up(text).ok().map(|(node, _)| node).as_deref(),
                expected,
                "{text}"
            );
        }
    }

    #[test]
    fn the_contract() {
        let nodes = [("cmp1".to_owned(), "fenced", "why \"so\"".to_owned())];
        assert_eq!(
            as_json(&nodes).to_string(),
            r#"{"nodes":{"cmp1":{"verdict":"fenced","reason":"why \"so\""}}}"#
        );
    }
}
