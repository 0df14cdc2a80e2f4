//! The types of options.

use std::time::Duration;

use secrecy::SecretString;

use super::{MASK, Reader};
use crate::{
    parse::{self, Integer, Refusal},
    setting::{Parse, Setting},
};

impl<'i> Reader<'i> {
    /// Reads a boolean.
    pub fn bool(&mut self, section: &str, option: &str) -> Setting<'_, 'i, bool> {
        self.one(section, option, parse::boolean, ToString::to_string, "boolean")
    }

    /// Reads a whole number.
    pub fn int<T: Integer>(&mut self, section: &str, option: &str) -> Setting<'_, 'i, T> {
        self.one(section, option, parse::integer, ToString::to_string, "number")
    }

    /// Reads a finite number.
    pub fn number(&mut self, section: &str, option: &str) -> Setting<'_, 'i, f64> {
        self.one(section, option, parse::number, ToString::to_string, "number")
    }

    /// Reads a duration, written as a number of seconds.
    pub fn seconds(&mut self, section: &str, option: &str) -> Setting<'_, 'i, Duration> {
        let show = |value: &Duration| value.as_secs_f64().to_string();
        self.one(section, option, parse::seconds, show, "seconds")
    }

    /// Reads any text.
    pub fn string(&mut self, section: &str, option: &str) -> Setting<'_, 'i, String> {
        self.one(section, option, |text| Ok(text.to_owned()), Clone::clone, "text")
    }

    /// Reads a text that is never shown.
    pub fn secret(&mut self, section: &str, option: &str) -> Setting<'_, 'i, SecretString> {
        self.one(
            section,
            option,
            |text| Ok(SecretString::from(text)),
            |_| MASK.to_owned(),
            "text",
        )
        .secret()
    }

    /// Reads a comma separated list.
    pub fn list(&mut self, section: &str, option: &str) -> Setting<'_, 'i, Vec<String>> {
        self.one(
            section,
            option,
            |text| Ok(parse::list(text)),
            |items| items.join(", "),
            "list",
        )
    }

    /// Reads an option that may be set several times. All values count, those of earlier files first.
    pub fn multi(&mut self, section: &str, option: &str) -> Setting<'_, 'i, Vec<String>> {
        let parse: Parse<Vec<String>> = Box::new(|texts| Ok(texts.to_vec()));
        Setting::new(
            self,
            (section, option),
            parse,
            |items| items.join("\n"),
            "text, several times",
        )
        .multi()
    }

    /// Reads one of `choices`.
    pub fn choice(
        &mut self,
        section: &str,
        option: &str,
        choices: &'static [&'static str],
    ) -> Setting<'_, 'i, &'static str> {
        self.one(
            section,
            option,
            move |text| parse::choice(text, choices),
            |value| (*value).to_owned(),
            "",
        )
        .choices(choices)
    }

    /// Reads an IP address or a host name.
    pub fn host(&mut self, section: &str, option: &str) -> Setting<'_, 'i, String> {
        self.one(section, option, parse::host, Clone::clone, "address")
    }

    /// Reads a URL with a host and one of `schemes`. Credentials in it are not shown.
    pub fn url(
        &mut self,
        section: &str,
        option: &str,
        schemes: &'static [&'static str],
    ) -> Setting<'_, 'i, String> {
        self.one(
            section,
            option,
            move |text| parse::url(text, schemes),
            |text| parse::without_credentials(text),
            "URL",
        )
    }

    /// Reads a type of the component: `parse` parses a text, `show` formats the value.
    pub fn parsed<T: 'static>(
        &mut self,
        section: &str,
        option: &str,
        parse: impl Fn(&str) -> Result<T, Refusal> + 'static,
        show: fn(&T) -> String,
    ) -> Setting<'_, 'i, T> {
        self.one(section, option, parse, show, "text")
    }

    fn one<T: 'static>(
        &mut self,
        section: &str,
        option: &str,
        parse: impl Fn(&str) -> Result<T, Refusal> + 'static,
        show: fn(&T) -> String,
        unit: &'static str,
    ) -> Setting<'_, 'i, T> {
        let parse: Parse<T> = Box::new(move |texts| parse(texts.last().map_or("", String::as_str)));
        Setting::new(self, (section, option), parse, show, unit)
    }
}
