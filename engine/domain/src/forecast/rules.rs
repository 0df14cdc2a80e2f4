//! Rules by which the scheduler takes a host for an instance, apart from free capacity. Where clouds differ, the stricter is assumed.

use super::{HostRoom, Requirement, Shape};

/// The prefix of metadata by which aggregates may be reserved for the named projects.
pub(crate) const TENANT: &str = "filter_tenant_id";

/// The reason why a host is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Mismatch {
    Zone,
    Trait,
    Metadata,
    Isolated,
    Group,
    Unit,
}

impl Mismatch {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Zone => "a host in its availability zone",
            Self::Trait => "a host with the traits that it requires",
            Self::Metadata => "a host in an aggregate with the metadata that its flavor requires",
            Self::Isolated => "a host whose aggregates are not reserved for others",
            Self::Group => "a host that its server group allows",
            Self::Unit => "a host that allows this amount for one instance",
        }
    }
}

/// Returns why the host would not take the shape even with free capacity, apart from groups; `None` if it would.
pub(super) fn refuses(host: &HostRoom, shape: &Shape) -> Option<Mismatch> {
    let provider = host.provider.as_ref()?;
    for wish in &shape.wishes {
        let (granted, no) = match wish {
            Requirement::Trait(required) => (provider.traits.contains(required), Mismatch::Trait),
            Requirement::NoTrait(unwanted) => (!provider.traits.contains(unwanted), Mismatch::Trait),
            Requirement::Zone(zone) => (host.zone == *zone, Mismatch::Zone),
            Requirement::Metadata(key, value) => {
                let values = host.metadata.get(key);
                (
                    values.is_some_and(|values| values.contains(value)),
                    Mismatch::Metadata,
                )
            }
        };
        if !granted {
            return Some(no);
        }
    }
    if is_isolated(host, shape) {
        return Some(Mismatch::Isolated);
    }
    let allowed = |(class, amount): (&String, &u64)| {
        *amount == 0 || provider.has.get(class).is_some_and(|has| has.allows(*amount))
    };
    (!shape.amounts.iter().all(allowed)).then_some(Mismatch::Unit)
}

fn is_isolated(host: &HostRoom, shape: &Shape) -> bool {
    let mut keys = host.metadata.iter();
    keys.any(|(key, values)| {
        if key.starts_with(TENANT) {
            !values
                .iter()
                .flat_map(|value| value.split(','))
                .any(|id| id.trim() == shape.project)
        } else if let Some(name) = key.strip_prefix("trait:") {
            values.contains("required") && !shape.wishes.contains(&Requirement::Trait(name.to_owned()))
        } else {
            false
        }
    })
}
