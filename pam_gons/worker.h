/* The forked process that runs the Go half. */
#ifndef GONS_WORKER_H
#define GONS_WORKER_H

#include <sys/types.h>

/* A running worker, as its parent sees it. Descriptors are -1 when not held. */
struct gons_worker {
  pid_t pid;
  int pidfd;  /* the process itself: pids are reused, and a host may wait for any child */
  int sock;   /* our end of the messages */
  int output; /* what the worker printed, the last words of a dying runtime among them */
};

/* Forks a worker that ends itself some seconds after ms milliseconds, should nobody end it by then; 0 or an errno. *what
 * names the call that failed. */
int gons_worker_start(struct gons_worker *w, int ms, const char **what);
/* Ends w, by SIGKILL when it is still there after grace milliseconds, and closes its descriptors. */
void gons_worker_stop(struct gons_worker *w, int grace);

#endif
