// The family of convolutions: how weights are laid out for vector kernels, and the table of kernels.
//
// A convolution is a product of rows (the window of each output pixel) by columns (the weights of each channel). A row
// is a few segments that lie contiguous in memory: a row of the window, or one of its pixels, or all of it. Columns are
// packed in panels of up to four vectors: [panel][segment][step][vector][lane][k], where a step is the 4 (or 2) values
// of k that one instruction sums.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/isa.h"
#include "conv/reference.h"

namespace bitwright::conv {

struct Panel {
    std::int32_t channel;   // first output channel
    std::int32_t channels;  // that are there; the rest of its lanes is padding
    std::int32_t vectors;
    std::int32_t lane;      // of channel in arrays with padded panels (bias, scale)
    std::int64_t x_offset;  // of its group's channels, in a pixel
    std::int64_t weights;   // of its packed weights, in bytes
};

struct Layout {
    std::vector<std::int64_t> segments;  // offsets into x, in elements
    std::int32_t segment_length = 0;     // elements of each
    std::int32_t steps = 0;              // of each segment
    std::vector<Panel> panels;
    std::int32_t lanes = 0;  // of all panels together
    std::int64_t weights_bytes = 0;
    std::int32_t block_pixels = 0, blocks = 0;  // output pixels of one task, and of how many
    std::int32_t panel_groups = 1;              // tasks of one block
};

// How kernels cut columns and rows.
struct Cut {
    std::int32_t lanes;         // of one vector of sums
    std::int32_t step;          // values of k that one instruction sums
    std::int32_t bytes;         // of one packed weight
    std::int32_t most_vectors;  // of a panel
    bool joined;                // all segments are copied together first, and the whole is padded to `whole` steps
    std::int32_t whole;
};

Layout lay_out(const bw_conv_shape& shape, const Cut& cut);
// weights i8[O,R,KH,KW,I] into packed, i8 or (Cut::bytes 2) i16; padding is left as it is: zero.
void pack(const bw_conv_shape& shape, const Cut& cut, const Layout& layout, const std::int8_t* weights,
          std::byte* packed);

// What a kernel gets: all of it lives as long as the step.
struct Call {
    const bw_conv_shape* shape;
    const Panel* panels;
    std::int32_t panel_count;
    const std::int64_t* segments;
    std::int32_t segment_count, segment_length, steps;
    std::int32_t block_pixels, panel_groups;
    const std::byte* weights;   // packed; unpacked for the reference
    const std::int32_t* bias;   // one a lane of the layout
    const bw_requant* requant;  // its arrays: one a lane of the layout
    bool narrows;               // see Requant::narrows
    const std::uint8_t* x;
    std::uint8_t* y;
};

struct Kernel {
    const char* name;
    Isa isa;
    const Cut* cut;  // null: unpacked weights, one entry a channel
    std::size_t (*scratch_bytes)(const Layout&, const bw_conv_shape&);
    void (*run)(const Call& call, int first, int last, std::byte* scratch);
};

// One row each: conv/kernels.inc.
#define BW_CONV_KERNEL(isa, name) extern const Kernel name;
#include "conv/kernels.inc"
#undef BW_CONV_KERNEL

// The fastest kernel that `isa` allows.
const Kernel& select(Isa isa);

}  // namespace bitwright::conv
