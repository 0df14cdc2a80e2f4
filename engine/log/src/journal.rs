//! `use_journal`: systemd's journal, with oslo.log's priorities.
//!
//! Each value is a field of its own (`REQUEST_ID`, `HOST`, ...), in addition to the standard fields of the journal
//! (`PRIORITY`, `CODE_FILE`, `CODE_LINE`, `SYSLOG_IDENTIFIER`). `TARGET` is oslo.log's `LOGGER_NAME`.

use std::io;

use tracing::field::Value;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::event::{MESSAGE, Values};

pub(crate) struct Journal(tracing_journald::Layer);

impl Journal {
    /// Opens the journal for a program of this name.
    pub(crate) fn open(program: &str) -> io::Result<Self> {
        let priorities = PriorityMappings {
            error: Priority::Error,
            warn: Priority::Warning,
            info: Priority::Informational,
            debug: Priority::Debug,
            trace: Priority::Debug,
        };
        let layer = tracing_journald::layer()?
            .with_priority_mappings(priorities)
            .with_field_prefix(None)
            .with_syslog_identifier(program.to_owned());
        Ok(Self(layer))
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Journal {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, record: &Record<'_>, context: Context<'_, S>) {
        self.0.on_record(id, record, context);
    }

    /// `journalctl` shows only the message, so the values are part of it too.
    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let values = Values::of(event);
        let fields = event.metadata().fields();
        let texts: Vec<Option<String>> = fields
            .iter()
            .map(|field| match field.name() {
                MESSAGE => Some(values.sentence(&[])),
                name => values.text(name),
            })
            .collect();
        let texts: Vec<Option<&dyn Value>> = texts
            .iter()
            .map(|text| text.as_ref().map(|text| text as &dyn Value))
            .collect();
        let set = fields.value_set_all(&texts);
        self.0.on_event(&Event::new(event.metadata(), &set), context);
    }
}
