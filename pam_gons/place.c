/*
 * Saving and restoring the calling thread's mount namespace, root and working directory.
 *
 * The way back has to be held before unshare(2): afterwards no name leads to the old namespace. Every descriptor is
 * of the thread, never of the process, because a host's other threads stay where they were.
 */
#define _GNU_SOURCE
#include "place.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.11, include/uapi/linux/pidfd.h; not in the headers of Debian 12. */
#ifndef PIDFD_GET_MNT_NAMESPACE
#define PIDFD_GET_MNT_NAMESPACE _IO(0xFF, 3)
#endif
#ifndef PIDFD_THREAD
#define PIDFD_THREAD O_EXCL /* Linux 6.9 */
#endif
#ifndef OPEN_TREE_CLOEXEC
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif

const struct gons_place gons_nowhere = {-1, -1, -1};
const char gons_place_cwd[] = "fchdir";

static int namespace_by_pidfd(void) {
  long tid = syscall(SYS_gettid);
  unsigned flags = tid == getpid() ? 0 : PIDFD_THREAD;
  int pidfd = (int)syscall(SYS_pidfd_open, tid, flags);
  if (pidfd < 0) return -1;
  int ns = ioctl(pidfd, PIDFD_GET_MNT_NAMESPACE, 0);
  int saved = errno;
  close(pidfd);
  errno = saved;
  return ns;
}

/* The pidfd comes first because it needs no /proc, which a chroot or a container may lack; older kernels need it. */
static int open_namespace(void) {
  int ns = namespace_by_pidfd();
  if (ns >= 0) return ns;
  return open("/proc/thread-self/ns/mnt", O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

int gons_place_open(struct gons_place *p, const char **what) {
  *p = gons_nowhere;
  *what = "/proc/thread-self/ns/mnt, which kernels before 6.11 need";
  p->ns = open_namespace();
  if (p->ns >= 0) *what = "open of / and the working directory";
  if (p->ns >= 0) p->root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  /* open_tree and not open("."): that needs search permission, which root lacks on a root-squashed NFS home. */
  if (p->root >= 0) p->cwd = (int)syscall(SYS_open_tree, AT_FDCWD, "", AT_EMPTY_PATH | OPEN_TREE_CLOEXEC);
  if (p->cwd >= 0) return 0;
  int saved = errno;
  gons_place_close(p);
  return saved;
}

int gons_place_enter(const struct gons_place *p, const char **what) {
  /* setns puts the thread at the namespace's root, so the host's own root, a chroot perhaps, is put back after it. */
  *what = "setns";
  if (setns(p->ns, CLONE_NEWNS) < 0) return errno;
  *what = "chroot";
  if (fchdir(p->root) < 0 || chroot(".") < 0) return errno;
  *what = gons_place_cwd; /* root may be unable to search it: a root-squashed NFS home, a user's FUSE mount */
  return fchdir(p->cwd) < 0 ? errno : 0;
}

void gons_place_close(struct gons_place *p) {
  if (p->ns >= 0) close(p->ns);
  if (p->root >= 0) close(p->root);
  if (p->cwd >= 0) close(p->cwd);
  *p = gons_nowhere;
}
