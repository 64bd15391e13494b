/* Lets one file operation of a process, or of its children, fail once: a library for LD_PRELOAD.
 *
 * WK_FAULT_UNDER   only operations on paths below this folder count
 * WK_FAULT_LOG     each operation that counts is appended here: role, operation, path, separated by tabs
 * WK_FAULT_STATE   a file of 8 bytes: how many operations have matched so far, in all processes together
 * WK_FAULT_ROLE, WK_FAULT_OPERATION, WK_FAULT_PATH (for fnmatch)   which operations match; all three must
 * WK_FAULT_NTH     which of them fails, counted from 1
 * WK_FAULT_ERRNO   how, as a number; 0: none does
 *
 * glibc writes its streams without calling `write` through the symbol table, so that the output of bash's printf is
 * caught where it is flushed: at a newline, since its streams are line buffered, in `fflush` and in `fclose`. What a
 * static program does, and what glibc opens for itself, is not seen.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *under, *log_path, *wanted_role, *wanted_operation, *wanted_path;
static uint64_t wanted_number;
static int wanted_errno;
static uint64_t *matched;
static char role[64] = "?";

static void name_role(void) {
    char words[4096];
    int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY);
    ssize_t size = fd < 0 ? 0 : syscall(SYS_read, fd, words, sizeof words - 1);
    if (fd >= 0) syscall(SYS_close, fd);
    if (size <= 0) return;
    words[size] = 0;
    const char *program = strrchr(words, '/') ? strrchr(words, '/') + 1 : words;
    char joined[4096];
    for (ssize_t i = 0; i <= size; i++) joined[i] = words[i] || i == size ? words[i] : ' ';
    if (strncmp(program, "python", 6) != 0) snprintf(role, sizeof role, "%.*s", (int)sizeof role - 1, program);
    else if (strstr(joined, "watchkeeper.schedulers.supervisor")) strcpy(role, "supervisor");
    else if (strstr(joined, "watchkeeper.record.sidecar")) strcpy(role, "sidecar");
    else if (strstr(joined, "-m watchkeeper ")) strcpy(role, "watcher");
    else strcpy(role, "program");
}

__attribute__((constructor)) static void begin(void) {
    under = getenv("WK_FAULT_UNDER");
    if (!under) return;
    log_path = getenv("WK_FAULT_LOG");
    wanted_role = getenv("WK_FAULT_ROLE");
    wanted_operation = getenv("WK_FAULT_OPERATION");
    wanted_path = getenv("WK_FAULT_PATH");
    wanted_number = getenv("WK_FAULT_NTH") ? strtoull(getenv("WK_FAULT_NTH"), NULL, 10) : 0;
    wanted_errno = getenv("WK_FAULT_ERRNO") ? atoi(getenv("WK_FAULT_ERRNO")) : 0;
    name_role();
    int fd = syscall(SYS_openat, AT_FDCWD, getenv("WK_FAULT_STATE"), O_RDWR);
    if (fd < 0) _exit(99);
    matched = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (matched == MAP_FAILED) _exit(99);
}

static void note(const char *operation, const char *path, int error) {
    char line[PATH_MAX + 256];
    int size = snprintf(line, sizeof line, "%d\t%s\t%s\t%s\n", error, role, operation, path);
    int fd = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0) _exit(99);
    if (syscall(SYS_write, fd, line, size) != size) _exit(99);
    syscall(SYS_close, fd);
}

/* Whether this operation is to fail; errno is set then. */
static int fails(const char *operation, const char *path) {
    if (!under || !path || strncmp(path, under, strlen(under)) != 0) return 0;
    int kept = errno, error = 0;
    if (wanted_errno && !strcmp(role, wanted_role) && !strcmp(operation, wanted_operation) &&
        !fnmatch(wanted_path, path, 0) && __atomic_add_fetch(matched, 1, __ATOMIC_SEQ_CST) == wanted_number)
        error = wanted_errno;
    if (error || !wanted_errno) note(operation, path, error);
    errno = error ? error : kept;
    return error != 0;
}

static const char *path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    int kept = errno;
    ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX);
    errno = kept;
    if (size <= 0 || size >= PATH_MAX) return NULL;
    path[size] = 0;
    return path;
}

static const char *absolute(int folder, const char *path, char *whole) {
    if (!under || !path || path[0] == '/') return path;
    if (folder == AT_FDCWD) {
        int kept = errno;
        long size = syscall(SYS_getcwd, whole, PATH_MAX);
        errno = kept;
        if (size <= 0) return NULL;
    } else if (!path_of(folder, whole)) return NULL;
    size_t size = strlen(whole);
    if (!strncmp(path, "./", 2)) path += 2;
    if (size + strlen(path) + 2 > PATH_MAX) return NULL;
    whole[size] = '/';
    strcpy(whole + size + 1, path);
    return whole;
}

static int fd_fails(const char *operation, int fd) {
    char path[PATH_MAX];
    return under && fails(operation, path_of(fd, path));
}

static int path_fails(const char *operation, int folder, const char *path) {
    char whole[PATH_MAX];
    return under && fails(operation, absolute(folder, path, whole));
}

#define REAL(name) \
    static __typeof__(name) *real; \
    if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static const char *opening(int flags) {
    if (flags & O_DIRECTORY) return "open folder";
    return flags & (O_WRONLY | O_RDWR | O_CREAT) ? "open to write" : "open to read";
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | __O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    REAL(open);
    MODE(flags)
    return path_fails(opening(flags), AT_FDCWD, path) ? -1 : real(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    REAL(open64);
    MODE(flags)
    return path_fails(opening(flags), AT_FDCWD, path) ? -1 : real(path, flags, mode);
}

int openat(int folder, const char *path, int flags, ...) {
    REAL(openat);
    MODE(flags)
    return path_fails(opening(flags), folder, path) ? -1 : real(folder, path, flags, mode);
}

int openat64(int folder, const char *path, int flags, ...) {
    REAL(openat64);
    MODE(flags)
    return path_fails(opening(flags), folder, path) ? -1 : real(folder, path, flags, mode);
}

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    return fd_fails("write", fd) ? -1 : real(fd, data, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    return fd_fails("write", fd) ? -1 : real(fd, parts, count);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(pwrite);
    return fd_fails("write", fd) ? -1 : real(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) {
    REAL(pwrite64);
    return fd_fails("write", fd) ? -1 : real(fd, data, size, at);
}

static int stream_fails(FILE *stream, int pending) {
    if (!under || !stream || !(pending || __fpending(stream)) || !fd_fails("write", fileno(stream))) return 0;
    int kept = errno;
    __fpurge(stream);
    stream->_flags |= 0x20; /* glibc's _IO_ERR_SEEN: ferror() is true */
    errno = kept;
    return 1;
}

int putchar(int sign) {
    REAL(putchar);
    return sign == '\n' && stream_fails(stdout, 1) ? EOF : real(sign);
}

#undef putc
int putc(int sign, FILE *stream) {
    REAL(putc);
    return sign == '\n' && stream_fails(stream, 1) ? EOF : real(sign, stream);
}

int fflush(FILE *stream) {
    REAL(fflush);
    return stream_fails(stream, 0) ? EOF : real(stream);
}

int fclose(FILE *stream) {
    REAL(fclose);
    int failed = stream_fails(stream, 0), kept = errno;
    int closed = real(stream);
    if (!failed) return closed;
    errno = kept;
    return EOF;
}

int fsync(int fd) {
    REAL(fsync);
    return fd_fails("fsync", fd) ? -1 : real(fd);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    return fd_fails("fsync", fd) ? -1 : real(fd);
}

int ftruncate(int fd, off_t size) {
    REAL(ftruncate);
    return fd_fails("truncate", fd) ? -1 : real(fd, size);
}

int ftruncate64(int fd, off64_t size) {
    REAL(ftruncate64);
    return fd_fails("truncate", fd) ? -1 : real(fd, size);
}

int link(const char *old, const char *new) {
    REAL(link);
    return path_fails("link", AT_FDCWD, new) ? -1 : real(old, new);
}

int linkat(int from, const char *old, int to, const char *new, int flags) {
    REAL(linkat);
    return path_fails("link", to, new) ? -1 : real(from, old, to, new, flags);
}

int symlink(const char *target, const char *new) {
    REAL(symlink);
    return path_fails("symlink", AT_FDCWD, new) ? -1 : real(target, new);
}

int rename(const char *old, const char *new) {
    REAL(rename);
    return path_fails("rename", AT_FDCWD, new) ? -1 : real(old, new);
}

int renameat(int from, const char *old, int to, const char *new) {
    REAL(renameat);
    return path_fails("rename", to, new) ? -1 : real(from, old, to, new);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned int flags) {
    REAL(renameat2);
    return path_fails("rename", to, new) ? -1 : real(from, old, to, new, flags);
}

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    return path_fails("mkdir", AT_FDCWD, path) ? -1 : real(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    REAL(mkdirat);
    return path_fails("mkdir", folder, path) ? -1 : real(folder, path, mode);
}

int unlink(const char *path) {
    REAL(unlink);
    return path_fails("unlink", AT_FDCWD, path) ? -1 : real(path);
}

int unlinkat(int folder, const char *path, int flags) {
    REAL(unlinkat);
    return path_fails("unlink", folder, path) ? -1 : real(folder, path, flags);
}
