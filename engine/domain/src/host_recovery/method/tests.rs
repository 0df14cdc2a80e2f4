use super::*;

#[test]
fn each_method_has_its_ways() {
    use PlacementTarget::{Reserved, Scheduler};
    let cases = [
        (RecoveryMethod::Auto, Scheduler, None),
        (RecoveryMethod::ReservedHost, Reserved, None),
        (RecoveryMethod::AutoPriority, Scheduler, Some(Reserved)),
        (RecoveryMethod::RhPriority, Reserved, Some(Scheduler)),
    ];
    for (method, way, then) in cases {
        let route = PlacementPlan::new(method, None);
        assert_eq!((route.way, route.then), (way, then), "{method}");
    }
}

/// Covers EW23.
#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn only_a_failure_of_the_host_takes_the_other_way() {
    use RecoveryMethod::{Auto, AutoPriority, ReservedHost, RhPriority};
    let cases = [
        (
            "auto has no other way",
            Auto,
            RetryElsewhere::NoHost,
            1,
            NextStep::Again,
        ),
        (
            "auto gives up in the end",
            Auto,
            RetryElsewhere::NoHost,
            3,
            NextStep::GiveUp,
        ),
        (
            "no valid host, at once",
            AutoPriority,
            RetryElsewhere::NoHost,
            1,
            NextStep::OtherWay,
        ),
        (
            "a late claim, again first",
            AutoPriority,
            RetryElsewhere::OtherHost,
            1,
            NextStep::Again,
        ),
        (
            "a late claim, in the end",
            AutoPriority,
            RetryElsewhere::OtherHost,
            3,
            NextStep::OtherWay,
        ),
        (
            "a broken rebuild, again",
            AutoPriority,
            RetryElsewhere::MayHelp,
            2,
            NextStep::Again,
        ),
        (
            "a broken rebuild spends no host",
            AutoPriority,
            RetryElsewhere::MayHelp,
            3,
            NextStep::GiveUp,
        ),
        (
            "refused, looked at again",
            AutoPriority,
            RetryElsewhere::No,
            1,
            NextStep::Again,
        ),
        (
            "refused for good",
            AutoPriority,
            RetryElsewhere::No,
            3,
            NextStep::GiveUp,
        ),
        (
            "refused for good on a reserved host",
            RhPriority,
            RetryElsewhere::No,
            3,
            NextStep::GiveUp,
        ),
        (
            "full, so another one",
            ReservedHost,
            RetryElsewhere::OtherHost,
            1,
            NextStep::Again,
        ),
        (
            "full three times",
            ReservedHost,
            RetryElsewhere::OtherHost,
            3,
            NextStep::GiveUp,
        ),
        (
            "full three times, then the scheduler",
            RhPriority,
            RetryElsewhere::NoHost,
            3,
            NextStep::OtherWay,
        ),
        (
            "broken on the reserved host, then the scheduler",
            RhPriority,
            RetryElsewhere::MayHelp,
            3,
            NextStep::OtherWay,
        ),
    ];
    for (name, method, retry_elsewhere, failures, next) in cases {
        let mut route = PlacementPlan::new(method, None);
        assert_eq!(
            route.after_failure(retry_elsewhere, failed(failures, 0), patience(0)),
            next,
            "{name}"
        );
    }
}

fn failed(times: u32, seconds: u64) -> FailureCount {
    FailureCount {
        times,
        lasts: Duration::from_secs(seconds),
    }
}

fn patience(seconds: u64) -> RetryPolicy {
    RetryPolicy {
        attempts: 3,
        retry_for: Duration::from_secs(seconds),
    }
}

#[test]
fn a_transient_failure_is_retried_until_its_time_limit() {
    use RecoveryMethod::{Auto, AutoPriority, ReservedHost, RhPriority};
    let cases = [
        (
            "no host for want of a broker",
            Auto,
            RetryElsewhere::NoHost,
            NextStep::Again,
            NextStep::GiveUp,
        ),
        (
            "broken for want of a broker",
            Auto,
            RetryElsewhere::MayHelp,
            NextStep::Again,
            NextStep::GiveUp,
        ),
        (
            "full",
            Auto,
            RetryElsewhere::OtherHost,
            NextStep::Again,
            NextStep::GiveUp,
        ),
        (
            "refused for good",
            Auto,
            RetryElsewhere::No,
            NextStep::Again,
            NextStep::GiveUp,
        ),
        (
            "refused for good, with another way left",
            RhPriority,
            RetryElsewhere::No,
            NextStep::Again,
            NextStep::GiveUp,
        ),
        (
            "the other way at once",
            AutoPriority,
            RetryElsewhere::OtherHost,
            NextStep::OtherWay,
            NextStep::OtherWay,
        ),
        (
            "broken: no host is spent on it",
            AutoPriority,
            RetryElsewhere::MayHelp,
            NextStep::Again,
            NextStep::GiveUp,
        ),
        (
            "no further host out of reserve",
            ReservedHost,
            RetryElsewhere::NoHost,
            NextStep::GiveUp,
            NextStep::GiveUp,
        ),
        (
            "the scheduler after three",
            RhPriority,
            RetryElsewhere::NoHost,
            NextStep::OtherWay,
            NextStep::OtherWay,
        ),
    ];
    for (name, method, retry_elsewhere, before, after) in cases {
        for (seconds, next) in [(179, before), (180, after)] {
            let mut route = PlacementPlan::new(method, None);
            let got = route.after_failure(retry_elsewhere, failed(7, seconds), patience(180));
            assert_eq!(got, next, "{name} after {seconds} s");
        }
        let mut route = PlacementPlan::new(method, None);
        let first = route.after_failure(retry_elsewhere, failed(2, 500), patience(180));
        let turned = (method, retry_elsewhere) == (AutoPriority, RetryElsewhere::NoHost);
        assert_eq!(
            first,
            if turned {
                NextStep::OtherWay
            } else {
                NextStep::Again
            },
            "{name}: attempts come first"
        );
    }
}

#[test]
fn no_instance_alternates_forever() {
    for method in [RecoveryMethod::AutoPriority, RecoveryMethod::RhPriority] {
        let mut route = PlacementPlan::new(method, None);
        assert_eq!(route.switch_target(), NextStep::OtherWay);
        assert_eq!(route.switch_target(), NextStep::GiveUp, "{method}");
    }
}
