//! What can be said of a region: one code for each, and one page of the book.

use super::Grade;
use crate::words::words;

words! {
    /// What is found. The names are a contract: scripts and alerts go by them. In the order in which they are told.
    Code {
        /// See [`Code::meaning`], here and below.
        MoveNeedsPerson = "MOVE_NEEDS_PERSON",
        /// ..
        MoveFailed = "MOVE_FAILED",
        /// ..
        RecoveryHeld = "RECOVERY_HELD",
        /// ..
        NoEngine = "NO_ENGINE",
        /// ..
        NovaAway = "NOVA_AWAY",
        /// ..
        QueueStalls = "QUEUE_STALLS",
        /// ..
        FencingStopped = "FENCING_STOPPED",
        /// ..
        FencingDryRun = "FENCING_DRY_RUN",
        /// ..
        NoFenceDevice = "NO_FENCE_DEVICE",
        /// ..
        FenceFileUnreadable = "FENCE_FILE_UNREADABLE",
        /// ..
        NoHosts = "NO_HOSTS",
        /// ..
        HostDown = "HOST_DOWN",
        /// ..
        HostNotInSegment = "HOST_NOT_IN_SEGMENT",
        /// ..
        HostWithoutFence = "HOST_WITHOUT_FENCE",
        /// ..
        FenceForeignMachine = "FENCE_FOREIGN_MACHINE",
        /// ..
        FenceFailing = "FENCE_FAILING",
        /// ..
        NoReservedHost = "NO_RESERVED_HOST",
        /// ..
        HostNotWatched = "HOST_NOT_WATCHED",
        /// ..
        GuestsResume = "GUESTS_RESUME",
        /// ..
        FactsOld = "FACTS_OLD",
        /// ..
        InstancesNotListed = "INSTANCES_NOT_LISTED",
        /// ..
        HostCellDown = "HOST_CELL_DOWN",
        /// ..
        FenceNotTested = "FENCE_NOT_TESTED",
        /// ..
        MonitorUnknown = "MONITOR_UNKNOWN",
        /// ..
        RoomUnknown = "ROOM_UNKNOWN",
        /// ..
        FenceLevelFailing = "FENCE_LEVEL_FAILING",
        /// ..
        SegmentDisabled = "SEGMENT_DISABLED",
        /// ..
        FewHosts = "FEW_HOSTS",
        /// ..
        NoRoom = "NO_ROOM",
        /// ..
        HostUnknownToNova = "HOST_UNKNOWN_TO_NOVA",
        /// ..
        HostOnMaintenance = "HOST_ON_MAINTENANCE",
        /// ..
        Frozen = "FROZEN",
        /// ..
        HostNotBack = "HOST_NOT_BACK",
        /// ..
        HostDisabled = "HOST_DISABLED",
        /// ..
        ReporterDoubted = "REPORTER_DOUBTED",
        /// ..
        MonitorSilent = "MONITOR_SILENT",
        /// ..
        MonitorPart = "MONITOR_PART",
        /// ..
        EngineSilent = "ENGINE_SILENT",
        /// ..
        EnginePart = "ENGINE_PART",
        /// ..
        HostUnderRecovery = "HOST_UNDER_RECOVERY",
        /// ..
        RoomTight = "ROOM_TIGHT",
        /// ..
        InstanceMoving = "INSTANCE_MOVING",
    }
}

impl Code {
    /// How bad it is, unless the case says otherwise.
    pub const fn grade(self) -> Grade {
        match self {
            Self::MoveNeedsPerson
            | Self::MoveFailed
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
            | Self::HostNotInSegment
            | Self::HostWithoutFence
            | Self::FenceForeignMachine
            | Self::FenceFailing
            | Self::NoReservedHost
            | Self::HostNotWatched
            | Self::GuestsResume => Grade::Err,
            Self::FactsOld
            | Self::InstancesNotListed
            | Self::HostCellDown
            | Self::FenceNotTested
            | Self::MonitorUnknown
            | Self::RoomUnknown => Grade::Unknown,
            Self::FenceLevelFailing
            | Self::SegmentDisabled
            | Self::FewHosts
            | Self::NoRoom
            | Self::HostUnknownToNova
            | Self::HostOnMaintenance
            | Self::Frozen
            | Self::HostNotBack
            | Self::HostDisabled
            | Self::ReporterDoubted
            | Self::MonitorSilent
            | Self::MonitorPart
            | Self::EngineSilent
            | Self::EnginePart => Grade::Warn,
            Self::HostUnderRecovery | Self::RoomTight | Self::InstanceMoving => Grade::Info,
        }
    }

    /// What it means, in a sentence. The page of the book says it too.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::MoveNeedsPerson => {
                "An instance of a failed host may run on another host, so it is not started a second time until somebody has looked."
            }
            Self::MoveFailed => "A recovery has given an instance up, and nobody has seen to it since.",
            Self::RecoveryHeld => "A recovery goes on only when a person says a word.",
            Self::NoEngine => "No engine runs, so a host that dies now is not recovered.",
            Self::NovaAway => {
                "Nova, or Keystone before it, answers no engine, so a host that dies now is not recovered."
            }
            Self::QueueStalls => "Notifications are accepted, and no engine begins to work on them.",
            Self::FencingStopped => {
                "All fencing is stopped by [fencing] enabled = false, so every recovery is held."
            }
            Self::FencingDryRun => "In mode dry-run nothing is switched off and nothing is recovered.",
            Self::NoFenceDevice => {
                "In mode engine a host is proven off by a power controller, and none is configured."
            }
            Self::FenceFileUnreadable => {
                "The file of fence devices has problems, so an older one is in force, or none."
            }
            Self::NoHosts => "No host is registered in any segment, so no failure can be reported.",
            Self::HostDown => "Nova does not hear a host, and no recovery of it is open.",
            Self::HostNotInSegment => "A host of Nova's is registered in no segment, so it is not recovered.",
            Self::HostWithoutFence => "No fence device is configured for a host, so it cannot be proven off.",
            Self::FenceForeignMachine => {
                "A fence device answers for another machine than its host, so nothing that it says or does counts."
            }
            Self::FenceFailing => {
                "No fence device of a host can be counted on, so it cannot be proven off now."
            }
            Self::NoReservedHost => "A segment that recovers to reserved hosts has none that is ready.",
            Self::FactsOld => "What is known of Nova is too old to be believed.",
            Self::InstancesNotListed => {
                "Not all instances have been listed yet, so how many are protected is not known."
            }
            Self::HostCellDown => "Nova cannot reach the cell of a host, so nothing is known of it.",
            Self::FenceNotTested => {
                "No fence device of a host was tested lately, so whether it can be proven off is not known."
            }
            Self::FenceLevelFailing => {
                "A fence device of a host has failed its test; another one works, or it has failed only once."
            }
            Self::SegmentDisabled => "A segment is disabled, so nothing of it is recovered.",
            Self::FewHosts => {
                "Fewer than two hosts of a segment work, so its instances may have nowhere to go."
            }
            Self::NoRoom => "If a host died now, not all of its instances would find room on others.",
            Self::RoomTight => {
                "If a host died now, its instances would find room only if Nova places them well."
            }
            Self::RoomUnknown => "Whether there is room for the instances of a host that dies is not known.",
            Self::HostUnknownToNova => {
                "A host is registered, and Nova knows no compute service of that name."
            }
            Self::HostOnMaintenance => "An operator has put a host on maintenance, so it is not recovered.",
            Self::Frozen => {
                "Somebody has frozen it, so nothing of it is fenced or moved before that is over."
            }
            Self::HostNotBack => {
                "A host was recovered, or one of its processes has failed, and it is not back at work."
            }
            Self::HostDisabled => "A host is disabled at Nova, so it takes no instances of a host that dies.",
            Self::HostNotWatched => {
                "The host monitors that watched a host are silent, or watch it no more, so its death would not be reported."
            }
            Self::GuestsResume => {
                "The guests of a host start by themselves when it does, so they may run there and where they were moved to."
            }
            Self::MonitorUnknown => {
                "Host monitors sign that they are at work, and none of them has ever watched this host."
            }
            Self::ReporterDoubted => "A reporter says what Nova contradicts.",
            Self::MonitorSilent => {
                "A monitor that has signed that it is at work does so no more: it has died, hangs, or does not reach the API."
            }
            Self::MonitorPart => "A monitor is at work, and a part of it is not.",
            Self::EngineSilent => {
                "An engine has not signed for a while, and none has been started in its place."
            }
            Self::EnginePart => "A part of an engine does not work.",
            Self::HostUnderRecovery => "A host is being recovered, or a report about it is being examined.",
            Self::InstanceMoving => {
                "An instance is being moved by somebody; if its host died just now, it might wait for a person."
            }
        }
    }

    /// The page of the book about it.
    pub fn page(self) -> String {
        let name = self.as_str().to_ascii_lowercase().replace('_', "-");
        format!("docs/findings/{name}.md")
    }
}
