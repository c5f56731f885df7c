/* Max pooling of int8. */
#include <stdint.h>

typedef int8_t element;
#define MAX_POOL2D max_pool2d_s8
#include "max_pool2d.h"
