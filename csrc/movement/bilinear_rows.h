// Bilinear rows as loops that a compiler makes vectors of: first the two rows of x become one, in scratch memory, then
// its columns are blended. Included by kernels of instruction sets, each of which makes its own.
#pragma once

#include <immintrin.h>

#include "movement/bilinear.h"

namespace bitwright::movement {
namespace {

// f(offset in x, offset in scratch, elements) for the runs of one row of x that lie contiguously.
template <typename F>
inline void for_each_run(const bw_bilinear_shape& s, const F& f) {
    if (s.x_sw == s.c) return f(0, 0, static_cast<std::int64_t>(s.w) * s.c);
    for (std::int64_t w = 0; w < s.w; ++w) f(w * s.x_sw, w * s.c, s.c);
}

// Sums in `Sum`, which holds them.
template <typename Element, typename Sum>
void integer_row(const bw_bilinear_shape& s, const Element* x, Element* y, int n, int i, std::byte* scratch) {
    Sum* __restrict const blended = reinterpret_cast<Sum*>(scratch);
    const Element* const top = x + n * s.x_sn + s.rows.before[i] * s.x_sh;
    const Element* const bottom = x + n * s.x_sn + s.rows.after[i] * s.x_sh;
    const Sum v = static_cast<Sum>(s.rows.weight[i]), p = static_cast<Sum>((1 << s.rows.bits) - v);
    const auto bias = static_cast<Sum>(s.bias);
    for_each_run(s, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
        for (std::int64_t k = 0; k < count; ++k)
            blended[to + k] = static_cast<Sum>(static_cast<Sum>(top[from + k] - bias) * p +
                                               static_cast<Sum>(bottom[from + k] - bias) * v);
    });
    const int shift = s.rows.bits + s.columns.bits;
    const auto half = static_cast<Sum>((std::int64_t{1} << shift) >> 1),
               away = static_cast<Sum>(s.away && shift > 0 ? -1 : 0);
    const int channels = s.c;
    for (int j = 0; j < s.ow; ++j) {
        const Sum* __restrict const left = blended + static_cast<std::int64_t>(s.columns.before[j]) * s.c;
        const Sum* __restrict const right = blended + static_cast<std::int64_t>(s.columns.after[j]) * s.c;
        const Sum w = static_cast<Sum>(s.columns.weight[j]), q = static_cast<Sum>((1 << s.columns.bits) - w);
        Element* __restrict const to = y + n * s.y_sn + i * s.y_sh + j * s.y_sw;
        for (int c = 0; c < channels; ++c) {
            const Sum sum = static_cast<Sum>(left[c] * q + right[c] * w);
            // Ties go upward; those of negative sums go away from zero when the sum is one less.
            const Sum rounded = static_cast<Sum>(sum + half + ((sum >> (sizeof(Sum) * 8 - 1)) & away));
            to[c] = static_cast<Element>((rounded >> shift) + bias);
        }
    }
}

// Calls f(begin) for vectors of 16 that cover [0, count), count >= 16; the last may overlap the one before.
template <typename F>
inline void for_each_16(std::int64_t count, const F& f) {
    std::int64_t k = 0;
    for (; k + 16 <= count; k += 16) f(k);
    if (k < count) f(count - 16);
}

inline __m256i load_16(const std::int16_t* x) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)); }

// The same of u8 with bias 128 and c >= 16, where 16 bits hold the sums: the weights of both axes have 8 bits together.
void short_row(const bw_bilinear_shape& s, const std::uint8_t* x, std::uint8_t* y, int n, int i, std::byte* scratch) {
    const auto blended = reinterpret_cast<std::int16_t*>(scratch);
    const std::uint8_t* const top = x + n * s.x_sn + s.rows.before[i] * s.x_sh;
    const std::uint8_t* const bottom = x + n * s.x_sn + s.rows.after[i] * s.x_sh;
    const __m256i bias = _mm256_set1_epi16(128);
    const auto signed_16 = [&](const std::uint8_t* from) {
        return _mm256_sub_epi16(_mm256_cvtepu8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))), bias);
    };
    const auto blend = [](__m256i a, __m256i b, __m256i of_a, __m256i of_b) {
        return _mm256_add_epi16(_mm256_mullo_epi16(a, of_a), _mm256_mullo_epi16(b, of_b));
    };
    const __m256i v = _mm256_set1_epi16(static_cast<short>(s.rows.weight[i]));
    const __m256i p = _mm256_sub_epi16(_mm256_set1_epi16(static_cast<short>(1 << s.rows.bits)), v);
    for_each_run(s, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
        for_each_16(count, [&](std::int64_t k) {
            const __m256i sums = blend(signed_16(top + from + k), signed_16(bottom + from + k), p, v);
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(blended + to + k), sums);
        });
    });
    const int bits = s.rows.bits + s.columns.bits;
    const __m128i shift = _mm_cvtsi32_si128(bits);
    const __m256i half = _mm256_set1_epi16(static_cast<short>((1 << bits) >> 1));
    const __m256i away = _mm256_set1_epi16(s.away && bits > 0 ? -1 : 0);
    for (int j = 0; j < s.ow; ++j) {
        const std::int16_t* const left = blended + static_cast<std::int64_t>(s.columns.before[j]) * s.c;
        const std::int16_t* const right = blended + static_cast<std::int64_t>(s.columns.after[j]) * s.c;
        const __m256i w = _mm256_set1_epi16(static_cast<short>(s.columns.weight[j]));
        const __m256i q = _mm256_sub_epi16(_mm256_set1_epi16(static_cast<short>(1 << s.columns.bits)), w);
        std::uint8_t* const to = y + n * s.y_sn + i * s.y_sh + j * s.y_sw;
        for_each_16(s.c, [&](std::int64_t k) {
            const __m256i sum = blend(load_16(left + k), load_16(right + k), q, w);
            const __m256i less = _mm256_and_si256(_mm256_srai_epi16(sum, 15), away);
            const __m256i rounded = _mm256_sra_epi16(_mm256_add_epi16(_mm256_add_epi16(sum, half), less), shift);
            const __m256i unsigned_16 = _mm256_add_epi16(rounded, bias);
            const __m128i low = _mm256_castsi256_si128(unsigned_16), high = _mm256_extracti128_si256(unsigned_16, 1);
            _mm_storeu_si128(reinterpret_cast<__m128i*>(to + k), _mm_packus_epi16(low, high));
        });
    }
}

inline float finished(float sum, float) { return sum; }
inline std::uint8_t finished(float sum, std::uint8_t) {
    const auto whole = static_cast<std::int32_t>(sum);  // sums of u8 are not negative
    return static_cast<std::uint8_t>(whole + (sum - static_cast<float>(whole) >= 0.5f));
}

template <typename Element>
void float_row(const bw_bilinear_shape& s, const Element* x, Element* y, int n, int i, std::byte* scratch) {
    const std::int64_t elements = static_cast<std::int64_t>(s.w) * s.c;
    float* __restrict const above = reinterpret_cast<float*>(scratch);
    float* __restrict const below = above + elements;
    const Element* const top = x + n * s.x_sn + s.rows.before[i] * s.x_sh;
    const Element* const bottom = x + n * s.x_sn + s.rows.after[i] * s.x_sh;
    const float v = s.rows.fraction[i], p = 1.0f - v;
    for_each_run(s, [&](std::int64_t from, std::int64_t to, std::int64_t count) {
        for (std::int64_t k = 0; k < count; ++k) {
            above[to + k] = static_cast<float>(top[from + k]) * p;
            below[to + k] = static_cast<float>(bottom[from + k]) * v;
        }
    });
    const int channels = s.c;
    for (int j = 0; j < s.ow; ++j) {
        const std::int64_t left = static_cast<std::int64_t>(s.columns.before[j]) * s.c;
        const std::int64_t right = static_cast<std::int64_t>(s.columns.after[j]) * s.c;
        const float w = s.columns.fraction[j], q = 1.0f - w;
        Element* __restrict const to = y + n * s.y_sn + i * s.y_sh + j * s.y_sw;
        for (int c = 0; c < channels; ++c) {
            float sum = above[left + c] * q;
            sum += below[left + c] * q;
            sum += above[right + c] * w;
            to[c] = finished(sum + below[right + c] * w, Element{});
        }
    }
}

void bilinear_row(const bw_bilinear_shape& s, const void* x, void* y, int n, int i, std::byte* scratch) {
    const auto x_u8 = static_cast<const std::uint8_t*>(x);
    const auto y_u8 = static_cast<std::uint8_t*>(y);
    switch (s.kind) {
        case BW_BILINEAR_U8:
            if (s.bias == 128 && s.c >= 16 && s.rows.bits + s.columns.bits <= 8)
                return short_row(s, x_u8, y_u8, n, i, scratch);
            return integer_row<std::uint8_t, std::int32_t>(s, x_u8, y_u8, n, i, scratch);
        case BW_BILINEAR_I16:
            return integer_row<std::int16_t, std::int64_t>(s, static_cast<const std::int16_t*>(x),
                                                           static_cast<std::int16_t*>(y), n, i, scratch);
        case BW_BILINEAR_F32:
            return float_row(s, static_cast<const float*>(x), static_cast<float*>(y), n, i, scratch);
        case BW_BILINEAR_FLOAT_U8:
            return float_row(s, x_u8, y_u8, n, i, scratch);
    }
}

}  // namespace
}  // namespace bitwright::movement
