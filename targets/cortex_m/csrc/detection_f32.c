/* Boxes by anchors and scores, those that overlap better ones left out (kernels/detection.py). */
#include "midge_kernels.h"
#include "midge_transcendental.h"

typedef struct {
    const midge_float *scores;
    int32_t depth, classes;
} table;

static void decode(
    midge_float *box, const midge_float *raw, const midge_float *anchor, const midge_double *scales,
    const midge_double *powers)
{
    for (int side = 0; side < 2; side++) {
        const double at = anchor[side], size = anchor[side + 2];
        const float centre = (float)((double)raw[side] / scales[side] * size + at);
        const double power = midge_exp64((double)raw[side + 2] / scales[side + 2], powers);
        const float half = (float)(0.5 * power * size);
        box[side] = centre - half;
        box[side + 2] = centre + half;
    }
}

/* Intersection over union. */
static float overlap(const midge_float *a, const midge_float *b)
{
    const float area = (a[2] - a[0]) * (a[3] - a[1]), other = (b[2] - b[0]) * (b[3] - b[1]);
    if (area <= 0.0f || other <= 0.0f)
        return 0.0f;
    const float height = (a[2] < b[2] ? a[2] : b[2]) - (a[0] > b[0] ? a[0] : b[0]);
    const float width = (a[3] < b[3] ? a[3] : b[3]) - (a[1] > b[1] ? a[1] : b[1]);
    const float common = (height > 0.0f ? height : 0.0f) * (width > 0.0f ? width : 0.0f);
    return common / (area + other - common);
}

/* `which`, or if that is -1 the best class of a box. */
static int32_t class_of(const table *t, int32_t box, int32_t which)
{
    const midge_float *own = t->scores + box * t->depth;
    int32_t best = 0;
    if (which >= 0)
        return which;
    for (int32_t i = 1; i < t->classes; i++)
        best = own[i] > own[best] ? i : best;
    return best;
}

static float score_of(const table *t, int32_t box, int32_t which)
{
    return t->scores[box * t->depth + class_of(t, box, which)];
}

/* The best box that may still be chosen; -1 if none may. */
static int32_t next_of(const table *t, const int8_t *open, int32_t count, int32_t which)
{
    int32_t best = -1;
    float greatest = 0.0f;
    for (int32_t box = 0; box < count; box++) {
        if (!open[box])
            continue;
        const float score = score_of(t, box, which);
        if (best < 0 || score > greatest) {
            best = box;
            greatest = score;
        }
    }
    return best;
}

void midge_detection_f32(
    int8_t *arena, const int8_t *constants, const midge_detection_f32_params *p)
{
    const int32_t count = p->count, most = p->most;
    const table t = {midge_float_at(arena, p->scores) + p->first, p->depth, p->classes};
    const midge_float *raw = midge_float_at(arena, p->boxes);
    const midge_float *anchors =
        midge_float_at(p->anchors_constant ? constants : arena, p->anchors);
    const midge_float *limits = midge_float_at(constants, p->limits);
    const midge_double *scales = midge_double_at(constants, p->scales);
    const midge_double *powers = midge_double_at(constants, p->powers);
    midge_float *boxes = (midge_float *)(void *)(arena + p->room);
    midge_int32 *kept = (midge_int32 *)(void *)(arena + p->room + 16 * count);
    int8_t *open = arena + p->room + 16 * count + 4 * most;
    midge_float *y_boxes = (midge_float *)(void *)(arena + p->y_boxes);
    midge_float *y_classes = (midge_float *)(void *)(arena + p->y_classes);
    midge_float *y_scores = (midge_float *)(void *)(arena + p->y_scores);
    int32_t found = 0;
    for (int32_t i = 0; i < count; i++)
        decode(boxes + 4 * i, raw + i * p->width, anchors + 4 * i, scales, powers);
    for (int32_t number = 0; number < (p->regular ? p->classes : 1); number++) {
        const int32_t which = p->regular ? number : -1;
        for (int32_t i = 0; i < count; i++)
            open[i] = score_of(&t, i, which) >= limits[0];
        for (int32_t turn = 0; turn < (p->regular ? p->per_class : most); turn++) {
            const int32_t box = next_of(&t, open, count, which);
            if (box < 0)
                break;
            const float score = score_of(&t, box, which);
            int32_t place = found;
            open[box] = 0;
            while (place > 0 && score > y_scores[place - 1])
                place--;
            for (int32_t i = found < most ? found : most - 1; i > place; i--) {
                kept[i] = kept[i - 1];
                y_scores[i] = y_scores[i - 1];
                y_classes[i] = y_classes[i - 1];
            }
            if (place < most) {
                kept[place] = box;
                y_scores[place] = score;
                y_classes[place] = (float)class_of(&t, box, which);
                found += found < most;
            }
            for (int32_t i = 0; i < count; i++)
                if (open[i] && overlap(boxes + 4 * box, boxes + 4 * i) > limits[1])
                    open[i] = 0;
        }
    }
    for (int32_t i = 0; i < most; i++)
        for (int32_t side = 0; side < 4; side++)
            y_boxes[4 * i + side] = i < found ? boxes[4 * kept[i] + side] : 0.0f;
    for (int32_t i = found; i < most; i++)
        y_classes[i] = y_scores[i] = 0.0f;
    *(midge_float *)(void *)(arena + p->y_count) = (float)found;
}
