use super::*;
use crate::check::{Check as _, FindingLevel};
use crate::host::Checks;
use crate::host::fake_http::Server;
use crate::host::samples::STORM;
use crate::settings::tests::settings;

const PATH: &str = "/v1/agent/members";

struct Harness {
    servers: [Server; 3],
    sampler: Sampler<Driver>,
    health: Health,
    settings: Settings,
    _folder: tempfile::TempDir,
}

impl Harness {
    async fn new() -> Self {
        let servers = [
            Server::start().await,
            Server::start().await,
            Server::start().await,
        ];
        let [manage, tenant, storage] = &servers;
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(&format!(
            "[DEFAULT]\nhostname = me\n[monitor]\nstate_path = {}\n[host]\nmonitoring_driver = consul\n[consul]\nagent_manage = {}\nagent_tenant = {}\nagent_storage = {}\n",
            folder.path().display(),
            manage.address,
            tenant.address,
            storage.address
        ));
        let health = Health::default();
        // An API that does not support planes, such as Masakari's.
        health.planes(|planes| planes.answered(None));
        Self {
            sampler: Driver::monitor(&settings, &Clock::new()).unwrap(),
            servers,
            health,
            settings,
            _folder: folder,
        }
    }

    /// Replaces the monitor by one that was killed and started again.
    fn restart(&mut self) {
        self.sampler = Driver::monitor(&self.settings, &Clock::new()).unwrap();
    }

    /// Returns the reports of one poll, given each network's members with their status.
    async fn sample(&mut self, networks: [&[(&str, i64)]; 3]) -> Vec<(String, Change)> {
        for (server, members) in self.servers.iter().zip(networks) {
            server.answer(PATH, &self::members(members));
        }
        self.repeat().await
    }

    async fn repeat(&mut self) -> Vec<(String, Change)> {
        let changes = self.sampler.round(&self.health).await;
        for (host, change) in &changes {
            self.sampler.reported(host, *change);
        }
        self.sampler.save(&self.health).await;
        changes
    }
}

/// Renders members as an agent lists them.
fn members(members: &[(&str, i64)]) -> String {
    let members: Vec<_> = members
        .iter()
        .map(|(name, status)| serde_json::json!({"Name": name, "Status": status, "Addr": "10.0.0.1", "Tags": {}}))
        .collect();
    serde_json::Value::from(members).to_string()
}

const UP: &[(&str, i64)] = &[("cmp1", 1), ("cmp2", 1), ("me", 1)];
const CMP1_FAILED: &[(&str, i64)] = &[("cmp1", 4), ("cmp2", 1), ("me", 1)];
const CMP1_LEFT: &[(&str, i64)] = &[("cmp1", 3), ("cmp2", 1), ("me", 1)];
const CMP1_MISSING: &[(&str, i64)] = &[("cmp2", 1), ("me", 1)];
const I_FAILED: &[(&str, i64)] = &[("cmp1", 1), ("cmp2", 1), ("me", 4)];

fn one(change: Change) -> Vec<(String, Change)> {
    vec![("cmp1".to_owned(), change)]
}

/// Covers MW20, R34.
#[tokio::test]
async fn the_storage_network_decides() {
    let mut harness = Harness::new().await;
    assert_eq!(harness.sample([UP, UP, UP]).await, []);
    assert_eq!(harness.sample([CMP1_FAILED, CMP1_FAILED, UP]).await, []);
    assert_eq!(harness.sample([UP, UP, CMP1_FAILED]).await, one(Change::Stopped));
    assert_eq!(harness.sample([UP, UP, CMP1_FAILED]).await, []);
    assert_eq!(harness.sample([UP, UP, UP]).await, one(Change::Started));
}

/// Covers R34.
#[tokio::test]
async fn a_running_host_without_its_storage_network_is_named_in_heartbeats_until_nova_shows_it_down() {
    let mut harness = Harness::new().await;
    let report = |harness: &Harness| harness.health.planes(|planes| planes.report()).unwrap();
    let answer = |harness: &Harness, down: Option<Vec<String>>| {
        harness.health.planes(|planes| planes.answered(down));
    };
    assert_eq!(harness.sample([UP, UP, UP]).await, []);
    assert!(report(&harness).is_empty());
    answer(&harness, Some(Vec::new()));
    assert_eq!(harness.sample([UP, CMP1_FAILED, CMP1_FAILED]).await, []);
    let planes: Vec<String> = report(&harness)["cmp1"].keys().cloned().collect();
    assert_eq!(planes, ["storage", "tenant"]);
    assert_eq!(harness.sample([UP, CMP1_MISSING, CMP1_FAILED]).await, []);
    assert_eq!(report(&harness)["cmp1"].len(), 2, "unknown is not well");
    assert_eq!(harness.sample([UP, UP, CMP1_FAILED]).await, []);
    assert_eq!(report(&harness)["cmp1"].len(), 1);
    answer(&harness, Some(vec!["cmp1".to_owned()]));
    assert_eq!(
        harness.sample([UP, UP, CMP1_FAILED]).await,
        one(Change::Stopped),
        "Nova shows it down"
    );
    assert_eq!(harness.sample([UP, UP, UP]).await, one(Change::Started));
    assert!(report(&harness).is_empty());
    answer(&harness, Some(Vec::new()));
    assert_eq!(harness.sample([UP, UP, CMP1_FAILED]).await, []);
    assert_eq!(
        harness.sample([CMP1_FAILED, UP, CMP1_FAILED]).await,
        one(Change::Stopped),
        "it is gone altogether"
    );
    assert!(report(&harness).is_empty());
    assert_eq!(harness.sample([UP, UP, UP]).await, one(Change::Started));
    answer(&harness, None);
    assert_eq!(
        harness.sample([UP, UP, CMP1_FAILED]).await,
        one(Change::Stopped),
        "an older API, or Masakari's"
    );
}

/// Covers MW20.
#[tokio::test]
async fn a_member_that_left_or_is_unlisted_has_not_failed() {
    let mut harness = Harness::new().await;
    assert_eq!(harness.sample([UP, UP, UP]).await, []);
    assert_eq!(harness.sample([CMP1_LEFT, CMP1_LEFT, CMP1_LEFT]).await, []);
    assert_eq!(harness.sample([UP, UP, CMP1_MISSING]).await, []);
    assert_eq!(
        harness.sample([UP, UP, UP]).await,
        [],
        "no STARTED without a STOPPED"
    );
    assert_eq!(
        harness.sample([CMP1_MISSING, UP, CMP1_FAILED]).await,
        one(Change::Stopped),
        "its place is kept, and does not matter"
    );
}

/// Covers F6, MW20.
#[tokio::test]
async fn an_agent_that_is_away_hides_only_what_depends_on_it() {
    let mut harness = Harness::new().await;
    assert_eq!(harness.sample([UP, UP, UP]).await, []);
    harness.servers[0].remove(PATH);
    harness.servers[1].remove(PATH);
    harness.servers[2].answer(PATH, &members(CMP1_FAILED));
    assert_eq!(
        harness.repeat().await,
        one(Change::Stopped),
        "the storage network decides, whatever the others show"
    );
    let problem = harness.health.problem("consul").unwrap();
    assert!(
        problem.contains("manage") && problem.contains("tenant"),
        "{problem}"
    );
    assert_eq!(harness.sample([UP, UP, UP]).await, one(Change::Started));
    harness.servers[2].remove(PATH);
    assert_eq!(harness.repeat().await, [], "no agent answers");
    assert!(
        harness
            .health
            .problem("consul")
            .is_some_and(|why| why.contains("storage"))
    );
}

/// The link of this machine is cut, so that all other hosts seem dead.
/// Covers F2.
#[tokio::test]
async fn a_node_that_is_cut_off_itself_reports_no_other() {
    let mut harness = Harness::new().await;
    assert_eq!(harness.sample([UP, UP, UP]).await, []);
    let cut: &[(&str, i64)] = &[("cmp1", 4), ("cmp2", 4), ("me", 1)];
    for _ in 0..5 {
        assert_eq!(harness.sample([UP, UP, cut]).await, []);
        let problem = harness.health.problem("consul").unwrap();
        assert!(problem.contains("isolated itself"), "{problem}");
    }
    assert_eq!(harness.sample([UP, UP, UP]).await, []);
    assert_eq!(harness.sample([UP, UP, CMP1_FAILED]).await, one(Change::Stopped));
}

/// Too many hosts fail at once for independent failures, although most members are up.
/// Covers F2.
#[tokio::test]
async fn more_than_a_share_of_the_hosts_at_once_is_an_alarm_and_no_report() {
    let mut harness = Harness::new().await;
    let list = |down: usize| {
        let hosts = (0..10).map(move |host| (format!("cmp{host}"), if host < down { 4 } else { 1 }));
        let others = (0..8).map(|host| (format!("ctl{host}"), 1));
        hosts.chain(others).collect::<Vec<_>>()
    };
    let mut sample = async |down: usize| {
        let all = list(down);
        let all: Vec<_> = all
            .iter()
            .map(|(name, status)| (name.as_str(), *status))
            .collect();
        let changes_seen = harness.sample([&all, &all, &all]).await;
        (changes_seen.len(), harness.health.problem(STORM).is_some())
    };
    assert_eq!(sample(0).await, (0, false));
    // Nine of eighteen hosts may fail; small batches in one window are added up.
    assert_eq!(sample(5).await, (5, false));
    assert_eq!(sample(8).await, (3, false));
    let mut harness = Harness::new().await;
    let mut sample = async |down: usize, limit: u8| {
        harness.sampler.set_brake(limit, 2);
        let all = list(down);
        let all: Vec<_> = all
            .iter()
            .map(|(name, status)| (name.as_str(), *status))
            .collect();
        let changes_seen = harness.sample([&all, &all, &all]).await;
        (changes_seen.len(), harness.health.problem(STORM).is_some())
    };
    assert_eq!(sample(0, 20).await, (0, false));
    assert_eq!(sample(8, 20).await, (0, true));
    assert_eq!(sample(8, 20).await, (0, true), "for as long as it lasts");
    assert_eq!(sample(2, 20).await, (2, false), "remaining failures are reported");
    assert_eq!(sample(4, 20).await, (0, true), "with those of a moment ago");
}

/// The answer for a token without the permission to read nodes, and of an agent that has lost all members.
/// Covers F7.
#[tokio::test]
async fn a_list_without_anybody_is_no_list() {
    let mut harness = Harness::new().await;
    assert_eq!(harness.sample([UP, UP, UP]).await, []);
    assert_eq!(harness.sample([&[], &[], &[]]).await, []);
    let problem = harness.health.problem("consul").unwrap();
    assert!(problem.contains("CONSUL_HTTP_TOKEN"), "{problem}");
    // A member that vanishes from the list is unknown, not failed.
    assert_eq!(harness.sample([UP, UP, &[("me", 1)]]).await, []);
    assert_eq!(harness.sample([UP, UP, CMP1_FAILED]).await, one(Change::Stopped));
    assert_eq!(harness.health.problem("consul"), None);
}

/// Regression test: each restart of the monitor reported every host without its storage network as stopped.
#[tokio::test]
async fn a_running_host_is_not_reported_before_the_api_has_answered() {
    let mut harness = Harness::new().await;
    harness.health = Health::default();
    assert_eq!(harness.sample([UP, UP, UP]).await, []);
    assert_eq!(harness.sample([UP, UP, CMP1_FAILED]).await, []);
    harness.health.planes(|planes| planes.answered(None));
    assert_eq!(harness.sample([UP, UP, CMP1_FAILED]).await, one(Change::Stopped));
}

/// Covers F10.
#[tokio::test]
async fn a_node_that_died_while_the_monitor_was_down_is_reported() {
    let mut harness = Harness::new().await;
    assert_eq!(harness.sample([UP, UP, UP]).await, []);
    harness.restart();
    assert_eq!(harness.sample([UP, UP, CMP1_FAILED]).await, one(Change::Stopped));
    harness.restart();
    assert_eq!(harness.sample([UP, UP, CMP1_FAILED]).await, [], "once");
    harness.restart();
    assert_eq!(harness.sample([UP, UP, UP]).await, one(Change::Started));
}

#[tokio::test]
async fn the_own_host_is_never_reported() {
    let mut harness = Harness::new().await;
    assert_eq!(harness.sample([UP, UP, UP]).await, []);
    assert_eq!(harness.sample([I_FAILED, I_FAILED, I_FAILED]).await, []);
}

#[tokio::test]
async fn answers_that_are_none() {
    let mut harness = Harness::new().await;
    assert_eq!(harness.sample([UP, UP, UP]).await, []);
    for body in ["", "{}", "[{\"Name\": 1}]", "[{\"Name\": \"cmp1\"}]", "\u{0}"] {
        harness.servers[2].answer(PATH, body);
        assert_eq!(harness.repeat().await, [], "{body:?}");
        assert!(harness.health.problem("consul").is_some(), "{body:?}");
    }
}

#[tokio::test]
async fn a_check_polls_the_agents_and_promises_a_time_only_if_all_answer() {
    let harness = Harness::new().await;
    let check = async |settings: &Settings| -> Vec<(FindingLevel, String, bool)> {
        let findings = Checks.check(settings, None).await.into_iter();
        findings
            .map(|finding| (finding.level, finding.text, finding.worst_seconds.is_some()))
            .collect()
    };
    for server in &harness.servers {
        server.answer(PATH, &members(UP));
    }
    let findings = check(&harness.settings).await;
    assert_eq!(
        findings[0],
        (
            FindingLevel::Good,
            "Consul answers: 2 of 2 other hosts can be judged".to_owned(),
            false
        )
    );
    assert_eq!(
        findings.iter().filter(|(_, _, time)| *time).count(),
        1,
        "{findings:?}"
    );
    // An agent that lists only itself.
    for server in &harness.servers {
        server.answer(PATH, &members(&[("me", 1)]));
    }
    let findings = check(&harness.settings).await;
    assert!(
        matches!(findings.as_slice(), [(FindingLevel::Note, text, false)] if text.contains("no other host")),
        "{findings:?}"
    );
    harness.servers[1].remove(PATH);
    let findings = check(&harness.settings).await;
    assert!(
        matches!(findings.as_slice(), [(FindingLevel::Wrong, text, false)] if text.contains("tenant: ")),
        "{findings:?}"
    );
}

#[tokio::test]
async fn a_check_reads_the_matrix() {
    let folder = tempfile::tempdir().unwrap();
    let matrix = folder.path().join("matrix.yaml");
    let settings = settings(&format!(
        "[host]\nmonitoring_driver = consul\n[consul]\nagent_manage = 127.0.0.1:9\nmatrix_config_file = {}\n",
        matrix.display()
    ));
    std::fs::write(&matrix, "sequence: [manage, backup]\nmatrix: []\n").unwrap();
    let findings = Checks.check(&settings, None).await;
    assert!(
        matches!(findings.as_slice(), [one] if one.level == FindingLevel::Wrong && one.text.contains("backup")),
        "{findings:?}"
    );
    std::fs::remove_file(&matrix).unwrap();
    let findings = Checks.check(&settings, None).await;
    let [note, wrong] = findings.as_slice() else {
        panic!("{findings:?}")
    };
    assert!(
        note.text.ends_with("does not exist; the built-in matrix is used"),
        "{note:?}"
    );
    assert!(
        wrong.level == FindingLevel::Wrong && wrong.text.contains("agent_tenant"),
        "{wrong:?}"
    );
}

/// An agent that hangs delays no other.
#[tokio::test(start_paused = true)]
async fn agents_are_polled_at_the_same_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = silent.local_addr().unwrap();
    let settings = settings(&format!(
        "[host]\nmonitoring_driver = consul\n[consul]\nagent_manage = {address}\nagent_tenant = {address}\nagent_storage = {address}\n"
    ));
    let began = tokio::time::Instant::now();
    let findings = Checks.check(&settings, None).await;
    assert!(
        matches!(findings.as_slice(), [one] if one.text.contains("manage: ") && one.text.contains("storage: ")),
        "{findings:?}"
    );
    assert!(began.elapsed() < agent::ANSWER_TIMEOUT * 2);
    assert_eq!(report_latency(&settings).within, Duration::from_secs(65));
}

#[test]
fn a_network_without_an_agent_is_refused() {
    let settings = settings("[host]\nmonitoring_driver = consul\n[consul]\nagent_manage = 127.0.0.1\n");
    assert!(Driver::new(&settings, &Clock::new()).err().unwrap().is_usage());
}

/// Covers F2.
#[tokio::test]
async fn the_body_is_upstreams_and_claims_no_more_than_is_known() {
    let harness = Harness::new().await;
    let upstreams = settings(&format!(
        "[host]\nreport_normal_without_proof = true\n[consul]\nagent_manage = {0}\nagent_tenant = {0}\nagent_storage = {0}\n",
        harness.servers[0].address
    ));
    let upstreams = Driver::new(&upstreams, &Clock::new()).unwrap();
    for (driver, change, payload) in [
        (
            &harness.sampler.driver,
            Change::Stopped,
            r#""payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "UNKNOWN"}}}"#,
        ),
        (
            &harness.sampler.driver,
            Change::Started,
            r#""payload": {"event": "STARTED", "cluster_status": "ONLINE", "host_status": "NORMAL"}}}"#,
        ),
        (
            &upstreams,
            Change::Stopped,
            r#""payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}}}"#,
        ),
    ] {
        let report = driver.report("cmp1", change).unwrap();
        assert!(report.body().ends_with(payload), "{}", report.body());
        assert_eq!(report.evidence(), None, "Consul has none");
    }
}
