// Quantized pairs, 8 elements a vector; weighted sums, 32.
#include <immintrin.h>

#include "elementwise/pair_rows.h"
#include "elementwise/weighted_sum.h"

namespace bitwright::elementwise {
namespace {

struct Vectors {
    using Ints = __m256i;
    using Reals = __m256;
    using Wide = __m256i;  // half as many integers of 64 bits
    static constexpr int count = 8;

    static Ints splat(std::int32_t x) { return _mm256_set1_epi32(x); }
    static Wide splat_wide(std::int64_t x) { return _mm256_set1_epi64x(x); }
    static Reals splat_real(float x) { return _mm256_set1_ps(x); }
    // 64 bits are shifted without their sign here: products are moved up by 2^63 first, which leaves `excess` in the 32
    // bits that are kept.
    static Wide half_of(int right) {
        return _mm256_set1_epi64x(
            static_cast<std::int64_t>((std::uint64_t{1} << (right - 1)) + (std::uint64_t{1} << 63)));
    }
    static std::uint32_t excess(int right) { return right < 32 ? 0 : std::uint32_t{1} << (63 - right); }

    static Ints load(const std::uint8_t* x) {
        return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(x)));
    }
    static Ints load(const std::int16_t* x) {
        return _mm256_cvtepi16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(x)));
    }
    template <class T>
    static Ints load_some(const T* x, int left) {
        if (left == count) return load(x);
        T copy[count] = {};
        for (int i = 0; i < left; ++i) copy[i] = x[i];
        return load(copy);
    }

    static Ints add(Ints a, Ints b) { return _mm256_add_epi32(a, b); }
    static Ints sub(Ints a, Ints b) { return _mm256_sub_epi32(a, b); }
    static Ints multiply(Ints a, Ints b) { return _mm256_mullo_epi32(a, b); }
    static Ints shift_left(Ints a, Ints bits) { return _mm256_sllv_epi32(a, bits); }
    static Ints shift_right(Ints a, Ints bits) { return _mm256_srav_epi32(a, bits); }
    // x + more where the sign is negative, x elsewhere.
    static Ints add_if_negative(Ints x, Ints sign, Ints more) {
        return add(x, _mm256_and_si256(_mm256_srai_epi32(sign, 31), more));
    }
    static Ints choose_if_negative(Ints sign, Ints with, Ints without) {
        return _mm256_blendv_epi8(without, with, _mm256_srai_epi32(sign, 31));
    }
    static Ints round_product(Ints a, Reals scale) {
        return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(a), scale));
    }
    static Ints high_product(Ints a, Ints m, Wide half, Wide right) {
        const Ints even = _mm256_srlv_epi64(_mm256_add_epi64(_mm256_mul_epi32(a, m), half), right);
        const Ints odd =
            _mm256_srlv_epi64(_mm256_add_epi64(_mm256_mul_epi32(_mm256_srli_epi64(a, 32), m), half), right);
        return _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xaa);
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
              point_16(_mm256_set1_epi16(static_cast<short>(r.zero_point))),
              least(splat_stored(r.qmin)),
              most(splat_stored(r.qmax)) {}

        void store_some(T* y, Ints made, int left) const {
            const Ints moved = add(_mm256_min_epi32(_mm256_max_epi32(made, low), high), zero_point);
            __m128i packed = _mm_packs_epi32(_mm256_castsi256_si128(moved), _mm256_extracti128_si256(moved, 1));
            if constexpr (sizeof(T) == 1) packed = _mm_packus_epi16(packed, packed);
            alignas(16) T all[16 / sizeof(T)];
            _mm_store_si128(reinterpret_cast<__m128i*>(all), packed);
            if (left == count) {
                __builtin_memcpy(y, all, count * sizeof(T));
            } else {
                for (int i = 0; i < left; ++i) y[i] = all[i];
            }
        }
        void store(T* y, const Ints (&made)[4]) const {
            // Saturated to 16 bits first: beyond them is beyond the bounds.
            const Ints first = _mm256_packs_epi32(made[0], made[1]), second = _mm256_packs_epi32(made[2], made[3]);
            auto* const to = reinterpret_cast<__m256i*>(y);
            if constexpr (sizeof(T) == 1) {
                const Ints order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
                const Ints bytes =
                    _mm256_packus_epi16(_mm256_adds_epi16(first, point_16), _mm256_adds_epi16(second, point_16));
                const Ints bounded = _mm256_min_epu8(_mm256_max_epu8(bytes, least), most);
                _mm256_storeu_si256(to, _mm256_permutevar8x32_epi32(bounded, order));
            } else {
                const auto bounded = [&](Ints x) { return _mm256_min_epi16(_mm256_max_epi16(x, least), most); };
                _mm256_storeu_si256(to, _mm256_permute4x64_epi64(bounded(first), 0xd8));
                _mm256_storeu_si256(to + 1, _mm256_permute4x64_epi64(bounded(second), 0xd8));
            }
        }

      private:
        static Ints splat_stored(std::int32_t bound) {
            return sizeof(T) == 1 ? _mm256_set1_epi8(static_cast<char>(bound))
                                  : _mm256_set1_epi16(static_cast<short>(bound));
        }
    };
};

struct ByteVectors {
    using Bytes = __m256i;
    static constexpr std::int64_t bytes = 32;
    static constexpr bool has_masks = false;

    static Bytes load(const std::uint8_t* x) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)); }
    static void store(std::uint8_t* y, Bytes x) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), x); }
    static Bytes splat_8(std::int32_t x) { return _mm256_set1_epi8(static_cast<char>(x)); }
    static Bytes splat_16(std::int32_t x) { return _mm256_set1_epi16(static_cast<short>(x)); }
    static Bytes splat_32(std::int32_t x) { return _mm256_set1_epi32(x); }
    static Bytes join_low(Bytes a, Bytes b) { return _mm256_unpacklo_epi8(a, b); }
    static Bytes join_high(Bytes a, Bytes b) { return _mm256_unpackhi_epi8(a, b); }
    static Bytes widen_low(Bytes x) { return _mm256_unpacklo_epi8(x, _mm256_setzero_si256()); }
    static Bytes widen_high(Bytes x) { return _mm256_unpackhi_epi8(x, _mm256_setzero_si256()); }
    static Bytes sum_of_products(Bytes sum, Bytes x, Bytes m) { return _mm256_add_epi32(sum, _mm256_madd_epi16(x, m)); }
    static Bytes pairs_by_bytes(Bytes x, Bytes m) { return _mm256_maddubs_epi16(x, m); }
    // The upper 16 bits of integers of 32, of `first` in the lower half of each lane.
    static Bytes high_halves(Bytes first, Bytes second) {
        return _mm256_packs_epi32(_mm256_srai_epi32(first, 16), _mm256_srai_epi32(second, 16));
    }
    static Bytes add_16(Bytes a, Bytes b) { return _mm256_add_epi16(a, b); }
    static Bytes shift_16(Bytes a, __m128i by) { return _mm256_sra_epi16(a, by); }
    static Bytes pack(Bytes first, Bytes second) { return _mm256_packus_epi16(first, second); }
    static Bytes bound(Bytes x, Bytes least, Bytes most) { return _mm256_min_epu8(_mm256_max_epu8(x, least), most); }
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

const PairKernel pair_avx2{"pair.avx2", Isa::avx2, run_u8, run_i16};

}  // namespace bitwright::elementwise
