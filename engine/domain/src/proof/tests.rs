use super::*;
use crate::timestamp::Timestamp;

fn reading(at_ms: u64, power: Power) -> DatedReading {
    let reading = PowerReading {
        power,
        raw: "off".into(),
        device: "maas".into(),
        at: Timestamp::from_micros(0),
        machine: None,
    };
    DatedReading {
        started: Elapsed::from_millis(at_ms),
        reading,
    }
}

#[test]
fn only_two_readings_of_off_far_enough_apart_are_a_proof() {
    let gap = Duration::from_secs(3);
    let cases = [
        (
            "off, off 3 s later",
            reading(0, Power::Off),
            reading(3_000, Power::Off),
            true,
        ),
        (
            "off, off too soon",
            reading(0, Power::Off),
            reading(2_999, Power::Off),
            false,
        ),
        (
            "the same reading twice",
            reading(5_000, Power::Off),
            reading(5_000, Power::Off),
            false,
        ),
        (
            "in the wrong order",
            reading(9_000, Power::Off),
            reading(0, Power::Off),
            false,
        ),
        (
            "on, then off",
            reading(0, Power::On),
            reading(3_000, Power::Off),
            false,
        ),
        (
            "off, then unknown",
            reading(0, Power::Off),
            reading(3_000, Power::Unknown),
            false,
        ),
        (
            "unknown is not off",
            reading(0, Power::Unknown),
            reading(3_000, Power::Unknown),
            false,
        ),
    ];
    for (name, first, second, expected) in cases {
        assert_eq!(
            Proof::from_level(1, &[(&first, &second)], gap).is_some(),
            expected,
            "{name}"
        );
    }
}

/// Covers T9, R17.
#[test]
fn readings_of_two_machines_are_not_a_proof() {
    let gap = Duration::from_secs(3);
    let of = |at_ms: u64, machine: Option<&str>| {
        let mut reading = reading(at_ms, Power::Off);
        reading.reading.machine = machine.map(|text| text.parse().unwrap());
        reading
    };
    for (first, second, expected) in [
        (Some("guid=a"), Some("guid=a"), true),
        (Some("guid=a"), Some("guid=b"), false),
        (Some("guid=a"), None, false),
        (None, Some("guid=a"), false),
    ] {
        let pair = (&of(0, first), &of(3_000, second));
        let proof = Proof::from_level(1, &[pair], gap);
        assert_eq!(proof.is_some(), expected, "{first:?}, {second:?}");
    }
    let pair = (&of(0, Some("guid=a")), &of(3_000, Some("guid=a")));
    let mut proof = Proof::from_level(1, &[pair], gap).unwrap();
    let (later, limit) = (Elapsed::from_millis(33_001), Duration::from_secs(30));
    proof.renew_by_reading(0, &of(20_000, Some("guid=b")));
    assert!(!proof.is_fresh(later, limit), "another machine does not renew it");
    proof.renew_by_reading(0, &of(20_000, Some("guid=a")));
    assert!(proof.is_fresh(later, limit));
}

/// Covers R17.
#[test]
fn a_device_proof_ages_and_only_a_later_off_renews_it() {
    let limit = Duration::from_secs(30);
    let pair = (&reading(0, Power::Off), &reading(3_000, Power::Off));
    let mut proof = Proof::from_level(1, &[pair], Duration::from_secs(3)).unwrap();
    assert!(proof.is_fresh(Elapsed::from_millis(33_000), limit));
    assert!(!proof.is_fresh(Elapsed::from_millis(33_001), limit));
    proof.renew_by_reading(0, &reading(20_000, Power::On));
    proof.renew_by_reading(0, &reading(21_000, Power::Unknown));
    proof.renew_by_stillness(Elapsed::from_millis(22_000));
    assert!(
        !proof.is_fresh(Elapsed::from_millis(33_001), limit),
        "none of these renews it"
    );
    proof.renew_by_reading(0, &reading(20_000, Power::Off));
    assert!(proof.is_fresh(Elapsed::from_millis(50_000), limit));
}

/// Covers R17.
#[test]
fn a_proof_of_two_devices_is_as_old_as_the_older_and_ends_with_either() {
    let (gap, limit) = (Duration::from_secs(3), Duration::from_secs(30));
    let (one, two) = (reading(0, Power::Off), reading(3_000, Power::Off));
    let late = reading(5_000, Power::Off);
    assert!(
        Proof::from_level(1, &[], gap).is_none(),
        "a level of nothing proves nothing"
    );
    assert!(
        Proof::from_level(2, &[(&one, &two), (&two, &late)], gap).is_none(),
        "2 s apart"
    );
    let later = reading(6_000, Power::Off);
    let mut proof = Proof::from_level(2, &[(&one, &two), (&two, &later)], gap).unwrap();
    assert_eq!(proof.since(), Elapsed::from_millis(6_000));
    assert!(!proof.is_fresh(Elapsed::from_millis(33_001), limit));
    proof.renew_by_reading(1, &reading(20_000, Power::Off));
    assert!(
        !proof.is_fresh(Elapsed::from_millis(33_001), limit),
        "the other is old"
    );
    proof.renew_by_reading(0, &reading(20_000, Power::Off));
    assert!(proof.is_fresh(Elapsed::from_millis(33_001), limit));
    proof.clear_confirmations();
    proof.renew_by_reading(0, &reading(21_000, Power::Off));
    assert!(!proof.is_confirmed(), "only one device was read");
    proof.renew_by_reading(2, &reading(21_000, Power::Off));
    assert!(!proof.is_confirmed(), "there is no third");
    proof.renew_by_reading(1, &reading(21_000, Power::Off));
    assert!(proof.is_confirmed());
    let sentence = proof.sentence("c1");
    assert!(
        sentence.starts_with("c1 is off, by level 2: maas read \"off\" and maas read"),
        "{sentence}"
    );
}
