#include "depthwise/step.h"
#include "testing/testing.h"

#include <algorithm>
#include <cstring>

namespace bitwright::depthwise {
namespace {

using testing::Random;

struct Case {
    std::int32_t n = 1, oh = 1, ow = 1, c = 1;
    Window window{3, 3, 1, 1, 1, 1, 0, 0};
    std::int32_t x_gap = 0, y_gap = 0;  // elements between pixels, as in a slice of channels
    bw_rounding rounding = BW_FP32_EVEN;
    bool is_extreme = false;  // inputs, weights and bias at their bounds, scales that saturate
};

// Step `isa` on the case equals the reference; nothing else of y is written.
bool agrees(const Case& t, Isa isa, Random& random) {
    const Window& w = t.window;
    const auto channels = static_cast<std::size_t>(t.c);
    const std::int64_t h = (t.oh - 1) * w.stride_h + (w.kh - 1) * w.dilation_h + 1;
    const std::int64_t width = (t.ow - 1) * w.stride_w + (w.kw - 1) * w.dilation_w + 1;
    Tensor x, y;
    const auto image = [](Tensor& tensor, std::int64_t n, std::int64_t rows, std::int64_t columns, std::int64_t c,
                          std::int64_t sw, std::int64_t sh) {
        tensor.rank = 4;
        tensor.dims = {n, rows, columns, c};
        tensor.strides = {rows * sh, sh, sw, 1};
        return static_cast<std::size_t>(n * rows * sh);
    };
    const std::int64_t x_sw = t.c + t.x_gap, y_sw = t.c + t.y_gap;
    const std::size_t x_size = image(x, t.n, h, width, t.c, x_sw, width * x_sw);
    const std::size_t y_size = image(y, t.n, t.oh, t.ow, t.c, y_sw, t.ow * y_sw + 3);

    auto data = random.fill<std::uint8_t>(x_size + 64, t.is_extreme ? 254 : 0, 255);
    auto weights = random.fill<std::int8_t>(static_cast<std::size_t>(w.kh * w.kw) * channels, -128, 127);
    auto bias = random.fill<std::int32_t>(channels, -40000, 40000);
    if (t.is_extreme) {
        for (auto& weight : weights) weight = weight < 0 ? -128 : 127;
        for (auto& b : bias) b = b < 0 ? INT32_MIN : INT32_MAX;
    }
    Requant requant;
    requant.rounding = t.rounding;
    requant.qmin = random.between(0, 3) ? 0 : random.between(0, 100);
    requant.qmax = random.between(0, 3) ? 255 : random.between(150, 255);
    requant.zero_point = random.between(requant.qmin, requant.qmax);
    for (std::size_t c = 0; c < channels; ++c) {
        const double scale = random.between(1, 1000) * (t.is_extreme ? 1e-2 : 3e-6);
        requant.scale.push_back(static_cast<float>(scale));
        requant.scale64.push_back(scale);
        requant.multiplier.push_back(random.between(1 << 30, INT32_MAX));
        requant.shift.push_back(t.is_extreme ? random.between(-31, 7) : random.between(-9, -4));
    }

    std::vector<std::uint8_t> expected(y_size + 64, 77), found = expected;
    const bw_depthwise_shape shape{t.n,        t.oh,         t.ow,         t.c,          w.kh,         w.kw,
                                   w.stride_h, w.stride_w,   w.dilation_h, w.dilation_w, x.strides[0], x.strides[1],
                                   x_sw,       y.strides[0], y.strides[1], y_sw};
    const bw_requant view = requant.view();
    bw_depthwise_reference(&shape, data.data(), weights.data(), bias.data(), &view, expected.data(), 0, t.n * t.oh);

    const DepthwiseStep step(isa, 0, x, 1, y, w, weights.data(), bias.data(), requant);
    std::byte* tensors[] = {reinterpret_cast<std::byte*>(data.data()), reinterpret_cast<std::byte*>(found.data())};
    const int half = step.tasks() / 2;
    step.run({tensors}, half, step.tasks(), nullptr);
    step.run({tensors}, 0, half, nullptr);
    return expected == found;
}

void check_on_all(const Case& t, Random& random) {
    for (int isa = 0; isa <= static_cast<int>(detected_isa()); ++isa) CHECK(agrees(t, static_cast<Isa>(isa), random));
}

constexpr bw_rounding roundings[] = {BW_FP32_EVEN, BW_DOUBLE, BW_SINGLE, BW_FP64_AWAY};

}  // namespace

TEST(depthwise_agrees_for_every_number_of_channels) {
    Random random(1);
    for (std::int32_t c = 1; c <= 200; ++c)
        for (const std::int32_t stride : {1, 2})
            check_on_all({.oh = 3, .ow = 1 + c % 7, .c = c, .window = {3, 3, stride, stride, 1, 1, 0, 0}}, random);
    for (const std::int32_t c : {255, 256, 257, 576, 960, 1001}) check_on_all({.oh = 2, .ow = 3, .c = c}, random);
}

TEST(depthwise_agrees_for_every_size_of_output) {
    Random random(2);
    for (std::int32_t size = 1; size <= 18; ++size)
        for (const std::int32_t c : {8, 16, 24, 32, 64, 96}) {
            check_on_all({.n = 2, .oh = size, .ow = 19 - size, .c = c}, random);
            check_on_all({.oh = size, .ow = 19 - size, .c = c, .window = {3, 3, 2, 2, 1, 1, 0, 0}}, random);
            check_on_all({.oh = 19 - size, .ow = size, .c = c, .window = {5, 5, 1, 1, 1, 1, 0, 0}}, random);
        }
}

TEST(depthwise_agrees_for_every_window_stride_and_dilation) {
    Random random(3);
    for (int i = 0; i < 600; ++i) {
        const auto any = [&](int most) { return random.between(1, most); };
        Case t{.n = any(2),
               .oh = any(6),
               .ow = any(9),
               .c = any(i % 3 ? 40 : 150),
               .window = {any(6), any(6), any(3), any(3), any(3), any(3), 0, 0}};
        if (i % 4 == 0) t.x_gap = any(70), t.y_gap = any(5);
        t.rounding = roundings[i % 5 == 0 ? i / 5 % 4 : 0];
        check_on_all(t, random);
    }
}

TEST(depthwise_agrees_where_dilation_meets_stride) {
    Random random(6);
    for (const std::int32_t c : {4, 8, 16, 32, 64, 128})
        for (const std::int32_t stride : {1, 2, 4})
            for (const std::int32_t dilation : {2, 4, 8})
                check_on_all({.oh = 4, .ow = 16, .c = c, .window = {3, 3, stride, stride, dilation, dilation, 0, 0}},
                             random);
}

TEST(depthwise_agrees_for_extreme_values_in_every_rounding) {
    Random random(4);
    for (const bw_rounding rounding : roundings)
        for (int i = 0; i < 8; ++i)
            check_on_all({.oh = 3,
                          .ow = 5,
                          .c = 16 + 16 * i,
                          .window = {3, 3, 1 + i % 2, 1 + i % 2, 1, 1, 0, 0},
                          .rounding = rounding,
                          .is_extreme = true},
                         random);
}

TEST(depthwise_reads_padding_around_the_image) {
    Random random(5);
    const std::int32_t w = 4, c = 40, border = 1;
    const std::int32_t sw = c, sh = (w + 2 * border) * c;
    Tensor x, y;
    x.rank = y.rank = 4;
    x.dims = y.dims = {1, w, w, c};
    x.strides = {0, sh, sw, 1};
    y.strides = {0, w * c, c, 1};
    auto memory = random.fill<std::uint8_t>(static_cast<std::size_t>(sh * (w + 2)) + 64, 0, 255);
    const auto weights = random.fill<std::int8_t>(9 * c, -128, 127);
    const std::vector<std::int32_t> bias(c, 5);
    Requant requant;
    requant.scale.assign(c, 0.003f);
    requant.zero_point = 128;
    const bw_depthwise_shape shape{1, w, w, c, 3, 3, 1, 1, 1, 1, 0, sh, sw, 0, w * c, c};
    const bw_requant view = requant.view();
    std::vector<std::uint8_t> expected(static_cast<std::size_t>(w * w * c) + 64), found = expected;
    bw_depthwise_reference(&shape, memory.data(), weights.data(), bias.data(), &view, expected.data(), 0, w);

    const DepthwiseStep step(detected_isa(), 0, x, 1, y, {3, 3, 1, 1, 1, 1, border, border}, weights.data(),
                             bias.data(), requant);
    std::byte* tensors[] = {reinterpret_cast<std::byte*>(memory.data()) + sh + sw,
                            reinterpret_cast<std::byte*>(found.data())};
    step.run({tensors}, 0, step.tasks(), nullptr);

    CHECK(expected == found);
}

}  // namespace bitwright::depthwise
