//! The values of an event and of the spans around it.

use std::fmt;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_log::NormalizeEvent as _;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// Fields with their values, in the order of the code.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(Vec<(&'static str, Value)>);

impl Values {
    /// Returns the fields of an event, including its message.
    pub(crate) fn of(event: &Event<'_>) -> Self {
        let mut values = Self::default();
        event.record(&mut values);
        // Events of crates that log through `log` carry their metadata as fields, which are removed here.
        if event.normalized_metadata().is_some() {
            values.0.retain(|(name, _)| !name.starts_with("log."));
        }
        values
    }

    /// Adds the fields of an outer span. Fields of the event and of inner spans take precedence.
    pub(crate) fn inherit(&mut self, outer: &Self) {
        for (name, value) in &outer.0 {
            if self.get(name).is_none() {
                self.0.push((name, value.clone()));
            }
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value)
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        let shown = |value: &Value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), ToOwned::to_owned)
        };
        self.get(name).map(shown)
    }

    /// Returns the message, followed by ` name=value` for each field except those in `elsewhere`.
    pub(crate) fn sentence(&self, elsewhere: &[&str]) -> String {
        let mut sentence = self.text(MESSAGE).unwrap_or_default();
        for (name, value) in self.others(elsewhere) {
            if !sentence.is_empty() {
                sentence.push(' ');
            }
            sentence.push_str(name);
            sentence.push('=');
            match value.as_str().filter(|text| is_word(text)) {
                Some(word) => sentence.push_str(word),
                None => sentence.push_str(&value.to_string()),
            }
        }
        sentence
    }

    /// Returns every field except the message and those in `elsewhere`.
    pub(crate) fn others<'v>(
        &'v self,
        elsewhere: &[&str],
    ) -> impl Iterator<Item = (&'static str, &'v Value)> {
        let rest = self
            .0
            .iter()
            .filter(|(name, _)| *name != MESSAGE && !elsewhere.contains(name));
        rest.map(|(name, value)| (*name, value))
    }

    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.retain(|(name, _)| *name != field.name());
        self.0.push((field.name(), value.into()));
    }
}

pub(crate) const MESSAGE: &str = "message";

/// True if a text needs no quotes.
fn is_word(text: &str) -> bool {
    let plain = |letter: char| !letter.is_whitespace() && !letter.is_control() && letter != '"';
    !text.is_empty() && text.chars().all(plain)
}

impl Visit for Values {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }
}

/// A layer that stores the values of each span, for the lines of events inside the span.
pub(crate) struct Spans;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        if let Some(span) = context.span(id) {
            let mut values = Values::default();
            attributes.record(&mut values);
            span.extensions_mut().insert(values);
        }
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(values) = span.extensions_mut().get_mut::<Values>()
        {
            record.record(values);
        }
    }
}
