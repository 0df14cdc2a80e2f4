//! A fake libvirtd: speaks the protocol from its own description, and behaves as a test scripts it.
//!
//! It encodes its bytes by hand instead of with the client's code, so that no mistake cancels out.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

/// Metadata as Nova stores it.
pub const NOVA: &str =
    "<instance xmlns=\"http://openstack.org/xmlns/libvirt/nova/1.1\"><name>guest</name></instance>";

/// A guest.
#[derive(Debug, Clone)]
pub struct Guest {
    pub name: String,
    pub uuid: Uuid,
    pub id: i32,
    pub state: i32,
    pub reason: i32,
    pub persistent: bool,
    pub metadata: Option<String>,
    pub xml: String,
    pub agent: Agent,
    /// Every question about it is refused.
    pub broken: bool,
}

/// The behaviour of its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Agent {
    Answers,
    NotConnected,
    /// No answer until libvirt gives up.
    Hangs,
    /// libvirt refuses, with this number.
    Refused(i32),
}

/// A guest of Nova that runs.
pub fn guest(number: u32) -> Guest {
    let name = format!("instance-{number:08x}");
    Guest {
        uuid: Uuid::from_u128(0x5eed_0000_0000_4000_8000_0000_0000_0000 + u128::from(number)),
        id: i32::try_from(number).unwrap(),
        state: 1,
        reason: 1,
        persistent: true,
        metadata: Some(NOVA.to_owned()),
        xml: format!(
            "<domain><devices><channel type='unix'><source mode='bind' \
             path='/var/lib/libvirt/qemu/org.qemu.guest_agent.0.{name}.sock'/>\
             <target type='virtio' name='org.qemu.guest_agent.0' state='connected'/></channel></devices></domain>"
        ),
        agent: Agent::Answers,
        broken: false,
        name,
    }
}

#[derive(Debug, Default)]
struct State {
    guests: Vec<Guest>,
    registered: Vec<i32>,
    calls: HashMap<u32, usize>,
    clients: Vec<mpsc::UnboundedSender<Vec<u8>>>,
    opened: Vec<(String, u32)>,
    pongs: usize,
    busy_agents: usize,
    most_busy_agents: usize,
}

/// The daemon.
#[derive(Debug, Clone)]
pub struct Fake {
    socket: PathBuf,
    state: Arc<Mutex<State>>,
    /// Answers nothing while true.
    frozen: watch::Sender<bool>,
    /// Asks for authentication.
    pub polkit: bool,
    pub keepalive: bool,
    serving: Arc<Mutex<Option<tokio::task::JoinHandle<()>>>>,
    agent_wait: Duration,
}

impl Fake {
    pub fn new(folder: &Path) -> Self {
        Self {
            socket: folder.join("libvirt-sock"),
            state: Arc::default(),
            frozen: watch::channel(false).0,
            polkit: false,
            keepalive: true,
            serving: Arc::default(),
            agent_wait: Duration::from_millis(20),
        }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn uri(&self) -> String {
        format!("qemu+unix:///system?socket={}", self.socket.display())
    }

    /// Starts to listen; guests run on while the fake does not listen.
    pub fn start(&self) {
        let _ = std::fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket).unwrap();
        let fake = self.clone();
        let task = tokio::spawn(async move {
            let mut clients = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let fake = fake.clone();
                clients.spawn(async move { fake.serve(stream).await });
            }
        });
        *self.serving.lock().unwrap() = Some(task);
    }

    /// Closes the socket and every connection.
    pub async fn stop(&self) {
        let task = self.serving.lock().unwrap().take();
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
        let _ = std::fs::remove_file(&self.socket);
        let mut state = self.state.lock().unwrap();
        state.clients.clear();
        state.registered.clear();
    }

    pub fn freeze(&self) {
        self.frozen.send_replace(true);
    }

    pub fn thaw(&self) {
        self.frozen.send_replace(false);
    }

    pub fn add(&self, guest: Guest) {
        self.state.lock().unwrap().guests.push(guest);
    }

    pub fn remove(&self, uuid: Uuid) {
        self.state
            .lock()
            .unwrap()
            .guests
            .retain(|guest| guest.uuid != uuid);
    }

    pub fn change(&self, uuid: Uuid, change: impl FnOnce(&mut Guest)) {
        let mut state = self.state.lock().unwrap();
        change(state.guests.iter_mut().find(|guest| guest.uuid == uuid).unwrap());
    }

    /// Returns the number of calls of a procedure of the main program.
    pub fn calls(&self, procedure: u32) -> usize {
        self.state
            .lock()
            .unwrap()
            .calls
            .get(&procedure)
            .copied()
            .unwrap_or(0)
    }

    pub fn registered(&self) -> Vec<i32> {
        self.state.lock().unwrap().registered.clone()
    }

    pub fn opened(&self) -> Vec<(String, u32)> {
        self.state.lock().unwrap().opened.clone()
    }

    pub fn pongs(&self) -> usize {
        self.state.lock().unwrap().pongs
    }

    /// The most agent commands that waited at one time.
    pub fn most_busy_agents(&self) -> usize {
        self.state.lock().unwrap().most_busy_agents
    }

    /// Sends bytes as they are to every client.
    pub fn send_bytes(&self, bytes: &[u8]) {
        for client in &self.state.lock().unwrap().clients {
            let _ = client.send(bytes.to_vec());
        }
    }

    /// Sends a ping to every client.
    pub fn ping(&self) {
        self.send_bytes(&frame(0x6b65_6570, 1, 2, 0, 0, &[]));
    }

    /// A lifecycle event.
    pub fn lifecycle(&self, guest: &Guest, event: i32, detail: i32) {
        let mut body = start(guest);
        body.extend(event.to_be_bytes());
        body.extend(detail.to_be_bytes());
        self.send_bytes(&frame(0x2000_8086, 318, 2, 0, 0, &body));
    }

    /// An event that carries nothing but its guest: reboot (319), control error (325).
    pub fn bare(&self, guest: &Guest, procedure: u32) {
        self.send_bytes(&frame(0x2000_8086, procedure, 2, 0, 0, &start(guest)));
    }

    /// A watchdog's event.
    pub fn watchdog(&self, guest: &Guest, action: i32) {
        let mut body = start(guest);
        body.extend(action.to_be_bytes());
        self.send_bytes(&frame(0x2000_8086, 321, 2, 0, 0, &body));
    }

    /// An I/O error's two events, as the daemon sends them.
    pub fn io_error(&self, guest: &Guest, action: i32) {
        let mut body = start(guest);
        body.extend(text("/disk"));
        body.extend(text("ide0-0-0"));
        body.extend(action.to_be_bytes());
        self.send_bytes(&frame(0x2000_8086, 322, 2, 0, 0, &body));
        body.extend(text("enospc"));
        self.send_bytes(&frame(0x2000_8086, 324, 2, 0, 0, &body));
    }

    async fn serve(&self, mut stream: UnixStream) {
        let (sender, mut outgoing) = mpsc::unbounded_channel::<Vec<u8>>();
        self.state.lock().unwrap().clients.push(sender.clone());
        let mut frozen = self.frozen.subscribe();
        let (mut input, mut output) = stream.split();
        let write = async {
            while let Some(bytes) = outgoing.recv().await {
                let _ = frozen.wait_for(|frozen| !frozen).await;
                if output.write_all(&bytes).await.is_err() {
                    break;
                }
            }
        };
        let read = async {
            while let Ok(length) = input.read_u32().await {
                let mut rest = vec![0; length as usize - 4];
                if input.read_exact(&mut rest).await.is_err() {
                    break;
                }
                let number = |at: usize| u32::from_be_bytes(rest[at..at + 4].try_into().unwrap());
                let (program, procedure, kind, serial) = (number(0), number(8), number(12), number(16));
                if program == 0x6b65_6570 {
                    match procedure {
                        1 if self.keepalive => drop(sender.send(frame(program, 2, 2, 0, 0, &[]))),
                        2 => self.state.lock().unwrap().pongs += 1,
                        _ => {}
                    }
                    continue;
                }
                assert_eq!(kind, 0, "the client sent something that is no call");
                let (fake, sender) = (self.clone(), sender.clone());
                tokio::spawn(async move {
                    let answer = fake.answer(program, procedure, &rest[24..]).await;
                    let (status, body) = match answer {
                        Ok(body) => (0, body),
                        Err((code, message)) => (1, error(code, message)),
                    };
                    let _ = sender.send(frame(program, procedure, 1, serial, status, &body));
                });
            }
        };
        tokio::select! { () = read => {}, () = write => {} }
    }

    async fn answer(
        &self,
        program: u32,
        procedure: u32,
        body: &[u8],
    ) -> Result<Vec<u8>, (i32, &'static str)> {
        if program == 0x2000_8087 {
            return self.agent(body).await;
        }
        let mut state = self.state.lock().unwrap();
        *state.calls.entry(procedure).or_default() += 1;
        match procedure {
            66 if self.polkit => Ok([1_i32, 2].iter().flat_map(|n| n.to_be_bytes()).collect()),
            66 => Ok([1_i32, 0].iter().flat_map(|n| n.to_be_bytes()).collect()),
            1 => {
                let length = u32::from_be_bytes(body[4..8].try_into().unwrap()) as usize;
                let name = String::from_utf8(body[8..8 + length].to_vec()).unwrap();
                let flags = u32::from_be_bytes(body[body.len() - 4..].try_into().unwrap());
                state.opened.push((name, flags));
                Ok(vec![])
            }
            2 => Ok(vec![]),
            60 => Ok(i32::from(self.keepalive).to_be_bytes().to_vec()),
            157 => Ok(9_000_000_u64.to_be_bytes().to_vec()),
            316 => {
                state
                    .registered
                    .push(i32::from_be_bytes(body[..4].try_into().unwrap()));
                Ok(vec![0, 0, 0, 1])
            }
            273 => {
                let flags = u32::from_be_bytes(body[4..8].try_into().unwrap());
                let listed: Vec<_> = state
                    .guests
                    .iter()
                    .filter(|guest| match flags {
                        4 => guest.persistent,
                        8 => !guest.persistent,
                        16 => guest.state == 1,
                        _ => panic!("an unsupported list: {flags}"),
                    })
                    .collect();
                let count = u32::try_from(listed.len()).unwrap().to_be_bytes();
                let mut body = count.to_vec();
                for guest in listed {
                    body.extend(domain(guest));
                }
                body.extend(count);
                Ok(body)
            }
            24 => find(&state.guests, body.try_into().unwrap()).map(domain),
            _ => {
                let guest = find(&state.guests, uuid_of(body))?;
                if guest.broken {
                    return Err((38, "cannot acquire state change lock"));
                }
                match procedure {
                    212 => Ok([guest.state, guest.reason]
                        .iter()
                        .flat_map(|n| n.to_be_bytes())
                        .collect()),
                    265 => guest
                        .metadata
                        .as_deref()
                        .map(text)
                        .ok_or((80, "no such metadata")),
                    14 => Ok(text(&guest.xml)),
                    other => panic!("an unsupported call: {other}"),
                }
            }
        }
    }

    async fn agent(&self, body: &[u8]) -> Result<Vec<u8>, (i32, &'static str)> {
        let agent = {
            let mut state = self.state.lock().unwrap();
            state.busy_agents += 1;
            state.most_busy_agents = state.most_busy_agents.max(state.busy_agents);
            find(&state.guests, uuid_of(body)).map(|guest| guest.agent)
        };
        if agent == Ok(Agent::Hangs) {
            tokio::time::sleep(self.agent_wait).await;
        }
        self.state.lock().unwrap().busy_agents -= 1;
        match agent? {
            Agent::Answers => {
                let mut body = vec![0, 0, 0, 1];
                body.extend(text("{\"return\":{}}"));
                Ok(body)
            }
            Agent::NotConnected => Err((
                86,
                "Guest agent is not responding: QEMU guest agent is not connected",
            )),
            Agent::Refused(code) => Err((code, "refused for some reason")),
            Agent::Hangs => Err((
                86,
                "Guest agent is not responding: Guest agent not available for now",
            )),
        }
    }
}

fn find(guests: &[Guest], uuid: [u8; 16]) -> Result<&Guest, (i32, &'static str)> {
    guests
        .iter()
        .find(|guest| *guest.uuid.as_bytes() == uuid)
        .ok_or((42, "Domain not found"))
}

/// The UUID in a call whose first argument is a domain.
fn uuid_of(body: &[u8]) -> [u8; 16] {
    let length = u32::from_be_bytes(body[..4].try_into().unwrap()) as usize;
    let at = 4 + length.div_ceil(4) * 4;
    body[at..at + 16].try_into().unwrap()
}

fn frame(program: u32, procedure: u32, kind: u32, serial: u32, status: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(28 + body.len()).unwrap();
    let mut bytes: Vec<u8> = [length, program, 1, procedure, kind, serial, status]
        .iter()
        .flat_map(|number| number.to_be_bytes())
        .collect();
    bytes.extend(body);
    bytes
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = u32::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(text.as_bytes());
    bytes.resize(bytes.len().div_ceil(4) * 4, 0);
    bytes
}

fn domain(guest: &Guest) -> Vec<u8> {
    let mut bytes = text(&guest.name);
    bytes.extend(guest.uuid.as_bytes());
    let id = if guest.state == 5 { -1 } else { guest.id };
    bytes.extend(id.to_be_bytes());
    bytes
}

/// Encodes the start of every event: a callback's number, the domain.
fn start(guest: &Guest) -> Vec<u8> {
    let mut body = 7_i32.to_be_bytes().to_vec();
    body.extend(domain(guest));
    body
}

fn error(code: i32, message: &str) -> Vec<u8> {
    let mut body = code.to_be_bytes().to_vec();
    body.extend(10_i32.to_be_bytes());
    body.extend([0, 0, 0, 1]);
    body.extend(text(message));
    // Level, no domain, three absent strings, two numbers, no network.
    body.extend(2_i32.to_be_bytes());
    body.extend([0; 4 * 7]);
    body
}
