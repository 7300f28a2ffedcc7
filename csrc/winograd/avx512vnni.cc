// Winograd's convolution with vpdpwssd: 16 channels x 2 values of the sum an instruction.
#include "winograd/winograd.h"

#include <immintrin.h>

#include "base/narrow_avx512.h"

namespace bitwright::winograd {
namespace {

constexpr int lanes = 16, most_vectors = 4, most_rows = 6;

// d -> B' d in one dimension.
inline void transform_pixels(const __m512i (&d)[6], __m512i (&t)[6]) {
    const auto add = [](__m512i a, __m512i b) { return _mm512_add_epi16(a, b); };
    const auto sub = [](__m512i a, __m512i b) { return _mm512_sub_epi16(a, b); };
    const auto times_4 = [](__m512i a) { return _mm512_slli_epi16(a, 2); };
    const __m512i far = sub(d[4], d[2]), near = _mm512_slli_epi16(sub(d[3], d[1]), 1);
    t[0] = add(sub(times_4(sub(d[0], d[2])), d[2]), d[4]);
    t[1] = sub(add(d[3], d[4]), times_4(add(d[1], d[2])));
    t[2] = add(sub(d[4], d[3]), times_4(sub(d[1], d[2])));
    t[3] = add(far, near);
    t[4] = sub(far, near);
    t[5] = add(sub(times_4(sub(d[1], d[3])), d[3]), d[5]);
}

// m -> A' m in one dimension: rows of A with columns times 6, 4, 4, 1, 1, 24.
inline void transform_sums(const __m512i (&m)[6], __m512i (&y)[4]) {
    const auto add = [](__m512i a, __m512i b) { return _mm512_add_epi32(a, b); };
    const auto sub = [](__m512i a, __m512i b) { return _mm512_sub_epi32(a, b); };
    const auto shift = [](__m512i a, unsigned by) { return _mm512_slli_epi32(a, by); };
    const __m512i inner = shift(add(m[1], m[2]), 2), outer = add(m[3], m[4]);
    const __m512i inner_odd = shift(sub(m[1], m[2]), 2), outer_odd = shift(sub(m[3], m[4]), 1);
    y[0] = add(add(shift(m[0], 2), shift(m[0], 1)), add(inner, outer));
    y[1] = add(inner_odd, outer_odd);
    y[2] = add(inner, shift(outer, 2));
    y[3] = add(add(inner_odd, shift(outer_odd, 2)), add(shift(m[5], 4), shift(m[5], 3)));
}

struct Place {
    std::int32_t n, y, x;  // image; first output row and column
};

inline Place place_of(const Layout& layout, int tile) {
    const int column = tile % layout.columns, row = tile / layout.columns;
    return {row / layout.rows, row % layout.rows * 4, column * 4};
}

// Pixels of one tile to i16[36][tiles][I]. Beyond the last row or column, whose results nobody keeps, the last is read
// again.
void transform_tile(const Call& call, int tile, int index, int tiles, std::int16_t* made) {
    const bw_conv_shape& s = *call.shape;
    const Place place = place_of(*call.layout, tile);
    const std::uint8_t* rows[6];
    std::int64_t columns[6];
    for (int i = 0; i < 6; ++i) {
        const int row = place.y + i < s.oh + 2 ? place.y + i : s.oh + 1;
        const int column = place.x + i < s.ow + 2 ? place.x + i : s.ow + 1;
        rows[i] = call.x + place.n * s.x_sn + row * s.x_sh;
        columns[i] = column * s.x_sw;
    }
    const std::int64_t step = static_cast<std::int64_t>(tiles) * s.i;
    for (int channel = 0; channel < s.i; channel += 32) {
        __m512i half[6][6];
#pragma GCC unroll 6
        for (int x = 0; x < 6; ++x) {
            __m512i d[6], t[6];
#pragma GCC unroll 6
            for (int y = 0; y < 6; ++y)
                d[y] = _mm512_cvtepu8_epi16(
                    _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[y] + columns[x] + channel)));
            transform_pixels(d, t);
#pragma GCC unroll 6
            for (int y = 0; y < 6; ++y) half[y][x] = t[y];
        }
        std::int16_t* to = made + static_cast<std::int64_t>(index) * s.i + channel;
#pragma GCC unroll 6
        for (int y = 0; y < 6; ++y) {
            __m512i t[6];
            transform_pixels(half[y], t);
#pragma GCC unroll 6
            for (int x = 0; x < 6; ++x, to += step) _mm512_store_si512(to, t[x]);
        }
    }
}

// Rows of tiles by a panel at one position: i32[row][vector][16].
template <int Rows, int Vectors>
void multiply(const std::int16_t* tiles, std::int64_t depth, const std::int16_t* weights, std::int32_t* sums) {
    __m512i sum[Rows][Vectors];
#pragma GCC unroll 6
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) sum[r][v] = _mm512_setzero_si512();
    }
    for (std::int64_t k = 0; k < depth; k += 2) {
        __m512i columns[Vectors];
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) columns[v] = _mm512_load_si512(weights + v * 32);
        weights += Vectors * 32;
#pragma GCC unroll 6
        for (int r = 0; r < Rows; ++r) {
            std::int32_t two;
            __builtin_memcpy(&two, tiles + r * depth + k, 4);
            const __m512i values = _mm512_set1_epi32(two);
#pragma GCC unroll 4
            for (int v = 0; v < Vectors; ++v) sum[r][v] = _mm512_dpwssd_epi32(sum[r][v], values, columns[v]);
        }
    }
#pragma GCC unroll 6
    for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
        for (int v = 0; v < Vectors; ++v) _mm512_store_si512(sums + (r * Vectors + v) * lanes, sum[r][v]);
    }
}

using Multiply = void (*)(const std::int16_t*, std::int64_t, const std::int16_t*, std::int32_t*);

template <int Vectors>
constexpr Multiply of_rows(int rows) {
    constexpr Multiply table[] = {nullptr,
                                  multiply<1, Vectors>,
                                  multiply<2, Vectors>,
                                  multiply<3, Vectors>,
                                  multiply<4, Vectors>,
                                  multiply<5, Vectors>,
                                  multiply<6, Vectors>};
    return table[rows];
}

inline Multiply multiply_of(int rows, int vectors) {
    return vectors == 4   ? of_rows<4>(rows)
           : vectors == 3 ? of_rows<3>(rows)
           : vectors == 2 ? of_rows<2>(rows)
                          : of_rows<1>(rows);
}

// Sums of one tile and 16 channels, i32[36] at `step` apart, to bytes of 4 x 4 pixels.
void finish(const Call& call, const Place& place, int channel, const std::int32_t* sums, std::int64_t step) {
    const bw_conv_shape& s = *call.shape;
    const __m512i inverse_of_9 = _mm512_set1_epi32(0x38e38e39);
    const __m512i bias = _mm512_loadu_si512(call.bias + channel);
    const Narrow narrow(*call.requant);
    __m512i half[4][6];
#pragma GCC unroll 6
    for (int x = 0; x < 6; ++x) {
        __m512i m[6], y[4];
#pragma GCC unroll 6
        for (int i = 0; i < 6; ++i) m[i] = _mm512_load_si512(sums + (i * 6 + x) * step);
        transform_sums(m, y);
#pragma GCC unroll 4
        for (int i = 0; i < 4; ++i) half[i][x] = y[i];
    }
    const int height = s.oh - place.y < 4 ? s.oh - place.y : 4, width = s.ow - place.x < 4 ? s.ow - place.x : 4;
    std::uint8_t* row = call.y + place.n * s.y_sn + place.y * s.y_sh + place.x * s.y_sw + channel;
    for (int i = 0; i < height; ++i, row += s.y_sh) {
        __m512i y[4];
        transform_sums(half[i], y);
#pragma GCC unroll 4
        for (int x = 0; x < 4; ++x)
            y[x] = _mm512_add_epi32(_mm512_srai_epi32(_mm512_mullo_epi32(y[x], inverse_of_9), 6), bias);
        __m512i bytes;
        if (call.narrows) {
            const __m512 scale = _mm512_loadu_ps(call.requant->scale + channel);
#pragma GCC unroll 4
            for (int x = 0; x < 4; ++x) y[x] = Narrow::round(y[x], scale);
            bytes = narrow.bytes(y[0], y[1], y[2], y[3]);
        } else {
            bytes = requantize_row(*call.requant, y, channel);
        }
        const __m128i quarters[] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
                                    _mm512_extracti32x4_epi32(bytes, 2), _mm512_extracti32x4_epi32(bytes, 3)};
        for (int x = 0; x < width; ++x) _mm_storeu_si128(reinterpret_cast<__m128i*>(row + x * s.y_sw), quarters[x]);
    }
}

}  // namespace

void run_avx512vnni(const Call& call, int first, int last, std::byte* scratch) {
    const bw_conv_shape& s = *call.shape;
    const Layout& layout = *call.layout;
    for (int block = first; block < last; ++block) {
        const int begin = block * layout.block_tiles;
        const int end = begin + layout.block_tiles < layout.tiles ? begin + layout.block_tiles : layout.tiles;
        const int tiles = end - begin;
        auto* const pixels = reinterpret_cast<std::int16_t*>(scratch);
        auto* const sums = reinterpret_cast<std::int32_t*>(pixels + static_cast<std::int64_t>(positions) * tiles * s.i);
        for (int tile = begin; tile < end; ++tile) transform_tile(call, tile, tile - begin, tiles, pixels);
        const std::int16_t* weights = call.weights;
        for (int vector = 0; vector < layout.vectors; vector += most_vectors) {
            const int vectors = layout.vectors - vector < most_vectors ? layout.vectors - vector : most_vectors;
            const std::int64_t step = static_cast<std::int64_t>(tiles) * vectors * lanes;
            const int parts = (tiles + most_rows - 1) / most_rows;
            for (int p = 0; p < positions; ++p, weights += static_cast<std::int64_t>(s.i) * vectors * lanes) {
                for (int part = 0; part < parts; ++part) {
                    const int from = tiles * part / parts, rows = tiles * (part + 1) / parts - from;
                    multiply_of(rows, vectors)(pixels + (static_cast<std::int64_t>(p) * tiles + from) * s.i, s.i,
                                               weights, sums + p * step + from * vectors * lanes);
                }
            }
            for (int tile = begin; tile < end; ++tile) {
                const Place place = place_of(layout, tile);
                for (int v = 0; v < vectors; ++v)
                    finish(call, place, (vector + v) * lanes, sums + ((tile - begin) * vectors + v) * lanes, step);
            }
        }
    }
}

}  // namespace bitwright::winograd
