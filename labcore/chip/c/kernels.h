/* The layers of a network, for a Cortex-M4F: see kernels.c. */
#include <stdint.h>

typedef __fp16 half; /* 2 bytes in flash; the processor converts it when it loads it */

/* A layer's constants; all of them stay in flash. */
typedef struct {
    int in_channels, out_channels;
    int size;              /* height and width of the input; 1 for a linear layer */
    int pool;              /* 1 if a 2x2 max pooling follows */
    const float *bias;     /* one a output channel */
    const float *floats;   /* the weights in float32, or null */
    const half *halves;    /* the weights in float16, or null */
    const uint32_t *mask;  /* one bit a weight, 1 = kept; null if none was removed */
} Layer;

void convolution(const Layer *layer, const float *in, float *out, float *plane);
void linear(const Layer *layer, const float *in, float *out);
void mean(const float *in, float *out, int channels, int area);
float sparse_dot(const uint32_t *mask, const half *values, const float *x, int n);
