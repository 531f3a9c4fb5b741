/* Records what a process does to the store's file, in the order in which it does it.
 *
 * Loaded before the C library (LD_PRELOAD), it stands in front of the calls through which LMDB writes and syncs. Each
 * is done, and then written to the file that RECORD names, so that a test can put together what a disk might hold after
 * a power cut. What the process prints goes there too: it tells what was acknowledged by then.
 *
 * A record is a byte for its kind ('W' write, 'D' write that is on the disk when it returns, 'S' sync, 'O' output), 8
 * bytes of offset and 8 of length, both in the machine's order, and as many bytes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#define FILES 4096

static char kinds[FILES];
static int record = -1;
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

static void put(const void *bytes, size_t length) {
    const char *at = bytes;
    while (length > 0) {
        ssize_t done = REAL(write)(record, at, length);
        if (done <= 0) abort();
        at += done;
        length -= (size_t)done;
    }
}

static void note(char kind, uint64_t offset, const struct iovec *parts, int count, uint64_t length) {
    if (record < 0) return;
    pthread_mutex_lock(&turn);
    put(&kind, 1);
    put(&offset, 8);
    put(&length, 8);
    for (int i = 0; i < count && length > 0; i++) {
        size_t part = parts[i].iov_len < length ? parts[i].iov_len : (size_t)length;
        put(parts[i].iov_base, part);
        length -= part;
    }
    pthread_mutex_unlock(&turn);
}

static char kind_of(int file) { return file >= 0 && file < FILES ? kinds[file] : 0; }

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("RECORD");
    if (path) record = REAL(open)(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void opened(int file, const char *path, int flags) {
    const char *name = strrchr(path, '/');
    if (file < 0 || file >= FILES) return;
    int ours = strcmp(name ? name + 1 : path, "data.mdb") == 0 && (flags & O_ACCMODE) != O_RDONLY;
    kinds[file] = ours ? ((flags & O_DSYNC) ? 'D' : 'W') : 0;
}

#define OPEN(name)                                                  \
    int name(const char *path, int flags, ...) {                    \
        va_list more;                                               \
        va_start(more, flags);                                      \
        int file = REAL(name)(path, flags, va_arg(more, unsigned)); \
        va_end(more);                                               \
        opened(file, path, flags);                                  \
        return file;                                                \
    }
OPEN(open)
OPEN(open64)

int close(int file) {
    if (file >= 0 && file < FILES) kinds[file] = 0;
    return REAL(close)(file);
}

#define PWRITE(name, offset_type)                                               \
    ssize_t name(int file, const void *bytes, size_t length, offset_type at) {  \
        ssize_t done = REAL(name)(file, bytes, length, at);                     \
        struct iovec part = {(void *)bytes, length};                            \
        if (kind_of(file) && done > 0) note(kind_of(file), (uint64_t)at, &part, 1, (uint64_t)done); \
        return done;                                                            \
    }
PWRITE(pwrite, off_t)
PWRITE(pwrite64, off64_t)

#define PWRITEV(name, offset_type)                                                     \
    ssize_t name(int file, const struct iovec *parts, int count, offset_type at) {     \
        ssize_t done = REAL(name)(file, parts, count, at);                             \
        if (kind_of(file) && done > 0) note(kind_of(file), (uint64_t)at, parts, count, (uint64_t)done); \
        return done;                                                                   \
    }
PWRITEV(pwritev, off_t)
PWRITEV(pwritev64, off64_t)

ssize_t write(int file, const void *bytes, size_t length) {
    ssize_t done = REAL(write)(file, bytes, length);
    struct iovec part = {(void *)bytes, length};
    if (done > 0 && file == 1) note('O', 0, &part, 1, (uint64_t)done);
    if (done > 0 && kind_of(file)) {
        off_t end = lseek(file, 0, SEEK_CUR);
        note(kind_of(file), (uint64_t)(end - done), &part, 1, (uint64_t)done);
    }
    return done;
}

ssize_t writev(int file, const struct iovec *parts, int count) {
    ssize_t done = REAL(writev)(file, parts, count);
    if (done > 0 && file == 1) note('O', 0, parts, count, (uint64_t)done);
    if (done > 0 && kind_of(file)) {
        off_t end = lseek(file, 0, SEEK_CUR);
        note(kind_of(file), (uint64_t)(end - done), parts, count, (uint64_t)done);
    }
    return done;
}

#define SYNC(name)                                                    \
    int name(int file) {                                              \
        int outcome = REAL(name)(file);                               \
        if (kind_of(file) && outcome == 0) note('S', 0, NULL, 0, 0);  \
        return outcome;                                               \
    }
SYNC(fsync)
SYNC(fdatasync)
