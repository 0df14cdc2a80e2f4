//! Layout of the output: its width, its time zone, and colours.

use std::io::IsTerminal as _;

use chrono::{DateTime, FixedOffset, Local, Offset as _, Utc};
use tachi_domain::Timestamp;
use tachi_operator::when::ago;

use super::ShapeArgs;
use super::paint::painted;
use super::plain;

/// Minimum width of a line.
const MIN_WIDTH: usize = 20;

/// Time zone of the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zone {
    #[default]
    Utc,
    /// The time zone of this machine.
    Local,
    /// A fixed offset east of Greenwich.
    #[cfg(test)]
    Fixed(FixedOffset),
}

#[derive(Clone, Copy, Debug)]
pub struct View {
    /// Maximum width of a line; `None` for no limit.
    pub width: Option<usize>,
    pub zone: Zone,
    pub colours: bool,
    /// Current time of the source.
    pub now: Timestamp,
}

impl View {
    /// Returns the layout for the options and the terminal.
    pub fn of(shape: &ShapeArgs, now: Timestamp) -> Self {
        let is_screen = std::io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let unwanted = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let terminal = || terminal_size::terminal_size_of(std::io::stdout());
        let width = match shape.max_width {
            Some(0) => None,
            Some(width) => Some(usize::from(width)),
            None => terminal().map(|(width, _)| usize::from(width.0)),
        };
        Self {
            width: width.map(|width| width.max(MIN_WIDTH)),
            zone: if shape.utc { Zone::Utc } else { Zone::Local },
            colours: is_screen && !dumb && !unwanted,
            now,
        }
    }

    /// Returns a layout for another renderer, in this time zone.
    pub const fn in_zone(zone: Zone, now: Timestamp) -> Self {
        let mut view = Self::bare(now);
        view.zone = zone;
        view
    }

    /// Returns a layout for another renderer.
    pub const fn bare(now: Timestamp) -> Self {
        Self {
            width: None,
            zone: Zone::Utc,
            colours: false,
            now,
        }
    }

    /// Renders the time of day, to the second.
    pub fn clock(&self, at: Timestamp) -> String {
        let Some(utc) = DateTime::<Utc>::from_timestamp_micros(at.micros()) else {
            return "?".into();
        };
        let Some(offset) = self.offset(utc) else {
            return utc.format("%H:%M:%SZ").to_string();
        };
        utc.with_timezone(&offset).format("%H:%M:%S").to_string()
    }

    /// Renders a time, to the second.
    pub fn time(&self, at: Timestamp) -> String {
        self.written(at, "%H:%M:%S")
    }

    /// Renders a time, to the millisecond.
    pub fn exact_time(&self, at: Timestamp) -> String {
        self.written(at, "%H:%M:%S%.3f")
    }

    /// Renders a time, and how long ago it was.
    pub fn when(&self, at: Timestamp) -> String {
        let from_now = at.micros().saturating_sub(self.now.micros());
        // Clocks differ a little; a time in the future is not shown as past.
        if from_now > 5_000_000 {
            return self.time(at);
        }
        format!("{} ({})", self.time(at), ago(at, self.now))
    }

    fn written(&self, at: Timestamp, form: &str) -> String {
        let Some(utc) = DateTime::<Utc>::from_timestamp_micros(at.micros()) else {
            return "?".into();
        };
        let Some(offset) = self.offset(utc) else {
            // In UTC the format is the same as for programs.
            return utc.format(&format!("%Y-%m-%dT{form}Z")).to_string();
        };
        let there: DateTime<FixedOffset> = utc.with_timezone(&offset);
        there.format(&format!("%Y-%m-%d {form}%:z")).to_string()
    }

    /// Returns the offset of the time zone; `None` for UTC.
    fn offset(&self, utc: DateTime<Utc>) -> Option<FixedOffset> {
        match self.zone {
            Zone::Utc => None,
            Zone::Local => Some(utc.with_timezone(&Local).offset().fix()),
            #[cfg(test)]
            Zone::Fixed(offset) => Some(offset),
        }
    }

    /// Prepares lines for printing: no text from others can move the cursor, and no line is too wide.
    pub fn lines(&self, lines: &[String]) -> Vec<String> {
        let fit = |line: &String| match self.width {
            Some(width) => wrapped(&plain(line), width),
            None => vec![plain(line)],
        };
        let fitted = lines.iter().flat_map(fit);
        if self.colours {
            fitted.map(|line| painted(&line)).collect()
        } else {
            fitted.collect()
        }
    }
}

/// Wraps a text to lines of at most `width`; all but the first are indented further.
pub(super) fn wrapped(line: &str, width: usize) -> Vec<String> {
    let begins = line
        .chars()
        .take_while(|c| matches!(c, ' ' | '│' | '├' | '└' | '─'));
    let moved = (begins.count() + 4).min(width / 2);
    let blanks = " ".repeat(moved);
    // A word that is wider than the line, such as a path, is broken here; otherwise the terminal would break it.
    let options = textwrap::Options::new(width)
        .subsequent_indent(&blanks)
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .break_words(true);
    textwrap::wrap(line, options)
        .into_iter()
        .map(std::borrow::Cow::into_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp::from_micros(1_700_000_000_123_000);

    fn view(zone: Zone) -> View {
        View {
            zone,
            ..View::bare(Timestamp::from_micros(AT.micros() + 240_000_000))
        }
    }

    #[test]
    fn times_are_told_where_they_are_read_and_can_be_typed_back() {
        let east = FixedOffset::east_opt(3_600).unwrap();
        let west = FixedOffset::west_opt(12_600).unwrap();
        for (zone, expected) in [
            (Zone::Utc, "2023-11-14T22:13:20Z"),
            (Zone::Fixed(east), "2023-11-14 23:13:20+01:00"),
            (Zone::Fixed(west), "2023-11-14 18:43:20-03:30"),
        ] {
            let view = view(zone);
            assert_eq!(view.time(AT), expected);
            assert_eq!(view.when(AT), format!("{expected} (4 min ago)"));
            let read = tachi_operator::when::since(expected, view.now).unwrap();
            assert_eq!(read.micros() / 1_000_000, AT.micros() / 1_000_000, "{expected}");
        }
        let utc = view(Zone::Utc);
        assert_eq!(utc.exact_time(AT), "2023-11-14T22:13:20.123Z");
        let later = Timestamp::from_micros(AT.micros() + 3_600_000_000);
        assert_eq!(utc.when(later), "2023-11-14T23:13:20Z");
        assert_eq!(utc.time(Timestamp::from_micros(i64::MAX)), "?");
    }

    #[test]
    fn no_line_is_wider_than_asked_for_whatever_is_in_it() {
        let lines = [
            "  │  ├─ a word and another one and so on".to_owned(),
            format!("      -> tachi recovery show {}", "x".repeat(90)),
            format!("{}deep", " ".repeat(70)),
            "日本語の名前のインスタンス instance".to_owned(),
            "a\u{1b}[2J\nb".to_owned(),
            String::new(),
        ];
        for width in [20, 40, 80] {
            let view = View {
                width: Some(width),
                ..view(Zone::Utc)
            };
            for line in view.lines(&lines) {
                assert!(textwrap::core::display_width(&line) <= width, "{width}: {line:?}");
                assert!(!line.contains(['\u{1b}', '\n']), "{line:?}");
            }
        }
        assert_eq!(view(Zone::Utc).lines(&lines).len(), lines.len());
    }
}
