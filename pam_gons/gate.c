/*
 * The gate: the only code of gons that runs in the host. It asks PAM who the session is for, forks a worker, answers
 * its questions, moves the calling thread into a namespace when told to, and takes it back when anything fails.
 * It decides nothing about directories; it trusts the worker with no more than that.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <grp.h>
#include <sched.h>
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <security/pam_modutil.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "environment.h"
#include "place.h"
#include "wire.h"
#include "worker.h"

enum { TIMEOUT_DEFAULT_S = 30, TIMEOUT_MAX_S = 600, OUTPUT_MAX = 400, SESSION_ID_MAX = 64, LEAVE_GRACE_MS = 1000 };

static const char DATA_NAME[] = "pam_gons:sessions";
static const char USER_SENTENCE[] = "Your private directories could not be set up. Please tell your administrator.";

/* One conversation with one worker. */
struct visit;
typedef int (*settler)(struct visit *v);

struct visit {
  pam_handle_t *pamh;
  const char *user;
  struct gons_worker worker;
  struct gons_place home;        /* where the host was before unshare; gons_nowhere while it is still there */
  char session[SESSION_ID_MAX];  /* "" until the worker has asked for a namespace; stays so where nothing is to be closed */
  long deadline;                 /* milliseconds of CLOCK_MONOTONIC */
  struct gons_message *message;  /* the one buffer of the conversation */
  struct gons_environment environment; /* what the session's gets, and had */
  settler settle;                /* what is left to do when the worker has succeeded, or NULL; a PAM code */
};

static long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000L + t.tv_nsec / 1000000L;
}

/* ---- what the host is told ---- */

/* One line: a name that holds a newline must not write log lines of its own. */
static void log_line(pam_handle_t *pamh, int priority, const char *text) {
  char line[4096];
  size_t n = 0;
  for (; text[n] && n < sizeof line - 1; n++) line[n] = (unsigned char)text[n] < ' ' || text[n] == 127 ? '?' : text[n];
  line[n] = '\0';
  pam_syslog(pamh, priority, "%s", line);
}

static void log_failure(pam_handle_t *pamh, const char *did, const char *what, int err) {
  pam_syslog(pamh, LOG_ERR, "cannot %s: %s: %s", did, what, strerror(err));
}

/* The runtime's last words, for the administrator: "fatal error: …" is the first line. "" where there are none. */
static void read_output(const struct visit *v, char text[OUTPUT_MAX]) {
  ssize_t n = read(v->worker.output, text, OUTPUT_MAX - 1);
  text[n > 0 ? n : 0] = '\0';
  text[strcspn(text, "\n")] = '\0';
}

/* ---- the request ---- */

static const char *item(pam_handle_t *pamh, int type) {
  const void *value = NULL;
  return pam_get_item(pamh, type, &value) == PAM_SUCCESS ? value : NULL;
}

static int add_items(struct gons_message *m, pam_handle_t *pamh) {
  return gons_message_add(m, "service=", item(pamh, PAM_SERVICE)) | gons_message_add(m, "tty=", item(pamh, PAM_TTY)) |
         gons_message_add(m, "rhost=", item(pamh, PAM_RHOST));
}

static int add_user(struct gons_message *m, const char *user, const struct passwd *pw) {
  return gons_message_add(m, "user=", user) | gons_message_add(m, "home=", pw->pw_dir) |
         gons_message_add_number(m, "uid=", (long)pw->pw_uid) | gons_message_add_number(m, "gid=", (long)pw->pw_gid);
}

/* Who asks for the session; without PAM_RUSER that is the user the host runs for, as pam_namespace has it. */
static int add_requester(struct gons_message *m, pam_handle_t *pamh) {
  return gons_message_add(m, "ruser=", item(pamh, PAM_RUSER)) | gons_message_add_number(m, "ruid=", (long)getuid());
}

static int add_host(struct gons_message *m, int argc, const char **argv) {
  int bad = gons_message_add_number(m, "pid=", getpid());
  for (int i = 0; i < argc; i++) bad |= gons_message_add(m, "arg=", argv[i]);
  return bad;
}

/* ---- the worker's questions ---- */

/* A name service that fails looks like one that doesn't know the name (getpwnam(3) lists what it may leave in errno); but
 * a group that is only unknown for now must not let its members out of a directory that is theirs alone. */
static void answer_nobody(struct gons_message *m, int err) {
  static const int failures[] = {EAGAIN, EIO, EMFILE, ENFILE, ENOMEM, ETIMEDOUT, ECONNREFUSED, ECONNRESET, EHOSTUNREACH};
  int failed = 0;
  for (unsigned i = 0; i < sizeof failures / sizeof failures[0]; i++) failed |= err == failures[i];
  gons_message_start(m, GONS_ANSWER, failed ? -1 : 0);
  if (failed) gons_message_add(m, "", strerror(err));
}

static const struct passwd *find_user(struct visit *v, const char *text, int by_uid) {
  char *end;
  if (!text || text[0] == '\0') return NULL;
  if (!by_uid) return pam_modutil_getpwnam(v->pamh, text);
  unsigned long uid = strtoul(text, &end, 10);
  return *end == '\0' && uid == (uid_t)uid ? pam_modutil_getpwuid(v->pamh, (uid_t)uid) : NULL;
}

static void answer_user(struct visit *v, int by_uid) {
  struct gons_message *m = v->message;
  errno = 0;
  const struct passwd *pw = find_user(v, gons_message_get(m, 0), by_uid);
  if (!pw) {
    answer_nobody(m, errno);
    return;
  }
  gons_message_start(m, GONS_ANSWER, 1);
  gons_message_add_number(m, "", (long)pw->pw_uid);
  gons_message_add_number(m, "", (long)pw->pw_gid);
  if (gons_message_add(m, "", pw->pw_name) | gons_message_add(m, "", pw->pw_dir)) answer_nobody(m, ENOMEM);
}

static void answer_group(struct visit *v) {
  struct gons_message *m = v->message;
  const char *name = gons_message_get(m, 0);
  errno = 0;
  const struct group *gr = name ? pam_modutil_getgrnam(v->pamh, name) : NULL;
  if (!gr) {
    answer_nobody(m, errno);
    return;
  }
  gons_message_start(m, GONS_ANSWER, 1);
  gons_message_add_number(m, "", (long)gr->gr_gid);
  gons_message_add_number(m, "", pam_modutil_user_in_group_nam_gid(v->pamh, v->user, gr->gr_gid) == 1);
}

/* The working directory by name, NULL where it has none: the worker compares it with what it covers, and opens it by
 * that name only in another namespace. */
static char *working_directory(void) {
  char *cwd = getcwd(NULL, 0);
  if (cwd && cwd[0] == '/') return cwd;
  free(cwd);
  return NULL;
}

/* Moves the calling thread into another namespace; in the chroot of a host that has one it must not be called. The thread
 * stops sharing its root with the host's others first, without which setns(2) is EINVAL. */
static int enter_namespace(int ns, const char **what) {
  *what = "unshare";
  if (unshare(CLONE_FS) < 0) return errno;
  *what = "setns";
  return setns(ns, CLONE_NEWNS) < 0 ? errno : 0;
}

/* Moves the calling thread into the namespace ns, where that isn't -1, and then into a copy of it, where that is wanted.
 * The answer's descriptors are in here, for the caller to close. */
static int change_namespace(struct visit *v, int ns, int copy, struct gons_place *here, const char **what) {
  const char *id = gons_message_get(v->message, 0);
  *what = "session id";
  if (v->home.ns >= 0 || !id || strlen(id) >= sizeof v->session) return EPROTO;
  strcpy(v->session, id);
  int err = gons_place_open(&v->home, what);
  if (err) return err;
  if (ns >= 0 && (err = enter_namespace(ns, what)) != 0) {
    gons_place_close(&v->home); /* so that leave() doesn't think we have moved */
    return err;
  }
  *what = "unshare";
  if (copy && unshare(CLONE_NEWNS) < 0) {
    err = errno;
    if (ns < 0) gons_place_close(&v->home);
    return err;
  }
  return gons_place_open(here, what);
}

static void answer_namespace(struct visit *v, int copy) {
  struct gons_message *m = v->message;
  struct gons_place here = gons_nowhere;
  const char *what;
  char *cwd = working_directory(); /* in the new namespace it would be that one's root */
  int ns = m->files[0];
  m->files[0] = -1;
  gons_message_close_files(m);
  int err = change_namespace(v, ns, copy, &here, &what);
  gons_message_start(m, GONS_ANSWER, err);
  if (gons_message_add(m, "", err ? what : cwd ? cwd : "") < 0) gons_message_add(m, "", "");
  free(cwd);
  m->files[0] = here.ns;
  m->files[1] = here.root;
  if (here.cwd >= 0) close(here.cwd);
  if (ns >= 0) close(ns);
}

static void answer_environment(struct visit *v) {
  int err = gons_environment_keep(&v->environment, v->message);
  gons_message_start(v->message, GONS_ANSWER, err);
}

/* ---- the conversation ---- */

/* Waits for the worker's next message; 0 or an errno, ETIMEDOUT at the deadline, EPIPE when the worker is gone. */
static int await(struct visit *v) {
  for (;;) {
    struct pollfd p[2] = {{v->worker.sock, POLLIN, 0}, {v->worker.pidfd, POLLIN, 0}};
    long left = v->deadline - now_ms();
    if (left <= 0) return ETIMEDOUT;
    int n = poll(p, 2, (int)left);
    if (n < 0 && errno != EINTR) return errno;
    if (n <= 0) continue;
    int err = gons_message_receive(v->worker.sock, v->message);
    if (err != EAGAIN) return err;
    if (p[1].revents) return EPIPE; /* another thread's fork may hold the worker's end of the socket open */
  }
}

/* Answers until the worker is done. Returns its PAM code in *code, or an errno. */
static int converse(struct visit *v, int *code) {
  struct gons_message *m = v->message;
  for (;;) {
    int err = await(v);
    if (err) return err;
    switch (m->kind) {
      case GONS_LOG:
        gons_message_close_files(m);
        log_line(v->pamh, m->arg & LOG_PRIMASK, gons_message_get(m, 0) ? gons_message_get(m, 0) : "");
        continue;
      case GONS_USER: gons_message_close_files(m); answer_user(v, 0); break;
      case GONS_UID: gons_message_close_files(m); answer_user(v, 1); break;
      case GONS_GROUP: gons_message_close_files(m); answer_group(v); break;
      case GONS_UNSHARE: gons_message_close_files(m); answer_namespace(v, 1); break;
      case GONS_ENTER:
        if (m->files[0] < 0) return EPROTO;
        answer_namespace(v, m->arg != 0);
        break;
      case GONS_ENV: gons_message_close_files(m); answer_environment(v); break;
      case GONS_DONE: *code = m->arg; return 0;
      default: gons_message_close_files(m); return EPROTO;
    }
    err = gons_message_send(v->worker.sock, m);
    gons_message_close_files(m);
    if (err) return err;
  }
}

static void log_lost_worker(const struct visit *v, int err) {
  char output[OUTPUT_MAX], line[2 * OUTPUT_MAX];
  read_output(v, output);
  const char *said = output[0] ? "; the worker said: " : "";
  if (err == ETIMEDOUT)
    snprintf(line, sizeof line, "gave up: the worker did not finish in time (timeout= sets the limit)%s%s", said, output);
  else
    snprintf(line, sizeof line, "the worker ended without an answer: %s%s%s", strerror(err), said, output);
  log_line(v->pamh, LOG_ERR, line);
}

/* One whole conversation; v->message holds the request before and the worker's last message after. A PAM code. */
static int visit_worker(struct visit *v) {
  const char *what;
  int code = PAM_SESSION_ERR;
  int err = gons_worker_start(&v->worker, (int)(v->deadline - now_ms()), &what);
  if (err) {
    log_failure(v->pamh, "start the worker", what, err);
    return PAM_SESSION_ERR;
  }
  err = gons_message_send(v->worker.sock, v->message);
  if (!err) err = converse(v, &code);
  if (err) log_lost_worker(v, err);
  int grace = err ? 0 : LEAVE_GRACE_MS;
  if (!err && code == PAM_SUCCESS && v->settle && (v->home.ns >= 0 || v->environment.text)) { /* else nothing was needed */
    code = v->settle(v);
    if (code != PAM_SUCCESS) grace = (int)(v->deadline - now_ms()); /* it undoes everything then */
    gons_message_close_files(v->message);
    gons_message_start(v->message, GONS_ANSWER, code);
    err = gons_message_send(v->worker.sock, v->message);
    if (err) log_failure(v->pamh, "take the session over", "sendmsg", err); /* without an answer the worker undoes it, too */
  }
  gons_worker_stop(&v->worker, grace > 0 ? grace : 0);
  return err ? PAM_SESSION_ERR : code;
}

/* timeout=SECONDS is the gate's own; the worker ignores it. */
static int timeout_ms(pam_handle_t *pamh, int argc, const char **argv) {
  long seconds = TIMEOUT_DEFAULT_S;
  for (int i = 0; i < argc; i++) {
    if (strncmp(argv[i], "timeout=", 8) != 0) continue;
    char *end;
    seconds = strtol(argv[i] + 8, &end, 10);
    if (*end == '\0' && end != argv[i] + 8 && seconds >= 1 && seconds <= TIMEOUT_MAX_S) continue;
    pam_syslog(pamh, LOG_ERR, "bad option %s: expected 1 to %d seconds", argv[i], TIMEOUT_MAX_S);
    return -1;
  }
  return (int)seconds * 1000;
}

static int visit_begin(struct visit *v, pam_handle_t *pamh, int argc, const char **argv) {
  *v = (struct visit){.pamh = pamh, .worker = {-1, -1, -1, -1}, .home = gons_nowhere};
  int ms = timeout_ms(pamh, argc, argv);
  if (ms < 0) return PAM_SESSION_ERR;
  v->deadline = now_ms() + ms;
  v->message = malloc(sizeof *v->message);
  if (v->message) return PAM_SUCCESS;
  pam_syslog(pamh, LOG_ERR, "cannot speak to a worker: out of memory");
  return PAM_BUF_ERR;
}

/* ---- session ids, kept for close ---- */

/* Frees memory and nothing else: pam_end runs it in every process that was forked from the host. */
static void free_data(pam_handle_t *pamh, void *data, int status) {
  (void)pamh;
  (void)status;
  free(data);
}

/* A stack may name the module twice; ids are then kept side by side, and the first close ends them all. */
static int remember(pam_handle_t *pamh, const char *id) {
  const void *data = NULL;
  const char *old = pam_get_data(pamh, DATA_NAME, &data) == PAM_SUCCESS && data ? data : "";
  size_t size = strlen(old) + strlen(id) + 2;
  char *all = malloc(size);
  if (!all) {
    pam_syslog(pamh, LOG_ERR, "cannot keep the session's id: out of memory");
    return PAM_BUF_ERR;
  }
  snprintf(all, size, "%s%s%s", old, *old ? "," : "", id);
  int rc = pam_set_data(pamh, DATA_NAME, all, free_data);
  if (rc == PAM_SUCCESS) return rc;
  free(all);
  pam_syslog(pamh, LOG_ERR, "cannot keep the session's id: %s", pam_strerror(pamh, rc));
  return rc;
}

/* ---- closing ---- */

static int close_sessions(pam_handle_t *pamh, const char *ids, int argc, const char **argv) {
  struct visit v;
  int rc = visit_begin(&v, pamh, argc, argv);
  if (rc != PAM_SUCCESS) return rc;
  gons_message_start(v.message, GONS_REQUEST, 0);
  if (gons_message_add(v.message, "op=", "close") | gons_message_add(v.message, "sessions=", ids) |
      add_host(v.message, argc, argv)) {
    pam_syslog(pamh, LOG_ERR, "cannot ask the worker: the module's options are too long");
    rc = PAM_SESSION_ERR;
  } else {
    rc = visit_worker(&v);
  }
  gons_message_close_files(v.message);
  free(v.message);
  return rc;
}

/* ---- opening ---- */

/* Takes the host back to where it was. Should that fail, it is in a namespace that nobody finished, and the log must
 * say so: a host that goes on (a session line that is optional) isn't where it thinks it is. */
static void leave(struct visit *v) {
  const char *what;
  if (v->home.ns < 0) return;
  int err = gons_place_enter(&v->home, &what);
  if (err && what == gons_place_cwd)
    pam_syslog(v->pamh, LOG_WARNING, "the host's working directory, which root can't enter, is / now: %s", strerror(err));
  else if (err)
    pam_syslog(v->pamh, LOG_CRIT, "cannot return to the host's namespace: %s: %s", what, strerror(err));
}

/* A working directory below a covered one would look at what the covering hides. */
static int move_cwd(struct visit *v) {
  int fd = v->message->files[0];
  if (fd < 0) return PAM_SUCCESS;
  if (fchdir(fd) == 0) return PAM_SUCCESS;
  if (errno == EACCES && chdir("/") == 0) return PAM_SUCCESS; /* root-squashed NFS, or a user's FUSE mount */
  log_failure(v->pamh, "move the working directory into the private one", "fchdir", errno);
  return PAM_SESSION_ERR;
}

/* The host's part of an open session. The worker waits for it, and undoes everything should it fail. */
static int take_over(struct visit *v) {
  int rc = move_cwd(v);
  if (rc == PAM_SUCCESS) rc = gons_environment_put(&v->environment, v->pamh);
  return rc != PAM_SUCCESS || v->session[0] == '\0' ? rc : remember(v->pamh, v->session);
}

/* What a killed worker left on disk is found by the record it wrote first. */
static void clean_up_after(struct visit *v, int argc, const char **argv) {
  if (v->session[0] != '\0') close_sessions(v->pamh, v->session, argc, argv);
}

static int open_session(struct visit *v, int argc, const char **argv, const struct passwd *pw) {
  struct gons_message *m = v->message;
  gons_message_start(m, GONS_REQUEST, 0);
  if (gons_message_add(m, "op=", "open") | add_items(m, v->pamh) | add_requester(m, v->pamh) | add_user(m, v->user, pw) |
      gons_message_add_number(m, "timeout_ms=", v->deadline - now_ms()) | add_host(m, argc, argv)) {
    pam_syslog(v->pamh, LOG_ERR, "cannot ask the worker: the session's names and options are too long");
    return PAM_SESSION_ERR;
  }
  v->settle = take_over;
  return visit_worker(v);
}

/* Opens, or takes everything back. */
static int open_for(struct visit *v, int argc, const char **argv) {
  const struct passwd *pw = pam_modutil_getpwnam(v->pamh, v->user);
  if (!pw) {
    char line[512];
    snprintf(line, sizeof line, "cannot open a session: there is no user %s", v->user);
    log_line(v->pamh, LOG_ERR, line);
    return PAM_USER_UNKNOWN;
  }
  int rc = open_session(v, argc, argv, pw);
  if (rc != PAM_SUCCESS) {
    gons_environment_restore(&v->environment, v->pamh);
    leave(v);
    clean_up_after(v, argc, argv);
  }
  gons_environment_free(&v->environment);
  gons_place_close(&v->home);
  gons_message_close_files(v->message);
  return rc;
}

static int check_host(pam_handle_t *pamh, const char **user) {
  if (pam_get_user(pamh, user, NULL) != PAM_SUCCESS || !*user || !**user) {
    pam_syslog(pamh, LOG_ERR, "cannot open a session: PAM names no user");
    return PAM_SESSION_ERR;
  }
  if (geteuid() == 0) return PAM_SUCCESS;
  pam_syslog(pamh, LOG_ERR, "cannot open a session: a mount namespace needs root, and the host runs as user %ld",
             (long)geteuid());
  return PAM_SESSION_ERR;
}

static int check_and_open(pam_handle_t *pamh, int argc, const char **argv) {
  struct visit v;
  const char *user = NULL;
  int rc = check_host(pamh, &user);
  if (rc != PAM_SUCCESS) return rc;
  rc = visit_begin(&v, pamh, argc, argv);
  if (rc != PAM_SUCCESS) return rc;
  v.user = user;
  rc = open_for(&v, argc, argv);
  free(v.message);
  return rc;
}

/* Opens a session's namespace (pam_sm_open_session(3)): all of it, or nothing. PAM_SESSION_ERR, or PAM_USER_UNKNOWN,
 * with the host where it was, on whatever failure. */
__attribute__((visibility("default"))) int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc,
                                                               const char **argv) {
  int rc = check_and_open(pamh, argc, argv);
  if (rc != PAM_SUCCESS && !(flags & PAM_SILENT)) pam_error(pamh, "%s", USER_SENTENCE);
  return rc;
}

/* Ends a session (pam_sm_close_session(3)): removes what it has on disk. Works in any process that was forked from the
 * host. Without privilege it leaves that to the next open or to gons clean, and succeeds: systemd's sd-pam drops to the
 * user before it closes. */
__attribute__((visibility("default"))) int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc,
                                                                const char **argv) {
  const void *ids = NULL;
  (void)flags;
  if (pam_get_data(pamh, DATA_NAME, &ids) != PAM_SUCCESS || !ids) return PAM_SUCCESS;
  if (geteuid() != 0) return PAM_SUCCESS;
  int rc = close_sessions(pamh, ids, argc, argv);
  if (rc == PAM_SUCCESS) pam_set_data(pamh, DATA_NAME, NULL, NULL);
  return rc;
}
