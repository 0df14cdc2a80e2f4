//! The calls against the simulated region: its Nova accepts the requests, and this crate parses the answers.

#![expect(clippy::unwrap_used, reason = "the helpers of tests are tests")]

use std::sync::Arc;
use std::time::Duration;

use tachi_domain::ServerId;
use tachi_domain::fault::FaultClass;
use tachi_domain::nova::{Migration, MigrationStatus, MigrationType, VmState};
use tachi_engine::SystemClock;
use tachi_engine::ports::{Clock, CloudLists as _, Compute as _, ServerCalls as _, ServiceChange};
use tachi_keystone::{ApplicationCredential, Credentials, Domain, ResourceRef, Scope};
use tachi_openstack::{Nova, Options, Session};
use tachi_sandbox::{Boot, Sandbox, SandboxOptions};

async fn sandbox() -> Sandbox {
    let mut options = SandboxOptions::default();
    options.region.rebuild_time = Duration::from_millis(50);
    options.region.rebuild_spread = Duration::ZERO;
    options.region.conductor_delay = Duration::ZERO;
    Sandbox::start(options).await.unwrap()
}

async fn session_as(sandbox: &Sandbox, user: &str, project: &str) -> Session {
    let login = sandbox.credentials_of(user, project);
    let named = |name: &str| ResourceRef::name(name, Some(Domain::Name(login.domain_name.clone())));
    let credentials = Credentials::Password {
        user: named(&login.username),
        password: login.password.clone().into(),
        scope: Scope::Project(named(&login.project_name)),
    };
    session(Options::new(login.auth_url.clone(), credentials)).await
}

async fn session(mut options: Options) -> Session {
    options.compute = "compute:nova:publicURL".parse().unwrap();
    options.keystone.region = tachi_keystone::Region::Named("RegionOne".to_owned());
    options.page_size = 4;
    Session::new(options, Arc::new(SystemClock)).await.unwrap()
}

async fn admin(sandbox: &Sandbox) -> Nova {
    Nova::new(session_as(sandbox, "admin", "admin").await)
}

/// Polls until `done` is true; the sandbox uses the real clock.
async fn until<T, F: Future<Output = T>>(ask: impl Fn() -> F, done: impl Fn(&T) -> bool) -> T {
    let asking = async {
        loop {
            let answer = ask().await;
            if done(&answer) {
                return answer;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), asking)
        .await
        .unwrap()
}

#[tokio::test]
async fn services_and_servers_are_read() {
    let sandbox = sandbox().await;
    let nova = admin(&sandbox).await;
    let booted = sandbox
        .region()
        .boot(&Boot::on("compute-001", 10).metadata("HA_Enabled", "True"))
        .unwrap();
    let service = nova.service("compute-001").await.unwrap().unwrap();
    assert!(service.up && service.enabled && !service.forced_down);
    assert!(
        service
            .heartbeat_age_micros()
            .is_some_and(|age| age.abs() < 20_000_000),
        "{service:?}"
    );
    assert_eq!(nova.service("COMPUTE-001").await.unwrap(), None);
    assert!(nova.compute_host_exists("compute-002").await.unwrap());
    assert!(nova.services().await.unwrap().conductors_up);

    let servers = nova.servers_on("compute-001").await.unwrap();
    let mut ids: Vec<_> = servers.iter().map(|server| server.id.0).collect();
    let mut expected = booted;
    ids.sort();
    expected.sort();
    assert_eq!(ids, expected, "all of three pages");
    let server = &servers[0];
    assert_eq!(
        (server.host.as_deref(), &server.vm_state),
        (Some("compute-001"), &VmState::Active)
    );
    assert_eq!(
        server.metadata.get("HA_Enabled").map(String::as_str),
        Some("True")
    );
    assert!(server.launched && !server.locked);
    sandbox.stop().await.unwrap();
}

#[tokio::test]
async fn a_dead_hosts_servers_are_moved_by_our_calls() {
    let sandbox = sandbox().await;
    let nova = admin(&sandbox).await;
    let booted = sandbox
        .region()
        .boot(&Boot::on("compute-001", 10).metadata("HA_Enabled", "True"))
        .unwrap();

    let service = nova.service("compute-001").await.unwrap().unwrap();
    let servers = nova.servers_on("compute-001").await.unwrap();
    let id = servers[0].id;

    let refused = nova.evacuate(id, None).await.unwrap_err();
    assert_eq!(
        (refused.fault.status, refused.fault.class),
        (Some(400), FaultClass::Permanent),
        "it is still up"
    );

    sandbox.region().faults().power_loss("compute-001").unwrap();
    let change = ServiceChange {
        disable: Some(Some("tachi r1".into())),
        forced_down: Some(true),
    };
    for _ in 0..2 {
        let service = nova.update_service(service.id, &change).await.unwrap();
        assert!(!service.up && !service.enabled && service.forced_down);
        assert_eq!(service.disabled_reason.as_deref(), Some("tachi r1"));
    }

    nova.lock(id, "tachi r1").await.unwrap();
    let locked = nova.server(id).await.unwrap().unwrap();
    assert!(locked.locked);
    assert_eq!(locked.locked_reason.as_deref(), Some("tachi r1"));

    for server in &servers {
        let target = (server.id == id).then_some("compute-003");
        nova.evacuate(server.id, target).await.unwrap();
    }
    let left = until(
        || async { nova.servers_on("compute-001").await.unwrap() },
        Vec::is_empty,
    )
    .await;
    assert!(left.is_empty());
    let moved = nova.server(id).await.unwrap().unwrap();
    assert_eq!(
        (moved.host.as_deref(), moved.vm_state),
        (Some("compute-003"), VmState::Active)
    );

    let done = |records: &Vec<Migration>| {
        records
            .iter()
            .all(|record| record.status == MigrationStatus::Done)
    };
    let records = until(
        || async { nova.evacuations_from("compute-001", None).await.unwrap() },
        done,
    )
    .await;
    assert_eq!(records.len(), 10);
    assert!(
        records
            .iter()
            .all(|record| record.kind == MigrationType::Evacuation)
    );
    assert!(
        records
            .windows(2)
            .all(|pair| pair[0].created_at >= pair[1].created_at),
        "newest first"
    );
    let late = SystemClock.wall().minus_seconds(-3600);
    assert!(
        nova.evacuations_from("compute-001", Some(late))
            .await
            .unwrap()
            .is_empty()
    );
    let touching = nova.migrations_touching("compute-003").await.unwrap();
    assert!(
        touching
            .iter()
            .any(|record| record.server == id && record.source.as_deref() == Some("compute-001"))
    );

    nova.unlock(id).await.unwrap();
    assert!(!nova.server(id).await.unwrap().unwrap().locked);
    assert_eq!(sandbox.region().double_runs(), 0);
    assert!(sandbox.region().lost(&booted).is_empty());
    sandbox.stop().await.unwrap();
}

#[tokio::test]
async fn servers_are_stopped_started_and_reset() {
    let sandbox = sandbox().await;
    let nova = admin(&sandbox).await;
    let booted = sandbox.region().boot(&Boot::on("compute-001", 1)).unwrap();
    let id = ServerId::from(booted[0]);
    let state = || async { nova.server(id).await.unwrap().unwrap() };
    nova.stop(id).await.unwrap();
    until(state, |server| {
        server.vm_state == VmState::Stopped && server.task_state.is_none()
    })
    .await;
    nova.start(id).await.unwrap();
    until(state, |server| {
        server.vm_state == VmState::Active && server.task_state.is_none()
    })
    .await;
    nova.reset_state(id, &VmState::Error).await.unwrap();
    assert_eq!(state().await.vm_state, VmState::Error);
    nova.reset_state(id, &VmState::Active).await.unwrap();
    assert_eq!(state().await.vm_state, VmState::Active);
    assert_eq!(nova.server(uuid::Uuid::nil().into()).await.unwrap(), None);
    sandbox.stop().await.unwrap();
}

#[tokio::test]
async fn revoked_tokens_and_other_users_are_handled() {
    let sandbox = sandbox().await;
    let nova = admin(&sandbox).await;
    nova.probe().await.unwrap();
    assert!(sandbox.revoke_tokens() > 0);
    assert!(
        nova.service("compute-001").await.unwrap().is_some(),
        "renewed and replayed"
    );

    let demo = Nova::new(session_as(&sandbox, "demo", "demo").await);
    let error = demo.service("compute-001").await.unwrap_err();
    assert_eq!(
        (error.fault.status, error.fault.class),
        (Some(403), FaultClass::Fatal),
        "{error}"
    );

    let id = sandbox
        .add_application_credential("admin", "ha", "s3cret")
        .unwrap();
    let application = |credential| Credentials::ApplicationCredential {
        credential,
        secret: "s3cret".into(),
    };
    let by_name = ApplicationCredential::Name {
        name: "ha".into(),
        user: ResourceRef::name("admin", Some(Domain::Name("Default".into()))),
    };
    for credential in [ApplicationCredential::Id(id), by_name] {
        let credentials = application(credential);
        let nova = Nova::new(session(Options::new(sandbox.urls().identity, credentials)).await);
        assert!(nova.service("compute-001").await.unwrap().is_some());
    }
    let wrong = application(ApplicationCredential::Id("nobody".into()));
    let nova = Nova::new(session(Options::new(sandbox.urls().identity, wrong)).await);
    assert_eq!(nova.probe().await.unwrap_err().fault.class, FaultClass::Fatal);

    let service = session_as(&sandbox, "masakari", "service").await;
    assert_eq!(service.validate_token("gAAAA-nobody").await.unwrap(), None);
    sandbox.stop().await.unwrap();
}
