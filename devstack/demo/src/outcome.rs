//! Result of a demo.

use std::time::Duration;

use serde_json::{Value, json};
use tachi_cli::arguments::SceneArgs;
use tachi_operator::downtime;
use uuid::Uuid;

/// One instance of a failed host.
pub(super) struct Instance {
    pub(super) name: String,
    pub(super) id: Uuid,
    pub(super) tagged: bool,
    pub(super) from: String,
    pub(super) to: Option<String>,
    pub(super) seconds: Option<f64>,
    pub(super) lost: bool,
}

pub(super) struct Outcome {
    pub(super) args: SceneArgs,
    pub(super) ha_instances: usize,
    pub(super) left_by_policy: usize,
    pub(super) double_runs: usize,
    pub(super) doubled: Vec<String>,
    pub(super) failed_hosts: Vec<String>,
    pub(super) instances: Vec<Instance>,
    /// The failure domain that was approved, and the reasons why its recoveries were on hold until then.
    pub(super) approved: Option<(String, Vec<String>)>,
    pub(super) proof: Option<String>,
    pub(super) reason: Option<String>,
}

impl Outcome {
    /// Returns the outcome of a demo that failed before it had a result.
    pub(super) fn failed(args: SceneArgs, reason: &str) -> Self {
        Self {
            args,
            ha_instances: 0,
            left_by_policy: 0,
            double_runs: 0,
            doubled: Vec::new(),
            failed_hosts: Vec::new(),
            instances: Vec::new(),
            approved: None,
            proof: None,
            reason: Some(reason.to_owned()),
        }
    }

    /// Counts the instances of the failed hosts that run again.
    pub(super) fn recovered(&self) -> usize {
        self.instances
            .iter()
            .filter(|instance| instance.to.is_some())
            .count()
    }

    /// Counts the instances that run nowhere, though no recovery has excluded them.
    pub(super) fn lost(&self) -> usize {
        self.instances.iter().filter(|instance| instance.lost).count()
    }

    /// True if every instance that the policy covers runs exactly once, and nothing is waiting for an operator.
    pub(super) fn is_good(&self) -> bool {
        self.reason.is_none() && self.double_runs == 0 && self.lost() == 0
    }

    /// Returns the seconds from the power loss to the first and to the last instance that ran again.
    pub(super) fn seconds(&self) -> Option<(f64, f64)> {
        let seconds = self.instances.iter().filter_map(|instance| instance.seconds);
        seconds.fold(None, |range, one| {
            let (least, most) = range.unwrap_or((one, one));
            Some((f64::min(least, one), f64::max(most, one)))
        })
    }

    /// Returns the downtime of each instance that runs again, and true for an instance with `HA_Enabled`.
    pub(super) fn down(&self) -> Vec<(bool, Duration)> {
        let back = self
            .instances
            .iter()
            .filter_map(|instance| Some((instance.tagged, instance.seconds?)));
        back.filter_map(|(tagged, seconds)| Some((tagged, Duration::try_from_secs_f64(seconds).ok()?)))
            .collect()
    }

    /// Returns the object of `--json`.
    pub(super) fn to_json(&self) -> String {
        let (first, total) = self
            .seconds()
            .map_or((Value::Null, Value::Null), |(first, total)| {
                (json!(round(first)), json!(round(total)))
            });
        let mut object = json!({
            "hosts": self.args.hosts,
            "instances": self.args.instances,
            "ha_instances": self.ha_instances,
            "recovered": self.recovered(),
            "left_by_policy": self.left_by_policy,
            "lost": self.lost(),
            "double_runs": self.double_runs,
            "method": self.args.method.as_str(),
            "seconds_to_first": first,
            "seconds_total": total,
            "downtime": downtime::DowntimeView::of(&self.down()),
            "proof": self.proof,
            "failed_hosts": self.failed_hosts,
            "seed": self.args.seed,
        });
        if let Some((domain, reasons)) = &self.approved {
            object["held"] = json!(reasons);
            object["approved"] = json!(domain);
        }
        if let Some(reason) = &self.reason {
            object["reason"] = json!(reason);
        }
        object.to_string()
    }
}

fn round(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}
