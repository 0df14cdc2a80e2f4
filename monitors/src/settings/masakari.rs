//! Numbers of masakari-monitors, for which it accepts any value: 0 and negative ones too.
//!
//! A value that cannot work must not stop a monitor that ran under Masakari, so another one is used, with a warning.

use std::ops::RangeInclusive;
use std::time::Duration;

use tachi_config::Reader;

/// The end of a range without an upper limit: that of the type `u32`.
pub(super) const UNLIMITED: i64 = 4_294_967_295;

/// An option of masakari-monitors, to be read.
pub(super) struct Number {
    pub(super) section: &'static str,
    pub(super) option: &'static str,
    pub(super) unit: &'static str,
    pub(super) help: &'static str,
}

/// The value for a timeout of 0 or less.
pub(super) struct NoTimeout {
    pub(super) used: Duration,
    pub(super) reason: &'static str,
}

impl Number {
    /// Reads a duration; the nearest one of `range` if the value is outside of it.
    pub(super) fn seconds(
        &self,
        r: &mut Reader<'_>,
        default: Duration,
        range: &RangeInclusive<Duration>,
    ) -> Duration {
        self.timeout(r, default, range, None)
    }

    /// Reads a duration as [`seconds`](Self::seconds) does, except for 0 and negative numbers if `none` is set.
    pub(super) fn timeout(
        &self,
        r: &mut Reader<'_>,
        default: Duration,
        range: &RangeInclusive<Duration>,
        none: Option<NoTimeout>,
    ) -> Duration {
        let (least, most) = (range.start().as_secs_f64(), range.end().as_secs_f64());
        let limits = limits(least, most);
        let number = r.number(self.section, self.option).unit(self.unit);
        let number = number.default(default.as_secs_f64()).limits(limits.clone());
        let number = number.help(self.help).get();
        let used = number.clamp(least, most);
        match none {
            Some(none) if number <= 0.0 => {
                self.note(r, &none.used.as_secs_f64(), none.reason);
                none.used
            }
            _ => {
                if used.total_cmp(&number).is_ne() {
                    self.note(r, &used, &nearest(&limits));
                }
                Duration::try_from_secs_f64(used).unwrap_or(default)
            }
        }
    }

    /// Reads a whole number; the nearest one of `range` if the value is outside of it.
    pub(super) fn count<T: Default + TryFrom<i64>>(
        &self,
        r: &mut Reader<'_>,
        default: i64,
        range: &RangeInclusive<i64>,
    ) -> T {
        let limits = if *range.end() == UNLIMITED {
            format!("{} or more", range.start())
        } else {
            limits(range.start(), range.end())
        };
        let number = r.int::<i64>(self.section, self.option).unit(self.unit);
        let number = number.default(default).limits(limits.clone());
        let number = number.help(self.help).get();
        let used = number.clamp(*range.start(), *range.end());
        if used != number {
            self.note(r, &used, &nearest(&limits));
        }
        T::try_from(used).unwrap_or_default()
    }

    fn note(&self, r: &mut Reader<'_>, used: &impl ToString, reason: &str) {
        r.replaced(self.section, self.option, &used.to_string(), reason);
    }
}

fn limits(least: impl std::fmt::Display, most: impl std::fmt::Display) -> String {
    format!("{least} to {most}")
}

fn nearest(limits: &str) -> String {
    format!("the supported values are {limits}")
}
