// Convolution with AMX tiles: 16 pixels x 16 channels x 64 values of k an instruction, up to 32 x 32 sums at a time.
// Rows are joined and padded to whole tiles first, where they do not lie in x as a tile takes them. Compiled for the
// processor's tiles (conv/amx.cc) and, in tests, for emulated ones.
#pragma once

#include "base/narrow_avx512.h"
#include "base/tiles.h"
#include "conv/blocks.h"
#include "conv/conv.h"

namespace bitwright::conv {
namespace {

constexpr int tile_rows = 16, tile_bytes = 64, tile_lanes = 16;
constexpr int joined_bytes = 512 * 1024;  // rows together stay in the second-level cache beside a panel
constexpr int fewest_joined = 64;         // but pass over each panel at least as often as this

// 16 steps of 4 values are a tile of weights for one vector.
constexpr Cut amx_cut{
    .lanes = tile_lanes, .step = 4, .bytes = 1, .most_vectors = 2, .joined = true, .whole = tile_bytes / 4};

// Bytes from one joined row to the next: an odd count of cache lines, so that rows of a tile share no sets.
std::int64_t joined_step(std::int64_t depth) { return ((depth + 63) / 64 | 1) * 64; }

int joined_rows(std::int64_t step, int block_pixels) {
    const std::int64_t rows = joined_bytes / step > fewest_joined ? joined_bytes / step : fewest_joined;
    return static_cast<int>(rows < block_pixels ? rows : block_pixels);
}

// Rows of one tile in memory.
struct RowTile {
    const std::uint8_t* start;
    std::int64_t step;
    const std::int64_t* y_offsets;
};

// Tiles of pixels that all have the same count of rows, so that one configuration does: the last rows of a tile may be
// the first of the next. 49 pixels are 4 tiles of 13 that begin at 0, 12, 24 and 36.
struct Cover {
    int tiles, rows;
    int pixels;

    explicit Cover(int count)
        : tiles((count + tile_rows - 1) / tile_rows), rows((count + tiles - 1) / tiles), pixels(count) {}
    int begin(int tile) const { return tile == 0 ? 0 : (pixels - rows) * tile / (tiles - 1); }
};

// The segments of each pixel, one after another, and up to 63 bytes more, which the next row overwrites.
inline void join(const Call& call, const std::uint8_t* x, const std::int64_t* x_offsets, int pixels, std::int64_t step,
                 std::uint8_t* rows) {
    for (int pixel = 0; pixel < pixels; ++pixel) {
        std::uint8_t* to = rows + pixel * step;
        for (int segment = 0; segment < call.segment_count; ++segment) {
            const std::uint8_t* const from = x + x_offsets[pixel] + call.segments[segment];
            for (std::int64_t k = 0; k < call.segment_length; k += 64)
                _mm512_storeu_si512(to + k, _mm512_loadu_si512(from + k));
            to += call.segment_length;
        }
    }
}

// Bytes between pixels, where it is the same between all of them; else 0.
inline std::int64_t even_step(const std::int64_t* x_offsets, int pixels) {
    const std::int64_t step = pixels > 1 ? x_offsets[1] - x_offsets[0] : tile_bytes;
    for (int pixel = 1; pixel < pixels; ++pixel)
        if (x_offsets[pixel] - x_offsets[pixel - 1] != step) return 0;
    return step;
}

// Sums of `Count` tiles of rows by the panel's `Vectors` tiles of channels: sums i32[Count][rows][Vectors * 16].
template <typename Tiles, int Count, int Vectors>
void multiply(const Call& call, const Panel& panel, const RowTile* rows, std::int32_t* sums) {
    constexpr std::int64_t sums_step = Vectors * tile_lanes * sizeof(std::int32_t), weights_step = Vectors * tile_bytes;
    const std::int32_t* const bias = call.bias + panel.lane;
    Tiles::template load<0>(bias, 0);  // every row of the tile is the same
    if constexpr (Vectors == 2) Tiles::template load<1>(bias + tile_lanes, 0);
    if constexpr (Count == 2) Tiles::template load<2>(bias, 0);
    if constexpr (Count == 2 && Vectors == 2) Tiles::template load<3>(bias + tile_lanes, 0);
    const std::byte* weights = call.weights + panel.weights;
    for (std::int64_t k = 0; k < 4 * static_cast<std::int64_t>(call.steps); k += tile_bytes) {
        Tiles::template load<6>(weights, weights_step);
        Tiles::template load<4>(rows[0].start + k, rows[0].step);
        Tiles::template multiply<0, 4, 6>();
        if constexpr (Vectors == 2) {
            Tiles::template load<7>(weights + tile_bytes, weights_step);
            Tiles::template multiply<1, 4, 7>();
        }
        if constexpr (Count == 2) {
            Tiles::template load<5>(rows[1].start + k, rows[1].step);
            Tiles::template multiply<2, 5, 6>();
        }
        if constexpr (Count == 2 && Vectors == 2) Tiles::template multiply<3, 5, 7>();
        weights += tile_bytes / 4 * weights_step;
    }
    Tiles::template store<0>(sums, sums_step);
    if constexpr (Vectors == 2) Tiles::template store<1>(sums + tile_lanes, sums_step);
    std::int32_t* const second = sums + tile_rows * Vectors * tile_lanes;
    if constexpr (Count == 2) Tiles::template store<2>(second, sums_step);
    if constexpr (Count == 2 && Vectors == 2) Tiles::template store<3>(second + tile_lanes, sums_step);
}

// One tile of rows; sums may be read up to three rows beyond it.
template <int Vectors>
void store(const Call& call, const Panel& panel, const std::int64_t* y_offsets, int rows, const std::int32_t* sums) {
    constexpr int together = 4 / Vectors;  // rows whose bytes fill a vector
    const bw_requant& requant = *call.requant;
    std::uint8_t* const y = call.y + panel.channel;
    const auto there = static_cast<__mmask32>((1ull << panel.channels) - 1);
    const Narrow narrow(requant);
    const auto sums_of = [&](int row, int v) { return _mm512_loadu_si512(sums + (row * Vectors + v) * tile_lanes); };
    if (!call.narrows) {
        for (int row = 0; row < rows; ++row)
            for (int v = 0; v < Vectors; ++v) {
                const __m512i integers =
                    requantize_channels(requant, sums_of(row, v), panel.lane + v * tile_lanes, 0xffff);
                _mm512_mask_cvtepi32_storeu_epi8(y + y_offsets[row] + v * tile_lanes,
                                                 static_cast<__mmask16>(there >> v * tile_lanes), integers);
            }
        return;
    }
    const float* const scale = requant.scale + panel.lane;
    const __m512 scales[] = {_mm512_loadu_ps(scale), _mm512_loadu_ps(scale + (Vectors - 1) * tile_lanes)};
    for (int row = 0; row < rows; row += together) {
        __m512i rounded[4];
        for (int i = 0; i < 4; ++i)
            rounded[i] = Narrow::round(sums_of(row + i / Vectors, i % Vectors), scales[i % Vectors]);
        const __m512i bytes = narrow.bytes(rounded[0], rounded[1], rounded[2], rounded[3]);
        if constexpr (Vectors == 2) {
            _mm256_mask_storeu_epi8(y + y_offsets[row], there, _mm512_castsi512_si256(bytes));
            if (row + 1 < rows)
                _mm256_mask_storeu_epi8(y + y_offsets[row + 1], there, _mm512_extracti64x4_epi64(bytes, 1));
        } else {
            const __m128i quarters[] = {_mm512_castsi512_si128(bytes), _mm512_extracti32x4_epi32(bytes, 1),
                                        _mm512_extracti32x4_epi32(bytes, 2), _mm512_extracti32x4_epi32(bytes, 3)};
            for (int i = 0; i < together && row + i < rows; ++i)
                _mm_mask_storeu_epi8(y + y_offsets[row + i], static_cast<__mmask16>(there), quarters[i]);
        }
    }
}

template <typename Tiles, int Vectors>
void run_panel(const Call& call, const Panel& panel, const RowTile* tiles, const Cover& cover, std::int32_t* sums) {
    for (int t = 0; t < cover.tiles; t += 2) {
        const bool is_pair = t + 1 < cover.tiles;
        if (is_pair) {
            multiply<Tiles, 2, Vectors>(call, panel, tiles + t, sums);
        } else {
            multiply<Tiles, 1, Vectors>(call, panel, tiles + t, sums);
        }
        store<Vectors>(call, panel, tiles[t].y_offsets, cover.rows, sums);
        if (is_pair)
            store<Vectors>(call, panel, tiles[t + 1].y_offsets, cover.rows, sums + tile_rows * Vectors * tile_lanes);
    }
}

// Parts of a thread's scratch memory.
struct AmxScratch {
    std::int64_t step;
    int rows, tiles;
    std::size_t rows_at, tiles_at, sums_at, bytes;

    AmxScratch(std::int64_t depth, int block_pixels)
        : step(joined_step(depth)),
          rows(joined_rows(step, block_pixels)),
          tiles((rows + tile_rows - 1) / tile_rows),
          rows_at((static_cast<std::size_t>(block_pixels) * 2 * sizeof(std::int64_t) + 63) / 64 * 64),
          tiles_at(rows_at + static_cast<std::size_t>(rows * step) + 64),
          sums_at((tiles_at + static_cast<std::size_t>(tiles) * sizeof(RowTile) + 63) / 64 * 64),
          bytes(sums_at + (2 * tile_rows + 3) * 2 * tile_lanes * sizeof(std::int32_t)) {}
};

inline std::size_t amx_scratch_bytes(const Layout& layout, const bw_conv_shape&) {
    const std::int64_t depth = static_cast<std::int64_t>(layout.segments.size()) * layout.segment_length;
    return AmxScratch(depth, layout.block_pixels).bytes;
}

// Tiles are released when the tasks are done: until then every switch of the thread saves 8 KiB.
template <typename Tiles>
void run_amx(const Call& call, int first, int last, std::byte* scratch) {
    const std::int64_t depth = static_cast<std::int64_t>(call.segment_count) * call.segment_length;
    const AmxScratch parts_of(depth, call.block_pixels);
    auto* const joined = reinterpret_cast<std::uint8_t*>(scratch + parts_of.rows_at);
    auto* const tiles = reinterpret_cast<RowTile*>(scratch + parts_of.tiles_at);
    auto* const sums = reinterpret_cast<std::int32_t*>(scratch + parts_of.sums_at);
    const bool is_whole = call.segment_count == 1 && depth % tile_bytes == 0;
    int configured = 0;
    for (int task = first; task < last; ++task) {
        const Block block = open_block(call, task, scratch);
        const int parts = (block.pixels + parts_of.rows - 1) / parts_of.rows;
        for (int part = 0; part < parts; ++part) {
            const int begin = block.pixels * part / parts;
            const Cover cover(block.pixels * (part + 1) / parts - begin);
            if (cover.rows != configured) {
                TileShapes shapes;
                for (int t = 0; t < 6; ++t) shapes.set(t, cover.rows, tile_bytes);
                for (int t = 6; t < 8; ++t) shapes.set(t, tile_bytes / 4, tile_bytes);
                Tiles::configure(shapes);
                configured = cover.rows;
            }
            std::int64_t joined_group = -1;  // whose channels the tiles hold
            for (int p = block.first_panel; p < block.last_panel; ++p) {
                const Panel& panel = call.panels[p];
                if (panel.x_offset != joined_group) {
                    const std::uint8_t* const x = call.x + panel.x_offset;
                    for (int t = 0; t < cover.tiles; ++t) {
                        const int at = cover.begin(t);
                        const std::int64_t* const x_offsets = block.x_offsets + begin + at;
                        const std::int64_t step = is_whole ? even_step(x_offsets, cover.rows) : 0;
                        std::uint8_t* const rows = joined + at * parts_of.step;
                        if (step == 0) join(call, x, x_offsets, cover.rows, parts_of.step, rows);
                        tiles[t] = {step ? x + x_offsets[0] + call.segments[0] : rows, step ? step : parts_of.step,
                                    block.y_offsets + begin + at};
                    }
                    joined_group = panel.x_offset;
                }
                if (panel.vectors == 2) {
                    run_panel<Tiles, 2>(call, panel, tiles, cover, sums);
                } else {
                    run_panel<Tiles, 1>(call, panel, tiles, cover, sums);
                }
            }
        }
    }
    Tiles::release();
}

}  // namespace
}  // namespace bitwright::conv
