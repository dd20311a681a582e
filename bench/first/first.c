// Writes what CLOCK_MONOTONIC says at its first instruction: two longs, seconds and nanoseconds. No C library, whose start
// would be in the figure.

static long call(long number, long a, long b, long c) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(number), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
  return result;
#elif defined(__aarch64__)
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b, x2 __asm__("x2") = c;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
  return x0;
#endif
}

#include <asm/unistd.h>

void _start(void) {
  long now[2];
  call(__NR_clock_gettime, 1, (long)now, 0);
  call(__NR_write, 1, (long)now, sizeof now);
  for (;;) call(__NR_exit, 0, 0, 0);
}
