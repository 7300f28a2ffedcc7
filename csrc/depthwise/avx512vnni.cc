// Depthwise convolution with vpdpbusd: 16 channels x 4 taps an instruction. Windows 3 wide whose neighbours see the same
// columns keep them: a column of up to four rows is interleaved once, for two rows of results.
#include "depthwise/tiles.h"
#include "depthwise/vectors_avx512.h"

namespace bitwright::depthwise {
namespace {

constexpr int width = 3;  // of the window, in columns

// One pattern, as the loop over its vectors needs it.
struct Strip {
    const std::byte* weights;
    const std::int32_t* bias;
    const float* scale;
    Narrow to;
    __mmask64 each, last;  // what is stored of a vector
    std::int64_t y_step, y_sh;
};

// Vectors of one quarter after the other, so that few sums wait for their turn in registers. Packed: rows of packed
// weights; Plain: zero_point and bounds are those of saturation.
template <int Packed, int Rows, int Stride, int Vectors, bool Plain>
inline void multiply(const Strip& strip, const __m512i (*columns)[4], std::uint8_t* y, __mmask64 last) {
    __m512i words[2][Rows][Vectors], even[Rows][Vectors];
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
        const __m512i start = Avx512::start(strip.bias + q * 16);
        const __m512 scale = _mm512_loadu_ps(strip.scale + q * 16);
#pragma GCC unroll 2
        for (int r = 0; r < Rows; ++r) {
            __m512i sums[Vectors];
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) sums[v] = start;
#pragma GCC unroll 3
            for (int kx = 0; kx < width; ++kx) {
                const __m512i w = Avx512::load_weights(strip.weights + (kx * Packed + r) * 256 + q * 64);
#pragma GCC unroll 2
                for (int v = 0; v < Vectors; ++v) sums[v] = _mm512_dpbusd_epi32(sums[v], columns[v * Stride + kx][q], w);
            }
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) {
                const __m512i rounded = Narrow::round(sums[v], scale);
                if (q % 2 == 0) {
                    even[r][v] = rounded;
                } else {
                    const __m512i packed = _mm512_packs_epi32(even[r][v], rounded);
                    words[q / 2][r][v] = Plain ? packed : _mm512_adds_epi16(packed, strip.to.zero_point);
                }
            }
        }
    }
#pragma GCC unroll 2
    for (int r = 0; r < Rows; ++r)
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v) {
            const __m512i bytes = _mm512_packus_epi16(words[0][r][v], words[1][r][v]);
            const __m512i bounded = Plain ? bytes : _mm512_min_epu8(_mm512_max_epu8(bytes, strip.to.qmin), strip.to.qmax);
            _mm512_mask_storeu_epi8(y + r * strip.y_sh + v * strip.y_step, v + 1 == Vectors ? last : strip.each, bounded);
        }
}

// Stride: columns from one vector's window to the next; the last width - Stride are kept.
template <int Packed, int Rows, int Stride, bool Plain>
void run_strip(const Place& place) {
    const Call& call = *place.call;
    const Pattern& pattern = *place.pattern;
    Strip strip{call.weights + pattern.weights,
                call.bias + pattern.lane,
                call.requant->scale + pattern.lane,
                Narrow(*call.requant),
                Avx512::first(pattern.lanes),
                Avx512::first(pattern.last_lanes),
                call.y_step,
                call.shape->y_sh};
    const std::int64_t rows[] = {place.taps[0], place.taps[1], place.taps[2], place.taps[3]};
    const std::int64_t column_step = place.taps[4] - place.taps[0];
    constexpr int kept = width - Stride;
    __m512i columns[kept + 2 * Stride][4];
    const std::uint8_t* x = place.x;
    std::uint8_t* y = place.y;
    const auto load_column = [&](__m512i(&column)[4]) {
        const __m512i bytes[] = {Avx512::load(x + rows[0]), Avx512::load(x + rows[1]), Avx512::load(x + rows[2]),
                                 Avx512::load(x + rows[3])};
        Avx512::interleave(bytes, column);
        x += column_step;
    };
#pragma GCC unroll 2
    for (int i = 0; i < kept; ++i) load_column(columns[i]);
    int left = pattern.vectors;
    for (; left >= 2; left -= 2) {
        // Hides from the compiler that these stay the same, or it keeps an address for each of the weights.
        __asm__("" : "+r"(strip.weights), "+r"(strip.bias), "+r"(strip.scale));
#pragma GCC unroll 4
        for (int i = 0; i < 2 * Stride; ++i) load_column(columns[kept + i]);
        multiply<Packed, Rows, Stride, 2, Plain>(strip, columns, y, left == 2 ? strip.last : strip.each);
        y += 2 * strip.y_step;
#pragma GCC unroll 2
        for (int i = 0; i < kept; ++i)
#pragma GCC unroll 4
            for (int q = 0; q < 4; ++q) columns[i][q] = columns[2 * Stride + i][q];
    }
    if (left == 0) return;
#pragma GCC unroll 2
    for (int i = 0; i < Stride; ++i) load_column(columns[kept + i]);
    multiply<Packed, Rows, Stride, 1, Plain>(strip, columns, y, strip.last);
}

template <int Packed, int Rows>
void run_strips(const Place& place) {
    const bw_requant& r = *place.call->requant;
    const bool is_plain = r.zero_point == 0 && r.qmin == 0 && r.qmax == 255;
    if (place.call->shared_columns == 1) {
        is_plain ? run_strip<Packed, Rows, 1, true>(place) : run_strip<Packed, Rows, 1, false>(place);
    } else {
        is_plain ? run_strip<Packed, Rows, 2, true>(place) : run_strip<Packed, Rows, 2, false>(place);
    }
}

void Avx512::run_shared(const Place& place, int rows) {
    if (place.call->rows == 1) {
        run_strips<1, 1>(place);
    } else if (rows == 2) {
        run_strips<2, 2>(place);
    } else {
        run_strips<2, 1>(place);
    }
}

}  // namespace

const Kernel avx512vnni{"depthwise.avx512vnni", Isa::avx512vnni, &Avx512::cut, run<Avx512>};

}  // namespace bitwright::depthwise
