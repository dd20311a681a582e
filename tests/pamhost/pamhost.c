/*
 * pamhost [FLAG...] SERVICE USER opens and closes sessions through libpam in the ways that real hosts do, and prints
 * what it did and what it looked like before and after, a line "KEY=VALUE" each. Flags choose the behaviour:
 *
 *   --fork-open        fork between pam_start and pam_open_session (xrdp)
 *   --fork-close       close in a forked child (systemd's sd-pam), --drop: which has become the user first
 *   --fork-end         pam_end in a forked child after opening, with PAM_DATA_SILENT
 *   --no-close         end without closing, as a host that was killed
 *   --thread           open from a thread that isn't the first, --stack N: which has N KiB of stack
 *   --busy N           while N threads allocate, load libraries, start threads and look users up
 *   --parallel N       N threads open a session each at the same time
 *   --rounds N         open and close N times; --round-fork: each time in a forked child
 *   --chroot DIR --cwd DIR --close-std --handlers --sigchld ignore|reap|handler|nowait --ruid N
 *   --rlimit NAME=N --hard-limit NAME=N --enosys CALL
 *   --child MS         with a child of its own, which ends after MS milliseconds; 0: has ended already
 *   --no-data NAME     pam_set_data fails for NAME, as without memory
 *   --no-env NAME      pam_putenv fails for NAME
 *   --env NAME=VALUE   put that into PAM's environment before, and print that after opening
 *   --trap NR,NR,...   have another process decide about these system calls, and getppid before and after each open and close
 *   --instead PROGRAM  execute "PROGRAM SERVICE", which --trap is for then, and open nothing
 *   --alarm USEC       a signal every so often, from before pam_start to the end
 *   --silent           PAM_SILENT
 *   --ruser NAME       set PAM_RUSER
 *   --run COMMAND      run a shell command in the session, as the user, --run-root: as root, with standard input
 *   --hold             after opening, print "held=PID" and wait for a line or the end of standard input
 *   --hold-closed      after closing, the same
 *   --measure          only open, and print how long that took and what memory it costs
 *   --fresh            with --rounds: a PAM handle for each, so that modules are loaded and unloaded, too
 *   --times            with --rounds: print how long each open took
 *   --brief            don't print what the process looks like, which costs more than a session
 *
 * The exit status is 0 when every call succeeded, 1 when one failed, 2 when pamhost itself did.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "pamhost.h"

FILE *report;
static int input; /* a copy of standard input */
static struct options o = {.ruid = -1, .rounds = 1, .child = -1};

void die(const char *what) {
  int saved = errno;
  if (report) {
    fprintf(report, "pamhost.error=%s: %s\n", what, strerror(saved));
    fflush(report);
  }
  _exit(2);
}

/* For make test-sanitized: forked copies that end without pam_end "leak" libpam's memory. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }

/* ---- the PAM application ---- */

static int converse(int n, const struct pam_message **messages, struct pam_response **responses, void *arg) {
  (void)arg;
  for (int i = 0; i < n; i++) fprintf(report, "conv=%d:%s\n", messages[i]->msg_style, messages[i]->msg);
  *responses = calloc((size_t)n, sizeof **responses);
  return *responses ? PAM_SUCCESS : PAM_BUF_ERR;
}

static pam_handle_t *start(void) {
  static const struct pam_conv conv = {converse, NULL};
  pam_handle_t *pamh = NULL;
  if (pam_start(o.service, o.user, &conv, &pamh) != PAM_SUCCESS) die("pam_start");
  if (o.env && pam_putenv(pamh, o.env) != PAM_SUCCESS) die("pam_putenv");
  if (o.ruser && pam_set_item(pamh, PAM_RUSER, o.ruser) != PAM_SUCCESS) die("pam_set_item");
  return pamh;
}

static void mark(void) {
  if (o.trap) getppid();
}

static int open_session(pam_handle_t *pamh) {
  mark();
  int rc = pam_open_session(pamh, o.silent ? PAM_SILENT : 0);
  mark();
  return rc;
}

static int close_session(pam_handle_t *pamh) {
  mark();
  int rc = pam_close_session(pamh, o.silent ? PAM_SILENT : 0);
  mark();
  return rc;
}

/* ---- processes ---- */

static void become_user(void) {
  const struct passwd *pw = getpwnam(o.user);
  if (!pw || initgroups(o.user, pw->pw_gid) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
      setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
    die("become the user");
}

/* Waits for pid alone and returns its exit status; a host's handler may have taken it first. */
static int wait_for(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) return 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static pid_t fork_reporting(void) {
  fflush(report);
  pid_t pid = fork();
  if (pid < 0) die("fork");
  return pid;
}

static _Noreturn void leave(int status) {
  fflush(report);
  _exit(status);
}

static void run_as_user(void) {
  become_user();
  int null = open("/dev/null", O_RDONLY);
  if (null > 0) dup2(null, 0);
}

static void run_command(const char *command, void (*prepare)(void)) {
  pid_t pid = fork_reporting();
  if (pid == 0) {
    if (prepare) prepare();
    dup2(fileno(report), 1);
    dup2(fileno(report), 2);
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    die("/bin/sh");
  }
  int status = wait_for(pid);
  fprintf(report, "run=%d\n", status);
}

static void hold(void) {
  char byte;
  fprintf(report, "held=%d\n", getpid());
  fflush(report);
  for (ssize_t n; (n = read(input, &byte, 1)) > 0 ? byte != '\n' : n < 0 && errno == EINTR;) continue;
}

/* ---- one session ---- */

static void print_state(const char *when) {
  if (!o.brief) state_print(when);
}

static int close_in_child(pam_handle_t *pamh) {
  pid_t pid = fork_reporting();
  if (pid > 0) return wait_for(pid);
  if (o.drop) become_user();
  int rc = close_session(pamh);
  pam_end(pamh, rc | PAM_DATA_SILENT);
  leave(rc);
}

static void end_in_child(pam_handle_t *pamh) {
  pid_t pid = fork_reporting();
  if (pid > 0) {
    wait_for(pid);
    return;
  }
  pam_end(pamh, PAM_SUCCESS | PAM_DATA_SILENT);
  leave(0);
}

static void print_environment(pam_handle_t *pamh) {
  char **list = pam_getenvlist(pamh);
  for (char **e = list; e && *e; e++) {
    fprintf(report, "env=%s\n", *e);
    free(*e);
  }
  free(list);
}

static int session(pam_handle_t *pamh) {
  if (o.busy) hostile_busy(o.busy);
  int rc = open_session(pamh);
  if (o.busy) hostile_rest();
  fprintf(report, "open=%d\n", rc);
  print_state("after");
  if (o.env) print_environment(pamh);
  if (o.fork_end) end_in_child(pamh);
  if (o.run && rc == PAM_SUCCESS) run_command(o.run, run_as_user);
  if (o.run_root && rc == PAM_SUCCESS) run_command(o.run_root, NULL);
  if (o.hold) hold();
  if (rc != PAM_SUCCESS || o.no_close) return rc;
  rc = o.fork_close ? close_in_child(pamh) : close_session(pamh);
  fprintf(report, "close=%d\n", rc);
  print_state("closed");
  if (o.hold_closed) hold();
  return rc;
}

static void *session_thread(void *pamh) { return (void *)(long)session(pamh); }

static int session_in_thread(pam_handle_t *pamh) {
  pthread_t t;
  pthread_attr_t attr;
  void *rc;
  pthread_attr_init(&attr);
  if (o.stack && pthread_attr_setstacksize(&attr, (size_t)o.stack * 1024) != 0) die("pthread_attr_setstacksize");
  if (pthread_create(&t, &attr, session_thread, pamh) != 0) die("pthread_create");
  pthread_join(t, &rc);
  return (int)(long)rc;
}

/* ---- many sessions ---- */

static pthread_barrier_t barrier;

static void *parallel_thread(void *arg) {
  (void)arg;
  pam_handle_t *pamh = start();
  pthread_barrier_wait(&barrier);
  int opened = open_session(pamh), closed = opened;
  char ns[64] = "";
  if (readlink("/proc/thread-self/ns/mnt", ns, sizeof ns - 1) < 0) ns[0] = '\0';
  pthread_barrier_wait(&barrier); /* all sessions are open now */
  if (opened == PAM_SUCCESS) closed = close_session(pamh);
  fprintf(report, "parallel=%d:%d:%s\n", opened, closed, ns);
  pam_end(pamh, closed);
  return (void *)(long)(opened | closed);
}

static int parallel(void) {
  pthread_t *threads = calloc((size_t)o.parallel, sizeof *threads);
  void *rc;
  int bad = 0;
  pthread_barrier_init(&barrier, NULL, (unsigned)o.parallel);
  for (int i = 0; i < o.parallel; i++)
    if (pthread_create(&threads[i], NULL, parallel_thread, NULL) != 0) die("pthread_create");
  for (int i = 0; i < o.parallel; i++) {
    pthread_join(threads[i], &rc);
    bad |= (int)(long)rc;
  }
  free(threads);
  return bad;
}

static long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000L + t.tv_nsec;
}

static int round_once(pam_handle_t *pamh) {
  if (o.fresh) pamh = start();
  long began = now_ns();
  int rc = open_session(pamh);
  if (o.times) fprintf(report, "open_ns=%ld\n", now_ns() - began);
  if (rc == PAM_SUCCESS) rc = close_session(pamh);
  if (o.fresh) pam_end(pamh, rc);
  return rc;
}

static int round_in_child(pam_handle_t *pamh) {
  pid_t pid = fork_reporting();
  if (pid > 0) return wait_for(pid);
  leave(round_once(pamh));
}

/* In place, the host goes back to its namespace after each session, or the next would lie within the last. Other threads
 * don't keep it from that: unshare(2) has given it a root and working directory of its own. */
static int rounds(pam_handle_t *pamh) {
  int failed = 0;
  int ns = open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC);
  int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (o.busy) hostile_busy(o.busy);
  for (int i = 0; i < o.rounds; i++) {
    int rc = o.round_fork ? round_in_child(pamh) : round_once(pamh);
    failed += rc != PAM_SUCCESS;
    if (!o.round_fork && rc == PAM_SUCCESS && (setns(ns, CLONE_NEWNS) < 0 || fchdir(cwd) < 0)) die("setns");
  }
  if (o.busy) hostile_rest();
  close(ns);
  close(cwd);
  fprintf(report, "rounds=%d\nfailed=%d\n", o.rounds, failed);
  print_state("after");
  return failed;
}

/* ---- measuring ---- */

static int measure(void) {
  long pss = state_rollup("Pss:"), dirty = state_rollup("Private_Dirty:"), began = now_ns();
  pam_handle_t *pamh = start();
  int rc = open_session(pamh);
  fprintf(report, "start_open_ns=%ld\nopen=%d\n", now_ns() - began, rc);
  fprintf(report, "pss_before=%ld\npss_after=%ld\n", pss, state_rollup("Pss:"));
  fprintf(report, "private_before=%ld\nprivate_after=%ld\n", dirty, state_rollup("Private_Dirty:"));
  if (rc == PAM_SUCCESS) rc = close_session(pamh);
  pam_end(pamh, rc);
  return rc;
}

/* ---- the command ---- */

static void append(const char **list, const char *text) {
  int n = 0;
  while (list[n]) n++;
  if (n == LIST_MAX - 1) die("too many of one flag");
  list[n] = text;
}

/* Flags that set one field; those of a list are in parse. */
static const struct flag {
  const char *name;
  int *number; /* 1 for a flag without a value */
  int has_value;
  const char **text;
} flags[] = {
    {"fork-open", &o.fork_open, 0, NULL},   {"fork-close", &o.fork_close, 0, NULL}, {"fork-end", &o.fork_end, 0, NULL},
    {"drop", &o.drop, 0, NULL},             {"no-close", &o.no_close, 0, NULL},     {"thread", &o.thread, 0, NULL},
    {"busy", &o.busy, 1, NULL},             {"parallel", &o.parallel, 1, NULL},     {"rounds", &o.rounds, 1, NULL},
    {"round-fork", &o.round_fork, 0, NULL}, {"chroot", NULL, 1, &o.chroot},         {"cwd", NULL, 1, &o.cwd},
    {"close-std", &o.close_std, 0, NULL},   {"handlers", &o.handlers, 0, NULL},     {"sigchld", NULL, 1, &o.sigchld},
    {"silent", &o.silent, 0, NULL},         {"run", NULL, 1, &o.run},               {"hold", &o.hold, 0, NULL},
    {"measure", &o.measure, 0, NULL},       {"child", &o.child, 1, NULL},           {"stack", &o.stack, 1, NULL},
    {"no-data", NULL, 1, &o.no_data},       {"ruser", NULL, 1, &o.ruser},           {"run-root", NULL, 1, &o.run_root},
    {"hold-closed", &o.hold_closed, 0, NULL}, {"trap", NULL, 1, &o.trap},           {"alarm", &o.alarm, 1, NULL},
    {"instead", NULL, 1, &o.instead},       {"times", &o.times, 0, NULL},           {"brief", &o.brief, 0, NULL},
    {"fresh", &o.fresh, 0, NULL},           {"env", NULL, 1, &o.env},               {"no-env", NULL, 1, &o.no_env},
};

static void apply_flag(const struct flag *f, const char *value) {
  if (f->text) *f->text = value;
  else *f->number = f->has_value ? atoi(value) : 1;
}

static _Noreturn void usage(void) {
  fputs("usage: pamhost [FLAG...] SERVICE USER (the flags are at the top of pamhost.c)\n", stderr);
  exit(2);
}

static void parse(int argc, char **argv) {
  enum { COUNT = sizeof flags / sizeof flags[0] };
  struct option longs[COUNT + 5] = {{0}};
  for (int i = 0; i < COUNT; i++) longs[i] = (struct option){flags[i].name, flags[i].has_value, NULL, 'A' + i};
  longs[COUNT] = (struct option){"rlimit", 1, NULL, 'l'};
  longs[COUNT + 1] = (struct option){"enosys", 1, NULL, 'e'};
  longs[COUNT + 2] = (struct option){"ruid", 1, NULL, 'r'};
  longs[COUNT + 3] = (struct option){"hard-limit", 1, NULL, 'h'};
  for (int c; (c = getopt_long(argc, argv, "+", longs, NULL)) != -1;) switch (c) {
      case 'l': append(o.rlimits, optarg); break;
      case 'h': append(o.hard_limits, optarg); break;
      case 'e': append(o.enosys, optarg); break;
      case 'r': o.ruid = atol(optarg); break;
      case '?': usage();
      default: apply_flag(&flags[c - 'A'], optarg);
    }
  if (argc - optind != 2) usage();
  o.service = argv[optind];
  o.user = argv[optind + 1];
}

/* Opens what libc opens at first use and keeps, so that it doesn't look like the module's. */
static void warm_up(void) {
  syslog(LOG_AUTHPRIV | LOG_DEBUG, "pamhost warms up");
  getpwnam("root");
  getgrnam("root");
}

static void move_standard_files(void) {
  enum { HIGH = 100 };
  input = fcntl(0, F_DUPFD_CLOEXEC, HIGH);
  int out = fcntl(1, F_DUPFD_CLOEXEC, HIGH);
  report = out < 0 ? NULL : fdopen(out, "w");
  if (!report) die("dup");
}

static int host(void) {
  print_state("start");
  pam_handle_t *pamh = o.fresh ? NULL : start();
  hostile_before_open(&o);
  if (o.fork_open) {
    pid_t pid = fork_reporting();
    if (pid > 0) return wait_for(pid);
  }
  if (o.instead) {
    mark();
    execl(o.instead, o.instead, o.service, (char *)NULL);
    die(o.instead);
  }
  print_state("before");
  int rc = o.parallel               ? parallel()
           : o.rounds > 1           ? rounds(pamh)
           : o.thread               ? session_in_thread(pamh)
                                    : session(pamh);
  if (o.parallel || o.thread) print_state("joined");
  if (pamh) pam_end(pamh, rc);
  return rc;
}

int main(int argc, char **argv) {
  parse(argc, argv);
  move_standard_files();
  state_init();
  if (o.measure) return measure() != PAM_SUCCESS;
  warm_up();
  hostile_before_start(&o);
  int rc = host();
  fprintf(report, "done=%d\n", rc);
  fflush(report);
  return rc != PAM_SUCCESS;
}
