//! Nova's behaviour, row by row, on the pure model: no sockets, no waiting.

mod casts;
mod evacuation;
mod evacuation_faults;
mod forecast;
mod guards;
mod live;
mod machines;
mod returning;
mod services;
