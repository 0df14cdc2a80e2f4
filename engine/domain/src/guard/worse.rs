//! Check for a second host that is out, which ends a freeze that was to last only unless the situation gets worse.

use super::Region;
use crate::id::HostId;
use crate::policy::Policy;

impl Region {
    /// True if two hosts of the segment of `host` are out. If `counts` is true, this host counts whatever its state: it is the host
    /// that is being worked on. Without data from Nova the result is false.
    pub fn is_worse(&self, host: HostId, counts: bool, rules: &Policy) -> bool {
        let own = self.hosts.iter().find(|region_host| region_host.id == host);
        let Some((own, Ok(_))) = own.map(|own| (own, self.nova.as_ref())) else {
            return false;
        };
        let out = |region_host: &&super::RegionHost| {
            (region_host.id == host && counts) || self.is_out(region_host, rules)
        };
        let mates = self
            .hosts
            .iter()
            .filter(|region_host| region_host.segment == own.segment);
        mates.filter(out).count() > 1
    }
}
