/* Variables of the session, in PAM's environment: pam_putenv(3) and the way back. See environment.h. */
#define _GNU_SOURCE
#include "environment.h"

#include <errno.h>
#include <security/pam_ext.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

/* The string after one, or NULL after the last. */
static const char *next_string(const struct gons_environment *e, const char *s) {
  s += strlen(s) + 1;
  return s < e->text + e->length ? s : NULL;
}

int gons_environment_keep(struct gons_environment *e, const struct gons_message *m) {
  if (e->text || m->length == 0) return EPROTO;
  e->text = malloc(m->length);
  if (!e->text) return ENOMEM;
  memcpy(e->text, m->text, m->length);
  e->length = m->length;
  for (const char *s = e->text; s; s = next_string(e, s)) {
    const char *equals = strchr(s, '=');
    if (!equals || equals == s) return EPROTO;
  }
  return 0;
}

/* What takes "NAME=value" back: "NAME=old", or "NAME". NULL where there is no memory. */
static char *way_back(pam_handle_t *pamh, const char *variable) {
  int name = (int)strcspn(variable, "=");
  char *text;
  if (asprintf(&text, "%.*s", name, variable) < 0) return NULL;
  const char *old = pam_getenv(pamh, text);
  if (!old) return text;
  free(text);
  return asprintf(&text, "%.*s=%s", name, variable, old) < 0 ? NULL : text;
}

/* All that needs memory of ours comes before the first change. */
static int remember_environment(struct gons_environment *e, pam_handle_t *pamh) {
  size_t count = 0, i = 0;
  for (const char *s = e->text; s; s = next_string(e, s)) count++;
  e->before = calloc(count + 1, sizeof *e->before);
  if (!e->before) return PAM_BUF_ERR;
  for (const char *s = e->text; s; s = next_string(e, s)) {
    e->before[i] = way_back(pamh, s);
    if (!e->before[i++]) return PAM_BUF_ERR;
  }
  return PAM_SUCCESS;
}

int gons_environment_put(struct gons_environment *e, pam_handle_t *pamh) {
  if (!e->text) return PAM_SUCCESS;
  int rc = remember_environment(e, pamh);
  for (const char *s = e->text; s && rc == PAM_SUCCESS; s = next_string(e, s)) {
    rc = pam_putenv(pamh, s);
    if (rc == PAM_SUCCESS) e->set++;
  }
  if (rc != PAM_SUCCESS) pam_syslog(pamh, LOG_ERR, "cannot set the session's environment: %s", pam_strerror(pamh, rc));
  return rc;
}

void gons_environment_restore(struct gons_environment *e, pam_handle_t *pamh) {
  while (e->set > 0) {
    int rc = pam_putenv(pamh, e->before[--e->set]);
    if (rc != PAM_SUCCESS) pam_syslog(pamh, LOG_CRIT, "cannot take a variable of the environment back: %s", pam_strerror(pamh, rc));
  }
}

void gons_environment_free(struct gons_environment *e) {
  for (char **s = e->before; s && *s; s++) free(*s);
  free(e->before);
  free(e->text);
  *e = (struct gons_environment){0};
}
