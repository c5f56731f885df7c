/* Runs the network once: its layers in order, each by the kernel of its kind. -DNETWORK_F32 takes the float kernels. */
#include "network.h"

#ifdef NETWORK_F32
#define KERNEL(kind) kind##_f32
#else
#define KERNEL(kind) kind##_s8
#endif

static void run_layer(const network_layer *layer)
{
    const void *p = layer->params, *x = layer->input;
    void *y = layer->output;

    switch (layer->kind) {
    case CONV2D: KERNEL(conv2d)(p, x, y, network_scratch); break;
    case DEPTHWISE_CONV2D: KERNEL(depthwise_conv2d)(p, x, y, network_scratch); break;
    case POINTWISE_CONV2D: KERNEL(pointwise_conv2d)(p, x, y, network_scratch); break;
    case DENSE: KERNEL(dense)(p, x, y, network_scratch); break;
    case MAX_POOL2D: KERNEL(max_pool2d)(p, x, y, network_scratch); break;
    case GLOBAL_AVG_POOL2D: KERNEL(global_avg_pool2d)(p, x, y, network_scratch); break;
    }
}

int main(void)
{
    for (int32_t i = 0; i < network_layer_count; i++)
        run_layer(&network_layers[i]);
    return 0;
}
