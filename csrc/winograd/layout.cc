#include <algorithm>
#include <cstdlib>

#include "engine/step.h"
#include "winograd/winograd.h"

namespace bitwright::winograd {
namespace {

constexpr std::int32_t lanes = 16, most_vectors = 4;

// 1-D: three weights to six, each row of G multiplied by its denominator.
void transform(const std::int32_t (&g)[3], std::int32_t (&to)[6]) {
    to[0] = g[0];
    to[1] = -(g[0] + g[1] + g[2]);
    to[2] = -(g[0] - g[1] + g[2]);
    to[3] = g[0] + 2 * g[1] + 4 * g[2];
    to[4] = g[0] - 2 * g[1] + 4 * g[2];
    to[5] = g[2];
}

}  // namespace

bool takes(Isa isa, const bw_conv_shape& s, const std::int8_t* weights) {
    if (isa < Isa::avx512vnni || isa >= Isa::amx) return false;  // tiles of AMX multiply faster than this saves
    if (s.repeats != 1 || s.kh != 3 || s.kw != 3 || s.groups != 1) return false;
    if (s.stride_h != 1 || s.stride_w != 1 || s.dilation_h != 1 || s.dilation_w != 1) return false;
    // Below, the transforms cost what the product saves; above, its weights (72 bytes a pair of channels) leave the
    // caches.
    if (s.i % 32 || s.o % lanes || s.i < 32 || s.o < 32 || static_cast<std::int64_t>(s.i) * s.o > 128 * 128)
        return false;
    if (s.oh < 7 || s.ow < 7) return false;
    const std::int64_t depth = 9ll * s.i;
    for (std::int32_t o = 0; o < s.o; ++o) {
        std::int64_t size = 0;
        for (std::int64_t k = 0; k < depth; ++k) size += std::abs(weights[o * depth + k]);
        if (size * 255 >= 1 << 25) return false;
    }
    return true;
}

Layout lay_out(const bw_conv_shape& s) {
    Layout layout{};
    layout.rows = (s.oh + 3) / 4;
    layout.columns = (s.ow + 3) / 4;
    layout.tiles = s.n * layout.rows * layout.columns;
    layout.vectors = s.o / lanes;
    constexpr std::int32_t block_bytes =
        400 * 1024;  // what a block's tiles take beside the weights, in the second-level cache
    const std::int32_t tile_bytes = positions * (s.i * 2 + most_vectors * lanes * 4);
    layout.blocks = even_blocks(std::max(1, (layout.tiles * tile_bytes + block_bytes - 1) / block_bytes));
    layout.block_tiles = (layout.tiles + layout.blocks - 1) / layout.blocks;
    layout.blocks = (layout.tiles + layout.block_tiles - 1) / layout.block_tiles;
    return layout;
}

std::size_t packed_bytes(const bw_conv_shape& s) {
    return static_cast<std::size_t>(positions) * static_cast<std::size_t>(s.i) * static_cast<std::size_t>(s.o) * 2;
}

void pack(const bw_conv_shape& s, const std::int8_t* weights, std::int16_t* packed) {
    const std::int32_t vectors = s.o / lanes;
    for (std::int32_t o = 0; o < s.o; ++o) {
        const std::int32_t panel = o / lanes / most_vectors, vector = o / lanes % most_vectors;
        const std::int32_t width = std::min(most_vectors, vectors - panel * most_vectors);
        std::int16_t* const start = packed + static_cast<std::int64_t>(panel) * most_vectors * lanes * positions * s.i +
                                    vector * lanes * 2 + o % lanes * 2;
        for (std::int32_t i = 0; i < s.i; ++i) {
            std::int32_t rows[6][3];
            for (int x = 0; x < 3; ++x) {
                std::int32_t column[3], made[6];
                for (int y = 0; y < 3; ++y) column[y] = weights[((o * 3 + y) * 3 + x) * s.i + i];
                transform(column, made);
                for (int y = 0; y < 6; ++y) rows[y][x] = made[y];
            }
            for (int y = 0; y < 6; ++y) {
                std::int32_t made[6];
                transform(rows[y], made);
                for (int x = 0; x < 6; ++x) {
                    const std::int64_t step = static_cast<std::int64_t>(y * 6 + x) * (s.i / 2) + i / 2;
                    start[step * width * lanes * 2 + i % 2] = static_cast<std::int16_t>(made[x]);
                }
            }
        }
    }
}

std::size_t scratch_bytes(const bw_conv_shape& s, const Layout& layout) {
    const auto tiles = static_cast<std::size_t>(layout.block_tiles);
    return positions * tiles * (static_cast<std::size_t>(s.i) * 2 + most_vectors * lanes * 4);
}

}  // namespace bitwright::winograd
