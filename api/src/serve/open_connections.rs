//! The open connections, and the choice of the one that is closed for a new one. Clients with many idle connections must not
//! block reporters.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::activity::Activity;

/// One in this many connections is reserved for authenticated clients.
const RESERVED_SHARE: usize = 10;

#[derive(Debug)]
struct Entry {
    address: IpAddr,
    activity: Activity,
    cancellation: CancellationToken,
}

#[derive(Debug, Default)]
struct ConnectionTable {
    next: u64,
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
pub(super) struct Connections {
    most: usize,
    /// Maximum number per address. Clients behind one proxy share it.
    max_per_address: usize,
    inner: Mutex<ConnectionTable>,
    slot_released: Notify,
}

/// The decision about a new connection.
#[derive(Debug)]
pub(super) enum Admission {
    /// The connection is served.
    Admitted(ConnectionSlot),
    /// The address has its maximum number of connections, and all of them are busy.
    Refused,
    /// All connections are busy, so the new one waits.
    Full,
}

/// The place of a connection; released on drop.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    number: u64,
    connections: Arc<Connections>,
    pub(super) activity: Activity,
    /// Cancelled when another connection needs the place.
    pub(super) cancellation: CancellationToken,
}

impl Drop for ConnectionSlot {
    fn drop(&mut self) {
        self.connections.lock().entries.remove(&self.number);
        self.connections.slot_released.notify_one();
    }
}

impl Connections {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            max_per_address: most.div_ceil(2).max(1),
            inner: Mutex::default(),
            slot_released: Notify::new(),
        })
    }

    /// Returns after a place was released, and possibly earlier.
    pub(super) async fn slot_released(&self) {
        self.slot_released.notified().await;
    }

    /// Assigns a place to a new connection, if necessary that of the connection that has been idle for longest.
    pub(super) fn admit(self: &Arc<Self>, address: IpAddr) -> Admission {
        let mut inner = self.lock();
        let of_address = |entry: &Entry| entry.address == address;
        let own = inner.entries.values().filter(|entry| of_address(entry)).count();
        if own >= self.max_per_address && !inner.evict(of_address) && self.most > 1 {
            return Admission::Refused;
        }
        let strangers = |entry: &Entry| !entry.activity.is_known();
        let open = inner.entries.values().filter(|entry| strangers(entry)).count();
        let full = inner.entries.len() >= self.most;
        if full || open >= self.most - self.most / RESERVED_SHARE {
            let made = inner.evict(strangers) || (full && inner.evict(|_| true));
            if !made && inner.entries.len() >= self.most {
                return Admission::Full;
            }
        }
        let number = inner.next;
        inner.next += 1;
        let entry = Entry {
            address,
            activity: Activity::new(),
            cancellation: CancellationToken::new(),
        };
        let place = ConnectionSlot {
            number,
            connections: Arc::clone(self),
            activity: entry.activity.clone(),
            cancellation: entry.cancellation.clone(),
        };
        inner.entries.insert(number, entry);
        Admission::Admitted(place)
    }

    fn lock(&self) -> MutexGuard<'_, ConnectionTable> {
        // Every change is a single insert or remove, so a poisoned map is still consistent.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ConnectionTable {
    /// Closes the matching connection that has been idle for longest; returns `false` if all are busy.
    fn evict(&mut self, of: impl Fn(&Entry) -> bool) -> bool {
        let idle = self.entries.iter().filter(|(_, entry)| of(entry));
        let idle = idle.filter_map(|(number, entry)| Some((entry.activity.idle_since()?, *number)));
        let Some((_, oldest)) = idle.min() else {
            return false;
        };
        if let Some(entry) = self.entries.remove(&oldest) {
            entry.cancellation.cancel();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn place(connections: &Arc<Connections>, from: u8) -> ConnectionSlot {
        match connections.admit(address(from)) {
            Admission::Admitted(place) => place,
            refused @ (Admission::Refused | Admission::Full) => panic!("{refused:?}"),
        }
    }

    async fn later() {
        tokio::time::advance(Duration::from_secs(1)).await;
    }

    /// Covers T6.
    #[tokio::test(start_paused = true)]
    async fn the_oldest_idle_connection_makes_room() {
        let connections = Connections::new(4);
        let mut places = Vec::new();
        for from in 0..4 {
            places.push(place(&connections, from));
            later().await;
        }
        places[0].activity.start_request();
        let _new = place(&connections, 9);
        let cancellation: Vec<bool> = places
            .iter()
            .map(|place| place.cancellation.is_cancelled())
            .collect();
        assert_eq!(cancellation, [false, true, false, false], "the first is active");
    }

    /// Covers T6.
    #[tokio::test(start_paused = true)]
    async fn an_address_makes_room_for_itself_first() {
        let connections = Connections::new(10);
        let other = place(&connections, 1);
        later().await;
        let mut flood = Vec::new();
        for _ in 0..1_060 {
            flood.push(place(&connections, 2));
            later().await;
        }
        assert!(!other.cancellation.is_cancelled());
        let left = flood
            .iter()
            .filter(|place| !place.cancellation.is_cancelled())
            .count();
        assert_eq!(left, 5, "half of the places");
        for place in &flood {
            place.activity.start_request();
        }
        assert!(matches!(connections.admit(address(2)), Admission::Refused));
        let _third = place(&connections, 3);
    }

    /// Covers T6.
    #[tokio::test(start_paused = true)]
    async fn some_places_are_reserved_for_authenticated_clients() {
        let connections = Connections::new(10);
        let monitor = place(&connections, 1);
        monitor.activity.start_request();
        monitor.activity.finish_request(true);
        later().await;
        let mut strangers = Vec::new();
        for from in 2..200 {
            strangers.push(place(&connections, from));
            later().await;
        }
        assert!(
            !monitor.cancellation.is_cancelled(),
            "the oldest of all, and known"
        );
        let left = strangers
            .iter()
            .filter(|place| !place.cancellation.is_cancelled())
            .count();
        assert_eq!(left, 9);
    }

    #[tokio::test(start_paused = true)]
    async fn when_all_connections_are_busy_a_new_one_waits() {
        let connections = Connections::new(2);
        let (one, other) = (place(&connections, 1), place(&connections, 2));
        one.activity.start_request();
        other.activity.start_request();
        assert!(matches!(connections.admit(address(3)), Admission::Full));
        drop(one);
        connections.slot_released().await;
        let _third = place(&connections, 3);
    }
}
