/* A disk that turns read-only under a program that has files open on it, as the kernel does after an error of the disk: what
 * is written fails with EROFS, what is read goes on. A mount can't be made so while files on it are open to write.
 *
 * Loaded into the program with LD_PRELOAD. Of its environment:
 *   READ_ONLY_DIR   what lies below it is on that disk;
 *   READ_ONLY_FROM  "now", or "TEXT:N": from the N-th sync of a SQLite WAL there after TEXT was written to one. With N = 0
 *                   that very write fails.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_int begun;
static atomic_int synced;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Whether a path lies on the disk; a relative one is taken from the working directory. */
static int on_disk(const char *path) {
    const char *dir = getenv("READ_ONLY_DIR");
    char whole[2 * PATH_MAX];
    if (dir == NULL || path == NULL) {
        return 0;
    }
    if (path[0] != '/') {
        char here[PATH_MAX];
        if (getcwd(here, sizeof here) == NULL || strlen(path) >= PATH_MAX) {
            return 0;
        }
        snprintf(whole, sizeof whole, "%s/%s", here, path);
        path = whole;
    }
    size_t length = strlen(dir);
    return strncmp(path, dir, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* The path of an open file, if it lies on the disk. */
static int opened_on_disk(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    if (length < 0) {
        return 0;
    }
    path[length] = '\0';
    /* what is no file has a name of another kind there: "anon_inode:[eventfd]", "socket:[7]" */
    return path[0] == '/' && on_disk(path);
}

static int is_wal(const char *path) {
    size_t length = strlen(path);
    return length > 4 && strcmp(path + length - 4, "-wal") == 0;
}

static int read_only(void) {
    const char *from = getenv("READ_ONLY_FROM");
    if (from == NULL) {
        return 0;
    }
    if (strcmp(from, "now") == 0) {
        return 1;
    }
    const char *number = strrchr(from, ':');
    return number != NULL && atomic_load(&begun) && atomic_load(&synced) >= atoi(number + 1);
}

/* Notes what is written to a WAL, and tells whether a write there fails. */
static int fails(int fd, const void *bytes, size_t count) {
    char path[PATH_MAX];
    int before = errno;
    int there = opened_on_disk(fd, path);
    errno = before;
    if (!there) {
        return 0;
    }
    const char *from = getenv("READ_ONLY_FROM");
    const char *number = from == NULL ? NULL : strrchr(from, ':');
    if (number != NULL && bytes != NULL && is_wal(path) && memmem(bytes, count, from, (size_t)(number - from)) != NULL) {
        atomic_store(&begun, 1);
    }
    return read_only();
}

static int refused(void) {
    errno = EROFS;
    return -1;
}

ssize_t write(int fd, const void *bytes, size_t count) {
    return fails(fd, bytes, count) ? refused() : REAL(write)(fd, bytes, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return fails(fd, bytes, count) ? refused() : REAL(pwrite)(fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    return fails(fd, bytes, count) ? refused() : REAL(pwrite64)(fd, bytes, count, at);
}

int ftruncate(int fd, off_t length) {
    return fails(fd, NULL, 0) ? refused() : REAL(ftruncate)(fd, length);
}

int ftruncate64(int fd, off64_t length) {
    return fails(fd, NULL, 0) ? refused() : REAL(ftruncate64)(fd, length);
}

static void note_sync(int fd) {
    char path[PATH_MAX];
    int before = errno;
    if (atomic_load(&begun) && opened_on_disk(fd, path) && is_wal(path)) {
        atomic_fetch_add(&synced, 1);
    }
    errno = before;
}

int fsync(int fd) {
    int done = REAL(fsync)(fd);
    note_sync(fd);
    return done;
}

int fdatasync(int fd) {
    int done = REAL(fdatasync)(fd);
    note_sync(fd);
    return done;
}

/* Whether to open a path this way would change the disk. */
static int changes(const char *path, int flags) {
    if (!on_disk(path) || !read_only()) {
        return 0;
    }
    struct stat there;
    int before = errno;
    int creates = (flags & O_CREAT) != 0 && stat(path, &there) != 0;
    errno = before;
    return creates || (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0;
}

#define OPENING(name)                                                                                                  \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list more;                                                                                                  \
        va_start(more, flags);                                                                                         \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;                                 \
        va_end(more);                                                                                                  \
        return changes(path, flags) ? refused() : REAL(name)(path, flags, mode);                                       \
    }
OPENING(open)
OPENING(open64)

int unlink(const char *path) {
    return on_disk(path) && read_only() ? refused() : REAL(unlink)(path);
}

int rename(const char *from, const char *to) {
    return (on_disk(from) || on_disk(to)) && read_only() ? refused() : REAL(rename)(from, to);
}

int mkdir(const char *path, mode_t mode) {
    struct stat there;
    return on_disk(path) && read_only() && stat(path, &there) != 0 ? refused() : REAL(mkdir)(path, mode);
}
