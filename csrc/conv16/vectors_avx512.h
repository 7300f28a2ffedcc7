// What the kernels of this family are written in, with AVX-512: 16 sums of 32 bits a vector. Included by AVX-512
// kernels alone.
#pragma once

#include <immintrin.h>

#include "base/requantize_avx512.h"

namespace bitwright::conv16 {
namespace {

struct Avx512 {
    using Ints = __m512i;
    static constexpr int lanes = 16, most_vectors = 4;
    // Pixels of a tile with 1..4 vectors: sums fill the registers, and enough of them wait for an instruction's
    // latency.
    static constexpr int most_rows[] = {0, 12, 12, 8, 6};
    static constexpr int most_pixels = 8;  // of a depthwise tile

    static Ints load(const void* from) { return _mm512_loadu_si512(from); }
    static void store(void* to, Ints values) { _mm512_store_si512(to, values); }
    static Ints splat_pair(const std::int16_t* from) {
        std::int32_t pair;
        __builtin_memcpy(&pair, from, 4);
        return _mm512_set1_epi32(pair);
    }
    static Ints add_products(Ints sums, Ints a, Ints b) { return _mm512_dpwssd_epi32(sums, a, b); }
    // In a register: the compiler would load twice what two instructions take from memory.
    static void keep(Ints& values) { __asm__("" : "+v"(values)); }
    // Nothing: the compiler keeps to the order of instructions by itself.
    static void keep_order(Ints&, Ints&) {}
    static Ints interleave_low(Ints a, Ints b) { return _mm512_unpacklo_epi16(a, b); }
    static Ints interleave_high(Ints a, Ints b) { return _mm512_unpackhi_epi16(a, b); }

    // Two vectors of 32-bit elements to 16 bits, saturated: interleaved halves, or one after the other.
    static Ints pack_halves(Ints a, Ints b) { return _mm512_packs_epi32(a, b); }
    static Ints pack(Ints a, Ints b) {
        return _mm512_permutexvar_epi64(_mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7), _mm512_packs_epi32(a, b));
    }
    static Ints clamp(Ints values, Ints low, Ints high) {
        return _mm512_min_epi16(_mm512_max_epi16(values, low), high);
    }
    static Ints splat(std::int32_t value) { return _mm512_set1_epi16(static_cast<short>(value)); }
    // The first `count` 16-bit elements.
    static void store_first(std::int16_t* to, Ints values, int count) {
        if (count >= 2 * lanes) {
            _mm512_storeu_si512(to, values);
        } else {
            _mm512_mask_storeu_epi16(to, (__mmask32{1} << count) - 1, values);
        }
    }

    // Where conv16::narrows: floor((sum * m + 2^(c - 1)) / 2^c) with m in 15 and c >= 17 bits, by way of
    //   (high(sum) * m + (low(sum) * m >> 16) + 2^(c - 17)) >> (c - 16)
    // where high and low are the halves of a sum, low without a sign.
    struct Narrow {
        Ints low, high, half, right;

        Narrow(const bw_requant& r, int lane) {
            const Ints multiplier = load(r.multiplier + lane), one = _mm512_set1_epi32(1);
            const Ints rounded = _mm512_srli_epi32(_mm512_add_epi32(multiplier, _mm512_set1_epi32(1 << 15)), 16);
            low = _mm512_min_epi32(rounded, _mm512_set1_epi32(0x7fff));
            high = _mm512_slli_epi32(low, 16);
            right = _mm512_sub_epi32(_mm512_set1_epi32(-1), load(r.shift + lane));
            half = _mm512_sllv_epi32(one, _mm512_sub_epi32(right, one));
        }
        Ints round(Ints sums) const {
            const Ints upper = _mm512_dpwssd_epi32(half, sums, high), lower = _mm512_mulhi_epu16(sums, low);
            return _mm512_srav_epi32(_mm512_add_epi32(upper, lower), right);
        }
    };

    // Any rounding, within [qmin, qmax].
    static Ints requantize(const bw_requant& r, Ints sums, int lane) {
        return requantize_channels(r, sums, lane, 0xffff);
    }

    static void add_to_wide(std::int64_t* wide, Ints sums) {
        const __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(sums));
        const __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(sums, 1));
        _mm512_store_si512(wide, _mm512_add_epi64(_mm512_load_si512(wide), low));
        _mm512_store_si512(wide + 8, _mm512_add_epi64(_mm512_load_si512(wide + 8), high));
    }
    // BW_INT64 of 64-bit sums, within [qmin, qmax].
    static Ints requantize_wide(const bw_requant& r, const std::int64_t* wide, int lane) {
        const __m512i one = _mm512_set1_epi64(1);
        const auto half_of = [&](int first) {
            const __m512i multiplier = _mm512_cvtepi32_epi64(
                _mm256_loadu_si256(reinterpret_cast<const __m256i*>(r.multiplier + lane + first)));
            const __m512i shift =
                _mm512_cvtepi32_epi64(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(r.shift + lane + first)));
            const __m512i rounded = _mm512_srli_epi64(_mm512_add_epi64(multiplier, _mm512_set1_epi64(1 << 15)), 16);
            const __m512i reduced = _mm512_min_epi64(rounded, _mm512_set1_epi64(0x7fff));
            const __m512i half = _mm512_sllv_epi64(one, _mm512_sub_epi64(_mm512_set1_epi64(14), shift));
            const __m512i product = _mm512_mullo_epi64(_mm512_load_si512(wide + first), reduced);
            return _mm512_cvtepi64_epi32(
                _mm512_srav_epi64(_mm512_add_epi64(product, half), _mm512_sub_epi64(_mm512_set1_epi64(15), shift)));
        };
        const __m512i rounded = _mm512_inserti64x4(_mm512_castsi256_si512(half_of(0)), half_of(8), 1);
        const __m512i moved = _mm512_add_epi32(rounded, _mm512_set1_epi32(r.zero_point));
        return _mm512_min_epi32(_mm512_max_epi32(moved, _mm512_set1_epi32(r.qmin)), _mm512_set1_epi32(r.qmax));
    }
};

}  // namespace
}  // namespace bitwright::conv16
