// What the kernels of this family are written in, with AVX2: 8 sums of 32 bits a vector. Included by AVX2 kernels
// alone. See conv16/vectors_avx512.h for what each of them does.
#pragma once

#include <immintrin.h>

#include "base/requantize_avx2.h"

namespace bitwright::conv16 {
namespace {

struct Avx2 {
    using Ints = __m256i;
    static constexpr int lanes = 8, most_vectors = 2;
    // 12 sums; weights, a row's pair and a product fill the other registers.
    static constexpr int most_rows[] = {0, 12, 6};
    static constexpr int most_pixels = 4;

    static Ints load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }
    static void store(void* to, Ints values) { _mm256_store_si256(static_cast<__m256i*>(to), values); }
    static Ints splat_pair(const std::int16_t* from) {
        std::int32_t pair;
        __builtin_memcpy(&pair, from, 4);
        return _mm256_set1_epi32(pair);
    }
    static Ints add_products(Ints sums, Ints a, Ints b) { return _mm256_add_epi32(sums, _mm256_madd_epi16(a, b)); }
    static void keep(Ints& values) { __asm__("" : "+x"(values)); }
    // Row after row: the compiler would have all products first, and not enough registers.
    static void keep_order(Ints& sums, Ints& column) { __asm__("" : "+x"(sums), "+x"(column)); }
    static Ints interleave_low(Ints a, Ints b) { return _mm256_unpacklo_epi16(a, b); }
    static Ints interleave_high(Ints a, Ints b) { return _mm256_unpackhi_epi16(a, b); }

    static Ints pack_halves(Ints a, Ints b) { return _mm256_packs_epi32(a, b); }
    static Ints pack(Ints a, Ints b) { return _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xd8); }
    static Ints clamp(Ints values, Ints low, Ints high) {
        return _mm256_min_epi16(_mm256_max_epi16(values, low), high);
    }
    static Ints splat(std::int32_t value) { return _mm256_set1_epi16(static_cast<short>(value)); }
    static void store_first(std::int16_t* to, Ints values, int count) {
        if (count >= 2 * lanes) {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), values);
        } else if (count == lanes) {
            _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_castsi256_si128(values));
        } else {
            alignas(32) std::int16_t elements[2 * lanes];
            store(elements, values);
            for (int i = 0; i < count; ++i) to[i] = elements[i];
        }
    }

    struct Narrow {
        Ints low, high, half, right;

        Narrow(const bw_requant& r, int lane) {
            const Ints multiplier = load(r.multiplier + lane), one = _mm256_set1_epi32(1);
            const Ints rounded = _mm256_srli_epi32(_mm256_add_epi32(multiplier, _mm256_set1_epi32(1 << 15)), 16);
            low = _mm256_min_epi32(rounded, _mm256_set1_epi32(0x7fff));
            high = _mm256_slli_epi32(low, 16);
            right = _mm256_sub_epi32(_mm256_set1_epi32(-1), load(r.shift + lane));
            half = _mm256_sllv_epi32(one, _mm256_sub_epi32(right, one));
        }
        Ints round(Ints sums) const {
            const Ints upper = _mm256_add_epi32(half, _mm256_madd_epi16(sums, high));
            return _mm256_srav_epi32(_mm256_add_epi32(upper, _mm256_mulhi_epu16(sums, low)), right);
        }
    };

    static Ints requantize(const bw_requant& r, Ints sums, int lane) {
        return requantize_channels(r, sums, lane, _mm256_set1_epi32(-1));
    }

    static void add_to_wide(std::int64_t* wide, Ints sums) {
        const __m128i halves[] = {_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1)};
        for (int i = 0; i < 2; ++i)
            store(wide + 4 * i, _mm256_add_epi64(load(wide + 4 * i), _mm256_cvtepi32_epi64(halves[i])));
    }
    static Ints requantize_wide(const bw_requant& r, const std::int64_t* wide, int lane) {
        const __m256i one = _mm256_set1_epi64x(1);
        const auto half_of = [&](int first) {
            const auto load_64 = [&](const std::int32_t* from) {
                return _mm256_cvtepi32_epi64(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from + lane + first)));
            };
            const __m256i sums = load(wide + first), shift = load_64(r.shift);
            const __m256i rounded =
                _mm256_srli_epi64(_mm256_add_epi64(load_64(r.multiplier), _mm256_set1_epi64x(1 << 15)), 16);
            const __m256i reduced = _mm256_min_epi32(rounded, _mm256_set1_epi64x(0x7fff));
            // The low 64 bits of a product are those of its halves' products.
            const __m256i product =
                _mm256_add_epi64(_mm256_mul_epu32(sums, reduced),
                                 _mm256_slli_epi64(_mm256_mul_epu32(_mm256_srli_epi64(sums, 32), reduced), 32));
            const __m256i half = _mm256_sllv_epi64(one, _mm256_sub_epi64(_mm256_set1_epi64x(14), shift));
            const __m256i result =
                shift_right_64(_mm256_add_epi64(product, half), _mm256_sub_epi64(_mm256_set1_epi64x(15), shift));
            return _mm256_permutevar8x32_epi32(result, _mm256_setr_epi32(0, 2, 4, 6, 0, 2, 4, 6));
        };
        const __m256i rounded = _mm256_blend_epi32(half_of(0), half_of(4), 0xf0);
        const __m256i moved = _mm256_add_epi32(rounded, _mm256_set1_epi32(r.zero_point));
        return _mm256_min_epi32(_mm256_max_epi32(moved, _mm256_set1_epi32(r.qmin)), _mm256_set1_epi32(r.qmax));
    }
};

}  // namespace
}  // namespace bitwright::conv16
