/*
 * Forking the worker, and everything it has to be before Go may run in it.
 *
 * The host's memory, signals, environment, limits and descriptors are of unknown quality, and under su and sudo partly
 * the calling user's. Nothing of them reaches the Go runtime: it gets an argv, an environment and an auxiliary vector
 * made here.
 */
#define _GNU_SOURCE
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "_cgo_export.h"
#include "hostsignals.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

enum { SOCK_FD = 3, KILL_GRACE_MS = 2000, FILES_MIN = 4096, ALARM_GRACE_S = 2 };

/* ---- the child ---- */

typedef void (*start_go)(int argc, char **argv, char **envp);

/* The section that deferred.ld makes; weak, so that a build without it is refused below instead of not loading. */
extern start_go gons_rt0_begin[] __attribute__((weak, visibility("hidden")));
extern start_go gons_rt0_end[] __attribute__((weak, visibility("hidden")));

/* What a new process finds above its stack: the Go runtime walks from argv over envp to auxv. */
static struct {
  char *argv[2];
  char *envp[6];
  ElfW(auxv_t) auxv[8];
} block;

static int runtime_is_deferred(void) {
  return gons_rt0_begin && gons_rt0_end && gons_rt0_end - gons_rt0_begin == 1;
}

static void add_aux(int *n, unsigned long type, unsigned long value) {
  block.auxv[*n].a_type = type;
  block.auxv[(*n)++].a_un.a_val = value;
}

static void start_runtime(void) {
  static unsigned char seed[16]; /* not the host's AT_RANDOM: two workers of one host must not be alike */
  if (getrandom(seed, sizeof seed, GRND_NONBLOCK) < 0) memcpy(seed, (void *)getauxval(AT_RANDOM), sizeof seed);
  block.argv[0] = "pam_gons";
  block.envp[0] = "GOMAXPROCS=1";
  block.envp[1] = "GOGC=off"; /* the worker lives for milliseconds; but for a close that removes millions of files: */
  block.envp[4] = "GOMEMLIMIT=64MiB";
  block.envp[2] = "GOTRACEBACK=single";
  /* Nor does it need to read the mount table for its cgroup's limits (Go 1.25). In the environment and not as
   * //go:debug lines, which Go 1.24 refuses to compile. */
  block.envp[3] = "GODEBUG=containermaxprocs=0,updatemaxprocs=0";
  int n = 0;
  add_aux(&n, AT_PAGESZ, getauxval(AT_PAGESZ));
  add_aux(&n, AT_RANDOM, (unsigned long)seed);
  add_aux(&n, AT_SYSINFO_EHDR, getauxval(AT_SYSINFO_EHDR));
  add_aux(&n, AT_HWCAP, getauxval(AT_HWCAP));
  add_aux(&n, AT_HWCAP2, getauxval(AT_HWCAP2));
  add_aux(&n, AT_SECURE, 0); /* 1 would silence the runtime's last words; nothing of the caller's is in here */
  gons_rt0_begin[0](1, block.argv, block.envp);
}

static void reset_signals(void) {
  struct sigaction dfl = {.sa_handler = SIG_DFL};
  for (int sig = 1; sig <= SIGRTMAX; sig++) sigaction(sig, &dfl, NULL);
  struct sigaction ignore = {.sa_handler = SIG_IGN};
  sigaction(SIGXFSZ, &ignore, NULL); /* a hard limit on file sizes is to be an error with a name (EFBIG) */
  stack_t none = {.ss_flags = SS_DISABLE};
  sigaltstack(&none, NULL);
}

/* su runs with the caller's real user id: as long as that is so, the caller may signal and, were it dumpable, trace us.
 * Raw system calls, since glibc's would try to tell threads that the fork left behind. */
static int become_root(void) {
  if (geteuid() != 0) return -1;
  if (syscall(SYS_setgroups, 0, NULL) < 0 && errno != EPERM) return -1; /* EPERM: a user namespace that denies it */
  if (syscall(SYS_setresgid, 0, 0, 0) < 0) return -1;
  return (int)syscall(SYS_setresuid, 0, 0, 0);
}

/* After become_root: a change of credentials clears the parent-death signal and sets dumpable anew. */
static int tie_to_host(pid_t host) {
  if (prctl(PR_SET_DUMPABLE, 0) < 0) return -1; /* sshd's memory holds host keys */
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) return -1;
  if (getppid() == host) return 0;
  errno = ESRCH; /* it has ended; or it has unshared its pid namespace, which our end would make useless */
  return -1;
}

/* pam_limits may have run before us, and su's caller chose theirs: Go can't live in 100 MiB of address space. A root
 * without CAP_SYS_RESOURCE gets the hard limit, which then is the administrator's word. */
static void lift_limit(int kind, rlim_t most) {
  __rlimit_resource_t resource = (__rlimit_resource_t)kind;
  struct rlimit lifted = {most, most}, r;
  if (getrlimit(resource, &r) < 0) return;
  if (r.rlim_max >= most) lifted.rlim_max = r.rlim_max;
  if (setrlimit(resource, &lifted) == 0) return;
  r.rlim_cur = r.rlim_max;
  setrlimit(resource, &r);
}

static void lift_limits(void) {
  static const int kinds[] = {RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK, RLIMIT_NPROC, RLIMIT_FSIZE, RLIMIT_CPU, RLIMIT_MEMLOCK};
  for (unsigned i = 0; i < sizeof kinds / sizeof kinds[0]; i++) lift_limit(kinds[i], RLIM_INFINITY);
  lift_limit(RLIMIT_NOFILE, FILES_MIN);
  static const struct rlimit none = {0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

/* Leaves 0 /dev/null, 1 and 2 output, 3 the socket, and nothing else. The host may have had 0 to 2 closed, so the two
 * are first moved out of the way. */
static int arrange_files(int sock, int output) {
  sock = fcntl(sock, F_DUPFD, 10);
  output = fcntl(output, F_DUPFD, 10);
  if (sock < 0 || output < 0) return -1;
  int null = open("/dev/null", O_RDWR | O_NOCTTY | O_NONBLOCK);
  if (dup2(null >= 0 ? null : output, 0) < 0) return -1; /* a chroot may have no /dev */
  if (dup2(output, 1) < 0 || dup2(output, 2) < 0 || dup2(sock, SOCK_FD) < 0) return -1;
  return (int)syscall(SYS_close_range, SOCK_FD + 1, ~0U, 0);
}

/* For the gate to log (log_output): the worker has no other voice before Go runs. */
static _Noreturn void die(int output, const char *what) {
  dprintf(output, "cannot prepare the worker: %s: %s\n", what, strerror(errno));
  _exit(1);
}

static _Noreturn void child(int sock, int output, pid_t host, int ms) {
  reset_signals();
  /* The host may be stopped by su's caller, whose real user id it has, and its user's lock be ours. SIGALRM ends us: the
   * Go runtime of a shared object leaves it alone. */
  alarm((unsigned)(ms > 0 ? ms : 0) / 1000 + ALARM_GRACE_S);
  setsid(); /* a Ctrl-C at the terminal is the host's to handle */
  mode_t host_umask = umask(077);
  if (become_root() < 0) die(output, "setresuid");
  if (tie_to_host(host) < 0) die(output, "tie to the host, which must be in this pid namespace");
  lift_limits();
  if (arrange_files(sock, output) < 0) die(output, "close_range");
  if (chdir("/") < 0) die(2, "chdir");
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  start_runtime();
  gonsWorker(SOCK_FD, (unsigned)host_umask);
  _exit(0);
}

/* ---- the parent ---- */

static void close_all(struct gons_worker *w) {
  if (w->sock >= 0) close(w->sock);
  if (w->output >= 0) close(w->output);
  if (w->pidfd >= 0) close(w->pidfd);
  w->sock = w->output = w->pidfd = -1;
}

/* Forks with every signal blocked: a host's handler must not run in the child before they are reset. */
static pid_t fork_worker(int sock, int output, int ms) {
  sigset_t all, before;
  sigfillset(&all);
  pid_t host = getpid();
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pid_t pid = fork();
  if (pid == 0) child(sock, output, host, ms);
  int saved = errno;
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  errno = saved;
  return pid;
}

static int open_channels(struct gons_worker *w, int *sock, int *output, const char **what) {
  int socks[2], pipes[2];
  *what = "socketpair";
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, socks) < 0) return errno;
  w->sock = socks[0];
  *sock = socks[1];
  *what = "pipe2"; /* not blocking: a runtime that prints more than a pipe holds must not wait for us */
  if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) < 0) return errno;
  w->output = pipes[0];
  *output = pipes[1];
  return 0;
}

static int start(struct gons_worker *w, int ms, int *sock, int *output, const char **what) {
  *what = "the section .gons_rt0 of pam_gons.so";
  if (!runtime_is_deferred()) return ENOEXEC;
  int err = open_channels(w, sock, output, what);
  if (err) return err;
  *what = "fork";
  gons_hostsignals_hold();
  w->pid = fork_worker(*sock, *output, ms);
  err = w->pid < 0 ? errno : 0;
  if (err) {
    gons_hostsignals_release();
    return err;
  }
  *what = "pidfd_open"; /* it can't be somebody else's pid: the worker waits for our request before it ends */
  w->pidfd = (int)syscall(SYS_pidfd_open, w->pid, 0);
  if (w->pidfd >= 0) return 0;
  err = errno;
  kill(w->pid, SIGKILL);
  gons_worker_stop(w, 0);
  return err;
}

int gons_worker_start(struct gons_worker *w, int ms, const char **what) {
  *w = (struct gons_worker){-1, -1, -1, -1};
  int sock = -1, output = -1;
  int err = start(w, ms, &sock, &output, what);
  if (sock >= 0) close(sock);
  if (output >= 0) close(output);
  if (err) close_all(w);
  return err;
}

static int ended_within(int pidfd, int ms) {
  struct pollfd p = {pidfd, POLLIN, 0};
  int n;
  do {
    n = poll(&p, 1, ms);
  } while (n < 0 && errno == EINTR);
  return n > 0;
}

/* A worker in an uninterruptible wait (a FUSE server that is stopped) outlives SIGKILL; the login doesn't wait for it. */
static void reap(struct gons_worker *w, int grace) {
  siginfo_t info;
  if (w->pidfd < 0) {
    while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR) continue;
    return;
  }
  if (!ended_within(w->pidfd, grace)) {
    syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
    if (!ended_within(w->pidfd, KILL_GRACE_MS)) return;
  }
  /* ECHILD is as good: the host ignores SIGCHLD, or another of its threads waited for any child. */
  while (waitid((idtype_t)P_PIDFD, (id_t)w->pidfd, &info, WEXITED | __WALL) < 0 && errno == EINTR) continue;
}

void gons_worker_stop(struct gons_worker *w, int grace) {
  if (w->pid < 0) return;
  reap(w, grace);
  w->pid = -1;
  close_all(w);
  gons_hostsignals_release();
}
