//! Names of the hosts that are out, which an approval refers to.

use super::Region;
use crate::cadence::Deafness;
use crate::policy::Policy;

impl Region {
    /// Returns the hosts that count as out.
    pub fn out<'a>(&'a self, rules: &'a Policy) -> impl Iterator<Item = &'a str> {
        let out = self.hosts.iter().filter(|host| self.is_out(host, rules));
        out.map(|host| host.name.as_str())
    }

    /// Returns those hosts, and all hosts without a current heartbeat in Nova.
    pub fn out_or_silent<'a>(&'a self, rules: &'a Policy) -> impl Iterator<Item = &'a str> {
        let missed = self
            .hosts
            .iter()
            .filter(|host| self.is_out(host, rules) || !self.has_current_heartbeat(&host.name, rules));
        missed.map(|host| host.name.as_str())
    }

    /// True if Nova lacks current heartbeats of most of the other hosts that are not forced down, or did not answer.
    pub fn is_deaf_to_all_but(&self, host: &str, rules: &Policy) -> bool {
        let Ok(nova) = &self.nova else { return true };
        let own = nova.services.get(host).and_then(Option::as_ref);
        Deafness::of(&nova.services, rules.deaf_after()).is_to_all_but(own)
    }

    /// Returns the hosts of a failure domain.
    pub fn hosts_of_domain(&self, name: &str, rules: &Policy) -> impl Iterator<Item = String> {
        let hosts = self.domains(rules).remove(name).cloned();
        hosts.unwrap_or_default().into_iter()
    }
}
