//! The database file: its permissions, and the file systems on which it must not be.

use std::fs::OpenOptions;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use crate::StoreError;

/// File systems that several machines may share, by the number that `statfs` returns. `SQLite`'s locks are not visible
/// on other machines and its shared memory is not available there, which would destroy the database.
const NETWORK: &[(u64, &str)] = &[
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x564c, "NCP"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
    (0x6b41_4653, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0116_1970, "GFS2"),
    (0x7461_636f, "OCFS2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x4750_4653, "GPFS"),
    (0x1983_0326, "BeeGFS"),
    (0x786f_4256, "VirtualBox shared folder"),
];

/// Creates the file if it is missing, readable for its owner only. Refuses a file that `SQLite` cannot protect.
pub(crate) fn prepare(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::File {
        path: path.to_owned(),
        source,
    };
    // The folder is checked first, so that no file is left on a refused file system.
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        Some(_) | None => Path::new("."),
    };
    refuse_network(path, folder)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    // The file is checked, too, because it may be a link to another file system.
    refuse_network(path, path)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(
            path = %path.display(),
            mode = format_args!("{:o}", mode & 0o777),
            "database file is accessible to users other than its owner"
        );
    }
    Ok(())
}

fn refuse_network(path: &Path, place: &Path) -> Result<(), StoreError> {
    let status = rustix::fs::statfs(place).map_err(|errno| StoreError::File {
        path: path.to_owned(),
        source: errno.into(),
    })?;
    match u64::try_from(status.f_type).ok().and_then(network) {
        Some(kind) => Err(StoreError::NetworkFileSystem {
            path: path.to_owned(),
            kind,
        }),
        None => Ok(()),
    }
}

fn network(magic: u64) -> Option<&'static str> {
    NETWORK
        .iter()
        .find(|(number, _)| *number == magic)
        .map(|(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_distinguished_from_local_ones() {
        let cases = [
            ("nfs", 0x6969, Some("NFS")),
            ("cifs", 0xff53_4d42, Some("CIFS")),
            ("fuse", 0x6573_5546, Some("FUSE")),
            ("9p", 0x0102_1997, Some("9P")),
            ("ceph", 0x00c3_6400, Some("Ceph")),
            ("ext4", 0xef53, None),
            ("xfs", 0x5846_5342, None),
            ("btrfs", 0x9123_683e, None),
            ("tmpfs", 0x0102_1994, None),
            ("overlay", 0x794c_7630, None),
        ];
        for (case, magic, kind) in cases {
            assert_eq!(network(magic), kind, "{case}");
        }
    }

    #[test]
    fn a_new_file_is_for_its_owner_only() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tachi.sqlite");
        prepare(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_missing_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("missing").join("tachi.sqlite");
        let error = prepare(&path).unwrap_err();
        assert!(matches!(&error, StoreError::File { .. }), "{error:?}");
        assert!(error.to_string().contains("missing/tachi.sqlite"), "{error}");
    }
}
