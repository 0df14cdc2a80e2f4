use std::os::unix::net::UnixStream;
use std::sync::Mutex as StdMutex;

use zbus::connection::Builder;
use zbus::object_server::{InterfaceRef, SignalEmitter};

use super::*;

const UNIT: &str = "/org/freedesktop/systemd1/unit/nova_2dcompute_2eservice";

/// The calls to systemd.
type SystemdCalls = Arc<StdMutex<Vec<String>>>;

struct FakeManager {
    calls: SystemdCalls,
    refuse: bool,
    unit: &'static str,
}

#[zbus::interface(name = "org.freedesktop.systemd1.Manager")]
impl FakeManager {
    fn subscribe(&self) {
        self.calls.lock().unwrap().push("subscribe".to_owned());
    }

    fn load_unit(&self, name: &str) -> fdo::Result<OwnedObjectPath> {
        if name != self.unit {
            return Err(fdo::Error::Failed(format!("no {name}")));
        }
        Ok(OwnedObjectPath::try_from(UNIT).unwrap())
    }

    fn start_unit(&self, name: &str, mode: &str) -> fdo::Result<OwnedObjectPath> {
        self.calls.lock().unwrap().push(format!("start {name} {mode}"));
        if self.refuse {
            return Err(fdo::Error::AccessDenied("Permission denied".to_owned()));
        }
        Ok(OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/1").unwrap())
    }

    fn restart_unit(&self, name: &str, mode: &str) -> fdo::Result<OwnedObjectPath> {
        self.calls.lock().unwrap().push(format!("restart {name} {mode}"));
        if self.refuse {
            return Err(fdo::Error::AccessDenied("Permission denied".to_owned()));
        }
        Ok(OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/1").unwrap())
    }
}

struct FakeUnit {
    active: String,
    load: String,
    sub: &'static str,
    job: u32,
}

#[zbus::interface(name = "org.freedesktop.systemd1.Unit")]
impl FakeUnit {
    #[zbus(property)]
    fn active_state(&self) -> String {
        self.active.clone()
    }
    #[zbus(property)]
    fn sub_state(&self) -> &'static str {
        self.sub
    }
    #[zbus(property)]
    fn load_state(&self) -> String {
        self.load.clone()
    }
    #[zbus(property)]
    fn job(&self) -> (u32, OwnedObjectPath) {
        (self.job, OwnedObjectPath::try_from("/").unwrap())
    }
}

/// A systemd at the other end of a socket.
struct Fake {
    server: Connection,
    calls: SystemdCalls,
}

impl Fake {
    async fn start(refuse: bool) -> (Self, Systemd) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let calls = SystemdCalls::default();
        let manager = FakeManager {
            calls: Arc::clone(&calls),
            refuse,
            unit: "nova-compute.service",
        };
        let unit = FakeUnit {
            active: "active".to_owned(),
            load: "loaded".to_owned(),
            sub: "sub",
            job: 0,
        };
        let guid = zbus::Guid::generate();
        let server = Builder::unix_stream(theirs)
            .server(guid)
            .p2p()
            .serve_at("/org/freedesktop/systemd1", manager)
            .serve_at(UNIT, unit);
        let client = Builder::unix_stream(ours).p2p();
        let (server, client) = tokio::join!(server.build(), client.build());
        let client = client.unwrap();
        let connect = move || -> Pin<Box<dyn Future<Output = zbus::Result<Connection>> + Send>> {
            let client = client.clone();
            Box::pin(async move { Ok(client) })
        };
        let systemd = Systemd::with_connector(connect, Health::default());
        let fake = Self {
            server: server.unwrap(),
            calls,
        };
        (fake, systemd)
    }

    async fn unit(&self) -> InterfaceRef<FakeUnit> {
        self.server.object_server().interface(UNIT).await.unwrap()
    }

    async fn becomes(&self, active: &str, job: u32) {
        let unit = self.unit().await;
        let emitter: &SignalEmitter<'_> = unit.signal_emitter();
        let mut inner = unit.get_mut().await;
        active.clone_into(&mut inner.active);
        inner.job = job;
        inner.active_state_changed(emitter).await.unwrap();
    }
}

/// Covers MW17.
#[tokio::test]
async fn a_unit_that_fails_is_reported_when_it_happens() {
    let (fake, systemd) = Fake::start(false).await;
    let mut probe = UnitProbe::new("nova-compute.service", systemd);
    assert_eq!(probe.state().await, State::Up);
    assert_eq!(*fake.calls.lock().unwrap(), ["subscribe"]);
    for (active, job, expected) in [
        ("deactivating", 0, State::Changing),
        (
            "failed",
            0,
            State::Down("systemd reports failed (sub)".to_owned()),
        ),
        ("inactive", 7, State::Changing),
        ("activating", 0, State::Changing),
        ("active", 0, State::Up),
    ] {
        fake.becomes(active, job).await;
        timeout(Duration::from_secs(10), probe.changed()).await.unwrap();
        assert_eq!(probe.state().await, expected, "{active}");
    }
}

#[tokio::test]
async fn a_unit_that_is_not_to_run_is_no_failure() {
    let (fake, systemd) = Fake::start(false).await;
    let mut probe = UnitProbe::new("nova-compute.service", systemd.clone());
    for load in ["masked", "not-found"] {
        let unit = fake.unit().await;
        load.clone_into(&mut unit.get_mut().await.load);
        "inactive".clone_into(&mut unit.get_mut().await.active);
        assert!(matches!(probe.state().await, State::Unknown(_)), "{load}");
    }
    let mut other = UnitProbe::new("other.service", systemd);
    assert!(matches!(other.state().await, State::Unknown(why) if why.contains("no other.service")));
}

#[tokio::test]
async fn a_restart_is_done_when_the_unit_runs_and_no_job_is_left() {
    let (fake, systemd) = Fake::start(false).await;
    fake.becomes("activating", 3).await;
    let going = {
        let systemd = systemd.clone();
        tokio::spawn(async move {
            systemd
                .bring_up("nova-compute.service", true, Duration::from_secs(20))
                .await
        })
    };
    while fake.calls.lock().unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert!(!going.is_finished());
    fake.becomes("active", 0).await;
    assert_eq!(going.await.unwrap(), Ok(()));
    assert_eq!(
        fake.calls.lock().unwrap()[1],
        "restart nova-compute.service replace"
    );
    fake.becomes("failed", 0).await;
    let result = systemd
        .bring_up("nova-compute.service", false, Duration::from_secs(20))
        .await;
    assert!(result.unwrap_err().contains("systemd reports failed"));
}

/// Covers MW26.
#[tokio::test]
async fn what_systemd_refuses_names_the_rule_that_is_missing() {
    let (_fake, systemd) = Fake::start(true).await;
    let result = systemd
        .bring_up("nova-compute.service", true, Duration::from_secs(20))
        .await;
    assert!(result.clone().unwrap_err().contains("polkit rule"), "{result:?}");
}

#[tokio::test]
async fn a_broken_connection_is_reopened() {
    let (fake, systemd) = Fake::start(false).await;
    let mut probe = UnitProbe::new("nova-compute.service", systemd);
    assert_eq!(probe.state().await, State::Up);
    fake.server.close().await.unwrap();
    timeout(Duration::from_secs(10), async {
        while !matches!(probe.state().await, State::Unknown(_)) {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(
        probe.systemd.connection.lock().await.is_none(),
        "the next look connects"
    );
}

/// Covers MW25.
#[tokio::test]
async fn systemd_that_is_away_is_in_the_health() {
    let health = Health::default();
    let connect = || -> Pin<Box<dyn Future<Output = zbus::Result<Connection>> + Send>> {
        Box::pin(async { Err(zbus::Error::Failure("no bus here".to_owned())) })
    };
    let systemd = Systemd::with_connector(connect, health.clone());
    let mut probe = UnitProbe::new("nova-compute.service", systemd);
    assert!(matches!(probe.state().await, State::Unknown(why) if why.contains("no bus here")));
    assert!(
        health
            .condition()
            .line()
            .contains("systemd: connecting to systemd")
    );
}
