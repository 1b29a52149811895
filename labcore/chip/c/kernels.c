/* The layers of a network in plain C: short, and fast enough to be honest.

   Images are stored channel by channel, row by row. A convolution has 3x3 weights and a
   border of zeros; ReLU and max pooling are done in the same pass, so that what lies
   between them never takes memory. */
#include "kernels.h"

/* Words of 32 bits that hold a bit for each of n weights. */
static int words(int n) { return (n + 31) / 32; }

/* Add weight * (the image, shifted) to the plane. Tap 0 is the upper left of the 3x3
   weights, 4 the middle, 8 the lower right. What would fall outside is left out. */
static void add_shifted(const float *image, float *plane, int size, float weight, int tap) {
    int dy = tap / 3 - 1, dx = tap % 3 - 1;
    int first_row = dy < 0, last_row = size - (dy > 0);
    int first = dx < 0, count = size - (dx != 0);

    for (int row = first_row; row < last_row; row++) {
        const float *from = image + (row + dy) * size + first + dx;
        float *to = plane + row * size + first;
        for (int i = 0; i < count; i++)
            to[i] += weight * from[i];
    }
}

/* Add a row of the image, weighted by three neighbouring weights, to a row of the plane.
   Dense weights are added three at a time: that saves two of three loads and stores. */
static void add_row(const float *from, float *to, int size, const float *w) {
    to[0] += w[1] * from[0] + w[2] * from[1];
    for (int i = 1; i < size - 1; i++)
        to[i] += w[0] * from[i - 1] + w[1] * from[i] + w[2] * from[i + 1];
    to[size - 1] += w[0] * from[size - 2] + w[1] * from[size - 1];
}

/* Add the image, weighted by all nine weights, to the plane. */
static void add_image(const float *image, float *plane, int size, const float *w) {
    for (int row = 0; row < size; row++)
        for (int dy = -1; dy <= 1; dy++)
            if (row + dy >= 0 && row + dy < size)
                add_row(image + (row + dy) * size, plane + row * size, size, w + 3 * dy + 3);
}

/* ReLU, then max pooling if there is one: from the plane to its place in the output. */
static void finish(const float *plane, float *out, int size, int pool) {
    int step = pool ? 2 : 1;

    for (int row = 0; row < size; row += step)
        for (int column = 0; column < size; column += step) {
            const float *corner = plane + row * size + column;
            float largest = 0; /* so that what is negative becomes 0: that is ReLU */
            for (int y = 0; y < step; y++)
                for (int x = 0; x < step; x++)
                    if (corner[y * size + x] > largest)
                        largest = corner[y * size + x];
            *out++ = largest;
        }
}

/* The output channels one after the other: each is summed up in `plane`. */
void convolution(const Layer *layer, const float *in, float *out, float *plane) {
    int size = layer->size, area = size * size, fan_in = layer->in_channels * 9;
    int out_area = layer->pool ? area / 4 : area;
    const half *halves = layer->halves;
    const float *floats = layer->floats;
    const uint32_t *mask = layer->mask;

    for (int channel = 0; channel < layer->out_channels; channel++) {
        for (int i = 0; i < area; i++)
            plane[i] = layer->bias[channel];
        if (mask) { /* only the weights whose bit is set are stored */
            for (int start = 0; start < fan_in; start += 32)
                for (uint32_t bits = *mask++; bits; bits &= bits - 1) {
                    int k = start + __builtin_ctz(bits);
                    add_shifted(in + k / 9 * area, plane, size, *halves++, k % 9);
                }
        } else {
            for (int i = 0; i < layer->in_channels; i++) {
                float w[9];
                for (int k = 0; k < 9; k++)
                    w[k] = halves ? (float)*halves++ : *floats++;
                add_image(in + i * area, plane, size, w);
            }
        }
        finish(plane, out + channel * out_area, size, layer->pool);
    }
}

/* The sum of weight * x over the kept weights of one row. It is weak: a function of the
   same name in another file takes its place. */
__attribute__((weak))
float sparse_dot(const uint32_t *mask, const half *values, const float *x, int n) {
    float sum = 0;

    for (int start = 0; start < n; start += 32)
        for (uint32_t bits = *mask++; bits; bits &= bits - 1)
            sum += *values++ * x[start + __builtin_ctz(bits)];
    return sum;
}

void linear(const Layer *layer, const float *in, float *out) {
    int n = layer->in_channels;
    const half *halves = layer->halves;
    const float *floats = layer->floats;
    const uint32_t *mask = layer->mask;

    for (int channel = 0; channel < layer->out_channels; channel++) {
        float sum = layer->bias[channel];
        if (mask) {
            sum += sparse_dot(mask, halves, in, n);
            for (int word = 0; word < words(n); word++)
                halves += __builtin_popcount(*mask++);
        } else {
            for (int i = 0; i < n; i++)
                sum += (halves ? (float)*halves++ : *floats++) * in[i];
        }
        out[channel] = sum;
    }
}

/* The mean of each channel. */
void mean(const float *in, float *out, int channels, int area) {
    for (int channel = 0; channel < channels; channel++) {
        float sum = 0;
        for (int i = 0; i < area; i++)
            sum += *in++;
        out[channel] = sum / area;
    }
}
