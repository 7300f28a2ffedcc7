#include <algorithm>
#include <cstdlib>

#include "conv16/conv16.h"

namespace bitwright::conv16 {
namespace {

constexpr std::int64_t largest = 32768;  // size of an element of x
constexpr std::int64_t block = 64;       // weights that are counted at a time

std::int64_t depth_of(const bw_conv_shape& s) { return static_cast<std::int64_t>(s.kh) * s.kw * s.i; }

std::int32_t divide_up(std::int64_t a, std::int64_t b) { return static_cast<std::int32_t>((a + b - 1) / b); }

std::int32_t size_of(const std::int8_t* weights, std::int64_t count) {
    std::int32_t sum = 0;
    for (std::int64_t k = 0; k < count; ++k) sum += std::abs(weights[k]);
    return sum;
}

// Where the columns of all channels are cut, so that |x * weights| of each part stays in 32 bits.
std::vector<std::int64_t> find_cuts(const bw_conv_shape& s, const std::int8_t* weights, std::int64_t segment_length) {
    constexpr std::int64_t most = INT32_MAX / largest;
    const std::int64_t depth = depth_of(s);
    std::vector<std::int64_t> ends;
    for (std::int64_t begin = 0; begin < depth; begin = ends.back()) {
        std::int64_t end = depth;
        for (std::int32_t o = 0; o < s.o; ++o) {
            std::int64_t sum = 0;
            for (std::int64_t k = begin; k < end; k += block) {
                sum += size_of(weights + o * depth + k, std::min(block, end - k));
                if (sum > most) end = k;
            }
        }
        // Whole steps of a segment.
        ends.push_back(end == depth ? end : end - end % segment_length % 2);
    }
    return ends;
}

void cut_pieces(const std::vector<std::int64_t>& ends, Layout& layout) {
    const std::int64_t length = layout.of.segment_length;
    std::int64_t k = 0;
    auto end = ends.begin();
    for (const std::int64_t segment : layout.of.segments) {
        const std::int64_t begin = k;
        while (k < begin + length) {
            const std::int64_t next = std::min(begin + length, *end);
            layout.pieces.push_back({segment + k - begin, divide_up(next - k, 2)});
            k = next;
            if (k == *end) layout.chunks.push_back(static_cast<std::int32_t>(layout.pieces.size())), ++end;
        }
    }
}

// Channel of each lane of a depthwise panel.
std::int32_t depthwise_channel(std::int32_t lanes, std::int32_t lane) {
    const std::int32_t half = lane / lanes, within = lane % lanes;
    return within / 4 * 8 + half * 4 + within % 4;
}

conv::Layout lay_out_depthwise(const bw_conv_shape& s, const conv::Cut& cut) {
    conv::Layout layout;
    for (std::int32_t ky = 0; ky < s.kh; ++ky)
        for (std::int32_t kx = 0; kx < s.kw; ++kx)
            layout.segments.push_back(ky * s.dilation_h * s.x_sh + kx * s.dilation_w * s.x_sw);
    if (layout.segments.size() % 2) layout.segments.push_back(layout.segments.back());
    layout.steps = static_cast<std::int32_t>(layout.segments.size() / 2);
    const std::int32_t width = 2 * cut.lanes;
    for (std::int32_t channel = 0; channel < s.o; channel += width) {
        layout.panels.push_back({.channel = channel,
                                 .channels = std::min(width, s.o - channel),
                                 .vectors = 2,
                                 .lane = layout.lanes,
                                 .x_offset = channel,
                                 .weights = layout.weights_bytes});
        layout.lanes += width;
        layout.weights_bytes += static_cast<std::int64_t>(layout.steps) * width * cut.step * cut.bytes;
    }
    // Tasks large enough that handing them out costs nothing.
    constexpr std::int64_t task_results = 16384;
    const std::int64_t pixels = static_cast<std::int64_t>(s.n) * s.oh * s.ow;
    layout.blocks = divide_up(pixels, std::max<std::int64_t>(task_results / s.o, 32));
    layout.block_pixels = layout.blocks ? divide_up(pixels, layout.blocks) : 0;
    layout.blocks = layout.block_pixels ? divide_up(pixels, layout.block_pixels) : 0;
    return layout;
}

void pack_depthwise(const bw_conv_shape& s, const conv::Cut& cut, const Layout& layout, const std::int8_t* weights,
                    std::byte* packed) {
    const std::int32_t taps = s.kh * s.kw;
    for (const conv::Panel& panel : layout.of.panels) {
        auto* to = reinterpret_cast<std::int16_t*>(packed + panel.weights);
        for (std::int32_t tap = 0; tap < 2 * layout.of.steps; tap += 2)
            for (std::int32_t lane = 0; lane < 2 * cut.lanes; ++lane, to += 2) {
                const std::int32_t channel = layout.channel[static_cast<std::size_t>(panel.lane + lane)];
                if (channel < 0) continue;
                for (std::int32_t i = 0; i < 2 && tap + i < taps; ++i) to[i] = weights[channel * taps + tap + i];
            }
    }
}

}  // namespace

bool is_wide(const bw_conv_shape& s, const std::int8_t* weights, const std::int64_t* bias, bw_rounding rounding) {
    if (rounding != BW_INT64) return false;
    const std::int64_t depth = depth_of(s);
    for (std::int32_t o = 0; o < s.o; ++o) {
        std::int64_t sum = std::abs(bias[o]);
        for (std::int64_t k = 0; k < depth; k += block)
            sum += largest * size_of(weights + o * depth + k, std::min(block, depth - k));
        if (sum > INT32_MAX) return true;
    }
    return false;
}

bool narrows(const Requant& requant) {
    if (requant.rounding != BW_INT64 || requant.zero_point) return false;
    for (std::size_t c = 0; c < requant.shift.size(); ++c)
        if (requant.multiplier[c] && requant.shift[c] > -2) return false;
    return true;
}

Layout lay_out(const bw_conv_shape& shape, const Kernel& kernel, const std::int8_t* weights, bool is_wide) {
    Layout layout;
    layout.is_wide = is_wide;
    if (kernel.method == Method::depthwise) {
        layout.of = lay_out_depthwise(shape, *kernel.cut);
    } else {
        layout.of = conv::lay_out(shape, *kernel.cut);
        cut_pieces(is_wide ? find_cuts(shape, weights, layout.of.segment_length) : std::vector{depth_of(shape)},
                   layout);
    }
    layout.channel.assign(static_cast<std::size_t>(layout.of.lanes), -1);
    for (const conv::Panel& panel : layout.of.panels)
        for (std::int32_t lane = 0; lane < panel.vectors * kernel.cut->lanes; ++lane) {
            const std::int32_t c =
                kernel.method == Method::depthwise ? depthwise_channel(kernel.cut->lanes, lane) : lane;
            if (c < panel.channels) layout.channel[static_cast<std::size_t>(panel.lane + lane)] = panel.channel + c;
        }
    return layout;
}

void pack(const bw_conv_shape& shape, const Kernel& kernel, const Layout& layout, const std::int8_t* weights,
          std::byte* packed) {
    if (kernel.method == Method::depthwise) {
        pack_depthwise(shape, *kernel.cut, layout, weights, packed);
    } else {
        conv::pack(shape, *kernel.cut, layout.of, weights, packed);
    }
}

bool takes(const Kernel& kernel, const bw_conv_shape& shape, bool is_wide) {
    return kernel.method == Method::conv || (shape.groups == shape.o && shape.i == 1 && shape.o > 1 && !is_wide);
}

const Kernel& select(Isa isa, const bw_conv_shape& shape, bool is_wide) {
    const Kernel* best = nullptr;
#define BW_CONV16_KERNEL(set, name) \
    if (Isa::set <= isa && takes(name, shape, is_wide)) best = &name;
#include "conv16/kernels.inc"
#undef BW_CONV16_KERNEL
    return *best;
}

}  // namespace bitwright::conv16
