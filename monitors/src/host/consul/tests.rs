use super::*;
use crate::host::fake_http::Server;
use crate::settings::tests::settings;

const PATH: &str = "/v1/agent/members";

struct Nets {
    servers: [Server; 3],
    driver: Driver,
    health: Health,
}

impl Nets {
    async fn new() -> Self {
        let servers = [
            Server::start().await,
            Server::start().await,
            Server::start().await,
        ];
        let [manage, tenant, storage] = &servers;
        let settings = settings(&format!(
            "[DEFAULT]\nhostname = me\n[host]\nmonitoring_driver = consul\n[consul]\nagent_manage = {}\nagent_tenant = {}\nagent_storage = {}\n",
            manage.address, tenant.address, storage.address
        ));
        Self {
            driver: Driver::new(&settings, &Clock::new()).unwrap(),
            servers,
            health: Health::default(),
        }
    }

    /// What one look comes to, given each network's members with their status.
    async fn look(&mut self, networks: [&[(&str, i64)]; 3]) -> Vec<(String, Change)> {
        for (server, members) in self.servers.iter().zip(networks) {
            let members: Vec<_> = members
                .iter()
                .map(|(name, status)| serde_json::json!({"Name": name, "Status": status, "Addr": "10.0.0.1", "Tags": {}}))
                .collect();
            server.answer(PATH, &serde_json::Value::from(members).to_string());
        }
        self.again().await
    }

    async fn again(&mut self) -> Vec<(String, Change)> {
        let states = self.driver.look(&self.health).await;
        let changes = self.driver.hosts.see(&states);
        for (host, change) in &changes {
            self.driver.hosts.told(host, *change);
        }
        changes
    }
}

const UP: &[(&str, i64)] = &[("cmp1", 1), ("cmp2", 1), ("me", 1)];
const CMP1_FAILED: &[(&str, i64)] = &[("cmp1", 4), ("cmp2", 1), ("me", 1)];
const CMP1_LEFT: &[(&str, i64)] = &[("cmp1", 3), ("cmp2", 1), ("me", 1)];
const CMP1_MISSING: &[(&str, i64)] = &[("cmp2", 1), ("me", 1)];
const I_FAILED: &[(&str, i64)] = &[("cmp1", 1), ("cmp2", 1), ("me", 4)];

fn one(change: Change) -> Vec<(String, Change)> {
    vec![("cmp1".to_owned(), change)]
}

#[tokio::test]
async fn mw20_the_storage_network_decides() {
    let mut nets = Nets::new().await;
    assert_eq!(nets.look([UP, UP, UP]).await, []);
    assert_eq!(nets.look([CMP1_FAILED, CMP1_FAILED, UP]).await, []);
    assert_eq!(nets.look([UP, UP, CMP1_FAILED]).await, one(Change::Stopped));
    assert_eq!(nets.look([UP, UP, CMP1_FAILED]).await, []);
    assert_eq!(nets.look([UP, UP, UP]).await, one(Change::Started));
}

#[tokio::test]
async fn mw20_who_left_or_is_not_listed_has_not_failed() {
    let mut nets = Nets::new().await;
    assert_eq!(nets.look([UP, UP, UP]).await, []);
    assert_eq!(nets.look([CMP1_LEFT, CMP1_LEFT, CMP1_LEFT]).await, []);
    assert_eq!(nets.look([UP, UP, CMP1_MISSING]).await, []);
    assert_eq!(
        nets.look([CMP1_MISSING, UP, CMP1_FAILED]).await,
        [],
        "its place is kept, and unknown"
    );
    assert_eq!(nets.look([UP, UP, UP]).await, [], "no STARTED without a STOPPED");
}

#[tokio::test]
async fn mw20_an_agent_that_is_away_blocks_no_other() {
    let mut nets = Nets::new().await;
    let single = tempfile::tempdir().unwrap();
    let matrix = single.path().join("matrix.yaml");
    std::fs::write(
        &matrix,
        "sequence: [storage]\nmatrix: [{health: [up], action: []}, {health: [down], action: [recovery]}]",
    )
    .unwrap();
    nets.driver.matrix = Matrix::load(Some(&matrix)).unwrap();
    let agents = nets.driver.agents.clone();
    nets.driver.agents = agents
        .into_iter()
        .filter(|(network, _)| network == "storage")
        .collect();
    assert_eq!(nets.look([UP, UP, UP]).await, []);
    nets.servers[0].forget(PATH);
    nets.servers[1].forget(PATH);
    nets.servers[2].answer(PATH, r#"[{"Name": "cmp1", "Status": 4}]"#);
    assert_eq!(nets.again().await, one(Change::Stopped));
    assert_eq!(nets.health.trouble("consul"), None);
    nets.servers[2].forget(PATH);
    assert_eq!(nets.again().await, []);
    assert!(
        nets.health
            .trouble("consul")
            .is_some_and(|why| why.contains("storage"))
    );
}

#[tokio::test]
async fn the_own_host_is_never_told() {
    let mut nets = Nets::new().await;
    assert_eq!(nets.look([UP, UP, UP]).await, []);
    assert_eq!(nets.look([I_FAILED, I_FAILED, I_FAILED]).await, []);
}

#[tokio::test]
async fn answers_that_are_none() {
    let mut nets = Nets::new().await;
    assert_eq!(nets.look([UP, UP, UP]).await, []);
    for body in ["", "{}", "[{\"Name\": 1}]", "[{\"Name\": \"cmp1\"}]", "\u{0}"] {
        nets.servers[2].answer(PATH, body);
        assert_eq!(nets.again().await, [], "{body:?}");
        assert!(nets.health.trouble("consul").is_some(), "{body:?}");
    }
}

#[test]
fn a_network_without_an_agent_is_refused() {
    let settings = settings("[host]\nmonitoring_driver = consul\n[consul]\nagent_manage = 127.0.0.1\n");
    assert!(Driver::new(&settings, &Clock::new()).err().unwrap().is_usage());
}

#[tokio::test]
async fn the_body_is_upstreams() {
    let nets = Nets::new().await;
    for (change, payload) in [
        (
            Change::Stopped,
            r#""payload": {"event": "STOPPED", "cluster_status": "OFFLINE", "host_status": "NORMAL"}}}"#,
        ),
        (
            Change::Started,
            r#""payload": {"event": "STARTED", "cluster_status": "ONLINE", "host_status": "NORMAL"}}}"#,
        ),
    ] {
        let report = nets.driver.report("cmp1", change);
        assert!(report.body().ends_with(payload), "{}", report.body());
        assert_eq!(report.evidence(), None, "Consul has none");
    }
}
