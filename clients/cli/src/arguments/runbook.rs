//! `tachi help 3am`: one screen for an operator who was woken up.

pub const WAY: &str = "\
From the alarm to everything green, in order. NAME is a host or an instance.
docs/three-in-the-morning.md is such a night, line by line.

What is it?
  tachi status                         what is down or needs action, and what to type
  tachi show NAME                      why, what is under way, what to do
  tachi recovery show HOST --follow    follow it until it ends
A dead host that nobody has reported
  tachi host report-down HOST --reason TEXT
A recovery is on hold: read the reason, then one of
  tachi recovery approve HOST
  tachi recovery abort HOST
  tachi recovery confirm-off HOST --reason TEXT    only of a host that you saw
                                       without power: its instances start elsewhere
An instance waits: look where it runs (virsh list --all), then one of
  tachi instance list --waiting
  tachi instance resolve NAME --running-on HOST
  tachi instance resolve NAME --not-running-on HOST    only if you saw that it is not
Freeze a host while you work on it
  tachi freeze host HOST --for 2h --reason TEXT
Stop everything: no power-off and no evacuation anywhere
  tachi freeze region --for 1h --reason TEXT
The host comes back: the first shows the steps, the second does the last two
  tachi host return HOST
  tachi host return HOST --do --reason TEXT    on a controller
Is all well? 0 yes, 1 warnings, 2 errors, 3 unknown
  tachi status --check
  tachi doctor
For the morning
  tachi recovery report HOST -o report.html
  tachi show HOST --at 03:05           what was reported then, the result, and why";

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::super::Cli;
    use super::WAY;

    #[test]
    fn operator_each_command_of_the_way_is_one_and_it_fits_a_screen() {
        let mut commands = 0;
        for line in WAY.lines() {
            assert!(line.chars().count() <= 90, "{line}");
            let Some(command) = line.strip_prefix("  tachi ") else {
                continue;
            };
            let command = command.split("   ").next().unwrap();
            let arguments = std::iter::once("tachi").chain(command.split_whitespace());
            assert!(Cli::try_parse_from(arguments).is_ok(), "{command}");
            commands += 1;
        }
        assert_eq!(commands, 18);
        assert!(WAY.lines().count() <= 35);
    }
}
