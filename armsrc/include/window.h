/* For kernels in C: the part of a window that lies inside the input, along one axis. */
#ifndef THUMBCYCLE_WINDOW_H
#define THUMBCYCLE_WINDOW_H

#include <stdint.h>

typedef struct {
    int32_t start;      /* first input coordinate inside */
    int32_t begin, end; /* the kernel's coordinates there: begin <= k < end, never empty for a legal struct */
} window;

/* `origin` is the input coordinate of the kernel's first row or column; negative in the padding above or left. */
static inline window clip_window(int32_t origin, int32_t kernel, int32_t extent)
{
    int32_t begin = origin < 0 ? -origin : 0;
    int32_t end = extent - origin < kernel ? extent - origin : kernel;
    return (window){origin + begin, begin, end};
}

#endif
