//! A list: rows in columns for people and shells, and an object for each row for programs.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle, presets};
use serde_json::{Map, Value};
use tachi_domain::Timestamp;
use tachi_operator::when::{ago, time};
use textwrap::core::display_width;

use super::plain;
use super::view::{View, wrapped};

/// The lines of a table, as `openstack` prints them.
pub const TABLE_STYLE: TableStyle =
    presets::ASCII_FULL_CONDENSED.header_separator(LineStyle::new('+', '-', '+', '+'));

/// Number of shown characters of an id if the full one does not fit: commands accept the beginning of an id.
const SHORT_ID: usize = 8;

/// A cell of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    Text(String),
    /// An id, whose beginning is enough.
    Id(String),
    Time(Timestamp),
    Number(String),
    /// A text that may be long: below its row if it does not fit.
    Prose(String),
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub fn id(id: &impl ToString) -> Self {
        Self::Id(id.to_string())
    }

    pub fn number(number: &impl ToString) -> Self {
        Self::Number(number.to_string())
    }

    pub fn prose(text: impl Into<String>) -> Self {
        Self::Prose(text.into())
    }

    /// Renders the cell for people.
    fn render(&self, view: &View, room: Room) -> String {
        match (self, room) {
            (Self::Id(id), Room::Little | Room::None) => id.chars().take(SHORT_ID).collect(),
            (Self::Text(text) | Self::Id(text) | Self::Number(text) | Self::Prose(text), _) => plain(text),
            (Self::Time(at), Room::Enough) => view.when(*at),
            (Self::Time(at), Room::Little | Room::None) if *at <= view.now => ago(*at, view.now),
            (Self::Time(at), Room::Little | Room::None) => view.time(*at),
        }
    }

    /// Renders the cell for shells.
    fn value(&self) -> String {
        match self {
            Self::Text(text) | Self::Id(text) | Self::Number(text) | Self::Prose(text) => plain(text),
            Self::Time(at) => time(*at),
        }
    }
}

/// Space for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// Enough for full ids and times.
    Enough,
    /// Enough for short ids and times.
    Little,
    /// Not enough: long texts go below their row.
    None,
}

/// A column: its title, and the field of the row's object that it shows. For a cell of several fields, the first of them.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    member: &'static str,
}

impl Column {
    /// Creates a column with the same title and field.
    pub const fn new(title: &'static str) -> Self {
        Self { title, member: title }
    }

    pub const fn of(title: &'static str, member: &'static str) -> Self {
        Self { title, member }
    }
}

pub struct TextTable<const N: usize> {
    columns: [Column; N],
    rows: Vec<([Cell; N], Value)>,
}

/// A selected part of each row.
enum Selection {
    Cell(usize),
    Member(String),
}

impl<const N: usize> TextTable<N> {
    /// Creates a row for each of `all`: its cells, and its object.
    pub fn new<T>(
        columns: [Column; N],
        all: impl IntoIterator<Item = T>,
        row: impl Fn(&T) -> ([Cell; N], Value),
    ) -> Self {
        let rows = all.into_iter().map(|one| row(&one)).collect();
        Self { columns, rows }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Finds the columns of these names, by title or field. All of them if there is no name.
    fn taken(&self, names: &[String]) -> Result<Vec<Selection>, String> {
        if names.is_empty() {
            return Ok((0..N).map(Selection::Cell).collect());
        }
        let one = |name: &String| {
            let folded_name = folded(name);
            let place = |of: fn(&Column) -> &'static str| {
                self.columns
                    .iter()
                    .position(|column| folded(of(column)) == folded_name)
            };
            if let Some(place) = place(|column| column.title).or_else(|| place(|column| column.member)) {
                return Ok(Selection::Cell(place));
            }
            let mut members = self.rows.iter().filter_map(|(_, object)| object.as_object());
            let member = members.find_map(|object| object.keys().find(|key| folded(key) == folded_name));
            match member {
                Some(member) => Ok(Selection::Member(member.clone())),
                // In an empty list any column is empty.
                None if self.rows.is_empty() => Ok(Selection::Member(name.clone())),
                None => Err(format!(
                    "no column is named {name:?}; available: {}",
                    self.names().join(", ")
                )),
            }
        };
        names.iter().map(one).collect()
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .columns
            .iter()
            .map(|column| column.title.to_owned())
            .collect();
        let known: Vec<&str> = self
            .columns
            .iter()
            .flat_map(|column| [column.title, column.member])
            .collect();
        if let Some(object) = self.rows.first().and_then(|(_, object)| object.as_object()) {
            names.extend(
                object
                    .keys()
                    .filter(|key| !known.contains(&key.as_str()))
                    .cloned(),
            );
        }
        names
    }

    /// Returns the objects, complete if no column is named.
    pub(super) fn objects(&self, names: &[String]) -> Result<Vec<Value>, String> {
        let taken = self.taken(names)?;
        let object = |(cells, object): &([Cell; N], Value)| {
            if names.is_empty() {
                return object.clone();
            }
            let mut only = Map::new();
            for one in &taken {
                let (name, value) = match one {
                    Selection::Member(name) => (name.as_str(), object.get(name).cloned()),
                    Selection::Cell(place) => {
                        let column = self.columns[*place];
                        match object.get(column.member) {
                            Some(value) => (column.member, Some(value.clone())),
                            None => (column.title, Some(cells[*place].value().into())),
                        }
                    }
                };
                only.insert(name.to_owned(), value.unwrap_or(Value::Null));
            }
            Value::Object(only)
        };
        Ok(self.rows.iter().map(object).collect())
    }

    /// Returns a line for each row.
    pub(super) fn values(&self, names: &[String]) -> Result<Vec<String>, String> {
        let taken = self.taken(names)?;
        let line = |(cells, object): &([Cell; N], Value)| {
            let fields = taken.iter().map(|one| match one {
                Selection::Cell(place) => cells[*place].value(),
                Selection::Member(name) => member(object.get(name)),
            });
            fields.collect::<Vec<_>>().join("\t")
        };
        Ok(self.rows.iter().map(line).collect())
    }

    /// Renders the table for people.
    pub fn table(&self, names: &[String], view: &View) -> Result<String, String> {
        let taken = self.taken(names)?;
        let mut shown = String::new();
        for room in [Room::Enough, Room::Little, Room::None] {
            let (mut table, below) = self.laid_out(&taken, view, room);
            shown = table.to_string();
            let Some(width) = view.width else { break };
            let fits = |text: &str| text.lines().all(|line| display_width(line) <= width);
            let fit = fits(&shown);
            if !fit && room == Room::None {
                table
                    .set_content_arrangement(ContentArrangement::Dynamic)
                    .set_width(u16::try_from(width).unwrap_or(u16::MAX));
                shown = table.to_string();
            }
            if room == Room::None {
                shown = with_below(&shown, &below, width);
            }
            if fit {
                break;
            }
        }
        Ok(shown)
    }

    /// Lays out the table; returns it with the texts below each row.
    fn laid_out(&self, taken: &[Selection], view: &View, room: Room) -> (Table, Vec<Vec<String>>) {
        let is_below = |one: &Selection| match one {
            Selection::Cell(place) => {
                let mut cells = self.rows.iter().map(|(cells, _)| &cells[*place]);
                room == Room::None && cells.any(|cell| matches!(cell, Cell::Prose(_)))
            }
            Selection::Member(_) => false,
        };
        let title = |one: &Selection| match one {
            Selection::Cell(place) => self.columns[*place].title.to_owned(),
            Selection::Member(name) => plain(name),
        };
        let text = |one: &Selection, cells: &[Cell; N], object: &Value| match one {
            Selection::Cell(place) => cells[*place].render(view, room),
            Selection::Member(name) => member(object.get(name)),
        };
        // A row needs at least one cell beside it.
        let all_below = taken.iter().all(is_below);
        let (under, beside): (Vec<&Selection>, Vec<&Selection>) =
            taken.iter().partition(|one| is_below(one) && !all_below);
        let mut table = Table::new();
        table.load_style(TABLE_STYLE);
        table.set_header(beside.iter().map(|one| title(one)));
        let mut below = Vec::new();
        for (cells, object) in &self.rows {
            table.add_row(beside.iter().map(|one| text(one, cells, object)));
            let lines = under.iter().filter_map(|one| {
                let text = text(one, cells, object);
                (!text.is_empty()).then(|| format!("    {}: {text}", title(one)))
            });
            below.push(lines.collect());
        }
        for (place, one) in beside.iter().enumerate() {
            let Selection::Cell(cell) = one else { continue };
            let numbers = self
                .rows
                .iter()
                .any(|(cells, _)| matches!(cells[*cell], Cell::Number(_)));
            if numbers && let Some(column) = table.column_mut(place) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        (table, below)
    }
}

/// Inserts each row's texts below it. A new row is recognised by a non-empty first cell.
fn with_below(table: &str, below: &[Vec<String>], width: usize) -> String {
    let is_rule = |line: &str| line.starts_with('+');
    let begins = |line: &str| {
        let first = line.trim_start_matches('|').split('|').next();
        first.is_some_and(|cell| !cell.trim().is_empty())
    };
    let mut lines: Vec<&str> = table.lines().collect();
    let foot = lines.pop_if(|line| is_rule(line));
    let head = lines
        .iter()
        .rposition(|line| is_rule(line))
        .map_or(0, |place| place + 1);
    let body = &lines[head..];
    let fit =
        |under: &[String]| -> Vec<String> { under.iter().flat_map(|line| wrapped(line, width)).collect() };
    // If a first cell is empty or has several lines, rows cannot be told apart: then the texts follow the table in the rows' order.
    let is_clear = body.iter().filter(|line| begins(line)).count() == below.len();
    let mut shown: Vec<String> = lines[..head].iter().map(|line| (*line).to_owned()).collect();
    let mut rest = below.iter();
    for (place, line) in body.iter().enumerate() {
        shown.push((*line).to_owned());
        let is_finished = body.get(place + 1).is_none_or(|next| begins(next));
        if is_clear && is_finished {
            shown.extend(rest.next().map(|under| fit(under)).unwrap_or_default());
        }
    }
    shown.extend(foot.map(str::to_owned));
    for (number, under) in rest.enumerate() {
        if !under.is_empty() {
            shown.push(format!("row {}", number + 1));
            shown.extend(fit(under));
        }
    }
    shown.join("\n")
}

/// Folds a name for comparison: `waits for`, `waits_for` and `Waits-For` are the same.
pub(super) fn folded(name: &str) -> String {
    name.trim().to_lowercase().replace(['_', '-'], " ")
}

/// Returns a field as text.
pub(super) fn member(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => plain(text),
        Some(other) => plain(&other.to_string()),
    }
}

/// Renders the table at common terminal widths, for snapshots of tests.
///
/// # Panics
///
/// A line is wider than the terminal.
pub fn at_widths<const N: usize>(sheet: &TextTable<N>, now: Timestamp) -> String {
    let mut rendered = String::new();
    for width in [80, 100, 160] {
        let view = View {
            width: Some(width),
            ..View::bare(now)
        };
        let table = sheet.table(&[], &view).unwrap_or_default();
        for line in table.lines() {
            assert!(display_width(line) <= width, "{width}: {line}");
        }
        rendered.extend(["--- ", &width.to_string(), "\n", &table, "\n"]);
    }
    rendered
}
