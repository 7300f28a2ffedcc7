// 3 x 3 convolutions of stride 1 by Winograd's F(4 x 4, 3 x 3), exact in integers: a quarter of the multiplications.
//
//   576 y = A' [(B' d B) * (G' g G)] A'^T,  d a tile of 6 x 6 pixels, g the 3 x 3 weights, y 4 x 4 sums
//
// with G's fractions multiplied out: rows of G by 4, 6, 6, 24, 24, 1, which A' makes up to 24 each. All sums are taken
// modulo 2^32, where 576 = 9 * 64 is undone by the inverse of 9 and an arithmetic shift by 6: exact while |y| < 2^25,
// which the weights of every channel are checked for. Transformed pixels and weights fit 16 bits: 100 * 255 / 2, 49 *
// 127.
//
// It computes what conv/reference.h computes. Source: Lavin and Gray 2015, "Fast algorithms for convolutional neural
// networks", section 4.3 (the matrices).
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/isa.h"
#include "conv/reference.h"

namespace bitwright::winograd {

constexpr int positions = 36;

// How tiles and channels are cut; all that the kernel needs to know of a layer.
struct Layout {
    std::int32_t rows, columns;  // of tiles in one image
    std::int32_t tiles;          // of all images
    std::int32_t block_tiles, blocks;
    std::int32_t vectors;  // of 16 output channels
};

// Whether a layer is one that this is for: faster so, and exact with these weights i8[O,3,3,I].
bool takes(Isa isa, const bw_conv_shape& shape, const std::int8_t* weights);

Layout lay_out(const bw_conv_shape& shape);

// Transformed weights i16[panel][position][I / 2][vector][16][2]: panels of up to 4 vectors.
std::size_t packed_bytes(const bw_conv_shape& shape);
void pack(const bw_conv_shape& shape, const std::int8_t* weights, std::int16_t* packed);

// x begins at the window of output (0, 0).
struct Call {
    const bw_conv_shape* shape;
    const Layout* layout;
    const std::int16_t* weights;
    const std::int32_t* bias;
    const bw_requant* requant;
    bool narrows;  // see Requant::narrows
    const std::uint8_t* x;
    std::uint8_t* y;
};

std::size_t scratch_bytes(const bw_conv_shape& shape, const Layout& layout);
void run_avx512vnni(const Call& call, int first, int last, std::byte* scratch);

}  // namespace bitwright::winograd
