use tachi_domain::recovery::RecoveryKind;
use tachi_domain::{HostId, NotificationId, RecoveryId, Timestamp, Wait};
use tachi_engine::ports::operator::{MoveCounts, RecoverySummary};
use uuid::Uuid;

use super::*;
use crate::out::at_widths;

fn row(number: u128, host: &str, message: Option<&str>) -> RecoveryView {
    let opened_at = Timestamp::from_micros(1_700_000_000_000_000);
    RecoveryView::from(&RecoverySummary {
        id: RecoveryId(Uuid::from_u128(0xe241_c4a2 << 96 | number)),
        notification: NotificationId(Uuid::from_u128(number)),
        kind: RecoveryKind::Host,
        host: host.into(),
        host_id: HostId(Uuid::from_u128(1)),
        segment: None,
        moves: MoveCounts {
            pending: 25,
            ongoing: 3,
            succeeded: 12,
            ..MoveCounts::default()
        },
        life: Life::Open,
        status: "running".into(),
        wait: message.map(|_| Wait::bare(WaitsFor::Alive, opened_at)),
        message: message.map(str::to_owned),
        owner: None,
        opened_at,
        first_reported_at: opened_at,
    })
}

/// Of the 371 columns that this list once had on a terminal of 100.
#[test]
fn the_list_of_recoveries_fits_the_terminal() {
    let long = "host compute-003.rack-7.az-1.cloud.example.org is held: 2 of the 4 hosts of segment az-1 are out, which is more than \
                half; approve it if they really are, or abort it";
    let rows = vec![
        row(1, "compute-003.rack-7.az-1.cloud.example.org", Some(long)),
        row(2, "compute-004", None),
        row(3, "evil\u{1b}[2J", Some("日本語 \u{202e}gnp")),
    ];
    insta::assert_snapshot!(at_widths(
        &sheet(rows),
        Timestamp::from_micros(1_700_000_240_000_000)
    ));
}

#[test]
fn an_empty_list_says_what_was_looked_for() {
    let everything = RecoveryFilter {
        closed: true,
        ..RecoveryFilter::default()
    };
    let of_a_host = RecoveryFilter {
        host: Some("compute-003".into()),
        ..everything.clone()
    };
    for (filter, expected) in [
        (RecoveryFilter::default(), "no recovery is open"),
        (everything, "no recoveries yet"),
        (of_a_host, "no recovery matches"),
    ] {
        assert_eq!(nothing_listed(&filter), expected);
    }
}
