//! Durations of Masakari, for which it accepts any number: 0 and negative ones too.

use std::time::Duration;

use crate::parse::Refusal;
use crate::reader::Reader;

/// A duration of Masakari, to be read.
pub struct MasakariSeconds {
    /// Section of the option.
    pub section: &'static str,
    /// Name of the option.
    pub option: &'static str,
    /// Help of the option.
    pub help: &'static str,
    /// Effective value for 0 and negative numbers, for the note about them.
    pub instead: &'static str,
}

impl MasakariSeconds {
    /// Reads the duration; `None` for 0 and negative numbers.
    pub fn read(self, r: &mut Reader<'_>, default: Duration) -> Option<Duration> {
        let setting = r
            .number(self.section, self.option)
            .unit("seconds")
            .check(fits)
            .help(self.help);
        let number = setting.default(default.as_secs_f64()).get();
        self.positive(r, number)
    }

    /// Reads the duration; `None` also if it is not set.
    pub fn read_if_set(self, r: &mut Reader<'_>) -> Option<Duration> {
        let setting = r
            .number(self.section, self.option)
            .unit("seconds")
            .check(fits)
            .help(self.help);
        let number = setting.optional()?;
        self.positive(r, number)
    }

    fn positive(&self, r: &mut Reader<'_>, number: f64) -> Option<Duration> {
        let span = Duration::try_from_secs_f64(number)
            .ok()
            .filter(|span| !span.is_zero());
        if span.is_none() {
            r.without_effect(self.section, self.option, self.instead);
        }
        span
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as checks have it")]
fn fits(number: &f64) -> Result<(), Refusal> {
    match Duration::try_from_secs_f64(number.max(0.0)) {
        Ok(_) => Ok(()),
        Err(_) => Err(Refusal::new("is out of range", "write a number of seconds")),
    }
}
