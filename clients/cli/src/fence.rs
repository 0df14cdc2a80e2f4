//! Output of `tachi fence`.

pub mod check;

use serde_json::json;
use tachi_domain::Timestamp;
use tachi_operator::Failure;

use crate::out::{ShapeArgs, answer};

/// Output fields for a host that was switched.
const SWITCHED: [&str; 4] = ["host", "power", "by", "proof"];

/// Output fields for a host whose devices are confirmed.
const CONFIRMED: [&str; 3] = ["host", "confirmed", "by"];

/// Refuses a column that the answer about a switched host will not have.
pub fn accepts_switched(shape: &ShapeArgs) -> Result<(), Failure> {
    answer::accepts(shape, SWITCHED)
}

/// Refuses a column that the answer about confirmed devices will not have.
pub fn accepts_confirmed(shape: &ShapeArgs) -> Result<(), Failure> {
    answer::accepts(shape, CONFIRMED)
}

/// Prints that a host is off.
pub fn show_off(
    shape: &ShapeArgs,
    now: Timestamp,
    (host, by): (&str, &str),
    proof: &str,
) -> Result<u8, Failure> {
    answer::object(
        shape,
        now,
        || json!({"host": host, "power": "off", "by": by, "proof": proof}),
        |_| vec![format!("{host} is off: {proof}")],
    )?;
    Ok(crate::DONE)
}

/// Prints that a host was powered on; people have read it as progress.
pub fn show_on(
    shape: &ShapeArgs,
    now: Timestamp,
    (host, by): (&str, &str),
    proof: &str,
) -> Result<u8, Failure> {
    answer::object(
        shape,
        now,
        || json!({"host": host, "power": "on", "by": by, "proof": proof}),
        |_| Vec::new(),
    )?;
    Ok(crate::DONE)
}

/// Prints which devices of a host are confirmed; people have read it as progress.
pub fn show_confirmed(
    shape: &ShapeArgs,
    now: Timestamp,
    (host, by): (&str, &str),
    devices: &[String],
) -> Result<u8, Failure> {
    let object = || json!({"host": host, "confirmed": devices, "by": by});
    answer::object(shape, now, object, |_| Vec::new())?;
    Ok(crate::DONE)
}
