/* Max pooling of float. */
typedef float element;
#define MAX_POOL2D max_pool2d_f32
#include "max_pool2d.h"
