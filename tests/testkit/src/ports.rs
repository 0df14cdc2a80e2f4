use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};

/// A TCP port of 127.0.0.1 for a server that the test starts later.
///
/// It is below the kernel's range of ephemeral ports: a port from there can become a client's before its server listens.
///
/// # Panics
///
/// If no port between 15000 and 32000 is free.
#[must_use]
pub fn free_port() -> u16 {
    let random = || 15_000 + u16::try_from(RandomState::new().hash_one(()) % 17_000).unwrap();
    let mut ports = std::iter::repeat_with(random).take(200);
    ports
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .unwrap()
}
