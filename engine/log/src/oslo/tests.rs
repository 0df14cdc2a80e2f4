use std::io::Write;
use std::sync::{Arc, Mutex};

use regex::Regex;
use tracing_subscriber::Registry;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;
use crate::event::Spans;

/// The pattern of kolla-ansible's fluentd (`conf/input/00-global.conf.j2`), with Rust's syntax of group names.
const FIRST_LINE: &str = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}.\d{3} \d+ \S+ \S+ \[.*\]";
const WHOLE: &str = r"^(?<Timestamp>\S+ \S+) (?<Pid>\d+) (?<log_level>\S+) (?<python_module>\S+) ((?:\[)(?:None|req-)(?<global_request_id>\S+)? (?:None|req-)(?<request_id>\S+) (?<user_id>\S+) (?<tenant_id>\S+) (?<domain_id>\S+) (?<system_scope>\S+) (?<user_domain>\S+) (?<project_domain>\S+)(?:\]))?(?<Payload>.*)?$";

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// Returns the lines written while `work` runs.
fn logged(form: Oslo, work: impl FnOnce()) -> Vec<String> {
    let log = Log::default();
    let layer = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .event_format(form)
        .with_writer(log.clone());
    tracing::subscriber::with_default(Registry::default().with(Spans).with(layer), work);
    let written = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    written.lines().map(ToOwned::to_owned).collect()
}

fn request() {
    let span = tracing::info_span!("api::request", request_id = "req-1", global_request_id = "req-0");
    let _inside = span.enter();
    tracing::warn!(
        user_id = "u",
        project_id = "p",
        host = "compute 1",
        count = 2,
        "failed to read"
    );
}

#[test]
fn deploy16_a_line_has_the_form_that_kolla_parses() {
    let lines = logged(Oslo::Line, || {
        tracing::info!("an engine is up");
        request();
    });
    let first_line = Regex::new(FIRST_LINE).unwrap();
    for line in &lines {
        assert!(first_line.is_match(line), "{line}");
    }
    let whole = Regex::new(WHOLE).unwrap();
    let first = whole.captures(&lines[0]).unwrap();
    assert_eq!(
        (&first["log_level"], &first["python_module"]),
        ("INFO", "tachi_log.oslo.tests")
    );
    assert_eq!(&first["Payload"], "[-] an engine is up");
    let second = whole.captures(&lines[1]).unwrap();
    for (group, expected) in [
        ("log_level", "WARNING"),
        ("global_request_id", "0"),
        ("request_id", "1"),
        ("user_id", "u"),
        ("tenant_id", "p"),
        ("project_domain", "-"),
        ("Payload", " failed to read host=\"compute 1\" count=2"),
    ] {
        assert_eq!(&second[group], expected, "{group}");
    }
}

#[test]
fn deploy16_foreign_text_cannot_forge_a_line() {
    let forged = "x\n2026-11-27 02:22:46.734 1 ERROR masakari [-] forged\u{1b}[31m";
    let lines = logged(Oslo::Line, || {
        tracing::info!(name = forged, "a report");
        tracing::info!("a report of {forged}");
    });
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(
        lines.iter().all(|line| !line.chars().any(char::is_control)),
        "{lines:?}"
    );
}

#[test]
fn deploy16_json_has_the_keys_of_oslos_formatter() {
    let lines = logged(Oslo::Json, request);
    let object: Value = serde_json::from_str(&lines[0]).unwrap();
    let mut keys: Vec<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    let mut expected = "message asctime name msg args levelname levelno pathname filename module lineno funcname created msecs \
                        relative_created thread thread_name process_name process traceback hostname error_summary context extra"
        .split_whitespace()
        .collect::<Vec<_>>();
    expected.sort_unstable();
    assert_eq!(keys, expected);
    assert_eq!(object["message"], "failed to read");
    assert_eq!(object["levelno"], 30);
    assert_eq!(object["extra"], json!({"host": "compute 1", "count": 2}));
    assert_eq!(
        object["context"],
        json!({"global_request_id": "req-0", "request_id": "req-1", "user_id": "u", "project_id": "p"})
    );
}

#[test]
fn deploy16_an_inner_value_takes_precedence_over_an_outer() {
    let lines = logged(Oslo::Bare, || {
        let outer = tracing::info_span!("outer", host = "a", recovery = 1);
        let _outer = outer.enter();
        let inner = tracing::info_span!("inner", host = "b");
        let _inner = inner.enter();
        tracing::error!("failed");
    });
    assert_eq!(lines, ["ERROR tachi_log.oslo.tests [-] failed host=b recovery=1"]);
}
