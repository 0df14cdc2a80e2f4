use serde_json::json;

use super::*;

#[test]
#[expect(clippy::too_many_lines, reason = "a table is read in one piece")]
fn schemas_of_values() {
    let long = "x".repeat(256);
    let fits = "ü".repeat(255);
    let cases = [
        ("name", Name.read(&json!("s 1")).is_ok(), true),
        (
            "name of another script",
            Name.read(&json!("сегмент")).is_ok(),
            true,
        ),
        ("name, 255 characters", Name.read(&json!(fits)).is_ok(), true),
        ("name, 256 characters", Name.read(&json!(long)).is_ok(), false),
        ("name, empty", Name.read(&json!("")).is_ok(), false),
        ("name, leading blank", Name.read(&json!(" s")).is_ok(), false),
        ("name, trailing blank", Name.read(&json!("s ")).is_ok(), false),
        (
            "name, no-break space at the end",
            Name.read(&json!("s\u{a0}")).is_ok(),
            false,
        ),
        ("name, tab", Name.read(&json!("a\tb")).is_ok(), false),
        (
            "name, line feed at the end",
            Name.read(&json!("s\n")).is_ok(),
            false,
        ),
        (
            "name, line separator",
            Name.read(&json!("a\u{2028}b")).is_ok(),
            false,
        ),
        (
            "name, zero-width joiner",
            Name.read(&json!("a\u{200d}b")).is_ok(),
            false,
        ),
        ("name, emoji", Name.read(&json!("a😀")).is_ok(), false),
        ("name, number", Name.read(&json!(1)).is_ok(), false),
        ("name, null", Name.read(&json!(null)).is_ok(), false),
        (
            "description",
            OrNull(Description).read(&json!("a b\nc")).is_ok(),
            true,
        ),
        (
            "description, empty",
            OrNull(Description).read(&json!("")).is_ok(),
            true,
        ),
        (
            "description, null",
            OrNull(Description).read(&json!(null)).is_ok(),
            true,
        ),
        (
            "description, long",
            OrNull(Description).read(&json!("x".repeat(9000))).is_ok(),
            true,
        ),
        (
            "description, tab",
            OrNull(Description).read(&json!("a\tb")).is_ok(),
            false,
        ),
        (
            "description, carriage return",
            OrNull(Description).read(&json!("a\rb")).is_ok(),
            false,
        ),
        (
            "description, emoji",
            OrNull(Description).read(&json!("😀")).is_ok(),
            false,
        ),
        (
            "control attributes, null",
            Description.read(&json!(null)).is_ok(),
            false,
        ),
        ("type", HOST_TYPE.read(&json!("COMPUTE1")).is_ok(), true),
        ("type, empty", HOST_TYPE.read(&json!("")).is_ok(), true),
        ("type, blank", HOST_TYPE.read(&json!("A B")).is_ok(), false),
        (
            "type, line feed at the end",
            HOST_TYPE.read(&json!("A\n")).is_ok(),
            false,
        ),
        ("type, null", HOST_TYPE.read(&json!(null)).is_ok(), false),
        (
            "type, 256 characters",
            HOST_TYPE.read(&json!(long)).is_ok(),
            false,
        ),
        (
            "hostname",
            HOSTNAME.read(&json!("node-1.example_x")).is_ok(),
            true,
        ),
        ("hostname, empty", HOSTNAME.read(&json!("")).is_ok(), false),
        ("hostname, slash", HOSTNAME.read(&json!("a/b")).is_ok(), false),
        ("boolean", Boolean.read(&json!(true)) == Ok(true), true),
        ("boolean, number", Boolean.read(&json!(1)).is_ok(), false),
        ("boolean, null", Boolean.read(&json!(null)).is_ok(), false),
        ("boolean, odd case", Boolean.read(&json!("oN")).is_ok(), false),
        ("boolean, t", Boolean.read(&json!("t")).is_ok(), false),
        (
            "date-time",
            DateTime.read(&json!("2017-04-21 17:29:55")).is_ok(),
            true,
        ),
        ("date-time, number", DateTime.read(&json!(2017)).is_ok(), false),
        (
            "uuid",
            UuidLike
                .read(&json!("6128798e-1111-4222-8333-0123456789ab"))
                .is_ok(),
            true,
        ),
        (
            "uuid, capitals",
            UuidLike
                .read(&json!("6128798E-1111-4222-8333-0123456789AB"))
                .is_ok(),
            true,
        ),
        (
            "uuid, bare",
            UuidLike.read(&json!("6128798e1111422283330123456789ab")).is_ok(),
            true,
        ),
        (
            "uuid, braces",
            UuidLike
                .read(&json!("{6128798e-1111-4222-8333-0123456789ab}"))
                .is_ok(),
            true,
        ),
        (
            "uuid, urn",
            UuidLike
                .read(&json!("urn:uuid:6128798e-1111-4222-8333-0123456789ab"))
                .is_ok(),
            true,
        ),
        ("uuid, short", UuidLike.read(&json!("6128798e")).is_ok(), false),
    ];
    for (what, got, expected) in cases {
        assert_eq!(got, expected, "{what}");
    }
    for spelling in TRUE {
        assert_eq!(Boolean.read(&json!(spelling)), Ok(true), "{spelling}");
    }
    for spelling in FALSE {
        assert_eq!(Boolean.read(&json!(spelling)), Ok(false), "{spelling}");
    }
}

#[test]
fn reasons_read_as_clients_know_them() {
    let reason = |objection| match objection {
        Objection::Reason(text) | Objection::Sentence(text) => text,
    };
    let cases = [
        (Name.read(&json!(1)).unwrap_err(), "1 is not of type 'string'"),
        (Name.read(&json!("")).unwrap_err(), "'' should be non-empty"),
        (Name.read(&json!(" ")).unwrap_err(), NAME_SENTENCE),
        (
            RECOVERY_METHOD.read(&json!("x")).unwrap_err(),
            "'x' is not one of ['auto', 'reserved_host', 'auto_priority', 'rh_priority']",
        ),
        (
            HOST_TYPE.read(&json!("!")).unwrap_err(),
            "'!' does not match '^[a-zA-Z0-9]*$'",
        ),
        (
            DateTime.read(&json!("x")).unwrap_err(),
            "'x' is not a 'date-time'",
        ),
    ];
    for (objection, expected) in cases {
        assert_eq!(reason(objection), expected);
    }
}

/// True if a schema's pattern and lengths accept a text.
fn schema_takes(rule: &impl Rule, text: &str) -> bool {
    let schema = rule.schema();
    let matches = |pattern: &Value| {
        let pattern = pattern.as_str().unwrap();
        regex::Regex::new(pattern).unwrap().is_match(text)
    };
    let count = u64::try_from(text.chars().count()).unwrap();
    schema
        .get("minLength")
        .is_none_or(|least| count >= least.as_u64().unwrap())
        && schema
            .get("maxLength")
            .is_none_or(|most| count <= most.as_u64().unwrap())
        && schema.get("pattern").is_none_or(&matches)
        && schema.get("not").is_none_or(|not| !matches(&not["pattern"]))
        && schema
            .get("enum")
            .is_none_or(|values| values.as_array().unwrap().contains(&json!(text)))
}

#[test]
fn schemas_match_the_checks() {
    let mut texts: Vec<String> = [
        "",
        "a",
        "a b",
        " a",
        "a ",
        "a\n",
        "\n",
        "a\tb",
        "a😀",
        "a\0b",
        "a\u{200d}b",
        "сегмент",
    ]
    .into_iter()
    .chain(["auto", "AUTO", "STOPPED", "node-1.x_y", "a/b", "A1", "VM"])
    .map(ToOwned::to_owned)
    .collect();
    texts.extend([254, 255, 256].map(|length| "ü".repeat(length)));
    texts.extend([254, 255, 256].map(|length| "x".repeat(length)));
    for text in &texts {
        let value = json!(text);
        let some = Text { least: 1, most: 255 };
        let verdicts = [
            ("text", some.read(&value).is_ok(), schema_takes(&some, text)),
            ("name", Name.read(&value).is_ok(), schema_takes(&Name, text)),
            (
                "description",
                Description.read(&value).is_ok(),
                schema_takes(&Description, text),
            ),
            (
                "host type",
                HOST_TYPE.read(&value).is_ok(),
                schema_takes(&HOST_TYPE, text),
            ),
            (
                "hostname",
                HOSTNAME.read(&value).is_ok(),
                schema_takes(&HOSTNAME, text),
            ),
            (
                "method",
                RECOVERY_METHOD.read(&value).is_ok(),
                schema_takes(&RECOVERY_METHOD, text),
            ),
            (
                "kind",
                NOTIFICATION_TYPE.read(&value).is_ok(),
                schema_takes(&NOTIFICATION_TYPE, text),
            ),
        ];
        for (rule, read, schema) in verdicts {
            assert_eq!(read, schema, "{rule} on {text:?}");
        }
    }
}

#[test]
fn every_character_is_printable_to_the_code_and_to_the_pattern() {
    let schema = Description.schema();
    let pattern = regex::Regex::new(schema["pattern"].as_str().unwrap()).unwrap();
    let beyond = regex::Regex::new(schema["not"]["pattern"].as_str().unwrap()).unwrap();
    // The two tables of characters may differ by a Unicode version; new characters of one are then unassigned in the other.
    let unassigned = regex::Regex::new(r"\p{Cn}").unwrap();
    let mut differ = Vec::new();
    let mut buffer = [0; 4];
    for c in (0..=0x0010_FFFF_u32).filter_map(char::from_u32) {
        let text: &str = c.encode_utf8(&mut buffer);
        let is_accepted = pattern.is_match(text) && !beyond.is_match(text);
        let new = || c.general_category() == GeneralCategory::Unassigned || unassigned.is_match(text);
        if is_accepted != (c == '\n' || is_printable(c)) && !new() {
            differ.push(c);
        }
    }
    assert!(
        differ.is_empty(),
        "{} characters, the first {:?}",
        differ.len(),
        differ.first()
    );
}
