//! A region, a database, and engines in this process or processes of their own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tachi_bus::InProcess;
use tachi_domain::entity::host::NewHost;
use tachi_domain::entity::notification::{NewNotification, NotificationStatus, NotificationType};
use tachi_domain::entity::segment::{NewSegment, RecoveryMethod};
use tachi_domain::guard::GuardPolicy;
use tachi_domain::policy::{BareNormal, FencingMode, Policy};
use tachi_domain::{NotificationId, Timestamp};
use tachi_engine::ports::{
    Clock as _, Events, Hosts as _, Journal, NoEvents, Notifications as _, Reports as _, Segments as _,
};
use tachi_engine::{Engine, EngineOptions, Ports, SystemClock};
use tachi_fence::{Fencers, MaasOptions, Topology};
use tachi_hooks::Runner;
use tachi_keystone::{Credentials, Domain, ResourceRef, Scope};
use tachi_openstack::{Nova, Options, Session};
use tachi_sandbox::{Boot, Fleet, RegionSettings, Sandbox, SandboxOptions};
use tachi_store::{Store, StoreOptions};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The environment of a test, removed with it.
pub(crate) struct Harness {
    pub(crate) sandbox: Sandbox,
    pub(crate) folder: TempDir,
    pub(crate) database: TestDatabase,
    pub(crate) store: Arc<Store>,
    /// The port of the API process.
    pub(crate) api_port: u16,
}

/// Disable reason of reserved hosts.
pub(crate) const IN_RESERVE: &str = "kept in reserve";

/// Returns settings of a region with fast failures and rebuilds.
pub(crate) fn quick_region(hosts: usize) -> RegionSettings {
    RegionSettings {
        fleet: Fleet {
            hosts,
            ..Fleet::default()
        },
        service_down_time: Duration::from_secs(2),
        report_interval: Duration::from_millis(500),
        rebuild_time: Duration::from_millis(700),
        ..RegionSettings::default()
    }
}

/// Rules with short waits, so that "it may still take effect" passes in seconds: D = 1 s, Q = 0.5 s.
pub(crate) fn quick_policy() -> Policy {
    Policy {
        fencing: FencingMode::Engine,
        tick: Duration::from_millis(200),
        call_deadline: Duration::from_secs(1),
        retry_for: Duration::ZERO,
        proxy_hold: Duration::from_millis(500),
        power_confirm: Duration::from_millis(500),
        power_poll: Duration::from_millis(500),
        power_off_limit: Duration::from_secs(5),
        heartbeat_poll: Duration::from_secs(1),
        heartbeat_stale: Duration::from_secs(2),
        power_on_delay: Duration::from_secs(1),
        bare_normal: BareNormal::Wait(Duration::from_secs(2)),
        guards: quick_guards(),
        ..Policy::default()
    }
}

/// Returns the default guards, except for limits of minutes: the grace after the first start, and the pace of a region whose hosts
/// send heartbeats twice a second.
pub(crate) fn quick_guards() -> GuardPolicy {
    GuardPolicy {
        startup_grace: Duration::ZERO,
        cliff_interval: Duration::from_secs(1),
        ..GuardPolicy::default()
    }
}

impl Harness {
    pub(crate) async fn set(region: RegionSettings) -> Self {
        let options = SandboxOptions {
            region,
            ..SandboxOptions::default()
        };
        Self::set_with(options).await
    }

    pub(crate) async fn set_with(options: SandboxOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = TestDatabase::new(folder.path());
        Self::set_in(options, folder, database).await
    }

    /// Starts with a database of the test's own.
    pub(crate) async fn set_on(region: RegionSettings, database: TestDatabase) -> Self {
        let options = SandboxOptions {
            region,
            ..SandboxOptions::default()
        };
        Self::set_in(options, tempfile::tempdir().unwrap(), database).await
    }

    async fn set_in(options: SandboxOptions, folder: TempDir, database: TestDatabase) -> Self {
        let sandbox = Sandbox::start(options).await.unwrap();
        let store = open(&database.options).await;
        store.migrate().await.unwrap();
        let api_port = tachi_testkit::free_port();
        let harness = Self {
            sandbox,
            folder,
            database,
            store,
            api_port,
        };
        let url = format!("http://127.0.0.1:{api_port}/v1/$(tenant_id)s");
        harness.sandbox.register_endpoint("instance-ha", "masakari", &url);
        std::fs::write(
            harness.folder.path().join("maas.key"),
            harness.sandbox.maas_api_key(),
        )
        .unwrap();
        make_private(&harness.folder.path().join("maas.key"));
        std::fs::write(harness.conf(), harness.conf_text()).unwrap();
        harness
    }

    /// Registers every hypervisor of the region in a segment.
    pub(crate) async fn protect(&self) {
        self.protect_by(RecoveryMethod::Auto, &[]).await;
    }

    /// As `protect`, with another method and these hosts in reserve: registered as reserved, and disabled in Nova.
    pub(crate) async fn protect_by(&self, method: RecoveryMethod, reserved: &[&str]) {
        let segment = NewSegment {
            name: "all".into(),
            service_type: "COMPUTE".into(),
            enabled: true,
            description: None,
            recovery_method: method,
        };
        let registry = self.store.registry();
        let segment = registry.create_segment(&segment).await.unwrap();
        for host in self.sandbox.region().hosts() {
            let in_reserve = reserved.contains(&host.name.as_str());
            if in_reserve {
                let region = self.sandbox.region();
                region
                    .operator()
                    .set_service(&host.name, false, Some(IN_RESERVE))
                    .unwrap();
            }
            let host = NewHost {
                name: host.name,
                kind: "COMPUTE".into(),
                control_attributes: "SSH".into(),
                reserved: in_reserve,
                on_maintenance: false,
            };
            registry.create_host(segment.id, &host).await.unwrap();
        }
    }

    pub(crate) fn boot(&self, host: &str, count: usize) -> Vec<Uuid> {
        self.sandbox
            .region()
            .boot(&Boot::on(host, count).metadata("HA_Enabled", "True"))
            .unwrap()
    }

    /// Writes a host monitor's report directly into the registry.
    pub(crate) async fn report(&self, host: &str) -> NotificationId {
        self.report_at(host, SystemClock.wall()).await
    }

    pub(crate) async fn report_instance(&self, host: &str, instance: Uuid) -> NotificationId {
        let now = SystemClock.wall();
        let instance = instance.to_string();
        let payload = [
            ("event", "LIFECYCLE"),
            ("instance_uuid", instance.as_str()),
            ("vir_domain_event", "STOPPED_FAILED"),
        ];
        let new = NewNotification {
            kind: NotificationType::Vm,
            hostname: host.into(),
            generated_time: now,
            payload: payload
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            evidence: None,
            reporter: None,
        };
        let accepted = self.store.registry().accept_notification(&new, 180, now).await;
        accepted.unwrap().id
    }

    /// Reports a process that a monitor could not restart.
    pub(crate) async fn report_process(&self, host: &str, process: &str) -> NotificationId {
        let now = SystemClock.wall();
        let payload = [("event", "STOPPED"), ("process_name", process)];
        let new = NewNotification {
            kind: NotificationType::Process,
            hostname: host.into(),
            generated_time: now,
            payload: payload
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            evidence: None,
            reporter: None,
        };
        let accepted = self.store.registry().accept_notification(&new, 180, now).await;
        accepted.unwrap().id
    }

    /// As `report`, observed at this time.
    pub(crate) async fn report_at(&self, host: &str, reported_at: Timestamp) -> NotificationId {
        let now = SystemClock.wall();
        let payload = [
            ("event", "STOPPED"),
            ("host_status", "NORMAL"),
            ("cluster_status", "OFFLINE"),
        ];
        let new = NewNotification {
            kind: NotificationType::ComputeHost,
            hostname: host.into(),
            generated_time: reported_at,
            payload: payload
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            evidence: None,
            reporter: None,
        };
        self.store
            .registry()
            .accept_notification(&new, 180, now)
            .await
            .unwrap()
            .id
    }

    pub(crate) async fn status(&self, id: NotificationId) -> (NotificationStatus, Option<String>) {
        let notification = self.store.registry().get_notification(id).await.unwrap().unwrap();
        (notification.status, notification.message)
    }

    pub(crate) async fn until_finished(&self, id: NotificationId, limit: Duration) {
        let what = format!("notification {id} to finish");
        until(&what, limit, async || match self.status(id).await {
            (NotificationStatus::Finished, _) => true,
            (NotificationStatus::Failed | NotificationStatus::Ignored, message) => {
                panic!("the notification ended otherwise: {message:?}")
            }
            _ => false,
        })
        .await;
    }

    /// Asserts for each instance: never doubled, not lost, not locked, and exactly one completed evacuation.
    pub(crate) fn assert_each_exactly_once(&self, servers: &[Uuid], from: &str) {
        let region = self.sandbox.region();
        let ledger = region.ledger();
        assert_eq!(ledger.double_runs, 0, "ran twice: {:?}", ledger.doubles);
        assert_eq!(region.lost(servers), Vec::<Uuid>::new(), "lost");
        for id in servers {
            let server = region.server(*id).unwrap();
            assert!(
                !server.locked,
                "{} is left locked: {:?}",
                server.name, server.locked_reason
            );
            assert_ne!(
                server.host.as_deref(),
                Some(from),
                "{} is still on {from}",
                server.name
            );
            let carried_through = region
                .migrations(*id)
                .iter()
                .filter(|record| matches!(record.status.as_str(), "done" | "completed"))
                .count();
            assert_eq!(
                carried_through, 1,
                "{} was moved {carried_through} times",
                server.name
            );
        }
    }

    /// Returns the database's journal, for an engine.
    pub(crate) fn journal(&self) -> Arc<dyn Journal> {
        Arc::new(self.store.journal().clone())
    }

    /// Starts an engine in this process, on `journal`.
    pub(crate) async fn engine(&self, journal: Arc<dyn Journal>, policy: Policy) -> RunningEngine {
        self.engine_with_events(journal, policy, Arc::new(NoEvents)).await
    }

    /// As `engine`, with a receiver of events.
    pub(crate) async fn engine_with_events(
        &self,
        journal: Arc<dyn Journal>,
        policy: Policy,
        events: Arc<dyn Events>,
    ) -> RunningEngine {
        let maas = MaasOptions::new(self.sandbox.urls().maas, self.sandbox.maas_api_key().into());
        self.engine_of(journal, policy, events, Topology::of_maas(maas))
            .await
    }

    /// Starts an engine in this process with these fence devices.
    pub(crate) async fn engine_fenced(
        &self,
        journal: Arc<dyn Journal>,
        policy: Policy,
        topology: Topology,
    ) -> RunningEngine {
        self.engine_of(journal, policy, Arc::new(NoEvents), topology)
            .await
    }

    async fn engine_of(
        &self,
        journal: Arc<dyn Journal>,
        policy: Policy,
        events: Arc<dyn Events>,
        topology: Topology,
    ) -> RunningEngine {
        let clock = Arc::new(SystemClock);
        let login = self.sandbox.credentials_of("masakari", "service");
        let named = |name| ResourceRef::name(name, Some(Domain::Name(login.domain_name.clone())));
        let credentials = Credentials::Password {
            user: named(login.username),
            password: login.password.into(),
            scope: Scope::Project(named(login.project_name)),
        };
        let mut options = Options::new(login.auth_url, credentials);
        options.keystone.timeout = policy.call_deadline;
        let session = Session::new(options, clock.clone()).await.unwrap();
        let ports = Ports {
            compute: Arc::new(Nova::new(session)),
            fencer: Arc::new(Fencers::new(topology, clock.clone())),
            audit: Arc::new(tachi_engine::ports::NoAudit),
            hooks: Arc::new(Runner::new(None).unwrap()),
            journal,
            wake: Arc::new(InProcess::default()),
            clock,
        };
        // Rules that bound one recovery bound the engine, as `host_failure_recovery_threads` does.
        let mut pace = tachi_engine::PaceOptions::default();
        if policy.in_flight < pace.in_flight.start {
            pace.in_flight.min = 1;
            pace.in_flight.start = policy.in_flight;
            pace.in_flight.max = policy.in_flight;
        }
        let options = EngineOptions {
            name: format!("test:{}", Uuid::new_v4()),
            policy: watch::channel(policy).1,
            sweep_interval: Duration::from_millis(100),
            pace,
        };
        let stop = CancellationToken::new();
        let engine = Engine::new(ports, options).with_events(events);
        let task = tokio::spawn(engine.run(stop.clone()));
        RunningEngine { task, stop }
    }

    pub(crate) fn conf(&self) -> PathBuf {
        self.folder.path().join("tachi.conf")
    }

    fn conf_text(&self) -> String {
        let login = self.sandbox.credentials_of("masakari", "service");
        let folder = self.folder.path().display();
        format!(
            "[DEFAULT]\nstate_path = {folder}\nmasakari_api_listen = 127.0.0.1\nmasakari_api_listen_port = {port}\n\
             os_privileged_user_auth_url = {url}\nos_privileged_user_name = masakari\n\
             os_privileged_user_password = {password}\nos_privileged_user_tenant = service\n\
             os_user_domain_name = Default\nos_project_domain_name = Default\n\
             [keystone_authtoken]\nauth_url = {url}\nusername = masakari\npassword = {password}\n\
             project_name = service\nuser_domain_name = Default\nproject_domain_name = Default\n\
             [fencing]\nmaas_url = {maas}\nmaas_api_key = file:{folder}/maas.key\npower_confirm_interval = 0.5\n\
             power_poll_interval = 0.5\npower_off_limit = 5\nheartbeat_stale_after = 2\n\
             storm_startup_grace = 0\nstorm_cliff_interval = 1\n\
             [recovery]\ntick_interval = 0.2\ncall_deadline = 1\nevacuation_retry_time = 0\nproxy_hold = 0.5\nheartbeat_poll_interval = 1\n\
             sweep_interval = 0.2\n{database}",
            database = self.database.conf,
            port = self.api_port,
            url = login.auth_url,
            password = login.password,
            maas = self.sandbox.urls().maas,
        )
    }

    /// Starts a process of the real binary.
    pub(crate) fn spawn(&self, subcommand: &str) -> Process {
        self.spawn_with(subcommand, &[])
    }

    /// As `spawn`, with additional configuration files.
    pub(crate) fn spawn_with(&self, subcommand: &str, more: &[PathBuf]) -> Process {
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join(format!("{subcommand}.log")))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_tachi"))
            .args([subcommand, "--config-file"])
            .arg(self.conf())
            .args(
                more.iter()
                    .flat_map(|file| ["--config-file".as_ref(), file.as_os_str()]),
            )
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Process { child }
    }

    /// Runs a command of the real binary; returns exit code, standard output and standard error.
    pub(crate) fn command(args: &[&str]) -> (i32, String, String) {
        let output = Command::new(env!("CARGO_BIN_EXE_tachi"))
            .args(args)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// Returns a client of the API process, once that answers.
    pub(crate) async fn api(&self) -> Api {
        self.api_of(&self.sandbox.credentials()).await
    }

    /// As `api`, for another user.
    pub(crate) async fn api_of(&self, login: &tachi_sandbox::Credentials) -> Api {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        let base = format!("http://127.0.0.1:{}", self.api_port);
        until("the API to be ready", Duration::from_secs(20), async || {
            let answer = http.get(format!("{base}/healthcheck")).send().await;
            answer.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        let body = password(login);
        let token = token(&http, &login.auth_url, &body).await;
        Api { http, base, token }
    }

    /// Executes an action on a server as an administrator other than the service's user.
    pub(crate) async fn act(&self, server: Uuid, action: &Value) -> u16 {
        let login = self.sandbox.credentials();
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .unwrap();
        let token = token(&http, &login.auth_url, &password(&login)).await;
        let url = format!("{}/servers/{server}/action", self.sandbox.urls().compute);
        let sent = http.post(url).header("x-auth-token", token).json(action).send();
        sent.await.unwrap().status().as_u16()
    }

    /// As `api`, for the monitors of a host, with an application credential that is bound to it.
    pub(crate) async fn api_of_monitor(&self, host: &str) -> Api {
        let login = self.sandbox.credentials();
        let admin = self.api_of(&login).await;
        let made = admin
            .http
            .get(format!("{}/auth/tokens", login.auth_url))
            .header("x-auth-token", &admin.token)
            .header("x-subject-token", &admin.token)
            .send();
        let who: Value = made.await.unwrap().json().await.unwrap();
        let user = who["token"]["user"]["id"].as_str().unwrap();
        let name = format!("masakari-monitor-{host}");
        let made = admin
            .http
            .post(format!("{}/users/{user}/application_credentials", login.auth_url))
            .header("x-auth-token", &admin.token)
            .json(&json!({"application_credential": {"name": name, "secret": "s"}}))
            .send()
            .await
            .unwrap();
        assert_eq!(made.status(), 201);
        let made: Value = made.json().await.unwrap();
        let body = json!({"auth": {"identity": {
            "methods": ["application_credential"],
            "application_credential": {"id": made["application_credential"]["id"], "secret": "s"},
        }}});
        let token = token(&admin.http, &login.auth_url, &body).await;
        Api { token, ..admin }
    }
}

/// Returns the body of a token request for a user.
fn password(login: &tachi_sandbox::Credentials) -> Value {
    json!({ "auth": {
            "identity": { "methods": ["password"], "password": { "user": {
                "name": login.username, "domain": { "name": login.domain_name }, "password": login.password } } },
            "scope": { "project": { "name": login.project_name, "domain": { "name": login.domain_name } } },
    }})
}

async fn token(http: &reqwest::Client, auth_url: &str, body: &Value) -> String {
    let request = http.post(format!("{auth_url}/auth/tokens")).json(body);
    let answer = request.send().await.unwrap();
    answer.headers()["x-subject-token"].to_str().unwrap().to_owned()
}

/// An engine in this process.
pub(crate) struct RunningEngine {
    pub(crate) task: JoinHandle<()>,
    stop: CancellationToken,
}

impl RunningEngine {
    /// Stops it like SIGTERM.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap();
    }

    /// Stops it like SIGKILL: every call in flight is cut off, and nothing more is written.
    pub(crate) async fn kill(self) {
        self.task.abort();
        assert!(self.task.await.unwrap_err().is_cancelled());
    }
}

/// A process that is killed with the test.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) -> rustix::process::Pid {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
        pid
    }

    /// Stops all of its threads, and returns when they stand still.
    pub(crate) fn stop(&self) {
        let pid = self.signal(rustix::process::Signal::STOP);
        rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::UNTRACED).unwrap();
    }

    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for the end; returns the exit code.
    pub(crate) async fn ended(&mut self, limit: Duration) -> Option<i32> {
        let mut code = None;
        until("the process to end", limit, async || {
            match self.child.try_wait().unwrap() {
                Some(status) => {
                    code = status.code();
                    true
                }
                None => false,
            }
        })
        .await;
        code
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A client of the API.
pub(crate) struct Api {
    http: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    pub(crate) async fn ask(&self, path: &str) -> (u16, Value) {
        let request = self.http.get(format!("{}{path}", self.base));
        let answer = request.header("X-Auth-Token", &self.token).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self
            .http
            .get(format!("{}/v1{path}", self.base))
            .header("X-Auth-Token", &self.token)
            .header("OpenStack-API-Version", "instance-ha 1.3")
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        answer.json().await.unwrap()
    }

    pub(crate) fn at_port(&self, port: u16) -> Self {
        Self {
            http: self.http.clone(),
            base: format!("http://127.0.0.1:{port}"),
            token: self.token.clone(),
        }
    }

    pub(crate) async fn listen(&self) -> reqwest::Response {
        let request = self.http.get(format!("{}/operator/v1/events", self.base));
        let answer = request.header("X-Auth-Token", &self.token).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer
    }

    pub(crate) async fn is_there(&self) -> bool {
        self.http
            .get(format!("{}/healthcheck", self.base))
            .send()
            .await
            .is_ok_and(|one| one.status() == 200)
    }

    /// Sends an operator's action; returns the answer.
    pub(crate) async fn submit(&self, action: &Value) -> (u16, Value) {
        let request = self
            .http
            .post(format!("{}/operator/v1/words", self.base))
            .json(action);
        let answer = request.header("X-Auth-Token", &self.token).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    pub(crate) async fn send_heartbeat(&self, host: &str, kind: &str, watches: &[&str]) -> u16 {
        let heartbeat = json!({"version": "test", "troubles": {}, "watches": watches, "watching": true});
        self.send_heartbeat_with(host, kind, heartbeat).await
    }

    /// As `send_heartbeat`, with additional fields.
    pub(crate) async fn send_heartbeat_with(&self, host: &str, kind: &str, heartbeat: Value) -> u16 {
        let body = json!({ "monitor": heartbeat });
        let signed = self
            .http
            .put(format!("{}/v1/monitors/{host}/{kind}", self.base))
            .json(&body);
        let answer = signed.header("X-Auth-Token", &self.token).send().await.unwrap();
        answer.status().as_u16()
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.send(reqwest::Method::POST, path, body).await
    }

    /// As `post`, with another method and the newest microversion.
    pub(crate) async fn send(&self, method: reqwest::Method, path: &str, body: &Value) -> (u16, Value) {
        let answer = self
            .http
            .request(method, format!("{}/v1{path}", self.base))
            .header("X-Auth-Token", &self.token)
            .header("OpenStack-API-Version", "instance-ha 1.3")
            .json(body)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

/// The database of a test: a file, or a server by `TACHI_TEST_DATABASE`; see tests/lib/databases.sh.
pub(crate) struct TestDatabase {
    pub(crate) options: StoreOptions,
    /// The URL, for tests that read rows themselves.
    pub(crate) url: String,
    /// The section of `tachi.conf` for it.
    conf: String,
}

impl TestDatabase {
    /// Returns the database at `url`, which `tachi.conf` names as `connection`.
    pub(crate) fn on_server(url: &str, connection: &str) -> Self {
        Self {
            options: StoreOptions::from_url(url).unwrap(),
            url: url.to_owned(),
            conf: format!("[database]\nconnection = {connection}\n"),
        }
    }

    fn new(folder: &std::path::Path) -> Self {
        let (driver, name) = match std::env::var("TACHI_TEST_DATABASE").as_deref() {
            Err(_) | Ok("" | "sqlite") => {
                let file = folder.join("tachi.sqlite");
                return Self {
                    url: format!("sqlite://{}", file.display()),
                    options: StoreOptions::file(file),
                    conf: String::new(),
                };
            }
            Ok("mysql") => ("mysql+pymysql", "MYSQL"),
            Ok("postgres") => ("postgresql", "POSTGRES"),
            Ok(other) => panic!("TACHI_TEST_DATABASE={other}: sqlite, mysql or postgres"),
        };
        let admin = std::env::var(format!("TACHI_TEST_{name}_URL")).unwrap();
        let serve = std::env::var(format!("TACHI_TEST_{name}_SERVE")).unwrap();
        let (server, _) = admin.rsplit_once('/').unwrap();
        let (_, port) = server.rsplit_once(':').unwrap();
        let database = format!("t{}", Uuid::new_v4().simple());
        let made = Command::new(serve)
            .args(["database", &database, port])
            .status()
            .unwrap();
        assert!(made.success(), "{made}");
        let (_, place) = server.split_once(':').unwrap();
        let url = format!("{server}/{database}");
        Self {
            options: StoreOptions::from_url(&url).unwrap(),
            url,
            conf: format!("[database]\nconnection = {driver}:{place}/{database}\n"),
        }
    }
}

async fn open(options: &StoreOptions) -> Arc<Store> {
    Arc::new(Store::connect(options, Arc::new(SystemClock)).await.unwrap())
}

/// Polls until `holds` is true; fails after `limit`.
pub(crate) async fn until(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    until_good(what, limit, async || {
        if holds().await { Ok(()) } else { Err(String::new()) }
    })
    .await;
}

/// Polls until `poll` succeeds; after `limit`, fails with its last error.
pub(crate) async fn until_good(
    what: &str,
    limit: Duration,
    mut poll: impl AsyncFnMut() -> Result<(), String>,
) {
    let began = Instant::now();
    loop {
        let polled_at = Instant::now();
        let Err(wrong) = poll().await else { return };
        assert!(
            began.elapsed() < limit,
            "waited {limit:?} in vain for {what}: {wrong}"
        );
        // A poll that starts a process takes processor time from the awaited work.
        let pause = (polled_at.elapsed() * 4).clamp(Duration::from_millis(20), Duration::from_millis(400));
        tokio::time::sleep(pause).await;
    }
}

fn make_private(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn run(harness: &Harness, arguments: &[&str]) -> (i32, String, String) {
    let conf = harness.conf();
    let mut all = arguments.to_vec();
    all.extend(["--config-file", conf.to_str().unwrap()]);
    Harness::command(&all)
}

/// Runs a command that must succeed; returns its JSON output.
pub(crate) fn json(harness: &Harness, arguments: &[&str]) -> serde_json::Value {
    let mut all = arguments.to_vec();
    all.extend(["-f", "json"]);
    let (code, stdout, stderr) = run(harness, &all);
    assert_eq!(code, 0, "{arguments:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap()
}
