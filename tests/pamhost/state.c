/* What a process looks like from within: everything that a module may not change. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "pamhost.h"

extern char **environ;

static int proc = -1; /* /proc of the machine */

void state_init(void) {
  proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (proc < 0) die("open /proc");
}

static FILE *proc_file(const char *path) {
  int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
  FILE *f = fd < 0 ? NULL : fdopen(fd, "r");
  if (!f) die(path);
  return f;
}

static DIR *proc_dir(const char *path) {
  int fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *d = fd < 0 ? NULL : fdopendir(fd);
  if (!d) die(path);
  return d;
}

static void link_line(const char *when, const char *key, const char *path) {
  char target[4096];
  ssize_t n = readlinkat(proc, path, target, sizeof target - 1);
  target[n < 0 ? 0 : n] = '\0';
  fprintf(report, "%s.%s=%s\n", when, key, target);
}

static int count_threads(void) {
  int n = 0;
  DIR *d = proc_dir("self/task");
  for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}

/* A thread that was joined may be seen for a moment longer. */
static void threads(const char *when) {
  int n = count_threads();
  for (int tries = 0; n > 1 && tries < 20; tries++) {
    usleep(5000);
    n = count_threads();
  }
  fprintf(report, "%s.threads=%d\n", when, n);
}

/* libc sets it, x86's SA_RESTORER, whenever it sets anything; it means nothing without a handler. */
enum { RESTORER = 0x04000000 };

/* The kernel's view, since libc hides two signals of its own. */
static void signals(const char *when) {
  struct {
    uintptr_t handler;
    unsigned long flags;
    uintptr_t restorer;
    uint64_t mask;
  } a;
  fprintf(report, "%s.signals=", when);
  for (int sig = 1; sig <= 64; sig++) {
    if (syscall(SYS_rt_sigaction, sig, NULL, &a, sizeof a.mask) < 0) die("rt_sigaction");
    a.flags &= ~(unsigned long)RESTORER;
    if (a.handler != 0 || a.flags != 0) fprintf(report, "%d:%lx:%lx:%lx ", sig, (long)a.handler, a.flags, (long)a.mask);
  }
  uint64_t mask = 0;
  syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof mask);
  sigset_t pending;
  stack_t alt;
  sigpending(&pending);
  sigaltstack(NULL, &alt);
  fprintf(report, "\n%s.mask=%lx\n%s.pending=%d\n%s.altstack=%p:%x:%zu\n", when, (long)mask, when,
          sigismember(&pending, SIGCHLD), when, alt.ss_sp, (unsigned)alt.ss_flags, alt.ss_size);
}

/* The environment as a hash (FNV-1a) and a count: values may hold newlines. */
static void environment(const char *when) {
  uint64_t hash = 14695981039346656037u;
  int count = 0;
  for (char **e = environ; *e; e++, count++)
    for (const char *c = *e;; c++) {
      hash = (hash ^ (unsigned char)*c) * 1099511628211u;
      if (!*c) break;
    }
  fprintf(report, "%s.environ=%d:%lx\n", when, count, (unsigned long)hash);
}

static int by_number(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

static void files(const char *when) {
  int fds[1024], n = 0;
  DIR *d = proc_dir("self/fd");
  for (struct dirent *e; (e = readdir(d)) && n < 1024;)
    if (e->d_name[0] != '.' && atoi(e->d_name) != dirfd(d) && atoi(e->d_name) != proc) fds[n++] = atoi(e->d_name);
  closedir(d);
  qsort(fds, (size_t)n, sizeof fds[0], by_number);
  fprintf(report, "%s.files=", when);
  for (int i = 0; i < n; i++) {
    char path[64], target[4096];
    snprintf(path, sizeof path, "self/fd/%d", fds[i]);
    ssize_t len = readlinkat(proc, path, target, sizeof target - 1);
    fprintf(report, "%d:%.*s ", fds[i], len < 0 ? 0 : (int)len, target);
  }
  fputc('\n', report);
}

/* Address space that is writable and not shared: what a Go runtime would reserve. */
static void memory(const char *when) {
  FILE *f = proc_file("self/maps");
  char line[5000];
  unsigned long kb = 0, from, to;
  while (fgets(line, sizeof line, f)) {
    char perms[5];
    if (sscanf(line, "%lx-%lx %4s", &from, &to, perms) != 3) continue;
    if (perms[1] == 'w' && perms[3] == 'p') kb += (to - from) / 1024;
  }
  fclose(f);
  fprintf(report, "%s.writable_kb=%lu\n%s.dirty_kb=%ld\n", when, kb, when, state_rollup("Private_Dirty:"));
}

long state_rollup(const char *field) {
  FILE *f = proc_file("self/smaps_rollup");
  char line[256];
  long kb = -1;
  while (kb < 0 && fgets(line, sizeof line, f))
    if (strncmp(line, field, strlen(field)) == 0) kb = atol(line + strlen(field));
  fclose(f);
  return kb;
}

/* The most that a child has had in memory at once, of those that were waited for. */
static void children_memory(const char *when) {
  struct rusage usage;
  getrusage(RUSAGE_CHILDREN, &usage);
  fprintf(report, "%s.children_kb=%ld\n", when, usage.ru_maxrss);
}

static void place(const char *when) {
  struct stat root, cwd;
  char *name = getcwd(NULL, 0);
  link_line(when, "namespace", "thread-self/ns/mnt");
  if (stat("/", &root) < 0) die("stat");
  if (fstatat(AT_FDCWD, "", &cwd, AT_EMPTY_PATH) < 0) die("stat"); /* "." needs search permission */
  mode_t mask = umask(0);
  umask(mask);
  fprintf(report, "%s.root=%lx:%lu\n%s.cwd=%lx:%lu\n%s.cwdname=%s\n%s.umask=%o\n", when, root.st_dev, root.st_ino, when,
          cwd.st_dev, cwd.st_ino, when, name ? name : "", when, mask);
  free(name);
}

static int is_child(const char *pid) {
  char path[64], line[512];
  snprintf(path, sizeof path, "%.20s/stat", pid);
  int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return 0;
  ssize_t n = read(fd, line, sizeof line - 1);
  close(fd);
  line[n < 0 ? 0 : n] = '\0';
  char *after = strrchr(line, ')');
  int parent = 0;
  return after && sscanf(after, ") %*c %d", &parent) == 1 && parent == getpid();
}

static void children(const char *when) {
  DIR *d = proc_dir(".");
  fprintf(report, "%s.children=", when);
  for (struct dirent *e; (e = readdir(d));)
    if (e->d_name[0] >= '1' && e->d_name[0] <= '9' && is_child(e->d_name)) fprintf(report, "%s ", e->d_name);
  closedir(d);
  fputc('\n', report);
}

void state_print(const char *when) {
  fprintf(report, "%s.heard=%d\n", when, hostile_heard());
  threads(when);
  signals(when);
  environment(when);
  files(when);
  memory(when);
  children_memory(when);
  place(when);
  children(when);
  fflush(report);
}
