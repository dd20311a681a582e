/* The variables that a session's environment gets: kept until the host takes the session over, and then set all or none. */
#ifndef GONS_ENVIRONMENT_H
#define GONS_ENVIRONMENT_H

#include <security/pam_modules.h>

#include "wire.h"

/* All zero: no variables. */
struct gons_environment {
  char *text;    /* strings "NAME=value" that each end in NUL; NULL for none */
  size_t length; /* of text */
  char **before; /* for each of them "NAME=value" as it was, or "NAME" where there was none; NULL before put */
  unsigned set;  /* how many are set */
};

/* Keeps a copy of the strings of m; 0, ENOMEM, or EPROTO where there are some already or one names nothing. */
int gons_environment_keep(struct gons_environment *e, const struct gons_message *m);
/* Sets the variables in PAM's environment; a PAM code. What a failure leaves set is for gons_environment_restore. */
int gons_environment_put(struct gons_environment *e, pam_handle_t *pamh);
/* Makes PAM's environment what it was before gons_environment_put. */
void gons_environment_restore(struct gons_environment *e, pam_handle_t *pamh);
/* Frees what e holds. */
void gons_environment_free(struct gons_environment *e);

#endif
