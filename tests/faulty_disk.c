/* A disk that fails when it is told to, for one program: preloaded, it stands between the program and its files.
 *
 * FAULTY_DISK names a file that holds `KIND NUMBER PART`, read anew at each call: the fault, its number, and a part of
 * the paths that it strikes. An empty file is a disk that is well.
 *
 *   full 0        nothing is taken: ENOSPC
 *   read-only 0   nothing is taken: EROFS
 *   torn N        of a hundred writes N take any number of bytes, and fail: EIO
 *   short N       of a hundred writes N take any number of bytes, at least one, and say how many
 *   rate N        N bytes in a second
 *   sync-fails 0  a flush fails, EIO, and what it was to flush is zeros: what Linux may leave of it, at its worst
 *   sync-slow N   a flush takes N ms, or until the fault is another
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define WRITES_MAX 4096
#define PATH_BYTES_MAX 4096

struct fault { char kind[32]; long number; char part[256]; };
struct span { int fd; off_t at; size_t length; };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* What was written since the last flush of its file, at most so many writes: the oldest give way. */
static struct span unflushed[WRITES_MAX];
static size_t written;
static unsigned seed = 2026;

static struct fault present(void) {
    struct fault fault = {0};
    const char *name = getenv("FAULTY_DISK");
    int control = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    char line[512] = {0};
    if (control >= 0) {
        if (read(control, line, sizeof line - 1) > 0)
            sscanf(line, "%31s %ld %255s", fault.kind, &fault.number, fault.part);
        close(control);
    }
    return fault;
}

static int strikes(const struct fault *fault, int fd) {
    char link[64], path[PATH_BYTES_MAX] = {0};
    if (!fault->kind[0]) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    return readlink(link, path, sizeof path - 1) > 0 && strstr(path, fault->part) != NULL;
}

static int is(const struct fault *fault, const char *kind) { return strcmp(fault->kind, kind) == 0; }

static long below(long end) {
    pthread_mutex_lock(&lock);
    long drawn = rand_r(&seed) % end;
    pthread_mutex_unlock(&lock);
    return drawn;
}

static void rest_ms(long ms) {
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static void note(int fd, off_t at, ssize_t length) {
    if (length <= 0) return;
    pthread_mutex_lock(&lock);
    unflushed[written++ % WRITES_MAX] = (struct span){fd, at, (size_t)length};
    pthread_mutex_unlock(&lock);
}

/* Forgets what was written to a file, and puts zeros in its place where that is lost. */
static void settle(int fd, int lost) {
    static const char zeros[65536];
    struct stat file;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < WRITES_MAX; i++) {
        struct span *span = &unflushed[i];
        if (span->fd != fd || !span->length) continue;
        if (lost && fstat(fd, &file) == 0 && span->at < file.st_size) {
            size_t within = (size_t)(file.st_size - span->at);
            size_t length = span->length < within ? span->length : within;
            REAL(pwrite64)(fd, zeros, length < sizeof zeros ? length : sizeof zeros, span->at);
        }
        span->length = 0;
    }
    pthread_mutex_unlock(&lock);
}

static ssize_t faulty_write(int fd, const void *bytes, size_t length, off_t at, int positional) {
    struct fault fault = present();
    int error = 0;
    if (strikes(&fault, fd)) {
        if (is(&fault, "full")) return errno = ENOSPC, -1;
        if (is(&fault, "read-only")) return errno = EROFS, -1;
        if (is(&fault, "rate")) rest_ms((long)length * 1000 / fault.number);
        if (is(&fault, "torn") && below(100) < fault.number) error = EIO, length = (size_t)below((long)length + 1);
        if (is(&fault, "short") && below(100) < fault.number) length = (size_t)(length ? 1 + below((long)length) : 0);
    }
    ssize_t taken = positional ? REAL(pwrite64)(fd, bytes, length, at) : REAL(write)(fd, bytes, length);
    if (positional) note(fd, at, taken);
    return error ? (errno = error, -1) : taken;
}

ssize_t write(int fd, const void *bytes, size_t length) { return faulty_write(fd, bytes, length, 0, 0); }
ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return faulty_write(fd, bytes, length, at, 1); }
ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) { return faulty_write(fd, bytes, length, at, 1); }

static int faulty_sync(int fd, int (*flush)(int)) {
    struct fault fault = present();
    if (strikes(&fault, fd)) {
        if (is(&fault, "sync-fails")) return settle(fd, 1), errno = EIO, -1;
        for (long ms = 0; is(&fault, "sync-slow") && ms < fault.number; ms += 50, fault = present()) rest_ms(50);
    }
    int flushed = flush(fd);
    if (flushed == 0) settle(fd, 0);
    return flushed;
}

int fsync(int fd) { return faulty_sync(fd, REAL(fsync)); }
int fdatasync(int fd) { return faulty_sync(fd, REAL(fdatasync)); }

static int faulty_truncate(int fd, off_t length, int (*cut)(int, off_t)) {
    struct fault fault = present();
    if (strikes(&fault, fd) && is(&fault, "read-only")) return errno = EROFS, -1;
    return cut(fd, length);
}

int ftruncate(int fd, off_t length) { return faulty_truncate(fd, length, REAL(ftruncate)); }
int ftruncate64(int fd, off64_t length) { return faulty_truncate(fd, length, REAL(ftruncate64)); }
