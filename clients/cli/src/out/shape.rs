//! Output options, the same for every command that prints a list or an object.

use clap::{Args, ValueEnum};

/// Form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    #[value(alias = "text")]
    Table,
    /// For programs
    Json,
    /// For programs and people
    Yaml,
    /// For shells: only the values; a list has one line for each row, with fields separated by tabs
    Value,
}

#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Output options")]
pub struct ShapeArgs {
    /// Output format
    #[arg(short = 'f', long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    /// Only this column of a list, or this field of an object; may be repeated
    #[arg(short = 'c', long = "column", value_name = "COLUMN")]
    pub columns: Vec<String>,
    /// Maximum width of a table; 0: no limit. Default: the terminal's width, and no limit elsewhere
    #[arg(long, value_name = "N")]
    pub max_width: Option<u16>,
    /// Times of a table in UTC instead of this machine's time zone. The other formats always use UTC
    #[arg(long)]
    pub utc: bool,
}

impl ShapeArgs {
    /// True if the output is text that people read line by line.
    pub fn is_text(&self) -> bool {
        self.format == Format::Table && self.columns.is_empty()
    }
}
