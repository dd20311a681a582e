/* The host's SIGCHLD disposition while a worker is running. */
#ifndef GONS_HOSTSIGNALS_H
#define GONS_HOSTSIGNALS_H

/* Puts SIGCHLD at its default until the matching release; nests, over threads too. */
void gons_hostsignals_hold(void);
/* Undoes one hold; the last one restores the host's disposition and tells it of children that ended meanwhile. */
void gons_hostsignals_release(void);

#endif
