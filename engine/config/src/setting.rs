//! An option before it is read: its type, default and limits.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::{
    declaration::Declaration,
    parse::Refusal,
    reader::{Fallback, Reader, Request},
};

/// Parses the values of an option (one, unless it is multi-valued) into its type.
pub(crate) type Parse<T> = Box<dyn Fn(&[String]) -> Result<T, Refusal>>;

/// A typed option of a [`Reader`]. Ends with [`get`](Self::get) or [`optional`](Self::optional).
#[must_use = "nothing is read before `get` or `optional`"]
pub struct Setting<'r, 'i, T> {
    reader: &'r mut Reader<'i>,
    request: Request<T>,
}

impl<'r, 'i, T: 'static> Setting<'r, 'i, T> {
    pub(crate) fn new(
        reader: &'r mut Reader<'i>,
        (section, name): (&str, &str),
        parse: Parse<T>,
        show: fn(&T) -> String,
        unit: &'static str,
    ) -> Self {
        let request = Request {
            section: section.to_owned(),
            name: name.to_owned(),
            parse,
            show,
            fallback: Fallback::None,
            multi: false,
            secret: false,
            harmless: |_| false,
            declaration: Declaration {
                unit: unit.into(),
                ..Declaration::default()
            },
        };
        Self { reader, request }
    }

    pub(crate) fn multi(mut self) -> Self {
        self.request.multi = true;
        self
    }

    /// Masks the value in all output. Not needed for options that are secret in the table.
    pub fn secret(mut self) -> Self {
        self.request.secret = true;
        self
    }

    /// Sets which values of a masked option contain no credentials, so that they cause no warning about the mode of the
    /// file.
    pub fn harmless_if(mut self, harmless: fn(&T) -> bool) -> Self {
        self.request.harmless = harmless;
        self
    }

    /// Sets the value for an option that is not set.
    pub fn default(mut self, value: T) -> Self {
        self.request.fallback = Fallback::Value(value);
        self
    }

    /// Sets the default as text of a configuration file: references to other options are expanded.
    pub fn default_text(mut self, text: impl Into<String>) -> Self {
        self.request.fallback = Fallback::Text(text.into());
        self
    }

    /// Describes the effect of the option, in one sentence without a full stop: for the sample file and the
    /// documentation.
    pub fn help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.request.declaration.help = help.into();
        self
    }

    pub(crate) fn choices(mut self, choices: &[&str]) -> Self {
        self.request.declaration.unit = match choices {
            [all @ .., last] => format!("{} or {last}", all.join(", ")),
            [] => String::new(),
        }
        .into();
        self
    }

    /// Sets the unit of the value, or a more specific name of its type.
    pub fn unit(mut self, unit: &'static str) -> Self {
        self.request.declaration.unit = unit.into();
        self
    }

    /// Describes a default that differs between machines.
    pub fn varies(mut self, with: &'static str) -> Self {
        self.request.declaration.varies = Some(with);
        self
    }

    /// Describes the supported values, for an option that refuses no others.
    pub fn limits(mut self, limits: String) -> Self {
        self.request.declaration.limits = Some(limits);
        self
    }

    /// Refuses values outside of `range`.
    pub fn range(self, range: RangeInclusive<T>) -> Self
    where
        T: PartialOrd,
    {
        let show = self.request.show;
        let limits = format!("{} to {}", show(range.start()), show(range.end()));
        self.check(move |value| {
            if range.contains(value) {
                return Ok(());
            }
            let (least, most) = (show(range.start()), show(range.end()));
            Err(Refusal::new(
                "is out of range",
                format!("write a value between {least} and {most}"),
            ))
        })
        .limits(limits)
    }

    /// Refuses values below `least`.
    pub fn at_least(self, least: T) -> Self
    where
        T: PartialOrd,
    {
        let show = self.request.show;
        let limits = format!("{} or more", show(&least));
        self.check(move |value| {
            if *value >= least {
                return Ok(());
            }
            Err(Refusal::new(
                "is too small",
                format!("write {} or more", show(&least)),
            ))
        })
        .limits(limits)
    }

    /// Adds a check, which runs after the type's own checks.
    pub fn check(mut self, check: impl Fn(&T) -> Result<(), Refusal> + 'static) -> Self {
        let parse = self.request.parse;
        self.request.parse = Box::new(move |texts| {
            let value = parse(texts)?;
            check(&value)?;
            Ok(value)
        });
        self
    }

    /// Returns the value. A missing value without default, or a wrong one, becomes a problem of [`Reader::finish`].
    /// Until then the type's `Default` is used, so that reading continues and finds every problem.
    pub fn get(self) -> T
    where
        T: Default,
    {
        self.reader.take(self.request, true).unwrap_or_default()
    }

    /// Returns the value, or `None` if it is not set or empty (templates render unset options as empty ones).
    pub fn optional(self) -> Option<T> {
        self.reader.take(self.request, false)
    }

    /// Returns the value, or `None` if it is not set; an empty one counts as set, as in oslo.config.
    #[cfg(test)]
    pub(crate) fn parsed_or_none(self) -> Option<T> {
        let key = (
            crate::ini::section_key(&self.request.section),
            crate::ini::name_key(&self.request.name),
        );
        let set = self.reader.is_set(&key.0, &key.1);
        self.reader.take(self.request, set)
    }
}
