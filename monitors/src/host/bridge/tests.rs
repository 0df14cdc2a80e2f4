use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Mutex;

use base64::Engine as _;
use tachi_pacemaker::{Change, Cib, CrmMon, Proof, Report, Snapshot, parse_time};

use super::*;

/// A cluster of two control nodes and three remotes, as both programs print it.
#[derive(Default)]
struct Fake {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The nodes that replace a remote that is up.
    nodes: BTreeMap<String, Node>,
    no_quorum: bool,
    hung: bool,
    /// The next output of the CIB, because `crm_mon` was read a moment later.
    late: Option<String>,
    attributes: HashMap<(String, String), String>,
    polls: usize,
    cibs: usize,
    /// Number of reads of the bridges' attributes.
    attribute_reads: usize,
    /// The only fence agent.
    agent: Option<&'static str>,
}

#[derive(Clone, Copy, PartialEq)]
enum Node {
    Pending,
    Fenced(i64),
    /// A node that is up again, with its fencing still in the history.
    Back(i64),
    Stopped,
}

impl Fake {
    fn set(&self, node: &str, now: Node) {
        self.state.lock().unwrap().nodes.insert(node.to_owned(), now);
    }

    fn heal(&self, node: &str) {
        self.state.lock().unwrap().nodes.remove(node);
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }
}

const REMOTES: [&str; 3] = ["cmp1", "cmp2", "cmp3"];

impl State {
    fn mon(&self) -> String {
        let (mut nodes, mut resources, mut fences) = (Vec::new(), Vec::new(), Vec::new());
        for name in REMOTES {
            let state = self.nodes.get(name).copied();
            let up = matches!(state, None | Some(Node::Back(_)));
            let (online, unclean) = (up, state == Some(Node::Pending));
            nodes.push(format!(
                r#"<node name="{name}" type="remote" online="{online}" unclean="{unclean}"/>"#
            ));
            let role = if online { "Started" } else { "Stopped" };
            let target = if state == Some(Node::Stopped) {
                r#" target_role="Stopped""#
            } else {
                ""
            };
            resources.push(format!(
                r#"<resource id="{name}" role="{role}"{target} failed="false" managed="true"/>"#
            ));
            match state {
                Some(Node::Pending) => {
                    fences.push(format!(
                        r#"<fence_event action="off" target="{name}" status="pending"/>"#
                    ));
                }
                Some(Node::Fenced(at) | Node::Back(at)) => {
                    fences.push(format!(
                        r#"<fence_event action="off" target="{name}" status="success" delegate="ctl2" client="c.1" origin="ctl1" completed="{at}"/>"#
                    ));
                }
                Some(Node::Stopped) | None => {}
            }
        }
        let (nodes, resources, fences) = (nodes.concat(), resources.concat(), fences.concat());
        format!(
            r#"<pacemaker-result><summary><current_dc present="true" name="ctl1" with_quorum="{}"/>
            <cluster_options stonith-enabled="true"/></summary><nodes>{nodes}
            <node name="ctl1" type="member" online="true"/><node name="ctl2" type="member" online="true"/></nodes>
            <resources>{resources}</resources><fence_history>{fences}</fence_history><status code="0"/></pacemaker-result>"#,
            !self.no_quorum
        )
    }

    fn cib(&self) -> String {
        let mut notes = Vec::new();
        for name in REMOTES {
            let state = self.nodes.get(name).copied();
            let fenced = if let Some(Node::Fenced(at)) = state { at } else { 0 };
            notes.push(format!(
                r#"<node_state uname="{name}" in_ccm="{}" node_fenced="{fenced}"/>"#,
                matches!(state, None | Some(Node::Back(_)))
            ));
        }
        let notes = notes.concat();
        let agent = self.agent.unwrap_or("fence_apc");
        let device = format!(r#"<primitive id="st" class="stonith" type="{agent}"/>"#);
        format!(
            r#"<cib have-quorum="1"><configuration><resources>{device}</resources></configuration><status>{notes}</status></cib>"#
        )
    }
}

/// The cluster in the view of one node, which sets its own attributes.
struct View(Arc<Fake>, &'static str);

#[async_trait]
impl Cluster for View {
    async fn mon(&self) -> Result<String, ToolError> {
        let hung = self.0.with(|state| {
            state.polls += 1;
            state.hung
        });
        if hung {
            // Like the real program, it returns after its timeout.
            let limit = Duration::from_secs(10);
            tokio::time::sleep(limit).await;
            return Err(ToolError::Slow {
                program: "crm_mon".to_owned(),
                limit,
            });
        }
        Ok(self.0.with(|state| state.mon()))
    }

    async fn cib(&self) -> Result<String, ToolError> {
        Ok(self.0.with(|state| {
            state.cibs += 1;
            state.late.take().unwrap_or_else(|| state.cib())
        }))
    }

    async fn attributes(&self, name: &str) -> Result<Vec<(String, String)>, ToolError> {
        Ok(self.0.with(|state| {
            state.attribute_reads += 1;
            let of = state.attributes.iter().filter(|((_, of), _)| of == name);
            of.map(|((node, _), value)| (node.clone(), value.clone()))
                .collect()
        }))
    }

    async fn set_attribute(&self, name: &str, value: &str) -> Result<(), ToolError> {
        let key = (self.1.to_owned(), name.to_owned());
        self.0
            .with(|state| state.attributes.insert(key, value.to_owned()));
        Ok(())
    }
}

/// The spool and the API behind it.
#[derive(Default)]
struct Post {
    reports: Mutex<Vec<Notification>>,
    full: Mutex<bool>,
    unreachable: Mutex<bool>,
}

#[async_trait]
impl Sink for Post {
    async fn report(&self, report: &Notification, _why: &str) -> Result<(), ReportError> {
        if *self.full.lock().unwrap() {
            return Err(ReportError::Stopping);
        }
        self.reports.lock().unwrap().push(report.clone());
        Ok(())
    }

    async fn waits(&self, _subject: &str) -> bool {
        *self.unreachable.lock().unwrap()
    }
}

impl Post {
    /// Returns the reports, as (host, event, `host_status`).
    fn reported(&self) -> Vec<(String, String, String)> {
        let reports = self.reports.lock().unwrap();
        let rows = reports.iter().map(|report| {
            let body: serde_json::Value = serde_json::from_str(report.body()).unwrap();
            let text_of = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
            let reported = &body["notification"];
            let payload = &reported["payload"];
            (
                text_of(&reported["hostname"]),
                text_of(&payload["event"]),
                text_of(&payload["host_status"]),
            )
        });
        rows.collect()
    }
}

fn stopped(host: &str) -> (String, String, String) {
    (host.to_owned(), "STOPPED".to_owned(), "NORMAL".to_owned())
}

struct World {
    cluster: Arc<Fake>,
    post: Post,
    folder: tempfile::TempDir,
    health: Health,
}

impl World {
    fn new() -> Self {
        Self {
            cluster: Arc::new(Fake::default()),
            post: Post::default(),
            folder: tempfile::tempdir().unwrap(),
            health: Health::default(),
        }
    }

    fn bridge(&self, on: &'static str) -> Bridge {
        let setup = Setup {
            hostname: on.to_owned(),
            restrict_to_remotes: true,
            poll: Duration::from_secs(1),
            standby: Duration::from_secs(10),
            turn: Duration::from_secs(5),
            pace: Pace::default(),
            rules: Rules {
                need_cib: true,
                power_agents: vec!["fence_theirs".to_owned()],
                ..Rules::default()
            },
            names: Names {
                map: BTreeMap::from([("cmp2".to_owned(), "nova2".to_owned())]),
                hosts: Vec::new(),
            },
            cluster: None,
        };
        let file = File::open(&self.folder.path().join(on));
        let cluster = Arc::new(View(Arc::clone(&self.cluster), on));
        let socket = self.folder.path().join("alert.sock");
        Bridge::new(setup, cluster, socket, None, Clock::new(), file).unwrap()
    }

    async fn polls(&self, bridge: &mut Bridge, count: usize) {
        for _ in 0..count {
            bridge.poll(&self.post, &self.health).await;
            tokio::time::advance(Duration::from_secs(1)).await;
        }
    }

    /// Returns the current second of the machine's clock, in which a fencing happens.
    fn second() -> i64 {
        Clock::new().generated().micros() / 1_000_000
    }
}

/// Covers MW1.
#[tokio::test(start_paused = true)]
async fn a_host_is_reported_as_stopped_once_when_it_was_fenced() {
    let world = World::new();
    let mut bridge = world.bridge("ctl1");
    world.polls(&mut bridge, 3).await;
    world.cluster.set("cmp2", Node::Pending);
    world.polls(&mut bridge, 30).await;
    assert!(world.post.reported().is_empty(), "{:?}", world.post.reported());
    world.cluster.set("cmp2", Node::Fenced(World::second()));
    world.polls(&mut bridge, 30).await;
    assert_eq!(world.post.reported(), [stopped("nova2")]);
    let reports = world.post.reports.lock().unwrap();
    let header = reports.first().unwrap().evidence().unwrap();
    let evidence: serde_json::Value =
        serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(header).unwrap()).unwrap();
    assert_eq!(evidence["target"], "cmp2");
    assert_eq!(evidence["host"], "nova2");
    assert_eq!(evidence["device"], "st");
    assert_eq!(evidence["reporter"], "ctl1");
}

/// Covers MW2.
#[tokio::test(start_paused = true)]
async fn a_return_is_reported_after_it_held() {
    let world = World::new();
    let mut bridge = world.bridge("ctl1");
    world.polls(&mut bridge, 2).await;
    // Dated long ago, so that the views agree when it is up again.
    world.cluster.set("cmp1", Node::Fenced(World::second()));
    world.polls(&mut bridge, 2).await;
    world.cluster.heal("cmp1");
    world.polls(&mut bridge, 9).await;
    assert_eq!(world.post.reported(), [stopped("cmp1")]);
    world.polls(&mut bridge, 10).await;
    let started = ("cmp1".to_owned(), "STARTED".to_owned(), "NORMAL".to_owned());
    assert_eq!(world.post.reported(), [stopped("cmp1"), started]);
}

/// Seen on a real cluster, repeatedly: the CIB's record was read just before a remote was back and `crm_mon` just
/// after, and as `crm_mon` did not change from then on, the record was not read again for ten seconds. The bridge
/// considered the host off, and never saw that it was back before it died again.
/// Covers MW2.
#[tokio::test(start_paused = true)]
async fn a_return_between_the_two_readings_is_seen_at_the_next_poll() {
    let world = World::new();
    let mut bridge = world.bridge("ctl1");
    world.polls(&mut bridge, 2).await;
    // The clock of observations does not move here: the host was up a minute ago, was fenced, and is back for long
    // enough.
    bridge.setup.rules.min_up_time = chrono::TimeDelta::zero();
    let fenced = World::second();
    let past = bridge.memory.history.nodes.get_mut("cmp1").unwrap();
    past.last_up = chrono::DateTime::from_timestamp(fenced - 60, 0);
    world.cluster.set("cmp1", Node::Fenced(fenced));
    world.polls(&mut bridge, 10).await;
    let noted = world.cluster.with(|state| state.cib());
    world.cluster.with(|state| state.late = Some(noted));
    world.cluster.set("cmp1", Node::Back(fenced));
    world.polls(&mut bridge, 2).await;
    assert!(world.cluster.with(|state| state.late.is_none()), "it was read");
    assert_eq!(bridge.memory.history.nodes["cmp1"].verdict, Some(Verdict::Up));
}

/// Covers MW7.
#[tokio::test(start_paused = true)]
async fn a_restart_neither_loses_nor_repeats() {
    let world = World::new();
    let mut bridge = world.bridge("ctl1");
    world.polls(&mut bridge, 3).await;
    drop(bridge);
    world.cluster.set("cmp1", Node::Fenced(World::second()));
    for _ in 0..3 {
        let mut bridge = world.bridge("ctl1");
        world.polls(&mut bridge, 20).await;
    }
    assert_eq!(world.post.reported(), [stopped("cmp1")]);
}

/// Covers MW3.
#[tokio::test(start_paused = true)]
async fn a_report_that_could_not_be_kept_is_repeated_to_the_letter() {
    let world = World::new();
    let mut bridge = world.bridge("ctl1");
    world.polls(&mut bridge, 1).await;
    *world.post.full.lock().unwrap() = true;
    world.cluster.set("cmp1", Node::Fenced(World::second()));
    world.polls(&mut bridge, 3).await;
    let reported = bridge.memory.ledger.nodes["cmp1"].clone();
    assert!(!reported.handed_over);
    // The process is killed here: the next one has only the file.
    drop(bridge);
    *world.post.full.lock().unwrap() = false;
    let mut bridge = world.bridge("ctl1");
    world.polls(&mut bridge, 3).await;
    assert_eq!(world.post.reported(), [stopped("cmp1")]);
    let body = world
        .post
        .reports
        .lock()
        .unwrap()
        .first()
        .unwrap()
        .body()
        .to_owned();
    let at = reported.at.format("%Y-%m-%dT%H:%M:%S").to_string();
    assert!(body.contains(&at), "{body} {at}");
}

/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn three_bridges_report_once() {
    let world = World::new();
    let mut bridges = [world.bridge("cmp3"), world.bridge("ctl2"), world.bridge("ctl1")];
    for bridge in &mut bridges {
        bridge.poll(&world.post, &world.health).await;
    }
    world.cluster.set("cmp1", Node::Fenced(World::second()));
    for _ in 0..60 {
        for bridge in &mut bridges {
            bridge.poll(&world.post, &world.health).await;
        }
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(world.post.reported(), [stopped("cmp1")]);
}

/// Seen on a real cluster on a busy machine: a member's bridge saw nothing for a hundred seconds, and then reported
/// that a host was back from the fencing before the last.
/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn a_bridge_that_missed_a_fencing_does_not_report_it() {
    let world = World::new();
    let (mut awake, mut asleep) = (world.bridge("ctl1"), world.bridge("ctl2"));
    awake.poll(&world.post, &world.health).await;
    // The clock stands still here, and later dates are not trusted.
    let first = World::second() - 600;
    world.cluster.set("cmp1", Node::Fenced(first));
    world.polls(&mut awake, 2).await;
    world.polls(&mut asleep, 2).await;
    for later in [0, 60] {
        if later > 0 {
            world.cluster.set("cmp1", Node::Fenced(first + later));
            world.polls(&mut awake, 2).await;
        }
        world.cluster.heal("cmp1");
        world.polls(&mut awake, 20).await;
    }
    let reported = world.post.reported();
    assert_eq!(reported.len(), 4, "{reported:?}");
    world.polls(&mut asleep, 60).await;
    assert_eq!(world.post.reported(), reported, "its return was reported before");
    // It is up to date: if the other bridge dies, it reports the next event.
    drop(awake);
    world.cluster.set("cmp1", Node::Fenced(first + 300));
    world.polls(&mut asleep, 20).await;
    assert_eq!(world.post.reported()[4..], [stopped("cmp1")]);
}

/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn another_bridge_takes_over_from_a_dead_one() {
    let world = World::new();
    let (mut first, mut second) = (world.bridge("ctl1"), world.bridge("ctl2"));
    first.poll(&world.post, &world.health).await;
    second.poll(&world.post, &world.health).await;
    drop(first);
    world.cluster.set("cmp1", Node::Fenced(World::second()));
    world.polls(&mut second, 4).await;
    assert!(world.post.reported().is_empty(), "it still waits for the first");
    world.polls(&mut second, 3).await;
    assert_eq!(world.post.reported(), [stopped("cmp1")]);
    // The first bridge returns, and finds that the loss was reported.
    let mut first = world.bridge("ctl1");
    world.polls(&mut first, 10).await;
    assert_eq!(world.post.reported(), [stopped("cmp1")]);
}

/// Covers MW4.
#[tokio::test(start_paused = true)]
async fn on_a_remote_the_cluster_is_polled_rarely_while_another_bridge_reports() {
    let world = World::new();
    let pause = |bridge: &Bridge| bridge.pause(Instant::now()).as_millis();
    let (mut member, mut remote) = (world.bridge("ctl2"), world.bridge("cmp3"));
    world.polls(&mut remote, 2).await;
    assert_eq!(pause(&remote), 1_000, "it is alone");
    member.poll(&world.post, &world.health).await;
    let attribute_reads = world.cluster.with(|state| state.attribute_reads);
    world.polls(&mut remote, 9).await;
    assert_eq!((pause(&member), pause(&remote)), (1_000, 10_000));
    let attribute_reads = world.cluster.with(|state| state.attribute_reads) - attribute_reads;
    assert_eq!(attribute_reads, 1, "the line, once in ten seconds");
    // The other bridge has died undetected: the report is sent after the usual delay.
    drop(member);
    world.cluster.set("cmp1", Node::Fenced(World::second()));
    remote.poll(&world.post, &world.health).await;
    assert_eq!(pause(&remote), 1_000, "no bridge has reported it");
    world.polls(&mut remote, 20).await;
    assert_eq!(world.post.reported(), [stopped("cmp1")]);
    assert_eq!(pause(&remote), 10_000);
    // Without a view of the cluster it polls at the usual rate.
    world.cluster.with(|state| state.hung = true);
    world.polls(&mut remote, 1).await;
    assert_eq!(pause(&remote), 1_000);
}

/// Covers MW4.
#[tokio::test(start_paused = true)]
async fn of_remotes_alone_the_first_two_in_line_ask_and_the_others_stand_by() {
    let world = World::new();
    let pause = |bridge: &Bridge| bridge.pause(Instant::now()).as_millis();
    let mut line = [world.bridge("cmp1"), world.bridge("cmp2"), world.bridge("cmp3")];
    for _ in 0..2 {
        for bridge in &mut line {
            world.polls(bridge, 1).await;
        }
    }
    assert_eq!(line.each_ref().map(pause), [1_000, 1_000, 10_000]);
    // One bridge ends: the next takes over.
    let [first, _, mut third] = line;
    first.claims.leave(first.cluster.as_ref()).await;
    drop(first);
    tokio::time::advance(Duration::from_secs(10)).await;
    world.polls(&mut third, 1).await;
    assert_eq!(pause(&third), 1_000);
}

/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn an_answer_of_the_api_is_announced_before_the_next_poll() {
    let world = World::new();
    let mut first = world.bridge("ctl1");
    first.poll(&world.post, &world.health).await;
    *world.post.unreachable.lock().unwrap() = true;
    world.cluster.set("cmp1", Node::Fenced(World::second()));
    let stop = CancellationToken::new();
    let is_announced = |what: &str| {
        world.cluster.with(|state| {
            let mut values = state.attributes.values();
            values.any(|value| value.contains(what))
        })
    };
    let watching = async {
        while !is_announced("spooled") {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // From now on the cluster's program hangs, and the API is back.
        world.cluster.with(|state| state.hung = true);
        *world.post.unreachable.lock().unwrap() = false;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(is_announced("accepted"), "within a look's pause");
        stop.cancel();
    };
    tokio::join!(first.watch(&world.post, &world.health, &stop), watching);
    assert_eq!(world.post.reported(), [stopped("cmp1")]);
}

/// Covers MW8.
#[tokio::test(start_paused = true)]
async fn while_the_api_is_away_the_others_leave_it_to_the_one_who_has_it() {
    let world = World::new();
    let (mut first, mut second) = (world.bridge("ctl1"), world.bridge("ctl2"));
    first.poll(&world.post, &world.health).await;
    second.poll(&world.post, &world.health).await;
    *world.post.unreachable.lock().unwrap() = true;
    world.cluster.set("cmp1", Node::Fenced(World::second()));
    for second_of_ten_minutes in 0..600 {
        if second_of_ten_minutes == 300 {
            // The process is killed with the report in its spool.
            first = world.bridge("ctl1");
        }
        first.poll(&world.post, &world.health).await;
        second.poll(&world.post, &world.health).await;
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    assert_eq!(world.post.reported(), [stopped("cmp1")]);
}

/// Covers MW9.
#[tokio::test(start_paused = true)]
async fn without_quorum_nothing_is_reported_and_the_monitor_is_not_well() {
    let world = World::new();
    let mut bridge = world.bridge("ctl1");
    world.polls(&mut bridge, 2).await;
    world.cluster.with(|state| state.no_quorum = true);
    for name in REMOTES {
        world.cluster.set(name, Node::Fenced(World::second()));
    }
    world.polls(&mut bridge, 100).await;
    assert!(world.post.reported().is_empty());
    assert!(
        world
            .health
            .problem("pacemaker")
            .is_some_and(|why| why.contains("quorum"))
    );
}

/// Covers MW10.
#[tokio::test(start_paused = true)]
async fn a_planned_stop_is_not_reported() {
    let world = World::new();
    let mut bridge = world.bridge("ctl1");
    world.polls(&mut bridge, 2).await;
    world.cluster.set("cmp1", Node::Stopped);
    world.polls(&mut bridge, 200).await;
    world.cluster.heal("cmp1");
    world.polls(&mut bridge, 60).await;
    assert!(world.post.reported().is_empty(), "{:?}", world.post.reported());
}

/// Covers MW13.
#[tokio::test(start_paused = true)]
async fn the_own_node_is_never_reported() {
    let world = World::new();
    let mut bridge = world.bridge("cmp1");
    world.polls(&mut bridge, 2).await;
    world.cluster.set("cmp1", Node::Fenced(World::second()));
    world.polls(&mut bridge, 60).await;
    assert!(world.post.reported().is_empty());
}

/// Covers MW4.
#[tokio::test(start_paused = true)]
async fn a_program_that_hangs_makes_it_blind_within_15_seconds_and_no_longer() {
    let world = World::new();
    let mut bridge = world.bridge("ctl1");
    world.polls(&mut bridge, 2).await;
    assert_eq!(world.health.problem("pacemaker"), None);
    world.cluster.with(|state| state.hung = true);
    let began = Instant::now();
    while world.health.problem("pacemaker").is_none() {
        bridge.poll(&world.post, &world.health).await;
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(began.elapsed() < Duration::from_secs(15));
    }
    world.cluster.with(|state| state.hung = false);
    world.polls(&mut bridge, 1).await;
    assert_eq!(world.health.problem("pacemaker"), None);
}

#[tokio::test(start_paused = true)]
async fn the_cib_is_read_from_time_to_time_while_nothing_changes() {
    let world = World::new();
    let mut bridge = world.bridge("ctl1");
    world.polls(&mut bridge, 60).await;
    let (polls, cibs) = world.cluster.with(|state| (state.polls, state.cibs));
    assert_eq!(polls, 60);
    assert!((5..=8).contains(&cibs), "{cibs}");
}

#[test]
fn what_must_be_on_the_disk_at_once() {
    let mut memory = Memory::default();
    let past = memory.history.nodes.entry("cmp1".to_owned()).or_default();
    past.last_up = parse_time("2026-11-20T07:00:00Z").ok();
    let mut later = memory.clone();
    later.history.nodes.get_mut("cmp1").unwrap().last_up = parse_time("2026-11-20T07:00:01Z").ok();
    assert_eq!(lasting(&memory), lasting(&later), "only later");
    later.history.nodes.get_mut("cmp1").unwrap().verdict = Some(Verdict::Lost);
    assert_ne!(lasting(&memory), lasting(&later), "another verdict");
}

/// The guests of a host that lost its storage keep running.
/// Covers F3.
#[tokio::test(start_paused = true)]
async fn a_host_whose_agent_does_not_switch_power_is_reported_as_unknown() {
    for (name, agent, status) in [
        ("storage", "fence_scsi", "UNKNOWN"),
        ("only reported to Nova", "fence_compute", "UNKNOWN"),
        (
            "cuts a network, and offers on, off and reboot",
            "fence_aws_vpc_net",
            "UNKNOWN",
        ),
        ("an unknown agent", "fence_ours", "UNKNOWN"),
        ("the operator knows it", "fence_theirs", "NORMAL"),
        ("power", "fence_apc", "NORMAL"),
    ] {
        let world = World::new();
        world.cluster.with(|state| state.agent = Some(agent));
        let mut bridge = world.bridge("ctl1");
        world.polls(&mut bridge, 3).await;
        world.cluster.set("cmp2", Node::Fenced(World::second()));
        world.polls(&mut bridge, 90).await;
        let reported: Vec<_> = world
            .post
            .reported()
            .into_iter()
            .map(|(_, _, status)| status)
            .collect();
        assert_eq!(reported, [status], "{name}");
    }
}

/// The cluster's default action is a reboot, after which the host is on again.
/// Covers MW21.
#[tokio::test]
async fn a_power_controller_contradicts_an_off_and_no_reboot() {
    let world = World::new();
    let program = world.folder.path().join("ipmitool");
    std::fs::write(&program, "#!/bin/sh\necho Chassis Power is on\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut bridge = world.bridge("ctl1");
    bridge.power = Some(PowerCheck {
        program: program.to_str().unwrap().to_owned(),
        timeout: Duration::from_secs(20),
        retries: 0,
        interval: Duration::ZERO,
    });
    let mon = world.cluster.with(|state| state.mon());
    let pairs: Vec<_> = [
        ("hostname", "cmp2"),
        ("ipaddr", "b2"),
        ("userid", "u"),
        ("passwd", "p"),
    ]
    .iter()
    .map(|(name, value)| format!(r#"<nvpair id="{name}" name="{name}" value="{value}"/>"#))
    .collect();
    let cib = format!(
        r#"<cib have-quorum="1"><configuration><resources><primitive id="st" class="stonith" type="external/ipmi">
        <instance_attributes id="i">{}</instance_attributes></primitive></resources></configuration><status/></cib>"#,
        pairs.concat()
    );
    let snapshot = Snapshot::new(CrmMon::parse(&mon).unwrap(), Some(Cib::parse(&cib).unwrap()));
    for (action, contradicted) in [("off", true), ("reboot", false)] {
        let change = Change {
            node: "cmp2".to_owned(),
            report: Report::Fenced(Proof {
                target: "cmp2".to_owned(),
                action: action.to_owned(),
                completed: parse_time("2026-11-20T06:18:10Z").unwrap(),
                delegate: None,
                origin: None,
                client: None,
                by_operator: false,
                node_fenced: None,
                device: None,
                agent: None,
            }),
            key: "k".to_owned(),
        };
        let reported = bridge.contradicted(&change, &snapshot, &world.health).await;
        assert_eq!(reported, contradicted, "{action}");
    }
}
