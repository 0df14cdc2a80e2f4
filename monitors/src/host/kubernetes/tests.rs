use super::*;
use crate::check::FindingLevel;
use crate::host::checks::sampled;
use crate::host::fake_http::Server;
use crate::host::samples::STORM;
use crate::settings::tests::settings;

struct Pod {
    server: Server,
    sampler: Sampler<Driver>,
    health: Health,
    settings: Settings,
    account: tempfile::TempDir,
}

const FIRST: &str = "/api/v1/nodes?limit=50&labelSelector=role%3Dcompute";

fn node(name: &str, ready: &str) -> serde_json::Value {
    let conditions = serde_json::json!([{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready}]);
    serde_json::json!({"metadata": {"name": name}, "status": {"conditions": conditions}})
}

fn list(nodes: &[serde_json::Value], next: &str) -> String {
    serde_json::json!({"kind": "NodeList", "metadata": {"continue": next}, "items": nodes}).to_string()
}

impl Pod {
    async fn new(samples: usize) -> Self {
        let server = Server::start().await;
        let account = tempfile::tempdir().unwrap();
        let token = account.path().join("token");
        std::fs::write(&token, "secret\n").unwrap();
        let settings = settings(&format!(
            "[DEFAULT]\nhostname = me\n[monitor]\nstate_path = {}\n[host]\nmonitoring_driver = kubernetes\nmonitoring_samples = {samples}\n[kubernetes]\nmonitoring_node_labels = role=compute\n",
            account.path().display()
        ));
        Self {
            sampler: Self::sampler(&server, &token, &settings),
            server,
            health: Health::default(),
            settings,
            account,
        }
    }

    fn sampler(server: &Server, token: &std::path::Path, settings: &Settings) -> Sampler<Driver> {
        let url = format!("http://{}", server.address);
        let driver = Driver::at(url, None, token.to_owned(), settings, &Clock::new()).unwrap();
        Sampler::new(driver, settings).unwrap()
    }

    /// Replaces the monitor by one that was killed and started again.
    fn restart(&mut self) {
        let token = self.account.path().join("token");
        self.sampler = Self::sampler(&self.server, &token, &self.settings);
    }

    /// Returns the reported hosts after one poll of these nodes.
    async fn sample(&mut self, nodes: &[(&str, &str)]) -> Vec<String> {
        let nodes: Vec<_> = nodes.iter().map(|(name, ready)| node(name, ready)).collect();
        self.server.answer(FIRST, &list(&nodes, ""));
        self.repeat().await
    }

    async fn repeat(&mut self) -> Vec<String> {
        let mut reported = Vec::new();
        for (host, change) in self.sampler.round(&self.health).await {
            if let Some(report) = self.sampler.driver.report(&host, change) {
                assert!(
                    report
                        .body()
                        .ends_with(r#""payload": {"event": "STOPPED", "host_status": "UNKNOWN"}}}"#)
                );
                reported.push(host.clone());
            }
            self.sampler.reported(&host, change);
        }
        self.sampler.save(&self.health).await;
        reported
    }
}

const NOBODY: [String; 0] = [];

#[tokio::test]
async fn a_node_that_is_not_ready_is_reported_once() {
    let mut pod = Pod::new(1).await;
    assert_eq!(
        pod.sample(&[("a", "True"), ("b", "True"), ("me", "True")]).await,
        NOBODY
    );
    assert_eq!(
        pod.sample(&[("a", "Unknown"), ("b", "True"), ("me", "True")])
            .await,
        ["a"]
    );
    assert_eq!(pod.sample(&[("a", "False"), ("b", "True")]).await, NOBODY);
    assert_eq!(
        pod.sample(&[("a", "True"), ("b", "True")]).await,
        NOBODY,
        "never STARTED"
    );
    assert_eq!(
        pod.sample(&[("a", "False"), ("b", "True")]).await,
        ["a"],
        "a second death"
    );
}

#[tokio::test]
async fn a_check_lists_the_nodes_and_promises_a_time_only_if_it_can() {
    let pod = Pod::new(1).await;
    let check = async || -> Vec<(FindingLevel, String, bool)> {
        let token = pod.account.path().join("token");
        let url = format!("http://{}", pod.server.address);
        let driver = Driver::at(url, None, token, &pod.settings, &Clock::new());
        let max_latency = max_latency(&pod.settings);
        let findings = sampled("Kubernetes", driver, &pod.settings, max_latency).await;
        let findings = findings.into_iter();
        findings
            .map(|finding| (finding.level, finding.text, finding.worst_seconds.is_some()))
            .collect()
    };
    let wrong = check().await;
    assert!(
        matches!(wrong.as_slice(), [(FindingLevel::Wrong, text, false)] if text.contains("404")),
        "{wrong:?}"
    );
    pod.server.answer(FIRST, &list(&[node("me", "True")], ""));
    let alone = check().await;
    assert!(
        matches!(alone.as_slice(), [(FindingLevel::Note, text, false)] if text.contains("no other host")),
        "{alone:?}"
    );
    pod.server
        .answer(FIRST, &list(&[node("me", "True"), node("a", "False")], ""));
    let good = check().await;
    assert_eq!(good[0].1, "Kubernetes answers: 1 of 1 other hosts can be judged");
    assert_eq!(good.iter().filter(|(_, _, time)| *time).count(), 1, "{good:?}");
}

#[tokio::test]
async fn every_node_has_a_beginning_of_its_own() {
    let mut pod = Pod::new(1).await;
    assert_eq!(pod.sample(&[("a", "False"), ("b", "Unknown")]).await, NOBODY);
    assert_eq!(
        pod.sample(&[("a", "False"), ("b", "Unknown"), ("c", "False")])
            .await,
        NOBODY
    );
}

#[tokio::test]
async fn any_true_among_the_samples_keeps_it_alive() {
    let mut pod = Pod::new(3).await;
    for ready in [
        "True", "True", "True", "False", "False", "True", "False", "Unknown",
    ] {
        assert_eq!(pod.sample(&[("a", ready)]).await, NOBODY, "{ready}");
    }
    assert_eq!(pod.sample(&[("a", "False")]).await, ["a"]);
}

#[tokio::test]
async fn nodes_that_vanish_are_forgotten() {
    let mut pod = Pod::new(1).await;
    assert_eq!(pod.sample(&[("a", "True")]).await, NOBODY);
    assert_eq!(pod.sample(&[]).await, NOBODY);
    assert_eq!(pod.sample(&[("a", "False")]).await, NOBODY, "it is a new node");
}

#[tokio::test]
async fn long_lists_are_read_to_their_end() {
    let mut pod = Pod::new(1).await;
    let second = format!("{FIRST}&continue=more%3D");
    pod.server.answer(FIRST, &list(&[node("a", "True")], "more="));
    pod.server.answer(&second, &list(&[node("b", "True")], ""));
    assert_eq!(pod.repeat().await, NOBODY);
    pod.server.answer(&second, &list(&[node("b", "False")], ""));
    assert_eq!(pod.repeat().await, ["b"]);
    let authorised = pod.server.requests().iter().all(|request| {
        request
            .to_lowercase()
            .contains("authorization: bearer secret\r\n")
    });
    assert!(authorised);
}

#[tokio::test]
async fn half_a_list_is_no_list() {
    let mut pod = Pod::new(1).await;
    assert_eq!(pod.sample(&[("a", "True"), ("b", "True")]).await, NOBODY);
    // The second page is missing.
    pod.server.answer(FIRST, &list(&[node("a", "False")], "more"));
    assert_eq!(pod.repeat().await, NOBODY);
    assert!(pod.health.problem("kubernetes").is_some());
    for body in [
        "",
        "[]",
        "{}",
        "{\"items\": 1}",
        "{\"kind\": \"Status\", \"items\": []}",
    ] {
        pod.server.answer(FIRST, body);
        assert_eq!(pod.repeat().await, NOBODY, "{body:?}");
        assert!(pod.health.problem("kubernetes").is_some(), "{body:?}");
    }
    assert_eq!(pod.sample(&[("a", "True"), ("b", "False")]).await, ["b"]);
}

/// Covers F10.
#[tokio::test]
async fn a_node_that_went_while_the_monitor_was_down_is_reported_once() {
    let mut pod = Pod::new(1).await;
    assert_eq!(pod.sample(&[("a", "True"), ("b", "True")]).await, NOBODY);
    pod.restart();
    assert_eq!(pod.sample(&[("a", "False"), ("b", "True")]).await, ["a"]);
    pod.restart();
    assert_eq!(pod.sample(&[("a", "False"), ("b", "True")]).await, NOBODY);
}

/// Covers F2.
#[tokio::test]
async fn nothing_is_reported_by_a_node_that_is_not_ready_itself_nor_of_most_at_once() {
    let mut pod = Pod::new(1).await;
    let all = [
        ("a", "True"),
        ("b", "True"),
        ("c", "True"),
        ("d", "True"),
        ("me", "True"),
    ];
    assert_eq!(pod.sample(&all).await, NOBODY);
    assert_eq!(
        pod.sample(&[("a", "False"), ("b", "True"), ("me", "Unknown")])
            .await,
        NOBODY
    );
    assert!(pod.health.problem("kubernetes").is_some());
    let most = [
        ("a", "False"),
        ("b", "Unknown"),
        ("c", "False"),
        ("d", "True"),
        ("me", "True"),
    ];
    assert_eq!(pod.sample(&most).await, NOBODY);
    assert!(pod.health.problem(STORM).is_some());
    let two = [
        ("a", "False"),
        ("b", "True"),
        ("c", "False"),
        ("d", "True"),
        ("me", "True"),
    ];
    assert_eq!(pod.sample(&two).await, ["a", "c"]);
    assert_eq!(pod.health.problem(STORM), None);
}
