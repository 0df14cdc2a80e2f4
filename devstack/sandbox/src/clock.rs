//! Conversion between region time and the machine's clocks.

use std::time::{Duration, SystemTime};

use chrono::{DateTime, SubsecRound, Utc};
use tokio::time::Instant;

use crate::region_time::RegionTime;

/// Maps region time to tokio time (for sleeping) and to wall time (for times in the APIs).
///
/// With a scale of 4 the region runs four times as fast as real time. Tokens and MAAS signatures are checked against
/// the unscaled clock, because their clients use a real clock.
#[derive(Debug, Clone)]
pub struct Clock {
    started: Instant,
    wall: DateTime<Utc>,
    scale: f64,
}

impl Clock {
    /// Creates a clock that starts now. A scale that is not a positive number counts as 1.
    pub fn start(scale: f64) -> Self {
        let scale = if scale.is_finite() && scale > 0.0 {
            scale
        } else {
            1.0
        };
        Self {
            started: Instant::now(),
            wall: DateTime::<Utc>::from(SystemTime::now()),
            scale,
        }
    }

    /// Returns the current region time.
    pub fn now(&self) -> RegionTime {
        RegionTime::at(self.started.elapsed().mul_f64(self.scale))
    }

    /// Returns the tokio instant at which region time reaches `region_time`.
    pub(crate) fn instant(&self, region_time: RegionTime) -> Instant {
        // One microsecond is added, so that rounding never wakes the driver just before the event is due.
        self.started + region_time.age().div_f64(self.scale) + Duration::from_micros(1)
    }

    /// Returns the wall time in the region.
    pub fn wall(&self, region_time: RegionTime) -> DateTime<Utc> {
        chrono::Duration::from_std(region_time.age()).map_or(self.wall, |age| self.wall + age)
    }

    /// Returns the real wall time, as on a client's own clock.
    pub(crate) fn real_wall(&self) -> DateTime<Utc> {
        chrono::Duration::from_std(self.started.elapsed()).map_or(self.wall, |age| self.wall + age)
    }

    /// Returns the inverse of [`Clock::wall`], for filters such as `changes-since`.
    pub(crate) fn region_time(&self, wall: DateTime<Utc>) -> RegionTime {
        (wall - self.wall)
            .to_std()
            .map_or(RegionTime::START, RegionTime::at)
    }

    /// Returns a time in Nova's database format. Its columns have whole seconds, so a real cloud shows no finer order either.
    pub(crate) fn stamp(&self, region_time: RegionTime) -> String {
        self.wall(region_time)
            .trunc_subsecs(0)
            .format("%Y-%m-%dT%H:%M:%S%.6f")
            .to_string()
    }

    /// Returns a time in the format of servers: `2026-01-31T12:00:00Z`.
    pub(crate) fn iso(&self, region_time: RegionTime) -> String {
        self.wall(region_time).format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Returns the HTTP `Date` header in region time, because clients compare Nova's heartbeats with it.
    pub(crate) fn http_date(&self, region_time: RegionTime) -> String {
        self.wall(region_time)
            .format("%a, %d %b %Y %H:%M:%S GMT")
            .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn scale_stretches_region_time() {
        let clock = Clock::start(4.0);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(clock.now().age(), Duration::from_secs(8));
        assert_eq!((clock.wall(clock.now()) - clock.real_wall()).num_seconds(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn a_senseless_scale_counts_as_one() {
        for scale in [0.0, -3.0, f64::NAN, f64::INFINITY] {
            let clock = Clock::start(scale);
            tokio::time::advance(Duration::from_secs(3)).await;
            assert_eq!(clock.now().age(), Duration::from_secs(3), "scale {scale}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn wall_and_moment_are_inverse() {
        let clock = Clock::start(1.0);
        let region_time = RegionTime::at(Duration::from_secs(77));
        assert_eq!(clock.region_time(clock.wall(region_time)), region_time);
        assert_eq!(clock.stamp(region_time).len(), "2026-01-31T12:00:00.000000".len());
        assert!(clock.stamp(region_time).ends_with(".000000"));
    }
}
