// Depthwise convolution with vpmaddwd: 8 channels x 2 taps an instruction. (vpmaddubsw would take 4, but saturates.)
#include "base/narrow_avx2.h"
#include "depthwise/tiles.h"

namespace bitwright::depthwise {
namespace {

// Keeps sums in the order they are written in: the compiler would compute all products before it adds them, and run out
// of registers.
inline void keep(__m256i& sum) { __asm__("" : "+x"(sum)); }

struct Avx2 {
    using Bytes = __m256i;
    using Sums = __m256i;
    using Weights = const __m256i*;
    using Lanes = int;  // how many
    static constexpr Cut cut{.lanes = 32, .bytes = 2, .shares_columns = false, .gathers = false};
    static constexpr int lanes = cut.lanes, most_vectors = 1, weights_bytes = 64;

    static Bytes load(const std::uint8_t* x) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)); }
    // Quarter q: bytes 4 * q to 4 * q + 3 of each 16.
    static void interleave(const Bytes (&t)[4], Bytes (&four)[4]) {
        const __m256i low[] = {_mm256_unpacklo_epi8(t[0], t[1]), _mm256_unpacklo_epi8(t[2], t[3])};
        const __m256i high[] = {_mm256_unpackhi_epi8(t[0], t[1]), _mm256_unpackhi_epi8(t[2], t[3])};
        four[0] = _mm256_unpacklo_epi16(low[0], low[1]);
        four[1] = _mm256_unpackhi_epi16(low[0], low[1]);
        four[2] = _mm256_unpacklo_epi16(high[0], high[1]);
        four[3] = _mm256_unpackhi_epi16(high[0], high[1]);
    }
    static Sums start(const std::int32_t* bias) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bias)); }
    static Weights load_weights(const std::byte* weights) { return reinterpret_cast<Weights>(weights); }
    static Sums multiply(Sums sum, Bytes four, Weights w) {
        const __m256i taps_02 = _mm256_and_si256(four, _mm256_set1_epi16(0xff)), taps_13 = _mm256_srli_epi16(four, 8);
        const __m256i sum_02 = _mm256_madd_epi16(taps_02, _mm256_load_si256(w));
        const __m256i sum_13 = _mm256_madd_epi16(taps_13, _mm256_load_si256(w + 1));
        sum = _mm256_add_epi32(sum, _mm256_add_epi32(sum_02, sum_13));
        keep(sum);
        return sum;
    }

    static void store(std::uint8_t* y, Bytes bytes, Lanes count) {
        if (count == lanes) {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), bytes);
            return;
        }
        alignas(32) std::uint8_t whole[lanes];
        _mm256_store_si256(reinterpret_cast<__m256i*>(whole), bytes);
        for (int i = 0; i < count; ++i) y[i] = whole[i];
    }

    // Sums of the vectors of one pattern to bytes. Packing works within 128 bits, as interleaving does: it restores the
    // order.
    struct Finish {
        const bw_requant& requant;
        const int lane;
        const Narrow to;
        const Lanes each, last;

        Finish(const bw_requant& r, const Pattern& pattern)
            : requant(r), lane(pattern.lane), to(r), each(pattern.lanes), last(pattern.last_lanes) {}

        Bytes narrow(const Sums (&sums)[4]) const {
            __m256i rounded[4];
#pragma GCC unroll 4
            for (int q = 0; q < 4; ++q)
                rounded[q] = Narrow::round(sums[q], _mm256_loadu_ps(requant.scale + lane + q * 8));
            const __m256i low = _mm256_adds_epi16(_mm256_packs_epi32(rounded[0], rounded[1]), to.zero_point);
            const __m256i high = _mm256_adds_epi16(_mm256_packs_epi32(rounded[2], rounded[3]), to.zero_point);
            return _mm256_min_epu8(_mm256_max_epu8(_mm256_packus_epi16(low, high), to.qmin), to.qmax);
        }
        Bytes requantize(const Sums (&sums)[4]) const {
            __m256i integers[4];
            const __m256i all = _mm256_set1_epi32(-1);
            for (int q = 0; q < 4; ++q) integers[q] = requantize_channels(requant, sums[q], lane + q * 8, all);
            return _mm256_packus_epi16(_mm256_packs_epi32(integers[0], integers[1]),
                                       _mm256_packs_epi32(integers[2], integers[3]));
        }
    };

    static void run_shared(const Place&, int) {}
};

}  // namespace

const Kernel avx2{"depthwise.avx2", Isa::avx2, &Avx2::cut, run<Avx2>};

}  // namespace bitwright::depthwise
