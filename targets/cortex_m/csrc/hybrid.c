/* Float layers with int8 weights, whose input is quantized as it comes (kernels/hybrid.py). */
#include "midge_fixedpoint.h"
#include "midge_kernels.h"
#include "midge_memory.h"

/* Ties away from zero. */
MIDGE_INLINE int32_t rounded(double x)
{
    return x >= 0.0 ? (int32_t)(x + 0.5) : -(int32_t)(0.5 - x);
}

MIDGE_INLINE double size_of(double x)
{
    return x < 0.0 ? -x : x;
}

static int32_t zero_point(double low, double high, double step)
{
    const int closer = 128.0 + size_of(low / step) < 127.0 + size_of(high / step);
    const double zero = closer ? -128.0 - low / step : 127.0 - high / step;
    return rounded(zero < -128.0 ? -128.0 : zero > 127.0 ? 127.0 : zero);
}

void midge_dynamic_quantize_s8(
    int8_t *arena, const int8_t *constants, const midge_dynamic_quantize_s8_params *p)
{
    const midge_float *x = midge_float_at(arena, p->x);
    midge_float *scales = (midge_float *)(void *)(arena + p->scales);
    midge_int32 *zeros = (midge_int32 *)(void *)(arena + p->zeros);
    int8_t *y = arena + p->y;
    (void)constants;
    for (int32_t group = 0; group < p->groups; group++, x += p->count, y += p->count) {
        float low = 0.0f, high = 0.0f, scale = 1.0f, inverse = 0.0f;
        int32_t zero = 0, least = -128;
        for (int32_t i = 0; i < p->count; i++) {
            low = x[i] < low ? x[i] : low;
            high = x[i] > high ? x[i] : high;
        }
        if (p->symmetric && (low < 0.0f || high > 0.0f)) {
            const float size = -low > high ? -low : high;
            scale = size / 127.0f;
            inverse = 127.0f / size;
            least = -127;
        } else if (low < 0.0f || high > 0.0f) {
            const double step = ((double)high - (double)low) / 255.0;
            zero = zero_point((double)low, (double)high, step);
            scale = (float)step;
            inverse = 1.0f / scale;
        }
        scales[group] = scale;
        zeros[group] = zero;
        for (int32_t i = 0; i < p->count; i++) {
            const float steps = (float)zero + x[i] * inverse;
            y[i] = (int8_t)midge_clamp(rounded((double)steps), least, 127);
        }
    }
}

/* The products of one output, of what lies inside the image. */
static int32_t sum(
    const midge_hybrid_products_f32_params *p, const int8_t *image, const int8_t *weights,
    int32_t zero, int32_t row, int32_t column, int32_t filter)
{
    const int8_t *w = weights + filter * p->kernel_height * p->kernel_width * p->depth;
    int32_t total = 0;
    image += filter / p->group_filters * p->depth;
    for (int32_t ky = 0; ky < p->kernel_height; ky++)
        for (int32_t kx = 0; kx < p->kernel_width; kx++, w += p->depth) {
            const int32_t y = row * p->stride_height - p->pad_top + ky * p->dilation_height;
            const int32_t x = column * p->stride_width - p->pad_left + kx * p->dilation_width;
            if (y < 0 || y >= p->in_height || x < 0 || x >= p->in_width)
                continue;
            const int8_t *pixel = image + (y * p->in_width + x) * p->in_channels;
            for (int32_t i = 0; i < p->depth; i++)
                total += (pixel[i] - zero) * w[i];
        }
    return total;
}

void midge_hybrid_products_f32(
    int8_t *arena, const int8_t *constants, const midge_hybrid_products_f32_params *p)
{
    const midge_float *scales = midge_float_at(arena, p->scales);
    const midge_int32 *zeros = midge_int32_at(arena, p->zeros);
    const midge_float *bias = midge_float_at(constants, p->bias);
    const midge_float *own = midge_float_at(constants, p->weight_scales);
    const midge_float *bounds = midge_float_at(constants, p->bounds);
    const int8_t *image = arena + p->x, *weights = constants + p->weights;
    midge_float *y = (midge_float *)(void *)(arena + p->y);
    for (int32_t number = 0; number < p->images; number++) {
        for (int32_t row = 0; row < p->height; row++)
            for (int32_t column = 0; column < p->width; column++)
                for (int32_t f = 0; f < p->filters; f++) {
                    const float total =
                        (float)sum(p, image, weights, zeros[number], row, column, f);
                    const float real = p->late
                                           ? (total * own[f]) * scales[number] + bias[f]
                                           : bias[f] + total * (own[f] * scales[number]);
                    *y++ = midge_clamp_float(real, bounds[0], bounds[1]);
                }
        image += p->in_height * p->in_width * p->in_channels;
    }
}
