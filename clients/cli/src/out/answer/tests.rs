use serde_json::{Value, json};
use tachi_domain::Timestamp;

use super::*;
use crate::out::at_widths;

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// What others may have named, and what YAML takes for something else than text.
const HOSTILE: &[&str] = &[
    "",
    " ",
    " begins and ends ",
    "~",
    "null",
    "Null",
    "true",
    "no",
    "ON",
    "y",
    "1",
    "1_000",
    "0x1f",
    "0o17",
    "017",
    "1e3",
    ".inf",
    "-.INF",
    ".nan",
    "12:30:45",
    "2026-11-21",
    "2026-11-21T23:32:24.000Z",
    "- a",
    "-",
    "---",
    "...",
    "? a",
    "a: b",
    "a:",
    ":a",
    ": a",
    "a #b",
    "#a",
    "&a",
    "*a",
    "!a",
    "!!binary aGFsbG8=",
    "%YAML 1.1",
    "@a",
    "`a`",
    "{a: b}",
    "[a, b]",
    "}",
    "]",
    ",",
    "|",
    "|-",
    ">",
    "'a'",
    "\"a\"",
    "it's",
    "a\\nb",
    "\\",
    "a\nb",
    "a\n",
    "\na",
    "a\n\n  b\n",
    "a\r\nb",
    "a\tb",
    "\ta",
    "\u{0}",
    "\u{7}",
    "\u{1b}[2J\u{1b}[31mERR",
    "\u{7f}",
    "\u{85}",
    "\u{9b}31m",
    "\u{a0}",
    "\u{2028}a\u{2029}",
    "\u{202e}gnp",
    "\u{feff}a",
    "\u{fffe}",
    "日本語 é ✗ 🦀",
    "<<",
    "=",
];

#[test]
fn operator_yaml_of_whatever_others_have_named_is_read_back_as_it_was() {
    let long = "a word and another one ".repeat(40);
    let path = "x".repeat(5_000);
    let texts: Vec<&str> = HOSTILE
        .iter()
        .copied()
        .chain([long.as_str(), path.as_str()])
        .collect();
    let mut keyed = serde_json::Map::new();
    for text in &texts {
        keyed.insert(
            (*text).to_owned(),
            json!({ *text: text, "in a list": [text, [text]] }),
        );
        let one = json!([{ "name": text }]);
        let rendered = yaml(&one).unwrap();
        assert_eq!(
            serde_saphyr::from_str::<Value>(&rendered).unwrap(),
            one,
            "{rendered}"
        );
        // Nothing of it moves the cursor of whoever looks at it.
        let moves = |c: char| c.is_control() && c != '\n';
        assert!(!rendered.contains(moves), "{rendered:?}");
    }
    let all = json!({
        "all": keyed, "none": null, "yes": true, "count": u64::MAX, "least": i64::MIN, "part": 0.1, "empty": [], "bare": {},
    });
    let rendered = yaml(&all).unwrap();
    assert_eq!(serde_saphyr::from_str::<Value>(&rendered).unwrap(), all);
}

fn sheet() -> TextTable<5> {
    let columns = [
        Column::of("recovery", "id"),
        Column::of("waits for", "waits"),
        Column::of("opened", "opened_at"),
        Column::new("count"),
        Column::new("message"),
    ];
    let rows = [
        ("e241c4a2-0000-4000-8000-000000000001", "a\tb\nc\u{1b}", 3),
        ("f", "", 4),
    ];
    TextTable::new(columns, rows, |(id, message, count)| {
        let cells = [
            Cell::id(&id),
            Cell::text("guard"),
            Cell::Time(NOW),
            Cell::number(&count),
            Cell::prose(*message),
        ];
        let object =
            json!({"id": id, "waits": {"for": "guard"}, "opened_at": 7, "more": null, "count": count});
        (cells, object)
    })
}

#[test]
fn columns_are_named_as_they_are_read_or_as_programs_know_them() {
    let sheet = sheet();
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let values = |names: &[&str]| sheet.values(&named(names));
    let objects = |names: &[&str]| sheet.objects(&named(names));
    let time = "2023-11-14T22:13:20.000Z";
    assert_eq!(
        values(&[]).unwrap()[0],
        format!("e241c4a2-0000-4000-8000-000000000001\tguard\t{time}\t3\ta\\tb\\nc\\u{{1b}}")
    );
    assert_eq!(values(&["COUNT", "waits_for"]).unwrap(), ["3\tguard", "4\tguard"]);
    assert_eq!(values(&["opened_at", "more"]).unwrap()[1], format!("{time}\t"));
    assert_eq!(
        objects(&["waits for", "recovery"]).unwrap()[1],
        json!({"waits": {"for": "guard"}, "id": "f"})
    );
    assert_eq!(objects(&["message"]).unwrap()[1], json!({"message": ""}));
    assert_eq!(objects(&[]).unwrap()[0]["more"], Value::Null);
    let refused = values(&["no such"]).unwrap_err();
    assert!(
        refused.contains("waits for") && refused.contains("more"),
        "{refused}"
    );
    let none = TextTable::new([Column::new("a")], Vec::<u8>::new(), |_| {
        ([Cell::text("")], Value::Null)
    });
    assert_eq!(none.values(&named(&["whatever"])), Ok(Vec::new()));
    assert_eq!(none.objects(&named(&["whatever"])), Ok(Vec::new()));
}

#[test]
fn members_of_an_object_are_taken_by_their_names() {
    let object = json!({"grade": "err", "looked_at": null, "parts": [1]});
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(only(&object, &[]), Ok(object.clone()));
    assert_eq!(
        only(&object, &names(&["Looked-At", "grade"])),
        Ok(json!({"looked_at": null, "grade": "err"}))
    );
    let each = json!([object, object]);
    assert_eq!(
        only(&each, &names(&["grade"])),
        Ok(json!([{"grade": "err"}, {"grade": "err"}]))
    );
    assert!(only(&object, &names(&["no"])).unwrap_err().contains("looked_at"));
    assert!(only(&json!(7), &names(&["no"])).is_err());
    let rendered: Vec<String> = parts(&object)
        .iter()
        .map(|(name, value)| format!("{name}={}", member(Some(value))))
        .collect();
    assert_eq!(rendered, ["grade=err", "looked_at=", "parts=[1]"]);
}

#[test]
fn a_table_says_what_it_can_where_there_is_room_for_it() {
    insta::assert_snapshot!(at_widths(&sheet(), NOW));
    let view = View {
        width: Some(20),
        ..View::bare(NOW)
    };
    let narrow = sheet().table(&[], &view).unwrap();
    assert!(narrow.contains("e2"), "{narrow}");
}
