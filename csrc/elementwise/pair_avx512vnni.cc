// Quantized pairs, 16 elements a vector; weighted sums, 64.
#include <immintrin.h>

#include "elementwise/pair_rows.h"
#include "elementwise/weighted_sum.h"

namespace bitwright::elementwise {
namespace {

struct Vectors {
    using Ints = __m512i;
    using Reals = __m512;
    using Wide = __m512i;  // half as many integers of 64 bits
    static constexpr int count = 16;

    static Ints splat(std::int32_t x) { return _mm512_set1_epi32(x); }
    static Wide splat_wide(std::int64_t x) { return _mm512_set1_epi64(x); }
    static Reals splat_real(float x) { return _mm512_set1_ps(x); }
    static Wide half_of(int right) { return _mm512_set1_epi64(std::int64_t{1} << (right - 1)); }
    static std::uint32_t excess(int) { return 0; }

    static __mmask16 lanes(int left) { return static_cast<__mmask16>((1u << left) - 1); }
    static Ints load(const std::uint8_t* x) {
        return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
    }
    static Ints load(const std::int16_t* x) {
        return _mm512_cvtepi16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
    }
    static Ints load_some(const std::uint8_t* x, int left) {
        return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes(left), x));
    }
    static Ints load_some(const std::int16_t* x, int left) {
        return _mm512_cvtepi16_epi32(_mm256_maskz_loadu_epi16(lanes(left), x));
    }

    static Ints add(Ints a, Ints b) { return _mm512_add_epi32(a, b); }
    static Ints sub(Ints a, Ints b) { return _mm512_sub_epi32(a, b); }
    static Ints multiply(Ints a, Ints b) { return _mm512_mullo_epi32(a, b); }
    static Ints shift_left(Ints a, Ints bits) { return _mm512_sllv_epi32(a, bits); }
    static Ints shift_right(Ints a, Ints bits) { return _mm512_srav_epi32(a, bits); }
    // x + more where the sign is negative, x elsewhere.
    static Ints add_if_negative(Ints x, Ints sign, Ints more) {
        return _mm512_mask_add_epi32(x, _mm512_movepi32_mask(sign), x, more);
    }
    static Ints choose_if_negative(Ints sign, Ints with, Ints without) {
        return _mm512_mask_mov_epi32(without, _mm512_movepi32_mask(sign), with);
    }
    static Ints round_product(Ints a, Reals scale) {
        return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(a), scale));
    }
    static Ints high_product(Ints a, Ints m, Wide half, Wide right) {
        const Ints even = _mm512_srav_epi64(_mm512_add_epi64(_mm512_mul_epi32(a, m), half), right);
        const Ints odd =
            _mm512_srav_epi64(_mm512_add_epi64(_mm512_mul_epi32(_mm512_srli_epi64(a, 32), m), half), right);
        return _mm512_mask_blend_epi32(0xaaaa, even, _mm512_slli_epi64(odd, 32));
    }

    // Results moved by the zero_point (0 for i16), between their bounds.
    template <class T>
    struct Bounds {
        Ints zero_point, low, high;  // of 32-bit results
        Ints point_16, least, most;  // of results packed to 16 bits; bounds as they are stored
        explicit Bounds(const bw_requant& r)
            : zero_point(splat(r.zero_point)),
              low(splat(r.qmin - r.zero_point)),
              high(splat(r.qmax - r.zero_point)),
              point_16(_mm512_set1_epi16(static_cast<short>(r.zero_point))),
              least(splat_stored(r.qmin)),
              most(splat_stored(r.qmax)) {}

        void store_some(T* y, Ints made, int left) const {
            const Ints moved = add(_mm512_min_epi32(_mm512_max_epi32(made, low), high), zero_point);
            if constexpr (sizeof(T) == 1) {
                _mm_mask_storeu_epi8(y, lanes(left), _mm512_cvtepi32_epi8(moved));
            } else {
                _mm256_mask_storeu_epi16(y, lanes(left), _mm512_cvtepi32_epi16(moved));
            }
        }
        void store(T* y, const Ints (&made)[4]) const {
            // Saturated to 16 bits first: beyond them is beyond the bounds.
            const Ints first = _mm512_packs_epi32(made[0], made[1]), second = _mm512_packs_epi32(made[2], made[3]);
            if constexpr (sizeof(T) == 1) {
                const Ints order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
                const Ints bytes =
                    _mm512_packus_epi16(_mm512_adds_epi16(first, point_16), _mm512_adds_epi16(second, point_16));
                const Ints bounded = _mm512_min_epu8(_mm512_max_epu8(bytes, least), most);
                _mm512_storeu_si512(y, _mm512_permutexvar_epi32(order, bounded));
            } else {
                const Ints order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
                const auto bounded = [&](Ints x) { return _mm512_min_epi16(_mm512_max_epi16(x, least), most); };
                _mm512_storeu_si512(y, _mm512_permutexvar_epi64(order, bounded(first)));
                _mm512_storeu_si512(y + 32, _mm512_permutexvar_epi64(order, bounded(second)));
            }
        }

      private:
        static Ints splat_stored(std::int32_t bound) {
            return sizeof(T) == 1 ? _mm512_set1_epi8(static_cast<char>(bound))
                                  : _mm512_set1_epi16(static_cast<short>(bound));
        }
    };
};

struct ByteVectors {
    using Bytes = __m512i;
    static constexpr std::int64_t bytes = 64;
    static constexpr bool has_masks = true;

    static Bytes load(const std::uint8_t* x) { return _mm512_loadu_si512(x); }
    static void store(std::uint8_t* y, Bytes x) { _mm512_storeu_si512(y, x); }
    static __mmask64 lanes(int left) { return (__mmask64{1} << left) - 1; }
    static Bytes load_some(const std::uint8_t* x, int left) { return _mm512_maskz_loadu_epi8(lanes(left), x); }
    static void store_some(std::uint8_t* y, Bytes x, int left) { _mm512_mask_storeu_epi8(y, lanes(left), x); }
    static Bytes splat_8(std::int32_t x) { return _mm512_set1_epi8(static_cast<char>(x)); }
    static Bytes splat_16(std::int32_t x) { return _mm512_set1_epi16(static_cast<short>(x)); }
    static Bytes splat_32(std::int32_t x) { return _mm512_set1_epi32(x); }
    static Bytes join_low(Bytes a, Bytes b) { return _mm512_unpacklo_epi8(a, b); }
    static Bytes join_high(Bytes a, Bytes b) { return _mm512_unpackhi_epi8(a, b); }
    static Bytes widen_low(Bytes x) { return _mm512_unpacklo_epi8(x, _mm512_setzero_si512()); }
    static Bytes widen_high(Bytes x) { return _mm512_unpackhi_epi8(x, _mm512_setzero_si512()); }
    static Bytes sum_of_products(Bytes sum, Bytes x, Bytes m) { return _mm512_dpwssd_epi32(sum, x, m); }
    static Bytes pairs_by_bytes(Bytes x, Bytes m) { return _mm512_maddubs_epi16(x, m); }
    // The upper 16 bits of integers of 32, of `first` in the lower half of each lane.
    static Bytes high_halves(Bytes first, Bytes second) {
        const Bytes odd = _mm512_setr_epi32(  // 16-bit numbers, two an entry
            0x00030001, 0x00070005, 0x00230021, 0x00270025, 0x000b0009, 0x000f000d, 0x002b0029, 0x002f002d,  //
            0x00130011, 0x00170015, 0x00330031, 0x00370035, 0x001b0019, 0x001f001d, 0x003b0039, 0x003f003d);
        return _mm512_permutex2var_epi16(first, odd, second);
    }
    static Bytes add_16(Bytes a, Bytes b) { return _mm512_add_epi16(a, b); }
    static Bytes shift_16(Bytes a, __m128i by) { return _mm512_sra_epi16(a, by); }
    static Bytes pack(Bytes first, Bytes second) { return _mm512_packus_epi16(first, second); }
    static Bytes bound(Bytes x, Bytes least, Bytes most) { return _mm512_min_epu8(_mm512_max_epu8(x, least), most); }
};

void run_u8(const bw_pair& how, const bw_block& block, const std::uint8_t* a, const std::uint8_t* b, std::uint8_t* y) {
    bw_block rest = block;
    const std::int64_t done = run_weighted_sum<ByteVectors>(how, block, a, b, y);
    rest.length -= done;
    if (rest.length == 0) return;
    if (!run_pair<Vectors>(how, rest, a + done, b + done, y + done))
        bw_pair_reference_u8(&how, &rest, a + done, b + done, y + done);
}

void run_i16(const bw_pair& how, const bw_block& block, const std::int16_t* a, const std::int16_t* b, std::int16_t* y) {
    if (!run_pair<Vectors>(how, block, a, b, y)) bw_pair_reference_i16(&how, &block, a, b, y);
}

}  // namespace

const PairKernel pair_avx512vnni{"pair.avx512vnni", Isa::avx512vnni, run_u8, run_i16};

}  // namespace bitwright::elementwise
