/* A move: elements of one tensor become elements of another, unchanged. C99, also C++.
 *
 *   y[sum over d of i_d * y_strides[d]] = x[sum over d of i_d * x_strides[d]]   for all i with 0 <= i_d < dims[d]
 *
 * What operators call a slice, a join, a transposition, a tile or a broadcast is a move between views of its tensors.
 * An element is `bytes` bytes long; strides are in bytes. x's may be 0 (an element is read again and again) or negative
 * (an axis is read backwards). With flip, the highest bit of every byte is inverted: i8 <-> u8 as the engine stores it.
 *
 *   dims (2, 3), x_strides (3, 1), y_strides (1, 2): "abcdef" -> "adbecf"
 */
#ifndef BITWRIGHT_MOVEMENT_REFERENCE_H
#define BITWRIGHT_MOVEMENT_REFERENCE_H

#include <stdint.h>

enum { BW_MOVE_RANK = 12 };

typedef struct {
    int32_t rank;
    int64_t dims[BW_MOVE_RANK], x_strides[BW_MOVE_RANK], y_strides[BW_MOVE_RANK];
    int64_t bytes;
    int32_t flip;
} bw_move_shape;

static inline void bw_move_reference(const bw_move_shape* s, const uint8_t* x, uint8_t* y) {
    const uint8_t mask = s->flip ? 0x80 : 0;
    int64_t at[BW_MOVE_RANK] = {0};
    for (int32_t d = 0; d < s->rank; ++d)
        if (s->dims[d] == 0) return;
    for (;;) {
        for (int64_t b = 0; b < s->bytes; ++b) y[b] = x[b] ^ mask;
        int32_t d = s->rank - 1;
        for (; d >= 0 && ++at[d] == s->dims[d]; --d) {
            x -= (s->dims[d] - 1) * s->x_strides[d];
            y -= (s->dims[d] - 1) * s->y_strides[d];
            at[d] = 0;
        }
        if (d < 0) return;
        x += s->x_strides[d];
        y += s->y_strides[d];
    }
}

/* y[i * y_stride + b] = x[offsets[i] + b] for i < count, b < bytes: parts of x by a table. */
static inline void bw_take_reference(const int64_t* offsets, int64_t count, int64_t bytes, const uint8_t* x, uint8_t* y,
                                     int64_t y_stride) {
    for (int64_t i = 0; i < count; ++i)
        for (int64_t b = 0; b < bytes; ++b) y[i * y_stride + b] = x[offsets[i] + b];
}

#endif
