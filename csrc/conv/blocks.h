// The block of output pixels and panels that one task computes: where each pixel's window begins, and its result.
// Internal linkage: each instruction set compiles its own.
#pragma once

#include "conv/conv.h"

namespace bitwright::conv {
namespace {

struct Block {
    int pixels;
    int first_panel, last_panel;
    const std::int64_t* x_offsets;  // in elements, one a pixel
    const std::int64_t* y_offsets;
};

inline std::size_t block_scratch_bytes(const Layout& layout) {
    return static_cast<std::size_t>(layout.block_pixels) * 2 * sizeof(std::int64_t);
}

// Tasks are (block, group of panels), groups of one block side by side.
inline Block open_block(const Call& call, int task, std::byte* scratch) {
    const bw_conv_shape& s = *call.shape;
    const int index = task / call.panel_groups, group = task % call.panel_groups;
    const std::int64_t all = static_cast<std::int64_t>(s.n) * s.oh * s.ow;
    const std::int64_t begin = static_cast<std::int64_t>(index) * call.block_pixels;
    const std::int64_t end = begin + call.block_pixels < all ? begin + call.block_pixels : all;
    const int panels = call.panel_count;
    auto* const x_offsets = reinterpret_cast<std::int64_t*>(scratch);
    auto* const y_offsets = x_offsets + call.block_pixels;
    std::int64_t ox = begin % s.ow, oy = begin / s.ow % s.oh, n = begin / s.ow / s.oh;
    for (std::int64_t pixel = begin; pixel < end; ++pixel) {
        x_offsets[pixel - begin] = n * s.x_sn + oy * s.stride_h * s.x_sh + ox * s.stride_w * s.x_sw;
        y_offsets[pixel - begin] = n * s.y_sn + oy * s.y_sh + ox * s.y_sw;
        if (++ox == s.ow) {
            ox = 0;
            if (++oy == s.oh) oy = 0, ++n;
        }
    }
    return {static_cast<int>(end - begin), panels * group / call.panel_groups, panels * (group + 1) / call.panel_groups,
            x_offsets, y_offsets};
}

}  // namespace
}  // namespace bitwright::conv
