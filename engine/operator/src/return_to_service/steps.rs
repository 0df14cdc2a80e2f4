//! The steps of a recovered host's return to service.
//!
//! The order matters. Casts that were sent to the dead host wait in its queue, and its nova-compute runs them when it starts,
//! even if their instance is gone: so the queue is emptied first. Only a start of nova-compute
//! removes the old copies of evacuated instances: so nothing else may start them.

use tachi_domain::entity::host::MaintenanceReason;
use tachi_domain::nova::MigrationType;
use tachi_domain::recovery::is_drained;

use super::blocking_evacuations::BlockingEvacuations;
use super::facts::ReturnFacts;
use crate::ReturnStepView;

/// Number of the last steps, which are all that a running host needs if nothing is left of a failure.
const OF_A_RUNNING_HOST: usize = 2;

/// State of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepState {
    /// The step is done, as Nova and the database show.
    Done,
    /// The step is not done, as Nova and the database show.
    Open,
    /// The steps after it are done, but this one was not checked, and cannot be checked from here.
    NotChecked,
}

impl StepState {
    const fn of(done: bool) -> Self {
        if done { Self::Done } else { Self::Open }
    }

    /// Returns the state of a step that only an operator on the host or at the broker can check; `over` is true once the host is up again.
    const fn by_a_person(over: bool) -> Self {
        if over { Self::NotChecked } else { Self::Open }
    }

    /// Returns the state as a field: `None` for unknown.
    pub(super) const fn done(self) -> Option<bool> {
        match self {
            Self::Done => Some(true),
            Self::Open => Some(false),
            Self::NotChecked => None,
        }
    }
}

/// A step.
pub(super) struct Step {
    pub(super) known: StepState,
    pub(super) text: String,
    pub(super) commands: Vec<String>,
}

impl Step {
    pub(super) fn view(self) -> ReturnStepView {
        ReturnStepView {
            done: self.known.done(),
            text: self.text,
            commands: self.commands,
        }
    }
}

/// Returns all steps, in order.
pub(super) fn steps(facts: &ReturnFacts) -> Vec<Step> {
    let host = &facts.view.host;
    let name = quoted(&host.name);
    let service = facts.service();
    let up = service.is_some_and(|service| service.up);
    let closing = BlockingEvacuations::of(facts);
    let nothing_open = facts.open.is_none() && facts.migrations.is_ok() && closing.under_way.is_empty();
    let closed = nothing_open && up && closing.not_closed.is_empty();
    let check_step = |known, text: &str, commands: Vec<String>| Step {
        known,
        text: text.to_owned(),
        commands,
    };
    let step = |done, text: &str, commands| check_step(StepState::of(done), text, commands);
    let by_a_person = |text: &str, commands| check_step(StepState::by_a_person(up), text, commands);
    let mut all = vec![
        step(
            nothing_open,
            "keep the host off until its recovery is done and no evacuation from it is under way",
            vec![format!("tachi recovery list --host {name}")],
        ),
        by_a_person(
            "make sure that neither nova-compute nor guests start automatically when it boots \
             (resume_guests_state_on_host_boot = false in its nova.conf)",
            vec![
                "systemctl mask nova-compute    # on the host, from a rescue system or before the network is up".into(),
                "systemctl is-enabled tachi-boot-guard    # if it is enabled, it holds nova-compute, and no mask is needed".into(),
            ],
        ),
        by_a_person(
            "power it on, and check that no guest runs on it",
            vec!["virsh list --all               # on the host".into()],
        ),
        by_a_person(
            "purge its queue on Nova's message broker: queued requests would hit instances that have moved",
            vec![
                "rabbitmqctl list_queues -p VHOST name messages    # VHOST: as in nova.conf's transport_url".into(),
                format!("rabbitmqctl purge_queue -p VHOST {}", quoted(&format!("compute.{}", host.name))),
            ],
        ),
        step(
            closed,
            "start nova-compute: it removes the old copies of evacuated instances and closes the evacuations",
            starts(closing.starts),
        ),
        step(
            closed && service.is_some_and(|service| !service.forced_down),
            if facts.watched {
                "an engine clears forced_down within seconds of that"
            } else {
                "clear forced_down; an engine that watches the host does that automatically"
            },
            vec![format!("openstack compute service set --up {name} nova-compute")],
        ),
        step(
            closed && service.is_some_and(|service| service.enabled),
            "enable it in Nova",
            vec![format!("openstack compute service set --enable {name} nova-compute")],
        ),
        step(
            !host.on_maintenance,
            "clear its maintenance, so that it is protected again",
            vec![format!(
                "openstack segment host update {} {} --on_maintenance False",
                host.segment.id, host.id
            )],
        ),
    ];
    if nothing_to_clean_up(facts) {
        all.drain(..all.len() - OF_A_RUNNING_HOST);
    }
    all
}

/// True if the host runs and nothing was evacuated from it, or if it was drained after it had returned from its last failure: only a
/// running host is drained, and its nova-compute closes the evacuations when it starts. False if that is not known.
pub(super) fn nothing_to_clean_up(facts: &ReturnFacts) -> bool {
    let service = facts.service();
    let runs = service.is_some_and(|service| service.up && !service.forced_down);
    let drained = service.is_some_and(|service| service.disabled_reason.as_deref().is_some_and(is_drained));
    let records = facts.migrations.as_ref();
    let closing = BlockingEvacuations::of(facts);
    let open = !closing.under_way.is_empty() || !closing.not_closed.is_empty();
    let evacuated = records.map_or(true, |all| {
        let any = all
            .iter()
            .any(|migration| migration.kind == MigrationType::Evacuation);
        any && (!drained || open)
    });
    let recovered = facts.watched
        || facts.view.why == Some(MaintenanceReason::Recovery)
        || facts.open.as_ref().is_some_and(|open| !open.kind.is_planned());
    runs && !evacuated && !recovered
}

fn starts(often: usize) -> Vec<String> {
    let mut commands = vec![
        "systemctl unmask --now nova-compute    # on the host".into(),
        "systemctl kill -s USR1 tachi-boot-guard    # on the host, instead, where the boot guard holds it"
            .into(),
    ];
    if often > 1 {
        commands.push(format!(
            "systemctl restart nova-compute    # on the host, until it has started {often} times: it closes one evacuation of \
             an instance at a time"
        ));
    }
    commands
}

/// Quotes a text for a shell; plain names stay as they are.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.chars().all(plain) && !text.starts_with('-') {
        return text.to_owned();
    }
    let text: String = text.chars().filter(|c| !c.is_control()).collect();
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use tachi_domain::MigrationId;
    use tachi_domain::nova::Migration;

    use super::super::checks::tests::{back, evacuation};
    use super::*;

    fn done(facts: &ReturnFacts) -> Vec<Option<bool>> {
        steps(facts).iter().map(|step| step.known.done()).collect()
    }

    /// Covers R12.
    #[test]
    fn the_queue_is_emptied_before_nova_compute_starts() {
        let steps = steps(&back());
        let place = |part: &str| {
            steps
                .iter()
                .position(|step| step.commands.iter().any(|command| command.contains(part)))
                .unwrap()
        };
        let order = [
            place("mask nova-compute    # on the host, from"),
            place("virsh list"),
            place("purge_queue -p VHOST compute.cmp1"),
            place("unmask --now nova-compute"),
            place("--up cmp1"),
            place("--enable cmp1"),
            place("--on_maintenance False"),
        ];
        assert!(order.is_sorted(), "{order:?}");
    }

    #[test]
    fn a_host_that_was_only_drained_has_nothing_to_clear_away() {
        let mut facts = back();
        facts.view.why = None;
        facts.migrations = Ok(vec![]);
        let texts = |facts: &ReturnFacts| steps(facts).into_iter().map(|step| step.text).collect::<Vec<_>>();
        assert_eq!(
            texts(&facts),
            [
                "enable it in Nova",
                "clear its maintenance, so that it is protected again"
            ]
        );
        facts.migrations = Ok(vec![evacuation("completed")]);
        assert_eq!(texts(&facts).len(), 8, "it was evacuated");
        facts.migrations = Err("503".into());
        assert_eq!(texts(&facts).len(), 8, "whether it was is not known");
        facts.migrations = Ok(vec![]);
        facts.view.why = Some(MaintenanceReason::Recovery);
        assert_eq!(texts(&facts).len(), 8, "it was recovered");
        facts.view.why = None;
        if let Ok(Some(service)) = &mut facts.service {
            service.forced_down = true;
        }
        assert_eq!(texts(&facts).len(), 8, "it was fenced");
    }

    /// Nova keeps the records of evacuations for ever.
    #[test]
    fn an_earlier_failure_does_not_add_steps_to_the_return_of_a_drained_host() {
        let mut facts = back();
        facts.view.why = None;
        if let Ok(Some(service)) = &mut facts.service {
            service.disabled_reason = Some("firmware (drained by ada) [tachi drain 9]".into());
        }
        for (status, number) in [("completed", 2), ("done", 8), ("accepted", 8), ("failed", 2)] {
            facts.migrations = Ok(vec![evacuation(status)]);
            assert_eq!(steps(&facts).len(), number, "{status}");
        }
        facts.migrations = Ok(vec![evacuation("completed")]);
        facts.view.why = Some(MaintenanceReason::Recovery);
        assert_eq!(steps(&facts).len(), 8, "it was recovered since");
    }

    /// Covers R22.
    #[test]
    fn steps_are_done_as_far_as_nova_shows() {
        let (yes, no) = (Some(true), Some(false));
        let mut facts = back();
        assert_eq!(done(&facts), [yes, None, None, None, yes, yes, no, no]);
        facts.migrations = Ok(vec![evacuation("done")]);
        assert_eq!(done(&facts), [yes, None, None, None, no, no, no, no]);
        facts.migrations = Ok(vec![evacuation("accepted")]);
        assert_eq!(done(&facts)[0], no);
        let lost = Migration {
            id: MigrationId(2),
            dest: None,
            ..evacuation("accepted")
        };
        facts.migrations = Ok(vec![evacuation("done"), lost]);
        assert_eq!(done(&facts), [yes, None, None, None, no, no, no, no]);
        let typed_commands: Vec<String> = steps(&facts).into_iter().flat_map(|step| step.commands).collect();
        assert!(
            typed_commands
                .iter()
                .any(|command| command.contains("started 2 times")),
            "{typed_commands:?}"
        );
        facts.migrations = Err("503".into());
        assert_eq!(done(&facts)[0], no, "what is not known is not done");
    }

    /// Covers C18.
    #[test]
    fn an_unchecked_step_is_never_shown_as_done() {
        let place = |steps: &[Step], part: &str| {
            let has = |step: &Step| step.commands.iter().any(|command| command.contains(part));
            steps.iter().position(has).unwrap()
        };
        let mut facts = back();
        let back = steps(&facts);
        for part in [
            "mask nova-compute    # on the host, from",
            "virsh list",
            "purge_queue",
        ] {
            let known = back[place(&back, part)].known;
            assert_eq!(known, StepState::NotChecked, "{part}");
            assert_eq!(known.done(), None, "{part}");
        }
        // Before nova-compute is up these steps are open.
        if let Ok(Some(service)) = &mut facts.service {
            service.up = false;
        }
        let steps_away = steps(&facts);
        assert_eq!(
            steps_away[place(&steps_away, "purge_queue")].known,
            StepState::Open
        );
    }

    #[test]
    fn a_hostile_name_stays_one_word_of_the_shell() {
        for (name, expected) in [
            ("cmp-1.example.org", "cmp-1.example.org"),
            ("a; rm -rf /", "'a; rm -rf /'"),
            ("a'b", r"'a'\''b'"),
            ("-v", "'-v'"),
            ("a\nb", "'ab'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(name), expected);
        }
    }
}
