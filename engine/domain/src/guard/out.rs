//! Which hosts are out, by name: what an approval is of.

use super::Region;
use crate::cadence::Deafness;
use crate::policy::Policy;

impl Region {
    /// The hosts that count as out.
    pub fn out<'a>(&'a self, rules: &'a Policy) -> impl Iterator<Item = &'a str> {
        let out = self.hosts.iter().filter(|one| self.is_out(one, rules));
        out.map(|one| one.name.as_str())
    }

    /// Those, and the ones that Nova does not hear, for however long.
    pub fn out_or_silent<'a>(&'a self, rules: &'a Policy) -> impl Iterator<Item = &'a str> {
        let missed = self
            .hosts
            .iter()
            .filter(|one| self.is_out(one, rules) || !self.hears(&one.name, rules));
        missed.map(|one| one.name.as_str())
    }

    /// Whether Nova does not hear most of the other hosts that nobody has forced down (R26).
    pub fn is_deaf_to_all_but(&self, host: &str, rules: &Policy) -> bool {
        let Ok(nova) = &self.nova else { return true };
        let own = nova.services.get(host).and_then(Option::as_ref);
        Deafness::of(&nova.services, rules.deaf_after()).is_to_all_but(own)
    }

    /// The hosts of a failure domain.
    pub fn hosts_of_domain(&self, name: &str, rules: &Policy) -> impl Iterator<Item = String> {
        let hosts = self.domains(rules).remove(name).cloned();
        hosts.unwrap_or_default().into_iter()
    }
}
