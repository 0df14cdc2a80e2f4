//! Nova's behaviour, row by row, on the pure model: no sockets, no waiting.

mod casts;
mod evacuation;
mod evacuation_faults;
mod forecast;
mod guards;
mod host_return;
mod live;
mod machines;
mod services;
