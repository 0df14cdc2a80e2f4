//! Machines of MAAS.

use serde::Deserialize;
use tachi_domain::fault::FaultClass;
use tachi_domain::machine_id::{MachineId, Mark};
use tachi_engine::ports::CallError;

use super::client::{Client, Request};
use crate::fault::fault;

/// Power types whose "off" stands for other states too, in which the guests of the machine continue later or run.
const NO_PROOF: &[(&str, &str)] = &[
    ("hmc", "whose off includes a machine that is shutting down"),
    ("hmcz", "whose off includes a paused machine"),
    ("lxd", "whose off includes a frozen machine"),
    ("mscm", "whose off includes a machine that is not available"),
    (
        "proxmox",
        "whose off includes a machine that is suspended to disk",
    ),
    ("recs_box", "whose off includes every state that it does not know"),
    ("virsh", "whose off includes a paused machine"),
    ("wedge", "whose off includes an empty answer"),
];

/// The fields of a machine that are needed. Its `power_state` is left out on purpose: it is a cache.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Machine {
    pub(super) system_id: String,
    #[serde(default)]
    pub(super) hostname: String,
    #[serde(default)]
    pub(super) fqdn: String,
    #[serde(default)]
    pub(super) power_type: String,
    /// The user to whom the machine is allocated.
    #[serde(default)]
    pub(super) owner: Option<String>,
    /// The hardware's UUID as of commissioning.
    #[serde(default)]
    pub(super) hardware_uuid: Option<String>,
}

impl Machine {
    /// Returns the machine's identity.
    pub(super) fn id(&self) -> Option<MachineId> {
        let uuid = self.hardware_uuid.as_deref().unwrap_or_default();
        MachineId::of([(Mark::System, self.system_id.as_str()), (Mark::Uuid, uuid)])
    }

    /// Refuses a machine whose power MAAS cannot switch, or whose "off" is no proof unless an operator has said that it is.
    pub(super) fn ensure_switchable(&self, host: &str, proves_off: bool) -> Result<(), CallError> {
        if !proves_off && let Some((_, why)) = NO_PROOF.iter().find(|(name, _)| *name == self.power_type) {
            let text = format!(
                "MAAS's off of host {host} does not prove that it is off: machine {} has the power type {:?}, {why}. If MAAS's off does \
                 mean that the power is off, set proves_off = true for the device in fencing.toml",
                self.system_id, self.power_type
            );
            return Err(CallError::refused(text));
        }
        if matches!(self.power_type.as_str(), "" | "manual") {
            let text = format!(
                "MAAS cannot switch the power of host {host}: machine {} has the power type {:?}",
                self.system_id, self.power_type
            );
            return Err(CallError::refused(text));
        }
        Ok(())
    }
}

/// True if the text can be a system id, which becomes part of a path.
pub(super) fn is_system_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_alphanumeric())
}

/// Finds the one machine of this name. MAAS compares short names, and two machines in different domains may share one.
pub(super) async fn find(client: &Client, host: &str) -> Result<Machine, CallError> {
    let query = [("hostname", short_name(host))];
    let request = Request::get("machines/", &query);
    let machines: Vec<Machine> = client.send(&request).await?.json()?;
    let found = choose(machines, host)?;
    checked(client, found)
}

/// Returns all machines that can be switched: host name, system id, remembered power.
pub(super) async fn all(client: &Client) -> Result<Vec<(String, String, String)>, CallError> {
    #[derive(Deserialize)]
    struct MachineListing {
        #[serde(flatten)]
        machine: Machine,
        #[serde(default)]
        power_state: String,
    }
    let listed: Vec<MachineListing> = client.send(&Request::get("machines/", &[])).await?.json()?;
    let switchable = listed.into_iter().filter(|listed| {
        listed
            .machine
            .ensure_switchable(&listed.machine.hostname, true)
            .is_ok()
    });
    Ok(switchable
        .map(|listed| {
            let MachineListing { machine, power_state } = listed;
            (
                client.clean(&machine.hostname),
                client.clean(&machine.system_id),
                client.clean(&power_state),
            )
        })
        .collect())
}

/// Reads the machine of this id.
pub(super) async fn show(client: &Client, system_id: &str) -> Result<Machine, CallError> {
    let path = format!("machines/{system_id}/");
    let machine: Machine = client.send(&Request::get(&path, &[])).await?.json()?;
    if machine.system_id != system_id {
        let text = format!(
            "the answer to a request for machine {system_id} is about {}",
            machine.system_id
        );
        return Err(fault(FaultClass::Permanent, Some(200), false, text));
    }
    checked(client, machine)
}

fn checked(client: &Client, machine: Machine) -> Result<Machine, CallError> {
    if is_system_id(&machine.system_id) {
        return Ok(machine);
    }
    let text = format!(
        "MAAS returned {:?} as a system id",
        client.clean(&machine.system_id)
    );
    Err(fault(FaultClass::Permanent, Some(200), false, text))
}

fn short_name(host: &str) -> &str {
    host.split('.').next().unwrap_or(host)
}

fn choose(machines: Vec<Machine>, host: &str) -> Result<Machine, CallError> {
    let short = short_name(host);
    if short.is_empty() {
        return Err(CallError::refused(format!("{host:?} is not a host name")));
    }
    let named: Vec<Machine> = machines
        .into_iter()
        .filter(|machine| {
            machine.hostname.eq_ignore_ascii_case(short)
                && short_name(&machine.fqdn).eq_ignore_ascii_case(short)
        })
        .collect();
    let exact: Vec<&Machine> = named
        .iter()
        .filter(|machine| machine.fqdn.trim_end_matches('.').eq_ignore_ascii_case(host))
        .collect();
    match (named.as_slice(), exact.as_slice()) {
        ([], _) => Err(CallError::refused(format!("MAAS has no machine for host {host}"))),
        ([only], _) => Ok(only.clone()),
        (_, [only]) => Ok((*only).clone()),
        (several, _) => {
            let list: Vec<String> = several
                .iter()
                .map(|machine| format!("{} ({})", machine.system_id, machine.fqdn))
                .collect();
            Err(CallError::refused(format!(
                "MAAS has {} machines that could be host {host}: {}",
                several.len(),
                list.join(", ")
            )))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(id: &str, fqdn: &str) -> Machine {
        Machine {
            system_id: id.to_owned(),
            hostname: short_name(fqdn).to_owned(),
            fqdn: fqdn.to_owned(),
            power_type: "ipmi".to_owned(),
            owner: None,
            hardware_uuid: None,
        }
    }

    /// The chosen machine's id, or a part of the error.
    type ExpectedMachine = Result<&'static str, &'static str>;

    #[test]
    fn a_machine_is_chosen_only_when_there_is_no_doubt() {
        let (a, b) = (machine("a", "c1.maas"), machine("b", "c1.lab"));
        let other = machine("o", "c2.maas");
        let mut lying = machine("l", "c2.maas");
        lying.hostname = "c1".to_owned();
        let cases: [(&str, Vec<Machine>, &str, ExpectedMachine); 9] = [
            ("one", vec![a.clone()], "c1", Ok("a")),
            ("one, full name asked for", vec![a.clone()], "c1.maas", Ok("a")),
            ("one, other case", vec![a.clone()], "C1.MAAS", Ok("a")),
            ("none", vec![], "c1", Err("no machine")),
            ("only another", vec![other.clone()], "c1", Err("no machine")),
            ("names disagree", vec![lying], "c1", Err("no machine")),
            (
                "two, short name asked for",
                vec![a.clone(), b.clone()],
                "c1",
                Err("2 machines"),
            ),
            (
                "two, full name asked for",
                vec![a.clone(), b.clone(), other],
                "c1.lab",
                Ok("b"),
            ),
            (
                "the same name twice",
                vec![a.clone(), a.clone()],
                "c1.maas",
                Err("2 machines"),
            ),
        ];
        for (case, machines, host, expected) in cases {
            match (choose(machines, host), expected) {
                (Ok(got), Ok(expected)) => assert_eq!(got.system_id, expected, "{case}"),
                (Err(error), Err(part)) => {
                    assert!(error.fault.text.contains(part), "{case}: {error}");
                    assert_eq!(error.fault.class, FaultClass::Permanent, "{case}");
                }
                (got, expected) => panic!("{case}: {got:?} instead of {expected:?}"),
            }
        }
        assert!(choose(vec![machine("x", "")], "").is_err());
    }

    #[test]
    fn a_machine_that_cannot_be_switched_is_refused() {
        for (power_type, good, if_declared) in [
            ("ipmi", true, true),
            ("redfish", true, true),
            // MAAS reads a suspended machine as on.
            ("vmware", true, true),
            ("manual", false, false),
            ("", false, false),
            ("hmc", false, true),
            ("hmcz", false, true),
            ("lxd", false, true),
            ("mscm", false, true),
            ("proxmox", false, true),
            ("recs_box", false, true),
            ("virsh", false, true),
            ("wedge", false, true),
        ] {
            let machine = Machine {
                power_type: power_type.to_owned(),
                ..machine("a", "c1.maas")
            };
            for (proves_off, good) in [(false, good), (true, if_declared)] {
                let judged = machine.ensure_switchable("c1", proves_off);
                assert_eq!(judged.is_ok(), good, "{power_type:?} {proves_off}");
            }
        }
    }

    #[test]
    fn a_system_id_cannot_leave_its_place_in_the_path() {
        for (id, good) in [
            ("4y3h7n", true),
            ("", false),
            ("../x", false),
            ("a/b", false),
            ("a?b", false),
        ] {
            assert_eq!(is_system_id(id), good, "{id}");
        }
    }
}
