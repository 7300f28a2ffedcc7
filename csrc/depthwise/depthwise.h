// The family of depthwise convolutions: how rows are cut into vectors and weights laid out for them, and the table of
// kernels.
//
// A vector of results is one run of bytes of an output row: some channels of one pixel, or, where pixels lie without
// gaps and channels would leave a vector half empty, channels of several. Vectors of a row that hold the same channels
// are one pattern: they share weights. One or two rows are computed at once from taps, the inputs that either sees;
// taps go in fours, each interleaved so that every 32 bits hold the four of one channel: weights are [pattern][four of
// taps][row][quarter of the vector][lane][tap], 0 where a row does not see a tap.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/isa.h"
#include "depthwise/reference.h"

namespace bitwright::depthwise {

// Where a vector of several pixels comes from when the stride leaves pixels out: which 8 of the 16 eights of bytes from
// its address on.
struct Gather {
    std::int64_t eights[8];
};

struct Pattern {
    std::int64_t x_offset, y_offset;  // of its first vector in a row, in elements
    std::int32_t vectors;             // in a row: the next are x_step and y_step further on
    std::int32_t lanes, last_lanes;   // that are results, in each and in the last
    std::int32_t gather;              // which, or -1: its bytes lie together
    std::int32_t lane;                // of its first lane in arrays of all patterns (bias, scale)
    std::int64_t weights;             // of its packed weights, in bytes
};

struct Layout {
    std::vector<Pattern> patterns;
    std::vector<Gather> gathers;
    std::int64_t x_step = 0, y_step = 0;
    std::int32_t rows = 1;   // computed at once
    std::int32_t fours = 0;  // of taps
    // How many columns of the window lie between vectors, 1, 2, 4 or 8: then each column is one four of taps, and
    // kernels keep what the next vector sees too. 0: any.
    std::int32_t shared_columns = 0;
    std::vector<std::int64_t> taps;      // offset of each into x, 4 * fours; then those for one row alone
    std::vector<std::int32_t> channels;  // of each lane, -1 for padding, in the order in which sums of a vector lie
    std::int64_t weights_bytes = 0;
    std::int32_t task_rows = 1;                     // of one task
    std::int32_t row_tasks = 0, pattern_tasks = 1;  // of one image: so many parts of its rows, of their patterns
};

// How kernels cut rows.
struct Cut {
    std::int32_t lanes;   // bytes of one vector of results
    std::int32_t bytes;   // of one packed weight
    bool shares_columns;  // whether the kernel keeps what neighbours share
    bool gathers;         // whether it takes what strides leave
};

Layout lay_out(const bw_depthwise_shape& shape, const Cut& cut);
// weights i8[KH,KW,C] into packed, which is zero: i8; or i16, taps 0 and 2 of all lanes of a quarter before taps 1
// and 3.
void pack(const bw_depthwise_shape& shape, const Cut& cut, const Layout& layout, const std::int8_t* weights,
          std::byte* packed);

// What a kernel gets: all of it lives as long as the step.
struct Call {
    const bw_depthwise_shape* shape;
    const Pattern* patterns;
    std::int32_t pattern_count;
    const Gather* gathers;
    std::int64_t x_step, y_step;
    std::int32_t rows, shared_columns, fours;
    const std::int64_t* taps;
    std::int32_t task_rows, row_tasks, pattern_tasks;
    const std::byte* weights;   // packed; unpacked for the reference
    const std::int32_t* bias;   // one a lane of the layout
    const bw_requant* requant;  // its arrays: one a lane of the layout
    bool narrows;               // Requant::narrows
    const std::uint8_t* x;
    std::uint8_t* y;
};

struct Kernel {
    const char* name;
    Isa isa;
    const Cut* cut;  // null: unpacked weights, one entry a channel
    void (*run)(const Call& call, int first, int last);
};

// One row each: depthwise/kernels.inc.
#define BW_DEPTHWISE_KERNEL(isa, name) extern const Kernel name;
#include "depthwise/kernels.inc"
#undef BW_DEPTHWISE_KERNEL

// The fastest kernel that `isa` allows.
const Kernel& select(Isa isa);

}  // namespace bitwright::depthwise
