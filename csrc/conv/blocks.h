// The block of output pixels and panels that one task computes: where each pixel's window begins, and its result.
// Internal linkage: each instruction set compiles its own.
#pragma once

#include "conv/conv.h"

namespace bitwright::conv {
namespace {

// Of one task: pixels [begin, end) of all images, and panels [first_panel, last_panel).
struct Extent {
    std::int64_t begin, end;
    int first_panel, last_panel;
};

// Tasks are (block, group of panels), groups of one block side by side.
inline Extent extent_of(const Call& call, int task) {
    const bw_conv_shape& s = *call.shape;
    const int index = task / call.panel_groups, group = task % call.panel_groups, panels = call.panel_count;
    const std::int64_t all = static_cast<std::int64_t>(s.n) * s.oh * s.ow;
    const std::int64_t begin = static_cast<std::int64_t>(index) * call.block_pixels;
    return {begin, begin + call.block_pixels < all ? begin + call.block_pixels : all,
            panels * group / call.panel_groups, panels * (group + 1) / call.panel_groups};
}

struct Block {
    int pixels;
    int first_panel, last_panel;
    const std::int64_t* x_offsets;  // in elements, one a pixel
    const std::int64_t* y_offsets;
};

inline std::size_t block_scratch_bytes(const Layout& layout) {
    return static_cast<std::size_t>(layout.block_pixels) * 2 * sizeof(std::int64_t);
}

inline Block open_block(const Call& call, int task, std::byte* scratch) {
    const bw_conv_shape& s = *call.shape;
    const auto [begin, end, first_panel, last_panel] = extent_of(call, task);
    auto* const x_offsets = reinterpret_cast<std::int64_t*>(scratch);
    auto* const y_offsets = x_offsets + call.block_pixels;
    const std::int64_t x_step = s.stride_w * s.x_sw;
    for (std::int64_t pixel = begin; pixel < end;) {  // a row, or what is left of it
        const std::int64_t ox = pixel % s.ow, oy = pixel / s.ow % s.oh, n = pixel / s.ow / s.oh;
        const std::int64_t run = s.ow - ox < end - pixel ? s.ow - ox : end - pixel;
        const std::int64_t x = n * s.x_sn + oy * s.stride_h * s.x_sh + ox * x_step;
        const std::int64_t y = n * s.y_sn + oy * s.y_sh + ox * s.y_sw;
        std::int64_t* const x_row = x_offsets + (pixel - begin);
        std::int64_t* const y_row = y_offsets + (pixel - begin);
        for (std::int64_t i = 0; i < run; ++i) x_row[i] = x + i * x_step;
        for (std::int64_t i = 0; i < run; ++i) y_row[i] = y + i * s.y_sw;
        pixel += run;
    }
    return {static_cast<int>(end - begin), first_panel, last_panel, x_offsets, y_offsets};
}

}  // namespace
}  // namespace bitwright::conv
