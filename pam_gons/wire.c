/* Messages between gate and worker: framing and descriptors, no meaning. See wire.h. */
#define _GNU_SOURCE
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

struct header {
  uint32_t kind;
  int32_t arg;
};

union control {
  struct cmsghdr align;
  char bytes[CMSG_SPACE(sizeof(int) * GONS_FILES_MAX)];
};

void gons_message_start(struct gons_message *m, uint32_t kind, int32_t arg) {
  m->kind = kind;
  m->arg = arg;
  m->length = 0;
  for (int i = 0; i < GONS_FILES_MAX; i++) m->files[i] = -1;
}

int gons_message_add(struct gons_message *m, const char *key, const char *value) {
  size_t room = GONS_MESSAGE_MAX - sizeof(struct header) - m->length;
  int n = snprintf(m->text + m->length, room, "%s%s", key, value ? value : "");
  if (n < 0 || (size_t)n >= room) return -1;
  m->length += (size_t)n + 1;
  return 0;
}

int gons_message_add_number(struct gons_message *m, const char *key, long value) {
  char digits[24];
  snprintf(digits, sizeof digits, "%ld", value);
  return gons_message_add(m, key, digits);
}

const char *gons_message_get(const struct gons_message *m, unsigned n) {
  size_t at = 0;
  while (at < m->length) {
    if (n-- == 0) return m->text + at;
    at += strlen(m->text + at) + 1;
  }
  return NULL;
}

void gons_message_close_files(struct gons_message *m) {
  for (int i = 0; i < GONS_FILES_MAX; i++) {
    if (m->files[i] >= 0) close(m->files[i]);
    m->files[i] = -1;
  }
}

static void put_files(struct msghdr *hdr, union control *control, const int *files) {
  int count = 0;
  while (count < GONS_FILES_MAX && files[count] >= 0) count++;
  if (count == 0) return;
  size_t bytes = sizeof(int) * (size_t)count;
  memset(control, 0, sizeof *control);
  hdr->msg_control = control->bytes;
  hdr->msg_controllen = CMSG_SPACE(bytes);
  struct cmsghdr *c = CMSG_FIRSTHDR(hdr);
  c->cmsg_level = SOL_SOCKET;
  c->cmsg_type = SCM_RIGHTS;
  c->cmsg_len = CMSG_LEN(bytes);
  memcpy(CMSG_DATA(c), files, bytes);
}

int gons_message_send(int sock, const struct gons_message *m) {
  struct header h = {m->kind, m->arg};
  struct iovec parts[2] = {{&h, sizeof h}, {(void *)m->text, m->length}};
  union control control;
  struct msghdr hdr = {.msg_iov = parts, .msg_iovlen = 2};
  put_files(&hdr, &control, m->files);
  while (sendmsg(sock, &hdr, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
    if (errno != EINTR) return errno;
  return 0;
}

static void take_files(struct msghdr *hdr, int *files) {
  for (struct cmsghdr *c = CMSG_FIRSTHDR(hdr); c; c = CMSG_NXTHDR(hdr, c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
    size_t bytes = c->cmsg_len - CMSG_LEN(0);
    if (bytes > sizeof(int) * GONS_FILES_MAX) bytes = sizeof(int) * GONS_FILES_MAX;
    memcpy(files, CMSG_DATA(c), bytes); /* control has room for no more, so none is lost open */
  }
}

int gons_message_receive(int sock, struct gons_message *m) {
  struct header h = {0, 0};
  struct iovec parts[2] = {{&h, sizeof h}, {m->text, GONS_MESSAGE_MAX - sizeof h}};
  union control control;
  struct msghdr hdr = {.msg_iov = parts, .msg_iovlen = 2, .msg_control = control.bytes,
                       .msg_controllen = sizeof control.bytes};
  gons_message_start(m, 0, 0);
  ssize_t n;
  do {
    n = recvmsg(sock, &hdr, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return errno;
  take_files(&hdr, m->files);
  if (n == 0) return EPIPE;
  if ((size_t)n < sizeof h || (hdr.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
    gons_message_close_files(m);
    return EBADMSG;
  }
  m->kind = h.kind;
  m->arg = h.arg;
  m->length = (size_t)n - sizeof h;
  if (m->length > 0 && m->text[m->length - 1] != '\0') {
    gons_message_close_files(m);
    return EBADMSG;
  }
  return 0;
}
