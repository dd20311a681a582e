/*
 * SIGCHLD at its default while a worker runs, as pam_unix does it: a host that takes any child's end for that of its
 * own (vsftpd exits) must not hear of ours.
 *
 * The disposition belongs to the process, so threads that open sessions at the same time share one hold. Where a thread
 * of a host forks while another holds, the child would inherit a count and a lock that nobody will ever release; the
 * state is therefore on a page that the kernel wipes at fork (MADV_WIPEONFORK, Linux 4.14).
 */
#define _GNU_SOURCE
#include "hostsignals.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct state {
  atomic_flag busy; /* held for two system calls at most */
  int holds;
  struct sigaction before;
};

static _Atomic(struct state *) shared;

static struct state *new_state(void) {
  size_t size = (size_t)sysconf(_SC_PAGESIZE);
  void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return NULL;
  if (madvise(page, size, MADV_WIPEONFORK) == 0) return page;
  munmap(page, size);
  return NULL;
}

/* Made at the first use, so that a login that never opens a session pays nothing; kept until the process ends. */
static struct state *state(void) {
  struct state *s = atomic_load(&shared);
  if (s) return s;
  struct state *mine = new_state();
  if (mine && !atomic_compare_exchange_strong(&shared, &s, mine)) {
    munmap(mine, (size_t)sysconf(_SC_PAGESIZE));
    return s;
  }
  return mine;
}

static void lock(struct state *s) {
  while (atomic_flag_test_and_set(&s->busy)) sched_yield();
}

void gons_hostsignals_hold(void) {
  struct state *s = state();
  if (!s) return; /* out of memory: the worker is waited for all the same */
  struct sigaction dfl = {.sa_handler = SIG_DFL};
  lock(s);
  if (s->holds++ == 0) sigaction(SIGCHLD, &dfl, &s->before);
  atomic_flag_clear(&s->busy);
}

static int has_handler(const struct sigaction *a) {
  return (a->sa_flags & SA_SIGINFO) || (a->sa_handler != SIG_DFL && a->sa_handler != SIG_IGN);
}

/* A host that wants no zombies has its children reaped by the kernel, but for those that ended during the hold; with
 * SA_NOCLDWAIT it may have a handler all the same. */
static void reap_for_host(const struct sigaction *a) {
  siginfo_t info;
  int reaped = 0;
  memset(&info, 0, sizeof info);
  for (; waitid(P_ALL, 0, &info, WEXITED | WNOHANG) == 0 && info.si_pid != 0; reaped = 1) info.si_pid = 0;
  if (reaped && has_handler(a)) kill(getpid(), SIGCHLD);
}

/* A child of the host's that ended during the hold raised no signal, and one that was pending at its start is lost; a
 * host that sleeps until one comes, in a handler or by sigwait, would wait for ever. */
static void tell_host(void) {
  siginfo_t info;
  memset(&info, 0, sizeof info);
  if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0) kill(getpid(), SIGCHLD);
}

static int ignores_children(const struct sigaction *a) {
  return (a->sa_flags & SA_NOCLDWAIT) || (!has_handler(a) && a->sa_handler == SIG_IGN);
}

void gons_hostsignals_release(void) {
  struct state *s = atomic_load(&shared);
  if (!s) return;
  struct sigaction before, dfl = {.sa_handler = SIG_DFL};
  int last = 0;
  lock(s);
  if (s->holds > 0 && --s->holds == 0) {
    last = 1;
    before = s->before;
    sigaction(SIGCHLD, &dfl, NULL); /* once more: it drops our worker's signal, which waits where the host blocks it */
    sigaction(SIGCHLD, &before, NULL);
  }
  atomic_flag_clear(&s->busy);
  if (!last) return;
  if (ignores_children(&before))
    reap_for_host(&before);
  else
    tell_host();
}
