//! The actions of the contract, performed with a device. Unlike a device, an agent decides: the host is off after two
//! consecutive readings of off.

use std::io::Write;
use std::time::Duration;

use tachi_domain::fault::FaultClass;
use tachi_domain::power::Power;
use tachi_engine::ports::CallError;
use tokio::time::{Instant, sleep};

use crate::device::{Device, Plug};

/// Exit code for success, or for "on" as the result of `status`.
pub(super) const EXIT_SUCCESS: u8 = 0;
pub(super) const FAILED: u8 = 1;
/// Exit code for "off" as the result of `status`.
pub(super) const EXIT_OFF: u8 = 2;

/// Timeouts and delays of an action.
#[derive(Clone, Copy, Debug)]
pub(super) struct PollSchedule {
    /// Limit from the command to the confirmed state; zero means no limit.
    pub(super) power: Duration,
    /// Delay between the command and the first reading.
    pub(super) wait: Duration,
    /// Interval between two readings.
    pub(super) poll: Duration,
    /// Delay before the first step of `off` and `reboot`.
    pub(super) delay: Duration,
}

/// The output of an agent.
pub(super) struct AgentOutput<'a> {
    pub(super) out: &'a mut (dyn Write + Send),
    pub(super) err: &'a mut (dyn Write + Send),
    pub(super) quiet: bool,
    pub(super) verbose: bool,
}

impl AgentOutput<'_> {
    /// Prints a success. A closed pipe is not an error: the exit code is the result.
    pub(super) fn print(&mut self, text: &str) {
        if !self.quiet {
            let _ = writeln!(self.out, "{text}");
        }
    }

    pub(super) fn print_error(&mut self, text: &str) {
        let _ = writeln!(self.err, "{text}");
    }

    fn print_verbose(&mut self, text: &str) {
        if self.verbose {
            let _ = writeln!(self.err, "{text}");
        }
    }
}

/// Powers off until two consecutive readings are off.
pub(super) async fn off(
    device: &dyn Device,
    plug: &Plug,
    polls: PollSchedule,
    out: &mut AgentOutput<'_>,
) -> u8 {
    sleep(polls.delay).await;
    match make_off(device, plug, polls, out).await {
        Ok(was) => {
            out.print(if was {
                "Success: Already OFF"
            } else {
                "Success: Powered OFF"
            });
            EXIT_SUCCESS
        }
        Err(why) => {
            out.print_error(&why);
            FAILED
        }
    }
}

/// Powers on and waits for a reading of on.
pub(super) async fn on(
    device: &dyn Device,
    plug: &Plug,
    polls: PollSchedule,
    out: &mut AgentOutput<'_>,
) -> u8 {
    match make_on(device, plug, polls, out).await {
        Ok(was) => {
            out.print(if was {
                "Success: Already ON"
            } else {
                "Success: Powered ON"
            });
            EXIT_SUCCESS
        }
        Err(why) => {
            out.print_error(&why);
            FAILED
        }
    }
}

/// Powers off, then on. The cluster needs the first half only, so a failure of the second half is only printed.
pub(super) async fn reboot(
    device: &dyn Device,
    plug: &Plug,
    polls: PollSchedule,
    out: &mut AgentOutput<'_>,
) -> u8 {
    sleep(polls.delay).await;
    if let Err(why) = make_off(device, plug, polls, out).await {
        out.print_error(&why);
        return FAILED;
    }
    if let Err(why) = make_on(device, plug, polls, out).await {
        out.print_error(&format!("{why} (the host is off, so it is fenced)"));
    }
    out.print("Success: Rebooted");
    EXIT_SUCCESS
}

/// Prints whether the plug is on, and returns the matching exit code.
pub(super) async fn status(device: &dyn Device, plug: &Plug, out: &mut AgentOutput<'_>) -> u8 {
    match device.read_power(plug).await {
        Ok(reading) => match reading.power {
            Power::On => {
                out.print("Status: ON");
                EXIT_SUCCESS
            }
            Power::Off => {
                out.print("Status: OFF");
                EXIT_OFF
            }
            Power::Unknown => {
                out.print_error(&format!(
                    "Failed: {} reads {:?}, which is neither on nor off",
                    reading.device, reading.raw
                ));
                FAILED
            }
        },
        Err(error) => {
            out.print_error(&failed(&error));
            FAILED
        }
    }
}

fn failed(error: &CallError) -> String {
    format!("Failed: {}", error.fault.text)
}

/// Powers off. Returns true if the host was off already.
async fn make_off(
    device: &dyn Device,
    plug: &Plug,
    polls: PollSchedule,
    out: &mut AgentOutput<'_>,
) -> Result<bool, String> {
    // Two readings of off before any command show that the host was off already, so no command is needed.
    let mut off_readings = 0;
    while off_readings < 2 {
        match read(device, plug, out).await? {
            Some(Power::Off) => off_readings += 1,
            Some(Power::On | Power::Unknown) | None => break,
        }
        if off_readings == 2 {
            return Ok(true);
        }
        sleep(polls.poll).await;
    }
    let started_at = Instant::now();
    let mut again = !command(device.power_off(plug, "fencing by the cluster").await, out)?;
    sleep(polls.wait).await;
    let (mut off_readings, mut repeated) = (0, polls.power.is_zero());
    loop {
        match read(device, plug, out).await? {
            Some(Power::Off) => off_readings += 1,
            Some(Power::On | Power::Unknown) | None => off_readings = 0,
        }
        if off_readings == 2 {
            return Ok(false);
        }
        let elapsed = started_at.elapsed();
        if !polls.power.is_zero() && elapsed >= polls.power {
            return Err("Failed: Timed out waiting to power OFF".to_owned());
        }
        // A rejected command is repeated at once. A command without effect is repeated once, after half of the timeout.
        let late = !repeated && elapsed >= polls.power / 2;
        if off_readings == 0 && (again || late) {
            repeated |= late;
            again = !command(device.power_off(plug, "fencing by the cluster").await, out)?;
        }
        sleep(polls.poll).await;
    }
}

/// Powers on. Returns true if the host was on already.
async fn make_on(
    device: &dyn Device,
    plug: &Plug,
    polls: PollSchedule,
    out: &mut AgentOutput<'_>,
) -> Result<bool, String> {
    if read(device, plug, out).await? == Some(Power::On) {
        return Ok(true);
    }
    let started_at = Instant::now();
    let mut again = !command(device.power_on(plug, "power on by the cluster").await, out)?;
    sleep(polls.wait).await;
    loop {
        if read(device, plug, out).await? == Some(Power::On) {
            return Ok(false);
        }
        if !polls.power.is_zero() && started_at.elapsed() >= polls.power {
            return Err("Failed: Timed out waiting to power ON".to_owned());
        }
        if again {
            again = !command(device.power_on(plug, "power on by the cluster").await, out)?;
        }
        sleep(polls.poll).await;
    }
}

/// Reads the power; `None` if a transient fault prevented the reading.
async fn read(device: &dyn Device, plug: &Plug, out: &mut AgentOutput<'_>) -> Result<Option<Power>, String> {
    match device.read_power(plug).await {
        Ok(reading) => {
            out.print_verbose(&format!("{}: {}", reading.device, reading.raw));
            Ok(Some(reading.power))
        }
        Err(error) if error.fault.class == FaultClass::Transient => {
            out.print_verbose(&failed(&error));
            Ok(None)
        }
        Err(error) => Err(failed(&error)),
    }
}

/// Returns true if the device accepted the command, or may have.
fn command(outcome: Result<(), CallError>, out: &mut AgentOutput<'_>) -> Result<bool, String> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.fault.class == FaultClass::Transient => {
            out.print_verbose(&failed(&error));
            Ok(error.fault.maybe_done)
        }
        Err(error) => Err(failed(&error)),
    }
}

#[cfg(test)]
mod tests;
