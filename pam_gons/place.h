/* Where the calling thread is: mount namespace, root and working directory. */
#ifndef GONS_PLACE_H
#define GONS_PLACE_H

/* Descriptors of a thread's place, each -1 when not held. */
struct gons_place {
  int ns, root, cwd;
};

extern const struct gons_place gons_nowhere;

/* Opens descriptors of the calling thread's place; 0 or an errno, and then nothing is held. *what names the call. */
int gons_place_open(struct gons_place *p, const char **what);
/* What gons_place_enter names when the thread is at p but for the working directory, which is / then. */
extern const char gons_place_cwd[];
/* Takes the calling thread, and no other, to p; 0 or an errno. *what names the call that failed. */
int gons_place_enter(const struct gons_place *p, const char **what);
/* Closes what p holds. */
void gons_place_close(struct gons_place *p);

#endif
