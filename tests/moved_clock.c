/* A wall clock that is set when it is told to, for one program: preloaded, it stands before the C library's.
 *
 * MOVED_CLOCK names a file of eight bytes: by how many milliseconds the clock is ahead of the machine's, as a number of
 * this machine. What counts from the machine's start (CLOCK_MONOTONIC) is nobody's to set, and stays.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static const volatile int64_t *ahead_ms;

__attribute__((constructor)) static void open_control(void) {
    const char *name = getenv("MOVED_CLOCK");
    int control = name ? open(name, O_RDONLY | O_CLOEXEC) : -1;
    if (control < 0) return;
    void *shared = mmap(NULL, sizeof *ahead_ms, PROT_READ, MAP_SHARED, control, 0);
    if (shared != MAP_FAILED) ahead_ms = shared;
    close(control);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int told = REAL(clock_gettime)(clock, time);
    if (told == 0 && ahead_ms && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t ns = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + *ahead_ms * 1000000;
        time->tv_sec = ns / 1000000000;
        time->tv_nsec = ns % 1000000000;
    }
    return told;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec time;
    (void)zone;
    if (clock_gettime(CLOCK_REALTIME, &time) != 0) return -1;
    now->tv_sec = time.tv_sec;
    now->tv_usec = time.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *place) {
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    if (place) *place = now.tv_sec;
    return now.tv_sec;
}
