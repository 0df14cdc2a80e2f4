//! Output of an answer in the requested format: a list or an object, for people, programs or shells.

use serde_json::{Map, Value};
use tachi_domain::Timestamp;
use tachi_operator::Failure;

use super::table::{Cell, Column, TextTable, folded, member};
use super::view::View;
use super::{Format, ShapeArgs};
use super::{line, note, plain};

/// Prints a list; `none` is the text for people if it is empty.
pub fn list<const N: usize>(
    shape: &ShapeArgs,
    now: Timestamp,
    sheet: &TextTable<N>,
    none: &str,
) -> Result<(), Failure> {
    listed(shape, now, sheet, none, Value::Array)
}

/// Prints a list that is, for programs, a field of an object.
pub fn listed<const N: usize>(
    shape: &ShapeArgs,
    now: Timestamp,
    sheet: &TextTable<N>,
    none: &str,
    whole: impl FnOnce(Vec<Value>) -> Value,
) -> Result<(), Failure> {
    let names = &shape.columns;
    match shape.format {
        Format::Table if sheet.is_empty() => {
            let view = View::of(shape, now);
            view.lines(&[none.to_owned()]).iter().for_each(line);
        }
        Format::Table => line(
            sheet
                .table(names, &View::of(shape, now))
                .map_err(Failure::usage)?,
        ),
        Format::Json => line(whole(sheet.objects(names).map_err(Failure::usage)?).to_string()),
        Format::Yaml => line(yaml(&whole(sheet.objects(names).map_err(Failure::usage)?))?.trim_end()),
        Format::Value => {
            let lines = sheet.values(names).map_err(Failure::usage)?;
            lines.iter().for_each(line);
        }
    }
    Ok(())
}

/// Refuses a column that the answer will not have, because the action cannot be undone afterwards. `members` are the answer's fields.
pub fn accepts(
    shape: &ShapeArgs,
    members: impl IntoIterator<Item = impl Into<String>>,
) -> Result<(), Failure> {
    let will: Map<String, Value> = members
        .into_iter()
        .map(|member| (member.into(), Value::Null))
        .collect();
    only(&Value::Object(will), &shape.columns)
        .map(drop)
        .map_err(Failure::usage)
}

/// Progress messages before the answer: on standard output for people, on standard error if a program reads the answer.
#[derive(Clone, Copy)]
pub struct ProgressReporter(Option<View>);

impl ProgressReporter {
    /// Creates the output for an answer in this format.
    pub fn of(shape: &ShapeArgs, now: Timestamp) -> Self {
        Self(shape.is_text().then(|| View::of(shape, now)))
    }

    /// Creates an output that writes everything to standard error.
    pub const fn beside() -> Self {
        Self(None)
    }

    pub fn report(self, text: impl Into<String>) {
        let text = text.into();
        match self.0 {
            Some(view) => view.lines(&[text]).iter().for_each(line),
            None => note(plain(&text)),
        }
    }
}

/// Prints one or several objects; for people it prints `lines` instead, without building the object.
pub fn object(
    shape: &ShapeArgs,
    now: Timestamp,
    object: impl FnOnce() -> Value,
    lines: impl FnOnce(&View) -> Vec<String>,
) -> Result<(), Failure> {
    let view = View::of(shape, now);
    let only = || only(&object(), &shape.columns).map_err(Failure::usage);
    match shape.format {
        Format::Table if shape.columns.is_empty() => view.lines(&lines(&view)).iter().for_each(line),
        Format::Table => {
            let parts = parts(&only()?);
            let sheet = TextTable::new(
                [Column::new("field"), Column::new("value")],
                parts,
                |(name, value)| {
                    let cells = [Cell::text(name.clone()), Cell::text(member(Some(value)))];
                    (cells, Value::Null)
                },
            );
            line(sheet.table(&[], &view).map_err(Failure::usage)?);
        }
        Format::Json => line(only()?.to_string()),
        Format::Yaml => line(yaml(&only()?)?.trim_end()),
        Format::Value => parts(&only()?)
            .iter()
            .for_each(|(_, value)| line(member(Some(value)))),
    }
    Ok(())
}

/// Prints a list of objects, which people get as lines; `columns` are their fields, and the table's columns if columns are
/// chosen.
pub fn print<const N: usize>(
    shape: &ShapeArgs,
    now: Timestamp,
    columns: [&'static str; N],
    objects: Vec<Value>,
    lines: impl FnOnce() -> Vec<String>,
) -> Result<(), Failure> {
    if shape.is_text() {
        View::of(shape, now).lines(&lines()).iter().for_each(line);
        return Ok(());
    }
    let sheet = TextTable::new(columns.map(Column::new), objects, |object| {
        let cells = columns.map(|name| Cell::prose(member(object.get(name))));
        (cells, object.clone())
    });
    list(shape, now, &sheet, "nothing to show")
}

/// Renders a JSON value as YAML.
pub(super) fn yaml(value: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(|error| Failure::new("writing YAML", error))
}

/// Keeps the fields of these names; all of them if there is no name.
fn only(object: &Value, names: &[String]) -> Result<Value, String> {
    if names.is_empty() {
        return Ok(object.clone());
    }
    let members = match object {
        Value::Array(all) => {
            let each = all.iter().map(|one| only(one, names));
            return each.collect::<Result<Vec<_>, _>>().map(Value::Array);
        }
        Value::Object(members) => members,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => &Map::new(),
    };
    let mut found = Map::new();
    for name in names {
        let folded_name = folded(name);
        let Some((key, value)) = members.iter().find(|(key, _)| folded(key) == folded_name) else {
            let there: Vec<&str> = members.keys().map(String::as_str).collect();
            return Err(format!("no field {name:?}; available: {}", there.join(", ")));
        };
        found.insert(key.clone(), value.clone());
    }
    Ok(Value::Object(found))
}

/// Returns field names and values, of several objects one after another.
fn parts(object: &Value) -> Vec<(String, Value)> {
    match object {
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        Value::Array(all) => all.iter().flat_map(parts).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests;
