//! Finding codes; each has its own page in the documentation.

use super::Severity;
use crate::string_enum::string_enum;

string_enum! {
    /// Codes of findings, in display order. Scripts and alerts rely on the names. [`FindingCode::meaning`] explains each code.
    FindingCode {
        MoveNeedsPerson = "MOVE_NEEDS_PERSON",
        MoveFailed = "MOVE_FAILED",
        InstanceDown = "INSTANCE_DOWN",
        RecoveryHeld = "RECOVERY_HELD",
        NoEngine = "NO_ENGINE",
        NovaAway = "NOVA_AWAY",
        QueueStalls = "QUEUE_STALLS",
        FencingStopped = "FENCING_STOPPED",
        FencingDryRun = "FENCING_DRY_RUN",
        NoFenceDevice = "NO_FENCE_DEVICE",
        FenceFileUnreadable = "FENCE_FILE_UNREADABLE",
        NoHosts = "NO_HOSTS",
        HostDown = "HOST_DOWN",
        PlaneLost = "PLANE_LOST",
        HostNotInSegment = "HOST_NOT_IN_SEGMENT",
        HostWithoutFence = "HOST_WITHOUT_FENCE",
        FenceForeignMachine = "FENCE_FOREIGN_MACHINE",
        FenceFailing = "FENCE_FAILING",
        NoReservedHost = "NO_RESERVED_HOST",
        HostNotWatched = "HOST_NOT_WATCHED",
        GuestsResume = "GUESTS_RESUME",
        FactsOld = "FACTS_OLD",
        InstancesNotListed = "INSTANCES_NOT_LISTED",
        HostCellDown = "HOST_CELL_DOWN",
        FenceNotTested = "FENCE_NOT_TESTED",
        MonitorUnknown = "MONITOR_UNKNOWN",
        RoomUnknown = "ROOM_UNKNOWN",
        FenceLevelFailing = "FENCE_LEVEL_FAILING",
        SegmentDisabled = "SEGMENT_DISABLED",
        FewHosts = "FEW_HOSTS",
        RecoveryWouldHold = "RECOVERY_WOULD_HOLD",
        NoRoom = "NO_ROOM",
        HostUnknownToNova = "HOST_UNKNOWN_TO_NOVA",
        HostOnMaintenance = "HOST_ON_MAINTENANCE",
        Frozen = "FROZEN",
        HostNotBack = "HOST_NOT_BACK",
        ProcessDown = "PROCESS_DOWN",
        HostDisabled = "HOST_DISABLED",
        ReporterDoubted = "REPORTER_DOUBTED",
        MonitorSilent = "MONITOR_SILENT",
        MonitorPart = "MONITOR_PART",
        EngineSilent = "ENGINE_SILENT",
        EnginePart = "ENGINE_PART",
        HostUnderRecovery = "HOST_UNDER_RECOVERY",
        RoomTight = "ROOM_TIGHT",
        LocalDisk = "LOCAL_DISK",
        InstanceMoving = "INSTANCE_MOVING",
    }
}

impl FindingCode {
    /// Returns the usual severity; a finding may override it.
    pub const fn grade(self) -> Severity {
        match self {
            Self::MoveNeedsPerson
            | Self::MoveFailed
            | Self::InstanceDown
            | Self::RecoveryHeld
            | Self::NoEngine
            | Self::NovaAway
            | Self::QueueStalls
            | Self::FencingStopped
            | Self::FencingDryRun
            | Self::NoFenceDevice
            | Self::FenceFileUnreadable
            | Self::NoHosts
            | Self::HostDown
            | Self::PlaneLost
            | Self::HostNotInSegment
            | Self::HostWithoutFence
            | Self::FenceForeignMachine
            | Self::FenceFailing
            | Self::NoReservedHost
            | Self::HostNotWatched
            | Self::GuestsResume => Severity::Err,
            Self::FactsOld
            | Self::InstancesNotListed
            | Self::HostCellDown
            | Self::FenceNotTested
            | Self::MonitorUnknown
            | Self::RoomUnknown => Severity::Unknown,
            Self::FenceLevelFailing
            | Self::SegmentDisabled
            | Self::FewHosts
            | Self::RecoveryWouldHold
            | Self::NoRoom
            | Self::HostUnknownToNova
            | Self::HostOnMaintenance
            | Self::Frozen
            | Self::HostNotBack
            | Self::ProcessDown
            | Self::HostDisabled
            | Self::ReporterDoubted
            | Self::MonitorSilent
            | Self::MonitorPart
            | Self::EngineSilent
            | Self::EnginePart
            | Self::HostUnderRecovery => Severity::Warn,
            Self::RoomTight | Self::LocalDisk | Self::InstanceMoving => Severity::Info,
        }
    }

    /// Returns the meaning in a sentence, which also opens the code's page in `docs/findings`.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::MoveNeedsPerson => {
                "An instance of a failed host may run on another host, so it is not started until an operator has checked."
            }
            Self::MoveFailed => "A recovery gave an instance up, and no operator has handled it since.",
            Self::InstanceDown => {
                "An instance that should run is down, or it is not known yet whether it should run."
            }
            Self::RecoveryHeld => "A recovery is on hold and waits for an operator.",
            Self::NoEngine => "No engine runs, so a host that fails now is not recovered.",
            Self::NovaAway => {
                "Nova, or Keystone, does not answer any engine, so a host that fails now is not recovered."
            }
            Self::QueueStalls => "Notifications are accepted, and no engine starts them.",
            Self::FencingStopped => {
                "All fencing is stopped by [fencing] enabled = false, so every recovery is put on hold."
            }
            Self::FencingDryRun => "In mode dry-run no host is powered off and nothing is recovered.",
            Self::NoFenceDevice => {
                "Mode engine needs a fence device to confirm a host off, and none is configured."
            }
            Self::FenceFileUnreadable => {
                "The file of fence devices has errors, so an older version of it is in force, or none."
            }
            Self::NoHosts => "No host is registered in any segment, so no failure can be reported.",
            Self::HostDown => "A host is down in Nova, and no recovery of it is open.",
            Self::PlaneLost => {
                "A running host has lost its storage or tenant network, so its instances may be of no use."
            }
            Self::HostNotInSegment => "A host of Nova is registered in no segment, so it is not recovered.",
            Self::HostWithoutFence => {
                "No fence device is configured for a host, so it cannot be confirmed off."
            }
            Self::FenceForeignMachine => {
                "A fence device answers for another machine than its host. Tachi ignores the device's answers."
            }
            Self::FenceFailing => {
                "All fence devices of a host fail their tests, so it cannot be confirmed off now."
            }
            Self::NoReservedHost => "A segment that recovers to reserved hosts has none that is ready.",
            Self::FactsOld => "The data about Nova is too old to be used.",
            Self::InstancesNotListed => {
                "Not all instances have been read yet, so the number of protected ones is unknown."
            }
            Self::HostCellDown => "Nova cannot reach a host's cell, or has two records of it.",
            Self::FenceNotTested => {
                "No fence device of a host was tested recently, so it is unknown whether it can be confirmed off."
            }
            Self::FenceLevelFailing => {
                "A fence device of a host failed its test; another one works, or it failed only once."
            }
            Self::SegmentDisabled => "A segment is disabled, so none of its hosts is recovered.",
            Self::FewHosts => {
                "Fewer than two hosts of a segment are running, so its instances may have nowhere to go."
            }
            Self::RecoveryWouldHold => {
                "If a host failed now, its recovery would be on hold, or wait, until an operator acts."
            }
            Self::NoRoom => {
                "If a host failed now, other hosts would not have capacity for all of its instances."
            }
            Self::RoomTight => "If a host failed now, its instances would fit only if Nova places them well.",
            Self::RoomUnknown => {
                "It is unknown whether other hosts have capacity for the instances of a failed host."
            }
            Self::HostUnknownToNova => "A host that is registered or has instances has no service in Nova.",
            Self::HostOnMaintenance => "An operator has set maintenance for a host, so it is not recovered.",
            Self::Frozen => {
                "It is frozen, so no host is fenced and no instance is moved until the freeze ends."
            }
            Self::HostNotBack => "A host was recovered, and it has not been returned to service.",
            Self::ProcessDown => "A process of a host failed and could not be restarted.",
            Self::HostDisabled => "A host is disabled in Nova, so it takes no instances of a failed host.",
            Self::HostNotWatched => {
                "No host monitor watches a host any more, so its failure would not be reported."
            }
            Self::GuestsResume => {
                "The guests of a host start when it boots, so an instance may run there and on the host it was moved to."
            }
            Self::MonitorUnknown => {
                "Host monitors send heartbeats, and none of them has ever watched this host."
            }
            Self::ReporterDoubted => "A reporter reports failures that Nova contradicts.",
            Self::MonitorSilent => {
                "A monitor no longer sends heartbeats: it is down, hangs, or cannot reach the API."
            }
            Self::MonitorPart => "A monitor is running, and a part of it does not work.",
            Self::EngineSilent => {
                "An engine has sent no heartbeat for a while, and none has been started in its place."
            }
            Self::EnginePart => "A part of an engine does not work.",
            Self::HostUnderRecovery => "A host is being recovered, or a report about it is being checked.",
            Self::LocalDisk => {
                "If a host failed now, instances whose disk is on that host alone would come back from their image, without that disk."
            }
            Self::InstanceMoving => {
                "An instance is being migrated or resized; if its host failed now, it might need an operator."
            }
        }
    }

    /// Returns the path of the code's page.
    pub fn page(self) -> String {
        let name = self.as_str().to_ascii_lowercase().replace('_', "-");
        format!("docs/findings/{name}.md")
    }
}
