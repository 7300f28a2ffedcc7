// Depthwise convolution with vpdpbusd: 16 channels x 4 taps an instruction. Windows 3 wide whose neighbours see the
// same columns keep them: a column of up to four rows is interleaved once, for two rows of results.
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

// The columns of interleaved taps that a window sees, where vectors are Stride columns apart: the last width - Stride
// of a window are the first of the next.
template <int Stride>
struct Columns {
    static constexpr int kept = width - Stride, fresh = Stride;
    __m512i loaded[kept + 2 * fresh][4];  // of two windows

    void keep_last() {
#pragma GCC unroll 2
        for (int i = 0; i < kept; ++i)
#pragma GCC unroll 4
            for (int q = 0; q < 4; ++q) loaded[i][q] = loaded[2 * Stride + i][q];
    }
    __m512i operator()(int vector, int kx, int q) const { return loaded[vector * Stride + kx][q]; }
};

// The same where a vector holds several columns of Bytes bytes each: those of a window begin within two vectors.
template <int Bytes>
struct Stream {
    static constexpr int kept = 1, fresh = 1;
    __m512i loaded[kept + 2 * fresh][4];

    void keep_last() {
#pragma GCC unroll 4
        for (int q = 0; q < 4; ++q) loaded[0][q] = loaded[2][q];
    }
    __m512i operator()(int vector, int kx, int q) const {
        const __m512i(&here)[4] = loaded[vector], (&next)[4] = loaded[vector + 1];
        if (kx == 0) return here[q];
        if (Bytes == 16) {
            return kx == 1 ? _mm512_alignr_epi64(next[q], here[q], 2) : _mm512_alignr_epi64(next[q], here[q], 4);
        }
        // Of each 16 bytes the first 8 are in quarters 0 and 1.
        if (kx == 1 && q < 2) return here[q + 2];
        const int from = kx == 1 ? q - 2 : q;
        return _mm512_alignr_epi64(next[from], here[from], 2);
    }
};

// Vectors of one quarter after the other, so that few sums wait for their turn in registers. Packed: rows of packed
// weights; Plain: zero_point and bounds are those of saturation.
template <int Packed, int Rows, int Vectors, bool Plain, typename Seen>
inline void multiply(const Strip& strip, const Seen& seen, std::uint8_t* y, __mmask64 last) {
    __m512i words[2][Rows][Vectors], even[Rows][Vectors];
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q) {
        const __m512i start = Avx512::start(strip.bias + q * 16);
        const __m512 scale = _mm512_loadu_ps(strip.scale + q * 16);
        __m512i columns[Vectors][width];
#pragma GCC unroll 2
        for (int v = 0; v < Vectors; ++v)
#pragma GCC unroll 3
            for (int kx = 0; kx < width; ++kx) columns[v][kx] = seen(v, kx, q);
#pragma GCC unroll 2
        for (int r = 0; r < Rows; ++r) {
            __m512i sums[Vectors];
#pragma GCC unroll 2
            for (int v = 0; v < Vectors; ++v) sums[v] = start;
#pragma GCC unroll 3
            for (int kx = 0; kx < width; ++kx) {
                const __m512i w = Avx512::load_weights(strip.weights + (kx * Packed + r) * 256 + q * 64);
#pragma GCC unroll 2
                for (int v = 0; v < Vectors; ++v) sums[v] = _mm512_dpbusd_epi32(sums[v], columns[v][kx], w);
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
            const __m512i bounded =
                Plain ? bytes : _mm512_min_epu8(_mm512_max_epu8(bytes, strip.to.qmin), strip.to.qmax);
            _mm512_mask_storeu_epi8(y + r * strip.y_sh + v * strip.y_step, v + 1 == Vectors ? last : strip.each,
                                    bounded);
        }
}

// All vectors of a pattern, in Rows rows. Seen: Columns or Stream; step: from one of `loaded` to the next, in x.
template <int Packed, int Rows, bool Plain, typename Seen>
void run_strip(const Place& place, std::int64_t step) {
    const Call& call = *place.call;
    const Pattern& pattern = *place.pattern;
    Strip strip{call.weights + pattern.weights,
                call.bias + pattern.lane,
                call.requant->scale + pattern.lane,
                Narrow(*call.requant),
                Avx512::Finish::first(pattern.lanes),
                Avx512::Finish::first(pattern.last_lanes),
                call.y_step,
                call.shape->y_sh};
    const std::int64_t rows[] = {place.taps[0], place.taps[1], place.taps[2], place.taps[3]};
    Seen seen;
    const std::uint8_t* x = place.x;
    std::uint8_t* y = place.y;
    const auto load_next = [&](__m512i(&column)[4]) {
        const __m512i bytes[] = {Avx512::load(x + rows[0]), Avx512::load(x + rows[1]), Avx512::load(x + rows[2]),
                                 Avx512::load(x + rows[3])};
        Avx512::interleave(bytes, column);
        x += step;
    };
#pragma GCC unroll 2
    for (int i = 0; i < Seen::kept; ++i) load_next(seen.loaded[i]);
    int left = pattern.vectors;
    for (; left >= 2; left -= 2) {
        // Hides from the compiler that these stay the same, or it keeps an address for each of the weights.
        __asm__("" : "+r"(strip.weights), "+r"(strip.bias), "+r"(strip.scale));
#pragma GCC unroll 4
        for (int i = 0; i < 2 * Seen::fresh; ++i) load_next(seen.loaded[Seen::kept + i]);
        multiply<Packed, Rows, 2, Plain>(strip, seen, y, left == 2 ? strip.last : strip.each);
        y += 2 * strip.y_step;
        seen.keep_last();
    }
    if (left == 0) return;
#pragma GCC unroll 2
    for (int i = 0; i < Seen::fresh; ++i) load_next(seen.loaded[Seen::kept + i]);
    multiply<Packed, Rows, 1, Plain>(strip, seen, y, strip.last);
}

template <int Packed, int Rows, bool Plain>
void run_seen(const Place& place) {
    const std::int64_t column_step = place.taps[4] - place.taps[0];
    switch (place.call->shared_columns) {
        case 1:
            return run_strip<Packed, Rows, Plain, Columns<1>>(place, column_step);
        case 2:
            return run_strip<Packed, Rows, Plain, Columns<2>>(place, column_step);
        case 4:
            return run_strip<Packed, Rows, Plain, Stream<16>>(place, 64);
        default:
            return run_strip<Packed, Rows, Plain, Stream<8>>(place, 64);
    }
}

template <int Packed, int Rows>
void run_strips(const Place& place) {
    const bw_requant& r = *place.call->requant;
    const bool is_plain = r.zero_point == 0 && r.qmin == 0 && r.qmax == 255;
    is_plain ? run_seen<Packed, Rows, true>(place) : run_seen<Packed, Rows, false>(place);
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
