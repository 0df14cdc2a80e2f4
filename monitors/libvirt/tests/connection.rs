//! The client against a daemon that is no libvirtd. The real one is in `tests/parts/libvirt.sh`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    dead_code,
    reason = "a test that cannot go on has failed"
)]

#[path = "support/fake.rs"]
mod fake;

use std::time::Duration;

use fake::{Agent, Fake, guest};
use tachi_libvirt::{
    Address, CloseReason, Connection, DomainEventKind, DomainFilter, DomainState, ErrorCode, EventKind,
    Events, Keepalive, Lifecycle, OpenError, Options,
};

struct Harness {
    fake: Fake,
    _folder: tempfile::TempDir,
}

impl Harness {
    fn set(change: impl FnOnce(&mut Fake)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut fake = Fake::new(folder.path());
        change(&mut fake);
        fake.start();
        Self {
            fake,
            _folder: folder,
        }
    }

    async fn open(&self, options: &Options) -> Result<(Connection, Events), OpenError> {
        let address = Address::parse(&self.fake.uri(), true).unwrap();
        Connection::open(&address, options).await
    }
}

/// No pings, so that nothing but the test moves.
fn quiet_options() -> Options {
    Options {
        keepalive: None,
        ..Options::default()
    }
}

fn keepalive_options(interval: u64) -> Options {
    Options {
        keepalive: Some(Keepalive {
            interval: Duration::from_millis(interval),
            count: 3,
        }),
        ..Options::default()
    }
}

#[tokio::test]
async fn it_opens_lists_and_looks() {
    let harness = Harness::set(|_| {});
    let (alive, mut off, mut passing) = (guest(1), guest(2), guest(3));
    (off.state, off.reason) = (5, 3);
    passing.persistent = false;
    passing.metadata = None;
    for guest in [&alive, &off, &passing] {
        harness.fake.add(guest.clone());
    }
    let (connection, _events) = harness.open(&quiet_options()).await.unwrap();
    assert_eq!(harness.fake.opened(), [("qemu:///system".to_owned(), 1)]);
    assert_eq!(connection.version().await.unwrap(), 9_000_000);

    let uuids =
        |domains: Vec<tachi_libvirt::Domain>| domains.iter().map(|domain| domain.uuid).collect::<Vec<_>>();
    let persistent = connection.domains(DomainFilter::Persistent).await.unwrap();
    assert_eq!((persistent[0].id, persistent[1].id), (1, -1));
    assert_eq!(uuids(persistent.clone()), [alive.uuid, off.uuid]);
    assert_eq!(
        uuids(connection.domains(DomainFilter::Transient).await.unwrap()),
        [passing.uuid]
    );
    assert_eq!(
        uuids(connection.domains(DomainFilter::Running).await.unwrap()),
        [alive.uuid, passing.uuid]
    );

    assert_eq!(
        connection.state(&persistent[1]).await.unwrap(),
        Some((DomainState::Shutoff, tachi_libvirt::shutoff::CRASHED))
    );
    let nova = "http://openstack.org/xmlns/libvirt/nova/1.1";
    assert!(connection.metadata(&persistent[0], nova).await.unwrap().is_some());
    let passing_domain = connection.lookup(passing.uuid).await.unwrap().unwrap();
    assert_eq!(connection.metadata(&passing_domain, nova).await.unwrap(), None);
    assert!(
        connection
            .xml(&persistent[0])
            .await
            .unwrap()
            .unwrap()
            .contains("guest_agent")
    );

    harness.fake.remove(passing.uuid);
    assert_eq!(connection.state(&passing_domain).await.unwrap(), None);
    assert_eq!(connection.metadata(&passing_domain, nova).await.unwrap(), None);
    assert_eq!(connection.lookup(passing.uuid).await.unwrap(), None);
    connection.close().await;
}

#[tokio::test]
async fn events_come_in_order_with_their_time() {
    let harness = Harness::set(|_| {});
    let (connection, mut events) = harness.open(&quiet_options()).await.unwrap();
    for kind in [
        EventKind::Lifecycle,
        EventKind::IoError,
        EventKind::AgentLifecycle,
    ] {
        connection.register(kind).await.unwrap();
    }
    assert_eq!(harness.fake.registered(), [0, 4, 18]);
    let (one, other) = (guest(1), guest(2));
    let before = std::time::SystemTime::now();
    harness.fake.lifecycle(&one, 5, 5);
    harness.fake.bare(&other, 319);
    harness.fake.io_error(&one, 2);
    harness.fake.watchdog(&other, 3);
    let mut received = Vec::new();
    for _ in 0..5 {
        let event = events.next().await.unwrap();
        assert!(event.at >= before);
        received.push((event.domain.uuid, event.what));
    }
    assert_eq!(
        received,
        [
            (one.uuid, DomainEventKind::Lifecycle(Lifecycle::Stopped, 5)),
            (other.uuid, DomainEventKind::Reboot),
            (one.uuid, DomainEventKind::IoError(2)),
            (one.uuid, DomainEventKind::IoErrorReason(2, "enospc".to_owned())),
            (other.uuid, DomainEventKind::Watchdog(3)),
        ]
    );
}

#[tokio::test]
async fn the_end_of_a_daemon_is_reported_after_its_last_event() {
    let harness = Harness::set(|_| {});
    let (connection, mut events) = harness.open(&quiet_options()).await.unwrap();
    harness.fake.lifecycle(&guest(1), 5, 5);
    let first = events.next().await.unwrap();
    assert_eq!(first.what, DomainEventKind::Lifecycle(Lifecycle::Stopped, 5));
    harness.fake.stop().await;
    let reason = events.next().await.unwrap_err();
    assert!(matches!(*reason, CloseReason::Hangup), "{reason}");
    let error = connection.version().await.unwrap_err();
    assert!(error.to_string().contains("ended before"), "{error}");
    assert!(matches!(
        harness.open(&quiet_options()).await,
        Err(OpenError::Connect { .. })
    ));
}

#[tokio::test]
async fn a_frozen_daemon_is_noticed_by_its_silence() {
    let harness = Harness::set(|_| {});
    let (_connection, mut events) = harness.open(&keepalive_options(20)).await.unwrap();
    harness.fake.freeze();
    let reason = events.next().await.unwrap_err();
    assert!(matches!(*reason, CloseReason::Silent { .. }), "{reason}");
}

#[tokio::test]
async fn a_daemon_that_was_frozen_before_is_noticed_by_the_first_call() {
    let harness = Harness::set(|_| {});
    harness.fake.freeze();
    let options = Options {
        call_timeout: Duration::from_millis(30),
        ..Options::default()
    };
    let error = harness.open(&options).await.unwrap_err();
    assert!(matches!(error, OpenError::Call { .. }), "{error}");
}

#[tokio::test]
async fn pings_are_answered_and_an_idle_connection_lives() {
    let harness = Harness::set(|_| {});
    let (connection, mut events) = harness.open(&keepalive_options(10)).await.unwrap();
    harness.fake.ping();
    // Each answered call is later than the ping on the same connection; the pong was sent before.
    connection.version().await.unwrap();
    connection.version().await.unwrap();
    assert_eq!(harness.fake.pongs(), 1);
    // Longer than four intervals without anything but pings of this side.
    let idle = tokio::time::timeout(Duration::from_millis(120), events.next()).await;
    assert!(idle.is_err(), "{idle:?}");
}

#[tokio::test]
async fn a_daemon_without_keepalive_is_not_pinged() {
    let harness = Harness::set(|fake| fake.keepalive = false);
    let (_connection, mut events) = harness.open(&keepalive_options(5)).await.unwrap();
    let idle = tokio::time::timeout(Duration::from_millis(100), events.next()).await;
    assert!(idle.is_err(), "{idle:?}");
}

#[tokio::test]
async fn a_socket_that_asks_for_authentication_is_named() {
    let harness = Harness::set(|fake| fake.polkit = true);
    let error = harness.open(&quiet_options()).await.unwrap_err();
    assert!(matches!(error, OpenError::Authentication { .. }), "{error}");
}

#[tokio::test]
async fn more_events_than_may_wait_end_the_connection_and_none_before_is_lost() {
    let harness = Harness::set(|_| {});
    let options = Options {
        queue: 3,
        ..quiet_options()
    };
    let (connection, mut events) = harness.open(&options).await.unwrap();
    for number in 1..=5 {
        harness.fake.bare(&guest(number), 319);
    }
    // Ends once the fourth has come.
    while connection.version().await.is_ok() {}
    for number in 1..=3 {
        assert_eq!(events.next().await.unwrap().domain.uuid, guest(number).uuid);
    }
    let reason = events.next().await.unwrap_err();
    assert!(matches!(*reason, CloseReason::Overflow { limit: 3 }), "{reason}");
}

#[tokio::test]
async fn bytes_that_make_no_sense_end_the_connection() {
    for (case, bytes) in [
        ("a length of gigabytes", vec![0xff; 28]),
        ("an event cut short", {
            let mut bytes = Vec::new();
            for number in [32_u32, 0x2000_8086, 1, 318, 2, 0, 0, 7] {
                bytes.extend(number.to_be_bytes());
            }
            bytes
        }),
        ("a call", {
            let mut bytes = Vec::new();
            for number in [28_u32, 0x2000_8086, 1, 1, 0, 0, 0] {
                bytes.extend(number.to_be_bytes());
            }
            bytes
        }),
    ] {
        let harness = Harness::set(|_| {});
        let (_connection, mut events) = harness.open(&quiet_options()).await.unwrap();
        harness.fake.send_bytes(&bytes);
        let reason = events.next().await.unwrap_err();
        assert!(matches!(*reason, CloseReason::Malformed(_)), "{case}: {reason}");
    }
}

#[tokio::test]
async fn agents_answer_hang_or_are_not_there_and_never_more_than_four_at_once() {
    let harness = Harness::set(|_| {});
    for number in 1..=12 {
        let mut guest = guest(number);
        guest.agent = [Agent::Answers, Agent::NotConnected, Agent::Hangs][number as usize % 3];
        harness.fake.add(guest);
    }
    let (connection, _events) = harness.open(&quiet_options()).await.unwrap();
    let mut pings = tokio::task::JoinSet::new();
    for domain in connection.domains(DomainFilter::Running).await.unwrap() {
        let connection = connection.clone();
        pings.spawn(async move {
            let ping = "{\"execute\":\"guest-ping\"}";
            (
                domain.id,
                connection
                    .agent_command(&domain, ping, Duration::from_secs(2))
                    .await,
            )
        });
    }
    while let Some(done) = pings.join_next().await {
        let (id, answer) = done.unwrap();
        if id % 3 == 0 {
            assert_eq!(answer.unwrap(), "{\"return\":{}}");
        } else {
            assert_eq!(answer.unwrap_err().code(), Some(ErrorCode::AGENT_UNRESPONSIVE));
        }
    }
    assert!(
        harness.fake.most_busy_agents() <= 4,
        "{}",
        harness.fake.most_busy_agents()
    );
}
