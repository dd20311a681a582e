/*
 * The messages between gate and worker. internal/wire is the worker's half; its test reads this file, so that the
 * two cannot drift.
 *
 * A message is one SOCK_SEQPACKET datagram: kind, arg, then strings that each end in NUL. Descriptors travel as
 * SCM_RIGHTS. Both sides check lengths: the worker parses an administrator's files and is not trusted to be sane.
 */
#ifndef GONS_WIRE_H
#define GONS_WIRE_H

#include <stddef.h>
#include <stdint.h>

enum {
  GONS_MESSAGE_MAX = 32768, /* bytes, header included */
  GONS_FILES_MAX = 2        /* descriptors in one message */
};

enum gons_kind {
  /* gate to worker */
  GONS_REQUEST = 1,   /* arg: 0; strings: "key=value" */
  GONS_ANSWER = 2,    /* arg: as the question says; strings: as the question says */
  /* worker to gate */
  GONS_LOG = 16,      /* arg: syslog priority; strings: text */
  GONS_USER = 17,     /* strings: name. Answer: arg 1 and uid, gid, name, home; 0: no such user; -1: the look-up failed,
                         and why */
  GONS_GROUP = 18,    /* strings: name. Answer: arg 1 and gid, "1" if the session's user is in it; 0 and -1 likewise */
  GONS_UNSHARE = 19,  /* strings: session id. Answer: arg 0, cwd, and descriptors of namespace and
                         root; else arg an errno and the call that failed */
  GONS_ENTER = 22,    /* arg: 1 for a copy of the namespace, 0 for itself; strings: session id, "" where there is nothing
                         to close; descriptor: the namespace. Answer: as for GONS_UNSHARE, cwd being that of before */
  GONS_UID = 21,      /* strings: user id. Answer: as for GONS_USER */
  GONS_ENV = 23,      /* strings: "NAME=value", for the session's environment once the host takes the session over; once.
                         Answer: arg 0, or an errno */
  GONS_DONE = 20      /* arg: PAM code; descriptor: new cwd, if any. Answer to success: arg 0 when the host has taken the
                         session over; else a PAM code, and the worker undoes everything */
};

struct gons_message {
  uint32_t kind;
  int32_t arg;
  size_t length;              /* of text */
  int files[GONS_FILES_MAX];  /* -1 where there is none */
  char text[GONS_MESSAGE_MAX];
};

/* Empties m and makes it a message of that kind. */
void gons_message_start(struct gons_message *m, uint32_t kind, int32_t arg);
/* Appends one string; 0, or -1 when it doesn't fit. */
int gons_message_add(struct gons_message *m, const char *key, const char *value);
/* Appends one number in decimal; 0, or -1 when it doesn't fit. */
int gons_message_add_number(struct gons_message *m, const char *key, long value);
/* The n-th string of m from 0, or NULL. */
const char *gons_message_get(const struct gons_message *m, unsigned n);
/* Closes the descriptors that m carries. */
void gons_message_close_files(struct gons_message *m);

/* Sends m; 0 or an errno. */
int gons_message_send(int sock, const struct gons_message *m);
/* Receives into m without waiting; 0, EAGAIN, EPIPE at the end of the stream, EBADMSG, or another errno. */
int gons_message_receive(int sock, struct gons_message *m);

#endif
