/* Makes every sync of a program take longer, as on a slower disk:
 *
 *     cc -O2 -shared -fPIC -o slow_sync.so ci/load/slow_sync.c
 *     SYNC_MICROSECONDS=5000 LD_PRELOAD=$PWD/slow_sync.so orrery log benchmark ...
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static int sync_slowly(const char *name, int descriptor)
{
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    const char *text = getenv("SYNC_MICROSECONDS");
    long rest = text ? atol(text) : 0;
    struct timespec time = {rest / 1000000, rest % 1000000 * 1000};
    int result = sync(descriptor);
    nanosleep(&time, NULL);
    return result;
}

int fdatasync(int descriptor)
{
    return sync_slowly("fdatasync", descriptor);
}

int fsync(int descriptor)
{
    return sync_slowly("fsync", descriptor);
}
