//! Rules of instances: which ones are moved, in which order, and how often one is restarted.

use std::collections::BTreeMap;
use std::time::Duration;

use tachi_config::{Reader, Refusal};
use tachi_domain::policy::{
    ExclusionRules, InvalidLocalDisk, LocalDisk, LocalDiskRules, MetadataPair, Policy,
};

use super::TIMEOUT_RANGE;

const HOST: &str = "host_failure";
const INSTANCE: &str = "instance_failure";

pub(super) fn instances(r: &mut Reader<'_>, d: Policy) -> Policy {
    let policy = Policy {
        priority_key: r
            .string(HOST, "ha_priority_instance_metadata_key")
            .default(d.priority_key)
            .help("metadata key of a priority, a whole number; the highest is first. Empty: none").get(),
        priority_across_projects: r
            .bool(HOST, "ha_priority_across_projects")
            .default(d.priority_across_projects)
            .help("orders the instances of all projects together by that number; otherwise each project separately, with the projects in round-robin order").get(),
        leave: leave(r),
        local_disk: local_disk(r, d.local_disk),
        start_excluded: r
            .bool(HOST, "start_excluded_instances")
            .default(d.start_excluded)
            .help("starts the instances that stayed on a failed host by these rules and ran there, once it has returned").get(),
        evacuate_service_instances: r
            .bool(HOST, "evacuate_service_instances")
            .default(d.evacuate_service_instances)
            .help("evacuates instances that a service replaces by itself (Octavia's amphorae)").get(),
        max_restarts: r.int(INSTANCE, "max_restarts").default(d.max_restarts).unit("times").help("maximum number of restarts of an \
            instance within `restart_window`; 0: no limit").get(),
        restart_window: r
            .seconds(INSTANCE, "restart_window")
            .default(d.restart_window)
            .range(TIMEOUT_RANGE)
            .help("window of `max_restarts`").get(),
        restart_pause: r
            .seconds(INSTANCE, "restart_pause")
            .default(d.restart_pause)
            .range(Duration::ZERO..=Duration::from_secs(600))
            .help("pause between the first and the second restart; it doubles with each, up to ten minutes").get(),
        max_moves: r
            .int(INSTANCE, "max_moves")
            .default(d.max_moves)
            .unit("instances")
            .help("maximum number of the region's failed instances that are moved to another host within `restart_window`, because they \
                do not start on their own; 0: none").get(),
        move_limit: r
            .seconds(INSTANCE, "move_timeout")
            .default(d.move_limit)
            .range(TIMEOUT_RANGE)
            .help("timeout for Nova's move of a failed instance").get(),
        restart_again_for: r
            .seconds(INSTANCE, "restart_retry_time")
            .default(d.restart_again_for)
            .range(Duration::ZERO..=Duration::from_secs(86_400))
            .help("how long restart and move are retried after the first failure; 0: once").get(),
        ..d
    };
    if policy.max_restarts > 1 && policy.restart_pause >= policy.restart_window {
        let why = "is not shorter than restart_window, so a restart would leave the window before the next one may start";
        let help = "write a shorter pause or a longer window";
        r.refuse(INSTANCE, "restart_pause", Refusal::new(why, help));
    }
    policy
}

fn local_disk(r: &mut Reader<'_>, d: LocalDiskRules) -> LocalDiskRules {
    let refusal = |error: InvalidLocalDisk| {
        Refusal::new(
            error.to_string(),
            "write evacuate, leave or a wait such as wait:2h",
        )
    };
    let read = move |text: &str| text.parse::<LocalDisk>().map_err(refusal);
    let read_segments = move |text: &str| {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                let (segment, treatment) = pair.rsplit_once('=').ok_or_else(|| {
                    Refusal::new(
                        format!("`{pair}` has no ="),
                        "write the segment's name or id, =, and the treatment",
                    )
                })?;
                let treatment = treatment.parse::<LocalDisk>().map_err(refusal)?;
                Ok((segment.trim().to_owned(), treatment))
            })
            .collect::<Result<BTreeMap<String, LocalDisk>, Refusal>>()
    };
    let show_segments = |segments: &BTreeMap<String, LocalDisk>| {
        let texts: Vec<String> = segments
            .iter()
            .map(|(segment, treatment)| format!("{segment}={treatment}"))
            .collect();
        texts.join(", ")
    };
    LocalDiskRules {
        usual: r
            .parsed(HOST, "local_disk", read, LocalDisk::to_string)
            .default(d.usual)
            .help("treatment of instances whose disk is only on the failed host, as its instance monitor has read it: evacuate (without the disk), wait:TIME (evacuate if the host is not back by then) or leave")
            .get(),
        segments: r
            .parsed(HOST, "local_disk_segments", read_segments, show_segments)
            .default(d.segments)
            .unit("list")
            .help("the same for single segments, by name or id: `rack1=leave`")
            .get(),
        key: r
            .string(HOST, "local_disk_instance_metadata_key")
            .default(d.key)
            .help("metadata key by which an owner sets this treatment for an instance; it comes first. Empty: none")
            .get(),
    }
}

fn leave(r: &mut Reader<'_>) -> ExclusionRules {
    ExclusionRules {
        metadata: pairs(
            r,
            "exclude_instance_metadata",
            "excludes instances with this metadata: `key=value`, or `key` for any value",
        ),
        projects: r
            .list(HOST, "exclude_projects")
            .default(Vec::new())
            .help("excludes the instances of these projects, by id")
            .get(),
        images: r
            .list(HOST, "exclude_images")
            .default(Vec::new())
            .help("excludes the instances of these images, by id")
            .get(),
        image_properties: pairs(
            r,
            "exclude_image_properties",
            "excludes instances by image property, as far as Nova shows it",
        ),
        flavor_properties: pairs(
            r,
            "exclude_flavor_properties",
            "excludes instances by extra spec of the flavor",
        ),
    }
}

fn pairs(r: &mut Reader<'_>, option: &str, help: &'static str) -> Vec<MetadataPair> {
    let read = |text: &str| {
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| {
                pair.parse::<MetadataPair>().map_err(|error| {
                    Refusal::new(
                        format!("`{pair}`: {error}"),
                        "write key=value, or a key for any value",
                    )
                })
            })
            .collect::<Result<Vec<MetadataPair>, Refusal>>()
    };
    let show = |pairs: &Vec<MetadataPair>| {
        let texts: Vec<String> = pairs.iter().map(ToString::to_string).collect();
        texts.join(", ")
    };
    let pairs = r.parsed(HOST, option, read, show).default(Vec::new());
    pairs.unit("list").help(help).get()
}
