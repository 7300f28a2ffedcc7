// 64 channels at a time for depthwise/tiles.h. Included by AVX-512 kernels alone.
#pragma once

#include "base/narrow_avx512.h"
#include "depthwise/tiles.h"

namespace bitwright::depthwise {
namespace {

// Keeps a value in a register: the compiler would read memory again for each use, and loads are what runs out.
inline void keep(__m512i& value) { __asm__("" : "+v"(value)); }

struct Avx512 {
    using Bytes = __m512i;
    using Sums = __m512i;
    using Weights = __m512i;
    using Lanes = __mmask64;
    static constexpr Cut cut{.lanes = 64, .bytes = 1, .shares_columns = true, .gathers = true};
    static constexpr int lanes = cut.lanes, most_vectors = 2, weights_bytes = 64;

    static Bytes load(const std::uint8_t* x) {
        __m512i bytes = _mm512_loadu_si512(x);
        keep(bytes);
        return bytes;
    }
    static Bytes gather(const std::uint8_t* x, const Gather& from) {
        return _mm512_permutex2var_epi64(load(x), _mm512_loadu_si512(from.eights), load(x + 64));
    }
    // Quarter q: bytes 4 * q to 4 * q + 3 of each 16.
    static void interleave(const Bytes (&t)[4], Bytes (&four)[4]) {
        const __m512i low[] = {_mm512_unpacklo_epi8(t[0], t[1]), _mm512_unpacklo_epi8(t[2], t[3])};
        const __m512i high[] = {_mm512_unpackhi_epi8(t[0], t[1]), _mm512_unpackhi_epi8(t[2], t[3])};
        four[0] = _mm512_unpacklo_epi16(low[0], low[1]);
        four[1] = _mm512_unpackhi_epi16(low[0], low[1]);
        four[2] = _mm512_unpacklo_epi16(high[0], high[1]);
        four[3] = _mm512_unpackhi_epi16(high[0], high[1]);
    }
    static Sums start(const std::int32_t* bias) {
        __m512i sums = _mm512_loadu_si512(bias);
        keep(sums);
        return sums;
    }
    static Weights load_weights(const std::byte* weights) {
        __m512i w = _mm512_load_si512(weights);
        keep(w);
        return w;
    }
    static Sums multiply(Sums sum, Bytes four, Weights w) { return _mm512_dpbusd_epi32(sum, four, w); }

    static void store(std::uint8_t* y, Bytes bytes, Lanes lanes) { _mm512_mask_storeu_epi8(y, lanes, bytes); }

    // Sums of the vectors of one pattern to bytes. Packing works within 128 bits, as interleaving does: it restores the
    // order.
    struct Finish {
        const bw_requant& requant;
        const int lane;
        const Narrow to;
        const Lanes each, last;

        Finish(const bw_requant& r, const Pattern& pattern)
            : requant(r), lane(pattern.lane), to(r), each(first(pattern.lanes)), last(first(pattern.last_lanes)) {}

        static Lanes first(int count) { return ~std::uint64_t{0} >> (64 - count); }

        Bytes narrow(const Sums (&sums)[4]) const {
            __m512i rounded[4];
#pragma GCC unroll 4
            for (int q = 0; q < 4; ++q)
                rounded[q] = Narrow::round(sums[q], _mm512_loadu_ps(requant.scale + lane + q * 16));
            const __m512i low = _mm512_adds_epi16(_mm512_packs_epi32(rounded[0], rounded[1]), to.zero_point);
            const __m512i high = _mm512_adds_epi16(_mm512_packs_epi32(rounded[2], rounded[3]), to.zero_point);
            return _mm512_min_epu8(_mm512_max_epu8(_mm512_packus_epi16(low, high), to.qmin), to.qmax);
        }
        Bytes requantize(const Sums (&sums)[4]) const {
            __m512i integers[4];
            for (int q = 0; q < 4; ++q) integers[q] = requantize_channels(requant, sums[q], lane + q * 16, 0xffff);
            return _mm512_packus_epi16(_mm512_packs_epi32(integers[0], integers[1]),
                                       _mm512_packs_epi32(integers[2], integers[3]));
        }
    };

    static void run_shared(const Place& place, int rows);
};

}  // namespace
}  // namespace bitwright::depthwise
