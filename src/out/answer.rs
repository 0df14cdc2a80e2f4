//! Prints an answer as it is wanted: a list or an object, for people, programs or shells.

use serde_json::{Map, Value};
use tachi_domain::Timestamp;

use super::sheet::{Cell, Column, Sheet, folded, member};
use super::view::View;
use super::{line, note, plain};
use crate::cli::{Format, ShapeArgs};
use crate::cmd::Failure;

/// Prints a list; `none` is what is said to people if there is nothing.
pub(crate) fn list<const N: usize>(
    shape: &ShapeArgs,
    now: Timestamp,
    sheet: &Sheet<N>,
    none: &str,
) -> Result<(), Failure> {
    listed(shape, now, sheet, none, Value::Array)
}

/// The same of a list that is, for programs, a member of an object.
pub(crate) fn listed<const N: usize>(
    shape: &ShapeArgs,
    now: Timestamp,
    sheet: &Sheet<N>,
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

/// Refuses a column that an answer will not have: what is done cannot be undone for it. `members` are those that it will have.
pub(crate) fn admits(
    shape: &ShapeArgs,
    members: impl IntoIterator<Item = impl Into<String>>,
) -> Result<(), Failure> {
    let will: Map<String, Value> = members.into_iter().map(|one| (one.into(), Value::Null)).collect();
    only(&Value::Object(will), &shape.columns)
        .map(drop)
        .map_err(Failure::usage)
}

/// Tells what happens until there is an answer: to people where that will be, and beside it to whoever gives it to a program.
#[derive(Clone, Copy)]
pub(crate) struct Meanwhile(Option<View>);

impl Meanwhile {
    /// For whoever wants an answer of this shape.
    pub(crate) fn of(shape: &ShapeArgs, now: Timestamp) -> Self {
        Self(shape.is_told().then(|| View::of(shape, now)))
    }

    /// All of it beside an answer.
    pub(crate) const fn beside() -> Self {
        Self(None)
    }

    pub(crate) fn say(self, text: impl Into<String>) {
        let text = text.into();
        match self.0 {
            Some(view) => view.lines(&[text]).iter().for_each(line),
            None => note(plain(&text)),
        }
    }
}

/// Prints an object, or several; `lines` are what people are told, and then it is not made.
pub(crate) fn object(
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
            let sheet = Sheet::new(
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

/// Prints a list of objects that people are told line by line; `columns` are members of them, those of the table where columns are
/// chosen.
pub(crate) fn told<const N: usize>(
    shape: &ShapeArgs,
    now: Timestamp,
    columns: [&'static str; N],
    objects: Vec<Value>,
    lines: impl FnOnce() -> Vec<String>,
) -> Result<(), Failure> {
    if shape.is_told() {
        View::of(shape, now).lines(&lines()).iter().for_each(line);
        return Ok(());
    }
    let sheet = Sheet::new(columns.map(Column::new), objects, |object| {
        let cells = columns.map(|name| Cell::prose(member(object.get(name))));
        (cells, object.clone())
    });
    list(shape, now, &sheet, "there is nothing")
}

/// YAML of what is told as JSON.
pub(super) fn yaml(value: &Value) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(|error| Failure::new("writing YAML", error))
}

/// The members of these names; all of it if there is no name.
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
        let wanted = folded(name);
        let Some((key, value)) = members.iter().find(|(key, _)| folded(key) == wanted) else {
            let there: Vec<&str> = members.keys().map(String::as_str).collect();
            return Err(format!(
                "there is no member {name:?}, these are there: {}",
                there.join(", ")
            ));
        };
        found.insert(key.clone(), value.clone());
    }
    Ok(Value::Object(found))
}

/// Members and their values, of several objects one after another.
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
