/* The states that real hosts are in when they call a module, and some that an attacker would put them in. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pamhost.h"

/* ---- signals ---- */

/* What xrdp and vsftpd do; a module's child would be lost to it. */
static void reap_any(int sig) {
  int saved = errno;
  (void)sig;
  while (waitpid(-1, NULL, WNOHANG) > 0) continue;
  errno = saved;
}

static volatile sig_atomic_t heard; /* SIGCHLDs */
static void hear(int sig) {
  if (sig == SIGCHLD) heard++;
}

int hostile_heard(void) { return heard; }

static void set_handler(int sig, void (*handler)(int), int flags) {
  struct sigaction a = {.sa_handler = handler, .sa_flags = flags};
  sigaddset(&a.sa_mask, SIGUSR1);
  if (sigaction(sig, &a, NULL) < 0) die("sigaction");
}

/* Those that a Go runtime takes, among them. */
static void set_handlers(void) {
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGURG, SIGPROF, SIGPIPE, SIGHUP, SIGTERM};
  static char stack[65536];
  stack_t alt = {.ss_sp = stack, .ss_size = sizeof stack};
  sigset_t block;
  if (sigaltstack(&alt, NULL) < 0) die("sigaltstack");
  for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
    set_handler(signals[i], hear, i % 2 ? SA_RESTART | SA_ONSTACK : SA_NODEFER);
  sigemptyset(&block);
  sigaddset(&block, SIGURG);
  sigaddset(&block, SIGCHLD);
  sigaddset(&block, SIGUSR2);
  sigaddset(&block, SIGRTMIN + 3);
  sigprocmask(SIG_BLOCK, &block, NULL);
}

static void set_sigchld(const char *how) {
  if (strcmp(how, "ignore") == 0) signal(SIGCHLD, SIG_IGN);
  else if (strcmp(how, "reap") == 0) set_handler(SIGCHLD, reap_any, 0);
  else if (strcmp(how, "handler") == 0) set_handler(SIGCHLD, hear, SA_RESTART);
  else if (strcmp(how, "nowait") == 0) set_handler(SIGCHLD, hear, SA_RESTART | SA_NOCLDWAIT);
  else die("--sigchld expects ignore, reap, handler or nowait");
}

/* A host that is interrupted in whatever it does: without SA_RESTART. */
static void start_alarm(int usec) {
  struct itimerval every = {{0, usec}, {0, usec}};
  set_handler(SIGALRM, hear, 0);
  if (setitimer(ITIMER_REAL, &every, NULL) < 0) die("setitimer");
}

/* ---- limits ---- */

static const struct {
  const char *name;
  int kind;
} limits[] = {{"AS", RLIMIT_AS},         {"DATA", RLIMIT_DATA},   {"STACK", RLIMIT_STACK}, {"NPROC", RLIMIT_NPROC},
              {"NOFILE", RLIMIT_NOFILE}, {"FSIZE", RLIMIT_FSIZE}, {"CPU", RLIMIT_CPU},     {"MEMLOCK", RLIMIT_MEMLOCK}};

/* Sets the soft limit that "NAME=VALUE" says, as a shell's ulimit -S does, or both, as pam_limits does. */
static void set_limit(const char *text, int both) {
  const char *value = strchr(text, '=');
  struct rlimit r;
  for (unsigned i = 0; value && i < sizeof limits / sizeof limits[0]; i++) {
    if (strncmp(limits[i].name, text, (size_t)(value - text)) != 0 || limits[i].name[value - text]) continue;
    if (getrlimit((__rlimit_resource_t)limits[i].kind, &r) < 0) die("getrlimit");
    r.rlim_cur = strtoul(value + 1, NULL, 10);
    if (both) r.rlim_max = r.rlim_cur;
    if (setrlimit((__rlimit_resource_t)limits[i].kind, &r) < 0) die("setrlimit");
    return;
  }
  die("--rlimit expects NAME=VALUE");
}

/* ---- system calls that aren't there ---- */

static const struct {
  const char *name;
  unsigned number;
} calls[] = {{"open_tree", 428}, {"move_mount", 429},    {"fsopen", 430},  {"fsconfig", 431},      {"fsmount", 432},
             {"pidfd_open", 434}, {"close_range", 436}, {"openat2", 437},
             {"mount_setattr", 442}, {"pidfd_send_signal", 424},
             {"setns", SYS_setns}, {"chroot", SYS_chroot}};

static unsigned call_number(const char *name) {
  for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++)
    if (strcmp(calls[i].name, name) == 0) return calls[i].number;
  die(name);
}

/* Every call here is made by its native number, so the filter needn't look at the architecture. */
static void filter_calls(const char *const *names) {
  struct sock_filter code[2 * LIST_MAX + 2] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
  unsigned short n = 1;
  for (; *names; names++) {
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call_number(*names), 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
  }
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog prog = {n, code};
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog) < 0) die("seccomp");
}

/* Linux 5.19, include/uapi/linux/seccomp.h; not in the headers of Debian 12. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

/* From here on the calls, and those of all processes to come, are for whoever takes the filter's descriptor to decide
 * (seccomp_unotify(2)). The first one, getppid, waits for that. */
static void trap_calls(const char *numbers) {
  enum { CALLS_MAX = 120 };
  struct sock_filter code[2 * CALLS_MAX + 4] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
  const unsigned long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  unsigned short n = 1;
  for (unsigned nr = SYS_getppid;; nr = (unsigned)strtoul(numbers, (char **)&numbers, 10)) {
    code[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1);
    code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
    if (*numbers == ',') numbers++;
    if (*numbers < '0' || *numbers > '9' || n > 2 * CALLS_MAX) break;
  }
  code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  struct sock_fprog prog = {n, code};
  int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
  if (listener < 0) die("seccomp");
  getppid();
  close(listener);
}

/* ---- threads ---- */

static atomic_int stop;
static pthread_t busy[64];
static int busy_count;

static void *nothing(void *arg) { return arg; }

static void *hurry(void *arg) {
  struct passwd pw, *found;
  char buf[4096];
  pthread_t t;
  while (!atomic_load(&stop)) {
    for (size_t i = 1; i < 200; i++) free(malloc(i * 97));
    if (pthread_create(&t, NULL, nothing, NULL) == 0) pthread_join(t, NULL);
    void *lib = dlopen("libutil.so.1", RTLD_NOW);
    if (lib) dlclose(lib);
    getpwnam_r("daemon", &pw, buf, sizeof buf, &found);
  }
  return arg;
}

void hostile_busy(int count) {
  atomic_store(&stop, 0);
  for (busy_count = 0; busy_count < count && busy_count < 64; busy_count++)
    if (pthread_create(&busy[busy_count], NULL, hurry, NULL) != 0) die("pthread_create");
}

void hostile_rest(void) {
  atomic_store(&stop, 1);
  while (busy_count > 0) pthread_join(busy[--busy_count], NULL);
}

/* libc installs a handler of its own with the first thread; that shall not look like the module's doing. */
static void first_thread(void) {
  pthread_t t;
  if (pthread_create(&t, NULL, nothing, NULL) == 0) pthread_join(t, NULL);
}

/* A child of the host's own, which ends before or while a session is being opened. Nobody waits for it. */
static void start_child(int ms) {
  siginfo_t info;
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    usleep((useconds_t)ms * 1000);
    _exit(0);
  }
  while (ms == 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR) continue;
}

/* ---- PAM without memory ---- */

typedef void (*cleanup_fn)(pam_handle_t *, void *, int);
static const char *no_data;

/* Stands in front of libpam's for the modules. */
int pam_set_data(pam_handle_t *pamh, const char *name, void *data, cleanup_fn cleanup) {
  int (*next)(pam_handle_t *, const char *, void *, cleanup_fn);
  if (no_data && strcmp(name, no_data) == 0) return PAM_BUF_ERR;
  *(void **)&next = dlsym(RTLD_NEXT, "pam_set_data");
  if (!next) die("pam_set_data");
  return next(pamh, name, data, cleanup);
}

static const char *no_env;

int pam_putenv(pam_handle_t *pamh, const char *text) {
  int (*next)(pam_handle_t *, const char *);
  if (no_env && strncmp(text, no_env, strlen(no_env)) == 0 && text[strlen(no_env)] == '=') return PAM_BUF_ERR;
  *(void **)&next = dlsym(RTLD_NEXT, "pam_putenv");
  if (!next) die("pam_putenv");
  return next(pamh, text);
}

/* ---- order ---- */

void hostile_before_start(const struct options *o) {
  if (o->busy || o->thread || o->parallel) first_thread();
  if (o->handlers) set_handlers();
  if (o->sigchld) set_sigchld(o->sigchld);
  if (o->alarm) start_alarm(o->alarm);
}

void hostile_before_open(const struct options *o) {
  if (o->chroot && chroot(o->chroot) < 0) die(o->chroot);
  if (o->chroot && chdir("/") < 0) die("chdir");
  if (o->cwd && chdir(o->cwd) < 0) die(o->cwd);
  if (o->close_std)
    for (int fd = 0; fd <= 2; fd++) close(fd);
  if (o->ruid >= 0 && setresuid((uid_t)o->ruid, 0, 0) < 0) die("setresuid");
  for (const char *const *l = o->rlimits; *l; l++) set_limit(*l, 0);
  for (const char *const *l = o->hard_limits; *l; l++) set_limit(*l, 1);
  if (o->child >= 0) start_child(o->child);
  no_data = o->no_data;
  no_env = o->no_env;
  if (o->enosys[0]) filter_calls(o->enosys);
  if (o->trap) trap_calls(o->trap);
}
