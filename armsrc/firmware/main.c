/* Runs the network once: its layers in order, each by the kernel of its kind. -DNETWORK_F32 takes the float kernels. */
#include "network.h"

#ifdef NETWORK_F32
typedef float element;
typedef conv2d_f32_params conv2d_params;
typedef pointwise_f32_params pointwise_params;
typedef global_avg_pool2d_f32_params global_avg_pool2d_params;
#define KERNEL(kind) kind##_f32
#else
typedef int8_t element;
typedef conv2d_s8_params conv2d_params;
typedef pointwise_s8_params pointwise_params;
typedef global_avg_pool2d_s8_params global_avg_pool2d_params;
#define KERNEL(kind) kind##_s8
#endif

static void run_layer(const network_layer *layer)
{
    const element *x = layer->input;
    element *y = layer->output;

    switch (layer->kind) {
    case CONV2D:
        KERNEL(conv2d)((const conv2d_params *)layer->params, x, y, network_scratch);
        break;
    case DEPTHWISE_CONV2D:
        KERNEL(depthwise_conv2d)((const conv2d_params *)layer->params, x, y, network_scratch);
        break;
    case POINTWISE_CONV2D:
        KERNEL(pointwise_conv2d)((const pointwise_params *)layer->params, x, y, network_scratch);
        break;
    case DENSE:
        KERNEL(dense)((const pointwise_params *)layer->params, x, y, network_scratch);
        break;
    case MAX_POOL2D:
        KERNEL(max_pool2d)((const max_pool2d_params *)layer->params, x, y, network_scratch);
        break;
    case GLOBAL_AVG_POOL2D:
        KERNEL(global_avg_pool2d)((const global_avg_pool2d_params *)layer->params, x, y, network_scratch);
        break;
    }
}

int main(void)
{
    for (int32_t i = 0; i < network_layer_count; i++)
        run_layer(&network_layers[i]);
    return 0;
}
