//! The guests whose disks are on this host alone: libvirt's disk sources, and the file system below each.
//!
//! Guests whose disks cannot be read are not listed, and count as unknown.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use tachi_libvirt::{CallError, Connection, DomainFilter};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use uuid::Uuid;

use crate::health::Health;
use crate::libvirt::ended;

const INTERVAL: Duration = Duration::from_secs(60);

/// File systems of which each host has its own (`statfs`): ext2 to ext4, XFS, Btrfs, tmpfs, ZFS, F2FS, JFS. All others
/// are shared, as NFS, or unknown, as FUSE and overlayfs.
const LOCAL: [u64; 7] = [
    0xef53,
    0x5846_5342,
    0x9123_683e,
    0x0102_1994,
    0x2fc1_2fc1,
    0xf2f5_2010,
    0x3153_464a,
];

/// Files that Nova creates again for an instance: its configuration drive and its swap.
const RECREATED: [&str; 2] = ["disk.config", "disk.swap"];

/// The reading of local disks. A reading of file systems may hang for long, as on a lost NFS; no other reading starts meanwhile.
#[derive(Default)]
pub(super) struct DiskReading {
    last: Option<Instant>,
    running: Option<JoinHandle<BTreeSet<Uuid>>>,
}

impl DiskReading {
    /// Takes the result of a reading, and starts the next one when it is due.
    pub(super) async fn turn(&mut self, connection: &Connection, health: &Health) -> Result<(), CallError> {
        if let Some(running) = self.running.take_if(|running| running.is_finished()) {
            match running.await {
                Ok(found) => health.set_local_disks(found),
                Err(error) => tracing::warn!(%error, "failed to read the file systems of guests"),
            }
        }
        if self.running.is_some() || self.last.is_some_and(|at| at.elapsed() < INTERVAL) {
            return Ok(());
        }
        self.last = Some(Instant::now());
        let mut files = BTreeMap::new();
        for listing in [DomainFilter::Persistent, DomainFilter::Transient] {
            for domain in connection.domains(listing).await? {
                health.tick();
                match connection.xml(&domain).await {
                    Ok(Some(xml)) => {
                        files.insert(domain.uuid, disk_files(&xml));
                    }
                    Ok(None) => {}
                    Err(error) if ended(&error) => return Err(error),
                    Err(error) => {
                        tracing::debug!(instance = %domain.uuid, %error, "failed to read the disks of a guest");
                    }
                }
            }
        }
        let scan = move || on_local_disks(&files, file_system);
        self.running = Some(tokio::task::spawn_blocking(scan));
        Ok(())
    }
}

/// Returns the guests of which at least one disk is a file on a local file system.
fn on_local_disks(
    files: &BTreeMap<Uuid, Vec<PathBuf>>,
    file_system: impl Fn(&Path) -> Option<u64>,
) -> BTreeSet<Uuid> {
    let is_local = |path: &PathBuf| file_system(path).is_some_and(|kind| LOCAL.contains(&kind));
    files
        .iter()
        .filter(|(_, files)| files.iter().any(is_local))
        .map(|(guest, _)| *guest)
        .collect()
}

/// Returns the type of the file system that a file is on; `None` if it cannot be read.
fn file_system(path: &Path) -> Option<u64> {
    let found = rustix::fs::statfs(path).ok()?;
    // The type is signed on some architectures, and the cast extends its sign.
    u64::try_from(found.f_type & 0xffff_ffff).ok()
}

/// Returns the files that are disks of a guest, by its definition. Excludes block devices, network disks,
/// backing files, CD drives and files that Nova creates again.
fn disk_files(xml: &str) -> Vec<PathBuf> {
    let mut reader = quick_xml::Reader::from_str(xml);
    let mut found = Vec::new();
    let mut at: Vec<String> = Vec::new();
    let mut is_file = false;
    loop {
        let (start, is_open) = match reader.read_event() {
            Ok(Event::Start(start)) => (start, true),
            Ok(Event::Empty(start)) => (start, false),
            Ok(Event::End(_)) => {
                at.pop();
                continue;
            }
            // A definition that cannot be parsed shows nothing.
            Err(_) => return Vec::new(),
            Ok(Event::Eof) => break,
            Ok(_) => continue,
        };
        let name = start.name().as_ref().to_owned();
        match (at.as_slice(), name.as_str()) {
            ([_, devices], "disk") if devices == "devices" => {
                let no_drive = attribute(&start, "device").is_none_or(|device| device == "disk");
                is_file = no_drive && attribute(&start, "type").is_some_and(|kind| kind == "file");
            }
            ([_, _, disk], "source") if is_file && disk == "disk" => {
                found.extend(attribute(&start, "file").map(PathBuf::from));
            }
            _ => {}
        }
        if is_open {
            at.push(name);
        }
    }
    found.retain(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        name.is_none_or(|name| !RECREATED.contains(&name))
    });
    found
}

fn attribute(start: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = start.try_get_attribute(name).ok()??;
    let value = attribute.normalized_value(XmlVersion::Implicit1_0).ok()?;
    Some(value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NFS: u64 = 0x6969;
    const XFS: u64 = 0x5846_5342;

    fn definition(disks: &str) -> String {
        format!(
            "<domain type='kvm'><name>a</name><devices>{disks}<console><source file='/c'/></console></devices></domain>"
        )
    }

    /// Covers R14.
    #[test]
    fn the_files_of_a_guest_are_read_from_its_definition() {
        for (disks, files) in [
            (
                "<disk type='file' device='disk'><driver name='qemu'/><source file='/i/a/disk'/><backingStore type='file'>\
                 <source file='/i/_base/x'/></backingStore></disk>",
                &["/i/a/disk"][..],
            ),
            (
                "<disk type='file'><source file='/i/a&amp;b/disk'/></disk>",
                &["/i/a&b/disk"],
            ),
            (
                "<disk type='file' device='cdrom'><source file='/i/a/cd'/></disk>",
                &[],
            ),
            (
                "<disk type='file' device='disk'><source file='/i/a/disk.config'/></disk>",
                &[],
            ),
            (
                "<disk type='file' device='disk'><source file='/i/a/disk.swap'/></disk>",
                &[],
            ),
            (
                "<disk type='block' device='disk'><source dev='/dev/sdb'/></disk>",
                &[],
            ),
            (
                "<disk type='network' device='disk'><source protocol='rbd' name='vms/a'/></disk>",
                &[],
            ),
            (
                "<disk type='network' device='disk'><source protocol='rbd' name='v'/></disk><disk type='file' device='disk'>\
                 <source file='/i/a/disk.eph0'/></disk>",
                &["/i/a/disk.eph0"],
            ),
            ("<disk type='file' device='disk'/>", &[]),
            ("<disk type='file'><source file='/i/a/disk'></disk>", &[]),
        ] {
            let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
            assert_eq!(disk_files(&definition(disks)), files, "{disks}");
        }
    }

    /// Covers R14.
    #[test]
    fn a_guest_is_local_only_where_a_file_system_was_read_as_local() {
        let guest = Uuid::from_u128;
        let files: BTreeMap<Uuid, Vec<PathBuf>> = [
            (1, &["/local/disk"][..]),
            (2, &["/nfs/disk"]),
            (3, &["/nfs/disk", "/local/disk.eph0"]),
            (4, &["/unread/disk"]),
            (5, &["/fuse/disk"]),
            (6, &[]),
        ]
        .into_iter()
        .map(|(number, paths)| (guest(number), paths.iter().map(PathBuf::from).collect()))
        .collect();
        let kind = |path: &Path| match path.iter().nth(1).and_then(|part| part.to_str()) {
            Some("local") => Some(XFS),
            Some("nfs") => Some(NFS),
            Some("fuse") => Some(0x6573_5546),
            _ => None,
        };
        assert_eq!(on_local_disks(&files, kind), [guest(1), guest(3)].into());
    }

    #[test]
    fn a_file_that_does_not_exist_is_on_no_known_file_system() {
        assert_eq!(file_system(Path::new("/does/not/exist")), None);
        assert!(file_system(Path::new("/proc/self/stat")).is_some_and(|kind| !LOCAL.contains(&kind)));
    }
}
