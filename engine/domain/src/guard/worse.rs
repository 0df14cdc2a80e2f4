//! Whether a second host is out: what ends a freeze that was to last only unless it gets worse.

use super::Region;
use crate::id::HostId;
use crate::policy::Policy;

impl Region {
    /// Whether two hosts of the segment of `host` are out. That one counts whatever is seen of it if it `counts`: it is the one that is
    /// worked at. What Nova does not tell counts for nothing.
    pub fn is_worse(&self, host: HostId, counts: bool, rules: &Policy) -> bool {
        let own = self.hosts.iter().find(|one| one.id == host);
        let Some((own, Ok(_))) = own.map(|own| (own, self.nova.as_ref())) else {
            return false;
        };
        let out = |one: &&super::RegionHost| (one.id == host && counts) || self.is_out(one, rules);
        let mates = self.hosts.iter().filter(|one| one.segment == own.segment);
        mates.filter(out).count() > 1
    }
}
