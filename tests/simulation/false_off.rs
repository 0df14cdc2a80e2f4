//! Power controllers that report "off" for a running host: another machine's controller, and one with a
//! constant answer. A controller that does not name its machine cannot be recognised as wrong. While such a
//! controller is trusted, its host must be one whose heartbeats Nova receives whenever it runs. Draws come from
//! a separate generator, so that additions do not change other faults.

use tachi_domain::policy::FencingMode;

use crate::machines::Bmc;
use crate::rng::Rng;
use crate::weather::{Failure, Weather};

/// Average number of seeds per affected seed.
const PERCENT: u64 = 10;

impl Weather {
    /// Gives host 0 a wrong or constant controller in some seeds.
    pub(crate) fn draw_false_off(&mut self, seed: u64) {
        self.draw_unidentified(seed);
        self.draw_named(seed);
    }

    fn draw_unidentified(&mut self, seed: u64) {
        let mut rng = Rng::new(seed ^ 0x5eed_0009);
        let drawn = rng.percent(PERCENT);
        let bmc = if rng.percent(50) {
            Bmc::WrongMachine
        } else {
            Bmc::EverOff
        };
        let fails = rng.percent(30);
        if !drawn || self.mode != FencingMode::Engine {
            return;
        }
        self.bmc = bmc;
        // A host that hangs or is isolated is as silent as one that is off.
        self.failure = if fails { Failure::Plug } else { Failure::FalseAlarm };
        self.comes_back = None;
        self.more.return_moment = None;
        self.more.late_report = None;
        self.more.outlets = false;
        self.storms.deaf = None;
    }

    /// Gives host 0 a controller that names another machine. Its reports count for nothing, so the host may
    /// fail in any way, even silently with running guests.
    fn draw_named(&mut self, seed: u64) {
        let mut rng = Rng::new(seed ^ 0x5eed_0010);
        let drawn = rng.percent(PERCENT);
        let isolated = rng.percent(60);
        if !drawn || self.mode != FencingMode::Engine || matches!(self.bmc, Bmc::WrongMachine | Bmc::EverOff)
        {
            return;
        }
        self.bmc = Bmc::Named;
        if isolated {
            self.failure = Failure::Isolated;
        }
    }
}
