// Quantize and dequantize, 16 elements a vector.
#include <immintrin.h>

#include "elementwise/quantize_rows.h"

namespace bitwright::elementwise {
namespace {

struct Vectors {
    using Reals = __m512;
    using Ints = __m512i;
    static constexpr int count = 16;

    static Reals splat(float x) { return _mm512_set1_ps(x); }
    static Ints splat_int(std::int32_t x) { return _mm512_set1_epi32(x); }
    static Ints splat_short(std::int32_t x) { return _mm512_set1_epi16(static_cast<short>(x)); }
    static __mmask16 lanes(int left) { return static_cast<__mmask16>((1u << left) - 1); }

    static Reals load(const float* x) { return _mm512_loadu_ps(x); }
    static Reals load_some(const float* x, int left) { return _mm512_maskz_loadu_ps(lanes(left), x); }
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
    static Reals multiply(Reals a, Reals b) { return _mm512_mul_ps(a, b); }
    static Reals divide(Reals a, Reals b) { return _mm512_div_ps(a, b); }
    static Reals smaller(Reals a, Reals b) { return _mm512_min_ps(a, b); }  // b where one is NaN
    static Reals larger(Reals a, Reals b) { return _mm512_max_ps(a, b); }
    static Reals to_real(Ints a) { return _mm512_cvtepi32_ps(a); }
    static Ints round_even(Reals a) { return _mm512_cvtps_epi32(a); }
    // Toward zero once the largest float below a half is added to the size.
    static Ints round_away(Reals a) {
        const Reals half = _mm512_or_ps(_mm512_and_ps(a, _mm512_set1_ps(-0.0f)), _mm512_set1_ps(0.49999997f));
        return _mm512_cvttps_epi32(_mm512_add_ps(a, half));
    }

    static void store(std::uint8_t* y, const Ints (&made)[4], Ints bias) {
        const Ints order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
        const Ints first = _mm512_adds_epi16(_mm512_packs_epi32(made[0], made[1]), bias);
        const Ints second = _mm512_adds_epi16(_mm512_packs_epi32(made[2], made[3]), bias);
        _mm512_storeu_si512(y, _mm512_permutexvar_epi32(order, _mm512_packus_epi16(first, second)));
    }
    static void store(std::int16_t* y, const Ints (&made)[4], Ints) {
        for (int v = 0; v < 4; ++v)
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(y) + v, _mm512_cvtsepi32_epi16(made[v]));
    }
    static void store_some(std::uint8_t* y, Ints made, int left, Ints bias) {
        const __m256i shorts = _mm256_adds_epi16(_mm512_cvtsepi32_epi16(made), _mm512_castsi512_si256(bias));
        const __m256i positive = _mm256_max_epi16(shorts, _mm256_setzero_si256());
        _mm_mask_storeu_epi8(y, lanes(left), _mm256_cvtusepi16_epi8(positive));
    }
    static void store_some(std::int16_t* y, Ints made, int left, Ints) {
        _mm256_mask_storeu_epi16(y, lanes(left), _mm512_cvtsepi32_epi16(made));
    }
    static void store(float* y, Reals made) { _mm512_storeu_ps(y, made); }
    static void store_some(float* y, Reals made, int left) { _mm512_mask_storeu_ps(y, lanes(left), made); }
};

}  // namespace

const QuantizeKernel quantize_avx512vnni{"quantize.avx512vnni", Isa::avx512vnni,        quantize_u8<Vectors>,
                                         quantize_i16<Vectors>, dequantize_u8<Vectors>, dequantize_i16<Vectors>};

}  // namespace bitwright::elementwise
