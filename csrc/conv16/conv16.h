// The family of convolutions of 16-bit images: how columns are cut so that 32 bits hold partial sums, how depthwise
// weights are laid out, and the table of kernels.
//
// Rows, columns, panels and blocks are those of conv/conv.h; a step is 2 values of k. 32 bits hold
// the sum of any 511 products of 16 by 8 bits, and of many more where weights are small. Where the weights and bias of
// a layer keep all its sums within 32 bits, or its rounding takes only 32 bits of them, it is summed in one go; else
// its sums are wide: columns are cut into chunks, and 64 bits hold the sum of their sums.
//
// Depthwise kernels take a pixel's channels in panels of two vectors, and taps of the window in pairs: weights are
// [panel][pair of taps][half][lane][tap], where half and lane are as interleaving 16-bit elements within 128 bits has
// them: half 0 has channels 0..3 and 8..11 of each 16, half 1 the others.
#pragma once

#include "conv/conv.h"
#include "conv16/reference.h"
#include "engine/requant.h"

namespace bitwright::conv16 {

enum class Method : std::uint8_t { conv, depthwise };

// Steps of a column whose rows lie contiguously.
struct Piece {
    std::int64_t x_offset;  // from where the window begins, in elements
    std::int32_t steps;
};

struct Layout {
    conv::Layout of;                    // depthwise: `segments` are the taps, and there are `steps` pairs of them
    std::vector<std::int32_t> channel;  // of each lane, -1 for padding
    std::vector<Piece> pieces;
    std::vector<std::int32_t> chunks;  // of pieces: where each ends
    bool is_wide = false;
};

// What a kernel gets: all of it lives as long as the step.
struct Call : conv::Call {  // x and y have 16-bit elements; narrows: see narrows(); bias: 0 where sums are wide
    const Piece* pieces;
    const std::int32_t* chunks;
    std::int32_t chunk_count;
    const std::int64_t* wide_bias;  // one a lane where sums are wide, else null; one a channel for the reference
};

struct Kernel {
    const char* name;
    Isa isa;
    Method method;
    const conv::Cut* cut;  // null: unpacked weights, one entry a channel
    void (*run)(const Call& call, int first, int last, std::byte* scratch);
};

// Whether 32 bits do not hold all sums, and the rounding takes more of them.
bool is_wide(const bw_conv_shape& shape, const std::int8_t* weights, const std::int64_t* bias, bw_rounding rounding);

// Whether 32-bit sums are requantized by 16-bit multiplications: see the Narrow of each set of vectors.
bool narrows(const Requant& requant);

Layout lay_out(const bw_conv_shape& shape, const Kernel& kernel, const std::int8_t* weights, bool is_wide);
// weights i8[O,KH,KW,I] into i16; padding is left as it is: zero.
void pack(const bw_conv_shape& shape, const Kernel& kernel, const Layout& layout, const std::int8_t* weights,
          std::byte* packed);

// One row each: conv16/kernels.inc.
#define BW_CONV16_KERNEL(isa, name) extern const Kernel name;
#include "conv16/kernels.inc"
#undef BW_CONV16_KERNEL

// Whether a kernel is one for such a convolution: those with a filter a channel take no wide sums.
bool takes(const Kernel& kernel, const bw_conv_shape& shape, bool is_wide);

// The fastest kernel that `isa` allows.
const Kernel& select(Isa isa, const bw_conv_shape& shape, bool is_wide);

}  // namespace bitwright::conv16
