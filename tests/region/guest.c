// SPDX-License-Identifier: Apache-2.0
// The only program of a guest: it appends one record to its disk every 100 ms, and waits until the disk has it. The disk is the ledger
// that ledger.py reads: one record per sector of 512 bytes, from the first sector on, as one line of text:
//   LEDGER ID BOOT COUNTER CLOCK UPTIME
// BOOT and COUNTER go on from the last record that the disk holds; CLOCK is in seconds.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { SECTOR = 512, AT_ONCE = 256 };

static void give_up(const char *what) {
    perror(what);
    sleep(5);
    reboot(RB_POWER_OFF);
    _exit(1);
}

static void load_modules(void) {
    for (int number = 0;; number++) {
        char path[32];
        snprintf(path, sizeof path, "/mod/%d.ko", number);
        int file = open(path, O_RDONLY);
        if (file < 0) return;
        if (syscall(SYS_finit_module, file, "", 0) != 0) perror(path);
        close(file);
    }
}

static int open_disk(void) {
    for (int tries = 0; tries < 3000; tries++) {
        int disk = open("/dev/vda", O_RDWR | O_SYNC);
        if (disk >= 0) return disk;
        usleep(10000);
    }
    give_up("/dev/vda");
    return -1;
}

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

// A guest draws its id at its first boot.
static void draw_id(char *id) {
    unsigned long drawn = 0;
    int file = open("/dev/urandom", O_RDONLY);
    if (file < 0 || read(file, &drawn, sizeof drawn) != sizeof drawn) give_up("/dev/urandom");
    close(file);
    snprintf(id, 33, "%016lx", drawn);
}

int main(void) {
    static char sectors[AT_ONCE][SECTOR], record[SECTOR];
    char id[33] = "";
    long boot = 0, counter = 0;
    off_t end = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    mkdir("/dev", 0755);
    if (mount("dev", "/dev", "devtmpfs", 0, "") != 0) perror("/dev");
    int console = open("/dev/console", O_RDWR);
    if (console >= 0) {
        dup2(console, 0);
        dup2(console, 1);
        dup2(console, 2);
    }
    load_modules();
    int disk = open_disk();
    for (int more = 1; more;) {
        ssize_t got = pread(disk, sectors, sizeof sectors, end);
        if (got < SECTOR) give_up("reading the ledger");
        for (int at = 0; more && at < got / SECTOR; at++) {
            char of[33];
            long was_boot, was_counter;
            more = sscanf(sectors[at], "LEDGER %32s %ld %ld", of, &was_boot, &was_counter) == 3;
            if (!more) break;
            strcpy(id, of);
            boot = was_boot;
            counter = was_counter;
            end += SECTOR;
        }
    }
    if (id[0] == 0) draw_id(id);
    boot++;
    printf("boot %ld of %s, %ld records before it\n", boot, id, (long)(end / SECTOR));
    for (;;) {
        memset(record, 0, sizeof record);
        counter++;
        snprintf(record, sizeof record, "LEDGER %s %ld %ld %.3f %.3f\n", id, boot, counter, seconds(CLOCK_REALTIME),
                 seconds(CLOCK_BOOTTIME));
        if (pwrite(disk, record, SECTOR, end) != SECTOR) give_up("writing the ledger");
        end += SECTOR;
        usleep(100000);
    }
}
