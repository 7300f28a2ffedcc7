// The family of moves: a move as few and as long loops as it takes, and the table of kernels for the innermost two.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/isa.h"
#include "movement/reference.h"

namespace bitwright::movement {

// How the innermost two loops of a move look.
enum class Pattern : std::uint8_t {
    rows,       // elements of any length, which is the longest that is contiguous on both sides
    transpose,  // of 1, 2, 4 or 8 bytes: contiguous in x along the first of the two, in y along the second
    strided,    // of 1, 2, 4 or 8 bytes, anywhere
};

struct Layout {
    Pattern pattern = Pattern::rows;
    bw_move_shape shape{};    // of rank 2 at least, the innermost two last
    std::int64_t planes = 0;  // how often the innermost two are run through
    std::int32_t cut = 0;     // which of these two is cut into pieces, 0 or 1
    std::int64_t piece = 1;   // of what length
    std::int64_t pieces = 1;  // into how many
    std::int64_t pieces_a_task = 1;
    std::int64_t tasks = 0;
};

// Loops that are one are joined, and ordered by where they write.
Layout lay_out(const bw_move_shape& shape);

struct Kernel {
    const char* name;
    Isa isa;
    // The innermost two loops: shape has rank 2. Nothing but the elements themselves is read or written.
    void (*run)(Pattern pattern, const bw_move_shape& shape, const std::uint8_t* x, std::uint8_t* y);
    // bw_take_reference.
    void (*take)(const std::int64_t* offsets, std::int64_t count, std::int64_t bytes, const std::uint8_t* x,
                 std::uint8_t* y, std::int64_t y_stride);
};

// One row each: movement/kernels.inc.
#define BW_MOVE_KERNEL(isa, name) extern const Kernel name;
#include "movement/kernels.inc"
#undef BW_MOVE_KERNEL

// The fastest kernel that `isa` allows.
const Kernel& select(Isa isa);

}  // namespace bitwright::movement
