#include <algorithm>
#include <cstring>

#include "conv/conv.h"
#include "engine/step.h"

namespace bitwright::conv {
namespace {

std::int32_t divide_up(std::int64_t a, std::int64_t b) { return static_cast<std::int32_t>((a + b - 1) / b); }

// Contiguous runs of the window, neighbours joined where nothing lies between them.
void find_segments(const bw_conv_shape& s, const Cut& cut, Layout& layout) {
    std::vector<std::int64_t> pixels;
    for (std::int32_t r = 0; r < s.repeats * s.kh; ++r)
        for (std::int32_t kx = 0; kx < s.kw; ++kx)
            pixels.push_back(r % s.kh * s.dilation_h * s.x_sh + kx * s.dilation_w * s.x_sw);
    std::int32_t length = s.i;
    const auto join = [&](std::size_t count) {
        if (count == 1 || pixels.size() % count) return;
        for (std::size_t first = 0; first < pixels.size(); first += count)
            for (std::size_t k = 1; k < count; ++k)
                if (pixels[first + k] != pixels[first] + static_cast<std::int64_t>(k) * length) return;
        std::vector<std::int64_t> joined;
        for (std::size_t first = 0; first < pixels.size(); first += count) joined.push_back(pixels[first]);
        pixels.swap(joined);
        length *= static_cast<std::int32_t>(count);
    };
    join(static_cast<std::size_t>(s.kw));
    join(pixels.size());
    layout.segments = std::move(pixels);
    layout.segment_length = length;
    if (cut.joined) {
        const std::int64_t depth =
            static_cast<std::int64_t>(length) * static_cast<std::int64_t>(layout.segments.size());
        layout.steps = divide_up(depth, cut.step * cut.whole) * cut.whole;
    } else {
        layout.steps = divide_up(length, cut.step);
    }
}

void cut_panels(const bw_conv_shape& s, const Cut& cut, Layout& layout) {
    const std::int32_t group_size = s.o / s.groups;
    const std::int32_t vectors = divide_up(group_size, cut.lanes);
    const std::int32_t count = divide_up(vectors, cut.most_vectors);
    const std::int64_t segments = cut.joined ? 1 : static_cast<std::int64_t>(layout.segments.size());
    for (std::int32_t g = 0; g < s.groups; ++g) {
        std::int32_t vector = 0;
        for (std::int32_t p = 0; p < count; ++p) {
            Panel panel{};
            panel.vectors = (vectors - vector + (count - p) - 1) / (count - p);
            panel.channel = g * group_size + vector * cut.lanes;
            panel.channels = std::min(panel.vectors * cut.lanes, group_size - vector * cut.lanes);
            panel.lane = layout.lanes;
            panel.x_offset = static_cast<std::int64_t>(g) * s.i;
            panel.weights = layout.weights_bytes;
            layout.panels.push_back(panel);
            layout.lanes += panel.vectors * cut.lanes;
            layout.weights_bytes += segments * layout.steps * panel.vectors * cut.lanes * cut.step * cut.bytes;
            vector += panel.vectors;
        }
    }
}

// Blocks of pixels whose rows stay in the second-level cache while the panels pass over them; where there are few
// pixels, the panels are what is divided between threads.
void cut_blocks(const bw_conv_shape& s, Layout& layout) {
    constexpr std::int64_t block_bytes = 96 * 1024;
    const std::int64_t pixels = static_cast<std::int64_t>(s.n) * s.oh * s.ow;
    const std::int64_t pixel_bytes = std::max<std::int64_t>(
        1, static_cast<std::int64_t>(s.i) * s.groups * std::min(s.stride_h, s.kh) * std::min(s.stride_w, s.kw));
    const std::int64_t most = std::clamp<std::int64_t>(block_bytes / pixel_bytes, 48, 2048);
    layout.blocks = even_blocks(divide_up(pixels, most));
    layout.block_pixels = layout.blocks ? divide_up(pixels, layout.blocks) : 0;
    layout.blocks = layout.block_pixels ? divide_up(pixels, layout.block_pixels) : 0;
    const auto panels = static_cast<std::int32_t>(layout.panels.size());
    layout.panel_groups = std::clamp(8 / std::max(layout.blocks, 1), 1, panels);
}

}  // namespace

Layout lay_out(const bw_conv_shape& shape, const Cut& cut) {
    Layout layout;
    find_segments(shape, cut, layout);
    cut_panels(shape, cut, layout);
    cut_blocks(shape, layout);
    return layout;
}

namespace {

// One panel: along its rows of packed memory, so that writes are in order and reads follow each channel's column.
template <typename Weight>
void pack_panel(const Cut& cut, const Layout& layout, const Panel& panel, std::int64_t depth, std::int64_t run_length,
                const std::int8_t* weights, Weight* packed) {
    const std::int32_t width = panel.vectors * cut.lanes;
    for (std::int64_t run = 0; run < depth; run += run_length) {
        for (std::int64_t step = 0; step < layout.steps; ++step, packed += width * cut.step) {
            const std::int64_t first = step * cut.step;
            const auto count = static_cast<std::int32_t>(std::min<std::int64_t>(cut.step, run_length - first));
            const std::int8_t* column = weights + panel.channel * depth + run + first;
            for (std::int32_t c = 0; c < panel.channels; ++c, column += depth) {
                if (count == 4 && sizeof(Weight) == 1) {
                    std::memcpy(packed + c * 4, column, 4);
                } else {
                    for (std::int32_t k = 0; k < count; ++k) packed[c * cut.step + k] = column[k];
                }
            }
        }
    }
}

}  // namespace

void pack(const bw_conv_shape& s, const Cut& cut, const Layout& layout, const std::int8_t* weights, std::byte* packed) {
    const std::int64_t depth = static_cast<std::int64_t>(s.repeats) * s.kh * s.kw * s.i;
    const std::int64_t run_length = cut.joined ? depth : layout.segment_length;
    for (const Panel& panel : layout.panels) {
        if (cut.bytes == 1) {
            pack_panel(cut, layout, panel, depth, run_length, weights,
                       reinterpret_cast<std::int8_t*>(packed + panel.weights));
        } else {
            pack_panel(cut, layout, panel, depth, run_length, weights,
                       reinterpret_cast<std::int16_t*>(packed + panel.weights));
        }
    }
}

const Kernel& select(Isa isa) {
    const Kernel* best = nullptr;
#define BW_CONV_KERNEL(set, name) \
    if (Isa::set <= isa) best = &name;
#include "conv/kernels.inc"
#undef BW_CONV_KERNEL
    return *best;
}

}  // namespace bitwright::conv
