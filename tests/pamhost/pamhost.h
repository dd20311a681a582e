/* A PAM application that behaves like the hosts that are hard on a module. See pamhost.c. */
#ifndef PAMHOST_H
#define PAMHOST_H

#include <security/pam_appl.h>
#include <stdio.h>

enum { LIST_MAX = 16 };

/* What the command line asks for. */
struct options {
  const char *service, *user, *ruser;
  /* where and how the process is before it opens: hostile.c */
  const char *chroot, *cwd, *sigchld, *no_data, *no_env, *trap, *instead;
  const char *rlimits[LIST_MAX], *hard_limits[LIST_MAX], *enosys[LIST_MAX];
  int handlers, close_std, busy, alarm;
  int child; /* -1: none */
  long ruid; /* -1: as it is */
  /* in which process or thread it opens, closes and ends: pamhost.c */
  int fork_open, fork_close, fork_end, drop, thread, parallel, round_fork, hold, hold_closed, silent, measure, no_close;
  int rounds, stack, times, brief, fresh;
  const char *run, *run_root, *env;
};

/* Where results go: a copy of standard output that --close-std doesn't close. */
extern FILE *report;

/* ---- state.c ---- */

/* Opens what the reports need: /proc isn't to be found in a chroot. */
void state_init(void);
/* Prints the process's state as lines "WHEN.KEY=VALUE". */
void state_print(const char *when);
/* Reads a field of /proc/self/smaps_rollup in kB; -1 where there is none. */
long state_rollup(const char *field);

/* ---- hostile.c ---- */

/* What a host does before PAM hears of it. */
void hostile_before_start(const struct options *o);
/* What it does between pam_start and pam_open_session. */
void hostile_before_open(const struct options *o);
/* Threads that take the locks a fork can't, until hostile_rest. */
void hostile_busy(int count);
void hostile_rest(void);
/* How often the handler of --sigchld handler was called. */
int hostile_heard(void);

/* Prints what failed with errno, and exits with 2. */
_Noreturn void die(const char *what);

#endif
