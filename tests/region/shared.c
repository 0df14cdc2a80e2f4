// SPDX-License-Identifier: Apache-2.0
// Loaded into libvirtd (LD_PRELOAD). The folder of the instances is shared between all hypervisors of the region, but the kernel that they
// share calls it a tmpfs, and libvirt refuses a live migration with disks on what is no network file system. To libvirtd it is an NFS.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>

int statfs(const char *path, struct statfs *found) {
    int (*real)(const char *, struct statfs *) = (int (*)(const char *, struct statfs *))dlsym(RTLD_NEXT, "statfs");
    int rc = real(path, found);
    if (rc == 0 && strstr(path, "/instances") && found->f_type == TMPFS_MAGIC) found->f_type = NFS_SUPER_MAGIC;
    return rc;
}

int statfs64(const char *path, struct statfs64 *found) {
    int (*real)(const char *, struct statfs64 *) = (int (*)(const char *, struct statfs64 *))dlsym(RTLD_NEXT, "statfs64");
    int rc = real(path, found);
    if (rc == 0 && strstr(path, "/instances") && found->f_type == TMPFS_MAGIC) found->f_type = NFS_SUPER_MAGIC;
    return rc;
}
