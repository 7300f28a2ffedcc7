// Quantize and dequantize, 8 elements a vector.
#include <immintrin.h>

#include "elementwise/quantize_rows.h"

namespace bitwright::elementwise {
namespace {

struct Vectors {
    using Reals = __m256;
    using Ints = __m256i;
    static constexpr int count = 8;

    static Reals splat(float x) { return _mm256_set1_ps(x); }
    static Ints splat_int(std::int32_t x) { return _mm256_set1_epi32(x); }
    static Ints splat_short(std::int32_t x) { return _mm256_set1_epi16(static_cast<short>(x)); }
    static Ints lanes(int left) {
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(left), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
    }

    static Reals load(const float* x) { return _mm256_loadu_ps(x); }
    static Reals load_some(const float* x, int left) { return _mm256_maskload_ps(x, lanes(left)); }
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
    static Reals multiply(Reals a, Reals b) { return _mm256_mul_ps(a, b); }
    static Reals divide(Reals a, Reals b) { return _mm256_div_ps(a, b); }
    static Reals smaller(Reals a, Reals b) { return _mm256_min_ps(a, b); }  // b where one is NaN
    static Reals larger(Reals a, Reals b) { return _mm256_max_ps(a, b); }
    static Reals to_real(Ints a) { return _mm256_cvtepi32_ps(a); }
    static Ints round_even(Reals a) { return _mm256_cvtps_epi32(a); }
    // Toward zero once the largest float below a half is added to the size.
    static Ints round_away(Reals a) {
        const Reals half = _mm256_or_ps(_mm256_and_ps(a, _mm256_set1_ps(-0.0f)), _mm256_set1_ps(0.49999997f));
        return _mm256_cvttps_epi32(_mm256_add_ps(a, half));
    }

    static void store(std::uint8_t* y, const Ints (&made)[4], Ints bias) {
        const Ints order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        const Ints first = _mm256_adds_epi16(_mm256_packs_epi32(made[0], made[1]), bias);
        const Ints second = _mm256_adds_epi16(_mm256_packs_epi32(made[2], made[3]), bias);
        const Ints bytes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(first, second), order);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(y), bytes);
    }
    static __m128i shorts(Ints made) {
        return _mm_packs_epi32(_mm256_castsi256_si128(made), _mm256_extracti128_si256(made, 1));
    }
    static void store(std::int16_t* y, const Ints (&made)[4], Ints) {
        for (int v = 0; v < 4; ++v) _mm_storeu_si128(reinterpret_cast<__m128i*>(y) + v, shorts(made[v]));
    }
    static void store_some(std::uint8_t* y, Ints made, int left, Ints bias) {
        const __m128i moved = _mm_adds_epi16(shorts(made), _mm256_castsi256_si128(bias));
        std::uint8_t all[16];
        _mm_storeu_si128(reinterpret_cast<__m128i*>(all), _mm_packus_epi16(moved, moved));
        for (int i = 0; i < left; ++i) y[i] = all[i];
    }
    static void store_some(std::int16_t* y, Ints made, int left, Ints) {
        std::int16_t all[8];
        _mm_storeu_si128(reinterpret_cast<__m128i*>(all), shorts(made));
        for (int i = 0; i < left; ++i) y[i] = all[i];
    }
    static void store(float* y, Reals made) { _mm256_storeu_ps(y, made); }
    static void store_some(float* y, Reals made, int left) { _mm256_maskstore_ps(y, lanes(left), made); }
};

}  // namespace

const QuantizeKernel quantize_avx2{"quantize.avx2",        Isa::avx2,
                                   quantize_u8<Vectors>,   quantize_i16<Vectors>,
                                   dequantize_u8<Vectors>, dequantize_i16<Vectors>};

}  // namespace bitwright::elementwise
