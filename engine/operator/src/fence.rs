//! Use of fence devices by hand: powering a host off and on, and trusting the machine behind a device.

pub mod switch;
pub mod trust;

use tachi_domain::power::Power;

/// Returns the reading of a device in a word.
pub fn power_text(power: Power) -> &'static str {
    match power {
        Power::On => "on",
        Power::Off => "off",
        Power::Unknown => "unknown",
    }
}
