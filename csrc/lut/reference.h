/* Functions of one integer, looked up: what every kernel of this family computes. C99, also C++.
 *
 *   bytes         y = table[x], 256 entries, u8
 *   interpolated  between the two of 513 entries around an i16 x, in 16-bit arithmetic:
 *                   i = 256 + (x >> 7);  y = wrap16(table[i] + ((wrap16(table[i + 1] - table[i]) * (x & 127) + 64) >>
 * 7)) words         y = table[x + 32768], 65536 entries, i16
 *
 *   table[i] = 10 * (i - 256): interpolated(64) == 5, interpolated(-128) == -10
 *
 * Source of the interpolation: TensorFlow Lite common.h, LUTLookup.
 */
#ifndef BITWRIGHT_LUT_REFERENCE_H
#define BITWRIGHT_LUT_REFERENCE_H

#include <stdint.h>

static inline void bw_lut_bytes(const uint8_t* table, const uint8_t* x, int64_t length, uint8_t* y) {
    for (int64_t i = 0; i < length; ++i) y[i] = table[x[i]];
}

static inline int16_t bw_interpolate(const int16_t* table, int16_t x) {
    const int16_t* entry = table + 256 + (x >> 7);
    const int16_t slope = (int16_t)(uint16_t)(entry[1] - entry[0]);
    return (int16_t)(uint16_t)(entry[0] + ((slope * (x & 0x7f) + 64) >> 7));
}

static inline void bw_lut_interpolated(const int16_t* table, const int16_t* x, int64_t length, int16_t* y) {
    for (int64_t i = 0; i < length; ++i) y[i] = bw_interpolate(table, x[i]);
}

static inline void bw_lut_words(const int16_t* table, const int16_t* x, int64_t length, int16_t* y) {
    for (int64_t i = 0; i < length; ++i) y[i] = table[x[i] + 32768];
}

#endif
