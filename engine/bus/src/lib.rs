//! Wake-ups between the API and the engines. They shorten the reaction time, and nothing depends on their
//! arrival: an engine that receives none finds its work in its next sweep.
//!
//! * [`InProcess`] reaches the engine in the same process.
//! * [`SocketNotifier`] reaches every engine on the same machine, each of which listens with a [`SocketWake`].
//! * [`amqp`] reaches engines on other machines, through RabbitMQ.
//! * [`Fanout`] combines two senders or two receivers.

pub mod amqp;
mod error;
mod fanout;
mod in_process;
mod settings;
mod socket;

pub use error::BusError;
pub use fanout::Fanout;
pub use in_process::InProcess;
pub use settings::MessagingSettings;
pub use socket::{SocketNotifier, SocketWake};
