/* What network.c, which kwsq.export generates, defines: the network's kernel calls, in their order. */
#ifndef THUMBCYCLE_NETWORK_H
#define THUMBCYCLE_NETWORK_H

#include "kernels.h"

extern int32_t network_scratch[];
void network_run(void);

#endif
