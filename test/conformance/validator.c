/*
 * What an app of a pod can see of the executor, checked from inside: the program of both conformance images. One word is the mode:
 * prestart, main, sidekick, poststop, or one of ours (surroundings, read-only, identity).
 *
 * It prints a line `row ID yes` or `row ID no REASON` for each row of the table (rows.ts), for answers of the metadata service also
 * `body ID HEX`, and at last `MODE OK` or `MODE FAIL`. All checks are made, whatever fails. Status: 0, 1 when something failed, 64
 * for a wrong call.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

static int failures;

/* A row, and why it does not hold: an empty reason means that it does. */
static void row(const char *id, const char *format, ...) {
    char reason[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(reason, sizeof reason, format, arguments);
    va_end(arguments);
    printf(reason[0] ? "row %s no %s\n" : "row %s yes%s\n", id, reason);
    fflush(stdout);
    if (reason[0]) failures++;
}

static void exists(const char *id, const char *path, int wanted) {
    struct stat status;
    int there = stat(path, &status) == 0;
    if (there == wanted) row(id, "");
    else row(id, "%s %s", path, there ? "exists" : "does not exist");
}

static void create(const char *id, const char *path) {
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) row(id, "cannot create %s: %s", path, strerror(errno));
    else row(id, ""), close(fd);
}

static void variable(const char *id, const char *name, const char *wanted) {
    const char *value = getenv(name);
    if (value == NULL) row(id, "%s is not set", name);
    else if (wanted == NULL ? value[0] == 0 : strcmp(value, wanted) != 0) row(id, "%s is \"%s\"", name, value);
    else row(id, "");
}

static void directory(const char *id, const char *wanted) {
    char path[PATH_MAX];
    if (getcwd(path, sizeof path) == NULL) row(id, "getcwd: %s", strerror(errno));
    else if (strcmp(path, wanted) != 0) row(id, "the directory is %s", path);
    else row(id, "");
}

/* Polls for five seconds. */
static int appears(const char *path) {
    struct stat status;
    for (int tries = 0; tries < 500; tries++) {
        if (stat(path, &status) == 0) return 1;
        usleep(10000);
    }
    return 0;
}

/* The last line of mountinfo for the path decides; its own options count, not those of the file system. */
static void mounted_writable(const char *id, const char *path) {
    char line[8192], point[4096], options[4096], verdict[128] = "it is no mount point";
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (file == NULL) return row(id, "mountinfo: %s", strerror(errno));
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "%*d %*d %*s %*s %4095s %4095s", point, options) != 2) {
            fclose(file);
            return row(id, "malformed line in mountinfo");
        }
        if (strcmp(point, path) != 0) continue;
        verdict[0] = 0;
        for (char *word = strtok(options, ","); word != NULL; word = strtok(NULL, ","))
            if (strcmp(word, "ro") == 0) strcpy(verdict, "it is read-only");
    }
    fclose(file);
    row(id, "%s", verdict);
}

/* ---- the metadata service ---- */

struct answer {
    int status;
    char type[128];
    char body[65536];
    size_t length;
};

static char host[64], prefix[512];
static int port;

static const char *ask(struct answer *answer, const char *method, const char *path, const char *form) {
    static char buffer[sizeof answer->body];
    struct timeval patience = {.tv_usec = 100000};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) return "its address is no IPv4 address";
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    memset(answer, 0, sizeof *answer);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) < 0) return close(fd), "cannot connect";
    dprintf(fd,
            "%s %s/acMetadata/v1%s HTTP/1.0\r\nHost: %s\r\nMetadata-Flavor: AppContainer\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %zu\r\n\r\n%s",
            method, prefix, path, host, strlen(form), form);
    size_t length = 0;
    ssize_t got;
    while (length < sizeof buffer - 1 && (got = read(fd, buffer + length, sizeof buffer - 1 - length)) > 0) length += got;
    close(fd);
    buffer[length] = 0;
    char *end = strstr(buffer, "\r\n\r\n");
    if (end == NULL || sscanf(buffer, "HTTP/%*s %d", &answer->status) != 1) return "no answer within 100 ms";
    *end = 0;
    for (char *line = strtok(buffer, "\r\n"); line != NULL; line = strtok(NULL, "\r\n"))
        if (strncasecmp(line, "content-type: ", 14) == 0) snprintf(answer->type, sizeof answer->type, "%s", line + 14);
    answer->length = length - (end + 4 - buffer);
    memcpy(answer->body, end + 4, answer->length);
    return NULL;
}

static int asked(const char *id, struct answer *answer, const char *method, const char *path, const char *form, const char *type) {
    const char *failed = ask(answer, method, path, form);
    if (failed != NULL) return row(id, "%s: %s", path, failed), 0;
    if (answer->status != 200) return row(id, "%s: status %d", path, answer->status), 0;
    if (strcmp(answer->type, type) != 0) return row(id, "%s: type \"%s\"", path, answer->type), 0;
    printf("body %s ", id);
    for (size_t at = 0; at < answer->length; at++) printf("%02x", (unsigned char)answer->body[at]);
    printf("\n");
    fflush(stdout);
    return 1;
}

/* What the harness says of the bodies decides about D1 and D3 to D6. */
static void metadata(void) {
    static struct answer answer;
    const char *json = "application/json", *text = "text/plain; charset=us-ascii", *url = getenv("AC_METADATA_URL");
    if (url == NULL || url[0] == 0) return row("D0", "AC_METADATA_URL is not set");
    if (sscanf(url, "http://%63[^:/]:%d%511s", host, &port, prefix) != 3) return row("D0", "not understood: %s", url);
    row("D0", "");
    if (!asked("D1", &answer, "GET", "/pod/manifest", "", json)) return;
    if (asked("D2", &answer, "GET", "/pod/uuid", "", text)) {
        size_t digits = 0;
        for (size_t at = 0; at < answer.length; at++) digits += isxdigit((unsigned char)answer.body[at]) != 0;
        row("D2", digits == 32 && answer.length == 36 ? "" : "it is \"%s\"", answer.body);
    }
    char uuid[64];
    snprintf(uuid, sizeof uuid, "%.36s", answer.body);
    asked("D3", &answer, "GET", "/pod/annotations", "", json);
    asked("D4", &answer, "GET", "/apps/ace-validator-main/image/manifest", "", json);
    asked("D5", &answer, "GET", "/apps/ace-validator-main/image/id", "", text);
    asked("D6", &answer, "GET", "/apps/ace-validator-main/annotations", "", json);
    if (!asked("D7", &answer, "POST", "/pod/hmac/sign", "content=a+sentence+with+spaces", text)) return;
    row("D7", answer.length > 0 && answer.body[answer.length - 1] != '\n' ? "" : "no signature");
    char form[4096] = "content=a+sentence+with+spaces&uuid=", *to = form + strlen(form);
    to += sprintf(to, "%s&signature=", uuid);
    for (size_t at = 0; at < answer.length && at < 1000; at++) to += sprintf(to, "%%%02X", (unsigned char)answer.body[at]);
    if (asked("D8", &answer, "POST", "/pod/hmac/verify", form, text)) row("D8", "");
}

/* ---- the modes ---- */

static void prestart(void) {
    create("P1", "/prestart");
    exists("P2", "/main", 0);
    exists("P3", "/poststop", 0);
}

static void surroundings(void);

static void run_main(void) {
    exists("M1", "/prestart", 1);
    create("M2", "/main");
    exists("M3", "/poststop", 0);
    variable("M4", "PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    directory("M5", "/opt/acvalidator");
    variable("M6", "IN_ACE_VALIDATOR", "correct");
    mounted_writable("M7", "/db");
    variable("M8", "AC_APP_NAME", "ace-validator-main");
    surroundings();
    /* For the sidekick to find. */
    int memory = shmget(0x52b7, 4096, IPC_CREAT | 0600);
    row("M10", appears("/db/sidekick") ? "" : "/db/sidekick does not appear");
    create("M11", "/db/main");
    metadata();
    /* The sidekick and, from outside, the harness look at this process. */
    appears("/db/seen");
    appears("/db/looked");
    if (memory >= 0) shmctl(memory, IPC_RMID, NULL);
}

static void sidekick(void) {
    struct utsname names;
    char path[64], name[64] = "";
    create("S1", "/db/sidekick");
    row("S2", appears("/db/main") ? "" : "/db/main does not appear");
    directory("E1", "/");
    int seen = 0;
    for (int pid = 1; pid < 4096 && !seen; pid++) {
        snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd < 0 ? -1 : read(fd, name, sizeof name - 1);
        if (fd >= 0) close(fd);
        seen = got > 15 && memcmp(name, "/ace-validator", 15) == 0 && strcmp(name + 15, "main") == 0;
    }
    row("E2", seen ? "" : "the main process is not in /proc");
    row("E3", shmget(0x52b7, 4096, 0) >= 0 ? "" : "its shared memory is not there: %s", strerror(errno));
    exists("E4", "/main", 0);
    row("E5", uname(&names) == 0 && strncmp(names.nodename, "rkt-", 4) == 0 && strlen(names.nodename) == 40 ? "" : "the host's name is %s", names.nodename);
    int fd = open("/db/seen", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    if (fd >= 0) close(fd);
}

static void poststop(void) {
    exists("T1", "/prestart", 1);
    exists("T2", "/main", 1);
    create("T3", "/poststop");
}

static void device(const char *path, unsigned numbers_major, unsigned numbers_minor, char *reason) {
    struct stat status;
    if (stat(path, &status) < 0 || !S_ISCHR(status.st_mode)) sprintf(reason, "%s is no character device", path);
    else if (numbers_major && status.st_rdev != makedev(numbers_major, numbers_minor)) sprintf(reason, "%s is another device", path);
}

static void filesystem(const char *id, const char *path, long kind) {
    struct statfs status;
    if (statfs(path, &status) < 0) row(id, "%s: %s", path, strerror(errno));
    else if (status.f_type != kind) row(id, "%s is of type %lx", path, (long)status.f_type);
    else row(id, "");
}

/* appc.md §10.2 and §11. */
static void surroundings(void) {
    char reason[256] = "", text[4096] = "";
    struct stat ptmx, other;
    variable("E10", "container", NULL);
    device("/dev/null", 1, 3, reason);
    device("/dev/zero", 1, 5, reason);
    device("/dev/full", 1, 7, reason);
    device("/dev/random", 1, 8, reason);
    device("/dev/urandom", 1, 9, reason);
    device("/dev/tty", 5, 0, reason);
    device("/dev/console", 0, 0, reason);
    row("E11", "%s", reason);
    filesystem("E12", "/proc", PROC_SUPER_MAGIC);
    filesystem("E13", "/sys", SYSFS_MAGIC);
    filesystem("E14", "/dev/pts", DEVPTS_SUPER_MAGIC);
    int same = stat("/dev/ptmx", &ptmx) == 0 && stat("/dev/pts/ptmx", &other) == 0 && ptmx.st_rdev == other.st_rdev;
    int terminal = posix_openpt(O_RDWR | O_NOCTTY);
    row("E15", same && terminal >= 0 ? "" : "it opens no terminal");
    if (terminal >= 0) close(terminal);
    filesystem("E16", "/dev/shm", TMPFS_MAGIC);
    int fd = open("/etc/hosts", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0 || strstr(text, "127.0.0.1") == NULL) row("E17", "no loopback entry");
    else row("E17", "");
    if (fd >= 0) close(fd);
}

static void read_only(void) {
    int fd = open("/written", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    row("E20", fd < 0 && errno == EROFS ? "" : "the root can be written");
    if (fd >= 0) close(fd);
}

static void identity(void) {
    /* CAP_AUDIT_WRITE CHOWN DAC_OVERRIDE FSETID FOWNER KILL MKNOD NET_RAW NET_BIND_SERVICE SETUID SETGID SETPCAP SETFCAP SYS_CHROOT */
    const unsigned long long wanted = 0xa80425fb;
    unsigned long long bounding = 0;
    gid_t groups[16];
    int count = getgroups(16, groups), found = 0;
    for (int at = 0; at < count; at++) found += groups[at] == 501 || groups[at] == 502;
    row("E21", found == 2 ? "" : "%d of 2 groups", found);
    for (int capability = 0; capability < 64; capability++)
        if (prctl(PR_CAPBSET_READ, capability, 0, 0, 0) == 1) bounding |= 1ULL << capability;
    row("E22", bounding == wanted ? "" : "the bounding set is %llx", bounding);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*run)(void);
    } modes[] = {
        {"prestart", prestart}, {"main", run_main},       {"sidekick", sidekick},
        {"poststop", poststop}, {"read-only", read_only}, {"identity", identity},
    };
    for (size_t at = 0; argc == 2 && at < sizeof modes / sizeof *modes; at++) {
        if (strcasecmp(argv[1], modes[at].name) != 0) continue;
        modes[at].run();
        printf("%s %s\n", argv[1], failures ? "FAIL" : "OK");
        return failures ? 1 : 0;
    }
    fprintf(stderr, "usage: ace-validator prestart|main|sidekick|poststop|read-only|identity\n");
    return 64;
}
