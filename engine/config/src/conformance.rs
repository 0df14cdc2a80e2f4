//! Compares our answers with those recorded from oslo.config (`testdata/oslo.json`, written by `testdata/record.py`).

use serde_json::{Value, json};

use crate::{Ini, KnownOptions, Reader};

/// The cases with an intended difference, and the reason.
const INTENDED_DIFFERENCES: &[(&str, Option<&str>, &str)] = &[(
    "variable with DEFAULT named",
    Some("\"1\""),
    "an operator would expect it to work; upstream refuses it",
)];

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap()
}

fn read(reader: &mut Reader<'_>, option: &Value) -> Option<Value> {
    let (section, name) = (option[0].as_str().unwrap(), option[1].as_str().unwrap());
    match option[2].as_str().unwrap() {
        "str" => reader.string(section, name).parsed_or_none().map(Value::from),
        "int" => reader.int::<i64>(section, name).parsed_or_none().map(Value::from),
        "bool" => reader.bool(section, name).parsed_or_none().map(Value::from),
        "float" => reader.number(section, name).parsed_or_none().map(Value::from),
        "list" => reader.list(section, name).parsed_or_none().map(Value::from),
        "multi" => reader.multi(section, name).parsed_or_none().map(Value::from),
        other => panic!("no such type: {other}"),
    }
}

/// Returns the value, or the reason why there is none.
fn answer(case: &Value) -> Result<Value, String> {
    let mut ini = Ini::default();
    let mut problems = Vec::new();
    for (number, file) in case["files"].as_array().unwrap().iter().enumerate() {
        ini.add_text(&number.to_string(), file.as_str().unwrap(), &mut problems);
    }
    crate::ConfigErrors::check(problems).map_err(|errors| errors.to_string())?;
    let variables = case["env"].as_object().unwrap().iter();
    let ini = ini.with_environment(variables.map(|(name, value)| (name.clone(), value.as_str().unwrap())));
    let table = case["alias"]
        .as_str()
        .map_or(String::new(), |alias| format!("[DEFAULT]\n{alias} | alias a\n"));
    let known = KnownOptions::table("alias", &table).unwrap();
    let mut reader = Reader::new(&ini, &known);
    for other in case["more"].as_array().unwrap() {
        let _ = read(&mut Reader::new(&ini, &known), other);
        if !ini
            .section(other[0].as_str().unwrap())
            .contains(&other[1].as_str().unwrap())
        {
            let _ = read(&mut reader, other);
        }
    }
    let value = read(&mut reader, &case["read"]);
    reader.finish().map_err(|errors| errors.to_string())?;
    Ok(value.unwrap_or(Value::Null))
}

#[test]
fn we_answer_as_oslo_does() {
    let cases: Value = serde_json::from_str(include_str!("../testdata/oslo.json")).unwrap();
    let cases = cases.as_array().unwrap();
    let mut wrong = Vec::new();
    for case in cases {
        let name = text(case, "name");
        let ours = answer(case);
        let agreed = match INTENDED_DIFFERENCES.iter().find(|(other, ..)| *other == name) {
            Some((_, expected, _)) => {
                let value = ours.as_ref().ok().map(ToString::to_string);
                value.as_deref() == *expected && ours.clone().ok().as_ref() != case["oslo"].get("value")
            }
            None => match case["oslo"].get("value") {
                Some(value) => ours.as_ref() == Ok(value),
                None => ours.is_err(),
            },
        };
        if !agreed {
            wrong.push(json!({"name": name, "oslo": case["oslo"], "ours": format!("{ours:?}")}));
        }
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), cases.len());
    assert!(cases.len() > 100);
}
