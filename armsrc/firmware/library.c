/* Linked into kernel libraries so that their debug information describes every struct of the ABI: assembly does not. */
#include "kernels.h"
