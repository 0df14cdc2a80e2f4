//! Prints a daemon's domains, and then its events: `cargo run -p tachi-libvirt --example watch -- qemu:///system`.

#![allow(clippy::print_stdout, reason = "an example shows what it sees")]

use std::error::Error;

use tachi_libvirt::{Address, Connection, DomainFilter, EventKind, Options};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let uri = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "qemu:///system".to_owned());
    let address = Address::parse(&uri, true)?;
    let (connection, mut events) = Connection::open(&address, &Options::default()).await?;
    println!("libvirt {}", connection.version().await?);
    for kind in [
        EventKind::Lifecycle,
        EventKind::Reboot,
        EventKind::RtcChange,
        EventKind::Watchdog,
        EventKind::IoError,
        EventKind::Graphics,
        EventKind::IoErrorReason,
        EventKind::ControlError,
        EventKind::DiskChange,
        EventKind::AgentLifecycle,
    ] {
        connection.register(kind).await?;
    }
    for listing in [DomainFilter::Persistent, DomainFilter::Transient] {
        for domain in connection.domains(listing).await? {
            let state = connection.state(&domain).await?;
            let nova = connection
                .metadata(&domain, "http://openstack.org/xmlns/libvirt/nova/1.1")
                .await?;
            println!("{listing:?} {domain:?} {state:?} nova={}", nova.is_some());
        }
    }
    loop {
        let event = events.next().await?;
        println!("{} {} {:?}", event.domain.name, event.domain.id, event.what);
    }
}
