//! The table of agents. A test compares it with the makers' metadata in `tests/makers.tsv`.

use super::Targeting;

/// Power agents of fence-agents and Tachi that identify the machine by `plug`.
pub(super) const PLUG_AGENTS: &[&str] = &[
    "fence_aliyun",
    "fence_apc",
    "fence_aws",
    "fence_azure_arm",
    "fence_bladecenter",
    "fence_cdu",
    "fence_docker",
    "fence_drac5",
    "fence_eaton_snmp",
    "fence_eaton_ssh",
    "fence_ecloud",
    "fence_eps",
    "fence_epsr2",
    "fence_gce",
    "fence_hds_cb",
    "fence_hetzner_cloud",
    "fence_hpblade",
    "fence_ibm_powervs",
    "fence_ibm_vpc",
    "fence_ilo_moonshot",
    "fence_ipdu",
    "fence_kubevirt",
    "fence_ldom",
    "fence_lindypdu",
    "fence_maas",
    "fence_netio",
    "fence_openstack",
    "fence_powerman",
    "fence_pve",
    "fence_raritan",
    "fence_raritan_px3",
    "fence_shelly_gen2",
    "fence_virt",
    "fence_xenapi",
    "fence_xvm",
];

/// Power agents that talk to the power controller of one machine.
pub(super) const MACHINE_AGENTS: &[&str] = &[
    "fence_alom",
    "fence_amt_ws",
    "fence_drac",
    "fence_idrac",
    "fence_ilo",
    "fence_ilo2",
    "fence_ilo3",
    "fence_ilo4",
    "fence_ilo5",
    "fence_imm",
    "fence_ipmilan",
    "fence_ipmilanplus",
    "fence_redfish",
    "fence_rsa",
    "fence_rsb",
];

/// Plugins of cluster-glue, and those written for its interface: how they identify the machine, and the actions whose
/// success means that the power was off. Most of them return as soon as the device has accepted the command.
pub(super) const GLUE_AGENTS: &[(&str, Targeting, &[&str])] = &[
    ("apcmaster", Targeting::List, &[]),
    // It waits until the outlets read off; after a reset only until they read on.
    ("apcmastersnmp", Targeting::List, &["off"]),
    // It reads the UPS after an off.
    ("apcsmart", Targeting::List, &["off"]),
    ("baytech", Targeting::List, &[]),
    ("bladehpi", Targeting::List, &[]),
    ("cyclades", Targeting::List, &[]),
    // Its off is a power cycle.
    ("drac3", Targeting::Machine, &[]),
    ("external/drac5", Targeting::Machine, &[]),
    ("external/dracmc-telnet", Targeting::Machine, &[]),
    ("external/ec2", Targeting::List, &[]),
    ("external/hetzner", Targeting::Machine, &[]),
    // It succeeds whatever the console answers.
    ("external/hmchttp", Targeting::Machine, &[]),
    ("external/ibmrsa", Targeting::Machine, &[]),
    ("external/ibmrsa-telnet", Targeting::Machine, &[]),
    ("external/ipmi", Targeting::Machine, &[]),
    // It compares the answer with the value that it has set itself.
    ("external/ippower9258", Targeting::List, &[]),
    // Its off succeeds for a domain that does not exist; a reset starts the domain again, which fails then.
    ("external/libvirt", Targeting::List, &["reboot"]),
    ("external/maas", Targeting::List, &["off", "reboot"]),
    ("external/nut", Targeting::Machine, &[]),
    ("external/rackpdu", Targeting::List, &[]),
    ("external/riloe", Targeting::Machine, &[]),
    // It ignores the answers, and succeeds for every command.
    ("external/vmware", Targeting::List, &[]),
    // It takes a machine that answers no ping for off.
    ("external/xen0", Targeting::List, &[]),
    ("external/xen0-ha", Targeting::List, &[]),
    ("ibmhmc", Targeting::List, &[]),
    ("ipmilan", Targeting::Machine, &[]),
    ("nw_rpc100s", Targeting::List, &[]),
    ("rps10", Targeting::List, &[]),
    ("vacm", Targeting::List, &[]),
    ("wti_mpc", Targeting::List, &[]),
    ("wti_nps", Targeting::List, &[]),
];

/// Agents that read an outlet that does not exist as off, because SNMP answers with text instead of an error, and true if
/// their default is version 1, in which it is an error.
pub(super) const SNMP_AGENTS: &[(&str, bool)] = &[("fence_ipdu", false)];

/// Agents that look their outlet up once: of several outlets they switch and read the first one each time.
pub(super) const FIRST_PLUG_ONLY: &[&str] = &["fence_eaton_snmp", "fence_ipdu"];

/// Agents that use their plug only if an option has one of these values. Otherwise they switch one machine.
pub(super) const PLUG_OPTIONS: &[(&str, &str, &[&str])] =
    &[("fence_drac5", "drac_version", &["DRAC CMC", "DRAC MC"])];

/// Agents whose off is reliable while their `status` is not, grouped by what it reads.
pub(super) const UNRELIABLE_STATUS: &[(&str, &[&str])] = &[
    (
        "makes a watchdog reset the host; its status reads a message, not the power",
        WATCHDOG,
    ),
    ("reads a missing machine as off", &["fence_virt", "fence_xvm"]),
];

/// Names that the agents' library has for one option, and the name that is used here.
pub(super) const ALIASES: &[(&str, &str)] = &[
    ("cmd_prompt", "command_prompt"),
    ("debug", "debug_file"),
    ("ipaddr", "ip"),
    ("login", "username"),
    ("option", "action"),
    ("passwd", "password"),
    ("passwd_script", "password_script"),
    ("port", "plug"),
    ("secure", "ssh"),
    ("sudo", "use_sudo"),
    // Some agents have it besides, and prefer it.
    ("uuid", "plug"),
];

/// Agents that have the machine's watchdog reset it.
pub(super) const WATCHDOG: &[&str] = &["external/sbd", "fence_sbd", "fence_watchdog"];

/// Agents whose reboot is a power cycle unless `method` is set to something else.
pub(super) const CYCLE_BY_DEFAULT: &[&str] = &["fence_gce"];

/// Agents whose success does not prove that the power is off, grouped by their actual effect.
pub(super) const NON_POWER_AGENTS: &[(&str, &[&str])] = &[
    (
        "cuts a host off from its storage or network, so its guests may continue to run",
        &[
            "fence_aws_vpc_net",
            "fence_brocade",
            "fence_cisco_mds",
            "fence_ifmib",
            "fence_mpath",
            "fence_sanbox2",
            "fence_sanbox2_ssh",
            "fence_scsi",
        ],
    ),
    (
        "does not switch the power off",
        &[
            "external/kdumpcheck",
            "external/null",
            "external/ssh",
            "fence_ack_manual",
            "fence_compute",
            "fence_crosslink",
            "fence_dummy",
            "fence_evacuate",
            "fence_heuristics_ping",
            "fence_kdump",
            "meatware",
            "null",
            "ssh",
            "suicide",
        ],
    ),
    (
        "treats a missing machine as off",
        &["fence_skalar", "fence_zvm", "fence_zvmip"],
    ),
    (
        "reads every state that it does not know as off",
        &[
            "fence_amt",
            // Its devices answer 4 for an outlet whose state cannot be determined.
            "fence_apc_snmp",
            // Their devices have states for "unknown" and for an off that is delayed.
            "fence_bladecenter_snmp",
            "fence_cisco_ucs",
            "fence_emerson",
            "fence_ibmblade",
            "fence_ibmz",
            // Everything but `enabled`.
            "fence_ilo3_ssh",
            "fence_ilo4_ssh",
            "fence_ilo5_ssh",
            "fence_ilo_mp",
            "fence_ilo_ssh",
            "fence_intelmodular",
            "fence_lpar",
            // A machine that is paused.
            "fence_nutanix_ahv",
            "fence_rhevm",
            "fence_tripplite_snmp",
            "fence_virsh",
            // A machine on a disconnected ESX host, too.
            "fence_vmware",
            // Every outlet of a group that is not on.
            "fence_wti",
        ],
    ),
    (
        "reads the state of another outlet: of 10 to 16 it takes the first digit",
        &["fence_cyberpower_ssh"],
    ),
    (
        "reads a remembered power state, which may be old",
        &["fence_ironic"],
    ),
    (
        "reads a suspended machine as off, whose guests continue when it is resumed",
        &[
            "fence_ovm",
            "fence_vbox",
            "fence_vmware_rest",
            "fence_vmware_soap",
            "fence_vmware_vcloud",
        ],
    ),
    (
        "switches the first machine whose name begins with the host's",
        &["external/vcenter"],
    ),
    (
        "pulls a reset line and cannot see whether the power was off",
        &["fence_rcd_serial", "rcd_serial"],
    ),
    (
        "boots a rescue system and does not switch the power off",
        &["fence_ovh"],
    ),
];
