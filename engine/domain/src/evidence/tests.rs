use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const EXAMPLE: &str = include_str!("../../../../docs/examples/fence-evidence.json");

fn example() -> Value {
    serde_json::from_str(EXAMPLE).unwrap()
}

fn read(value: &Value) -> Result<FenceEvidence, String> {
    FenceEvidence::from_json(value.to_string().as_bytes()).map_err(|error| error.to_string())
}

fn with(member: &str, value: Value) -> Value {
    let mut example = example();
    example[member] = value;
    example
}

fn without(member: &str) -> Value {
    let mut example = example();
    example.as_object_mut().unwrap().remove(member).unwrap();
    example
}

/// Covers R18.
#[test]
fn the_example_of_the_documentation_is_parsed_completely() {
    let read = FenceEvidence::from_json(EXAMPLE.as_bytes()).unwrap();
    assert_eq!(
        read.sentence(),
        "it was fenced (off) by cluster ha-az1 with st-ipmi-compute-7 (fence_ipmilan) from control-2 at \
         2026-11-20T18:30:12.481516Z, as control-1 reports"
    );
    assert_eq!(read.last_up_at, parse_time("2026-11-20T18:29:31Z"));
    assert_eq!(read.origin.as_deref(), Some("pacemaker-controld.2417@control-1"));
    read.check_host("compute-7.example.org").unwrap();
    let stored = serde_json::to_string(&read).unwrap();
    assert_eq!(serde_json::from_str::<FenceEvidence>(&stored).unwrap(), read);
}

/// Covers R18.
#[test]
fn optional_fields_may_be_omitted_and_required_ones_may_not() {
    for member in ["device", "agent", "delegate", "origin", "last_up_at"] {
        assert!(read(&without(member)).is_ok(), "{member}");
    }
    for member in [
        "version",
        "kind",
        "cluster",
        "target",
        "host",
        "action",
        "completed_at",
        "observed_at",
        "reporter",
    ] {
        let error = read(&without(member)).unwrap_err();
        assert!(
            error.starts_with(&format!("field \"{member}\" is missing")),
            "{error}"
        );
    }
}

/// Covers R18.
#[test]
fn an_operators_evidence_needs_no_cluster_and_is_about_the_host_itself() {
    let mut statement = without("cluster");
    statement["kind"] = json!("operator");
    let error = read(&statement).unwrap_err();
    assert!(
        error.contains("\"target\" must be the same as \"host\""),
        "{error}"
    );
    statement["target"] = statement["host"].clone();
    let read = read(&statement).unwrap();
    assert!(
        read.sentence()
            .starts_with("an operator confirmed that it was fenced (off)"),
        "{}",
        read.sentence()
    );
}

/// Covers R18.
#[test]
fn evidence_of_another_host_is_refused() {
    let evidence = FenceEvidence::from_json(EXAMPLE.as_bytes()).unwrap();
    for other in ["compute-7", "COMPUTE-7.example.org", "compute-7.example.org ", ""] {
        let error = evidence.check_host(other).unwrap_err().to_string();
        assert!(
            error.contains("send evidence with the report of its own host"),
            "{error}"
        );
    }
}

/// Covers R18.
#[test]
fn invalid_evidence_is_refused_and_the_error_names_the_field() {
    let long = "x".repeat(256);
    let cases = [
        (with("version", json!(2)), "\"version\" must be the number 1"),
        (with("version", json!("1")), "\"version\" must be the number 1"),
        (with("version", json!(1.0)), "\"version\" must be the number 1"),
        (
            with("kind", json!("consul")),
            "\"kind\" must be \"pacemaker_fence\" or",
        ),
        (
            with("action", json!("OFF")),
            "\"action\" must be \"off\" or \"reboot\"",
        ),
        (with("action", json!("on")), "and is \"on\""),
        (with("host", json!(7)), "\"host\" must be a text, and is 7"),
        (
            with("device", Value::Null),
            "\"device\" must be a text, and is null",
        ),
        (with("target", json!(["a"])), "and is a list"),
        (with("target", json!({"a": 1})), "and is an object"),
        (
            with("reporter", json!("")),
            "\"reporter\" must be a text of 1 to 255",
        ),
        (
            with("reporter", json!(long)),
            "of 1 to 255 characters, and is of 256",
        ),
        (
            with("origin", json!("a\nb")),
            "\"origin\" must be a text without control characters",
        ),
        (with("origin", json!("a\u{9b}b")), "without control characters"),
        (
            with("completed_at", json!("2026-11-20T18:30:12")),
            "\"completed_at\" must be a time",
        ),
        (
            with("observed_at", json!(1_795_199_412)),
            "\"observed_at\" must be a text",
        ),
        (
            with("last_up_at", json!("2026-11-20T18:30:13Z")),
            "was up again after that fence",
        ),
        (with("devices", json!("a")), "\"devices\" is unknown in version 1"),
        (with("Host", json!("a")), "\"Host\" is unknown"),
        (json!([example()]), "not a JSON object"),
        (json!("text"), "not a JSON object"),
        (Value::Null, "not a JSON object"),
    ];
    for (value, expected) in cases {
        let error = read(&value).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    let raw: [(&[u8], &str); 5] = [
        (b"", "not a JSON object: EOF"),
        (b"{\"host\": \"a\", \"host\": \"b\"}", "\"host\" occurs twice"),
        (b"{\"host\": \"\xff\"}", "not a JSON object"),
        (b"{} {}", "not a JSON object: trailing"),
        (b"{\"\\u001b[31m\": 1}", "\"\\u{1b}[31m\" is unknown"),
    ];
    for (json, expected) in raw {
        let error = FenceEvidence::from_json(json).unwrap_err().to_string();
        assert!(error.contains(expected), "{expected}: {error}");
    }
}

/// Covers R18.
#[test]
fn evidence_longer_than_the_header_is_refused() {
    let padded = |bytes: usize| format!("{:>bytes$}", without("origin").to_string());
    assert!(FenceEvidence::from_json(padded(MAX_EVIDENCE_BYTES).as_bytes()).is_ok());
    let error = FenceEvidence::from_json(padded(MAX_EVIDENCE_BYTES + 1).as_bytes()).unwrap_err();
    assert!(error.to_string().starts_with("it has 4097 bytes"), "{error}");
}

fn given() -> GivenEvidence {
    let evidence = FenceEvidence::from_json(EXAMPLE.as_bytes()).unwrap();
    GivenEvidence {
        generated: evidence.observed_at,
        arrived: evidence.observed_at,
        by: "monitor".into(),
        evidence,
    }
}

/// Covers R16.
#[test]
fn a_wrong_clock_makes_evidence_older_and_never_more_recent() {
    let fresh = given();
    let completed = fresh.evidence.completed_at;
    assert_eq!(fresh.dated(), completed);
    let later = Timestamp::from_micros(completed.micros() + 3_600_000_000);
    let earlier = completed.minus_seconds(60);
    let mut given = fresh.clone();
    given.evidence.completed_at = later;
    given.evidence.observed_at = later;
    given.generated = later;
    assert_eq!(
        given.dated(),
        fresh.arrived,
        "what is in the future is of its arrival"
    );
    for make_older in [
        |given: &mut GivenEvidence, at| given.evidence.observed_at = at,
        |given: &mut GivenEvidence, at| given.generated = at,
        |given: &mut GivenEvidence, at| given.arrived = at,
    ] {
        let mut given = fresh.clone();
        make_older(&mut given, earlier);
        assert_eq!(given.dated(), earlier);
        assert_eq!(given.clone().later(fresh.clone()), fresh);
        assert_eq!(fresh.clone().later(given), fresh);
        let mut given = fresh.clone();
        make_older(&mut given, later);
        assert_eq!(given.dated(), completed);
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = FenceEvidence::from_json(&bytes);
    }

    #[test]
    fn any_field_value_is_parsed_exactly_or_refused(
        which in 0_usize..14,
        text in "[\\x00-\\x20a-z\u{80}-\u{a0}\u{1F980}]{0,260}",
    ) {
        let name = example().as_object().unwrap().keys().nth(which).unwrap().clone();
        if let Ok(read) = FenceEvidence::from_json(with(&name, json!(text)).to_string().as_bytes()) {
            prop_assert!(!text.chars().any(char::is_control) && (1..=255).contains(&text.chars().count()));
            let stored = serde_json::to_value(&read).unwrap();
            prop_assert_eq!(&stored[&name], &json!(text));
        }
    }
}
