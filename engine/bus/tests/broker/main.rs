//! Against a real RabbitMQ: `TACHI_TEST_RABBIT_URL=rabbit://user:password@host:port/`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod harness;
mod listener;
mod publisher;
mod registry;
