// Every kernel of the family that this machine can run against the reference.
#include "conv16/conv16.h"

#include <algorithm>
#include <vector>

#include "conv16/step.h"
#include "testing/testing.h"

namespace bitwright::conv16 {
namespace {

using testing::Random;

// What is drawn into x, weights, bias and requantization.
enum class Draw { usual, largest, any_bias };

struct Case {
    std::int32_t n = 1, oh = 1, ow = 1, o = 1;
    conv::Window window{1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0};
    std::int32_t x_gap = 0, y_gap = 0;  // elements between pixels, as in a slice of channels
    bw_rounding rounding = BW_INT64;
    Draw draw = Draw::usual;
};

constexpr bw_rounding roundings[] = {BW_INT64, BW_DOUBLE, BW_SINGLE, BW_FP64_AWAY, BW_FP32_EVEN};

std::vector<const Kernel*> kernels() {
    std::vector<const Kernel*> found;
#define BW_CONV16_KERNEL(set, name) \
    if (Isa::set <= detected_isa()) found.push_back(&name);
#include "conv16/kernels.inc"
#undef BW_CONV16_KERNEL
    return found;
}

Tensor image(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c, std::int64_t gap) {
    Tensor tensor;
    tensor.type = Type::i16;
    tensor.rank = 4;
    tensor.dims = {n, h, w, c};
    const std::int64_t sw = c + gap, sh = w * sw + gap;
    tensor.strides = {h * sh, sh, sw, 1};
    return tensor;
}

std::size_t elements_of_image(const Tensor& tensor) {
    return static_cast<std::size_t>(tensor.dims[0] * tensor.strides[0]);
}

Requant draw_requant(const Case& t, Random& random) {
    Requant requant;
    requant.rounding = t.rounding;
    const bool is_bounded = random.between(0, 2) == 0;
    requant.qmin = is_bounded ? random.between(-30000, 0) : -32768;
    requant.qmax = is_bounded ? random.between(1, 30000) : 32767;
    if (random.between(0, 9) == 0) requant.zero_point = random.between(-100, 100);
    // Factors that spread usual sums over 16 bits; or of any size.
    const bool any_size = random.between(0, 2) == 0;
    const std::int32_t most_shift = !any_size ? -2 : t.rounding == BW_INT64 ? 7 : 30;
    const std::int32_t least_shift = any_size ? -31 : -12, less = t.draw == Draw::largest ? -12 : 0;
    for (std::int32_t o = 0; o < t.o; ++o) {
        const std::int32_t multiplier =
            random.between(0, 30) ? random.between(1 << 30, INT32_MAX) : random.between(0, 1) * INT32_MAX;
        requant.multiplier.push_back(multiplier);
        requant.shift.push_back(multiplier ? std::max(random.between(least_shift, most_shift) + less, -31) : 0);
        const double scale = random.between(0, 64) / (any_size ? 4.0 : 4096.0);
        requant.scale.push_back(static_cast<float>(scale));
        requant.scale64.push_back(scale);
    }
    return requant;
}

std::vector<std::int64_t> draw_bias(const Case& t, Random& random) {
    std::vector<std::int64_t> bias(static_cast<std::size_t>(t.o));
    constexpr std::int64_t most = std::int64_t{1} << 46, edges[] = {-most, most - 1, INT32_MIN, INT32_MAX, 0};
    for (auto& b : bias) {
        b = random.between(-2000000, 2000000);
        if (t.draw == Draw::any_bias && random.between(0, 1))
            b = random.between(0, 2) ? b * random.between(0, 20000000) : edges[random.between(0, 4)];
    }
    return bias;
}

// The kernel's y on the case, and nothing beyond it, is the reference's.
void check(const Kernel& kernel, const Case& t, Random& random) {
    const conv::Window& w = t.window;
    const std::int64_t h = (t.oh - 1) * w.stride_h + (w.kh - 1) * w.dilation_h + 1;
    const std::int64_t width = (t.ow - 1) * w.stride_w + (w.kw - 1) * w.dilation_w + 1;
    const Tensor whole = image(t.n, h, width, static_cast<std::int64_t>(w.i) * w.groups, t.x_gap);
    // x is what lies within the padding of the window; element 0 of `data` is that of the padding.
    Tensor x = whole;
    x.dims[1] -= w.top, x.dims[2] -= w.left;
    const Tensor y = image(t.n, t.oh, t.ow, t.o, t.y_gap);
    const auto channels = static_cast<std::size_t>(t.o), depth = static_cast<std::size_t>(w.kh * w.kw * w.i);

    const std::int32_t most = t.draw == Draw::largest ? -30000 : 32767;
    auto data = random.fill<std::int16_t>(elements_of_image(whole) + 32, -32768, most);
    auto weights = random.fill<std::int8_t>(channels * depth, -128, 127);
    if (t.draw == Draw::largest)
        for (std::size_t k = 0; k < weights.size(); ++k) weights[k] = k / depth % 2 ? 127 : -128;
    const auto bias = draw_bias(t, random);
    const Requant requant = draw_requant(t, random);
    const bw_requant view = requant.view();
    const conv::Placement placement = conv::place(x, y, w);
    if (!takes(kernel, placement.shape, is_wide(placement.shape, weights.data(), bias.data(), t.rounding))) return;

    std::vector<std::int16_t> expected(elements_of_image(y) + 64, 77), found = expected;
    bw_conv16_reference(&placement.shape, data.data(), weights.data(), bias.data(), &view, expected.data());

    const Conv16Step step(kernel, 0, 1, placement, weights.data(), bias.data(), requant);
    std::byte* tensors[] = {reinterpret_cast<std::byte*>(data.data() - placement.start),
                            reinterpret_cast<std::byte*>(found.data())};
    const Buffer scratch(step.scratch_bytes());
    const int half = step.tasks() / 2;
    step.run({tensors}, half, step.tasks(), scratch.data());
    if (half) step.run({tensors}, 0, half, scratch.data());

    testing::check(expected == found, kernel.name, __FILE__, __LINE__);
}

void check_all(const Case& t, Random& random) {
    for (const Kernel* kernel : kernels()) check(*kernel, t, random);
}

conv::Window window(std::int32_t size, std::int32_t channels) { return {1, size, size, channels, 1, 1, 1, 1, 1, 0, 0}; }
conv::Window depthwise(std::int32_t size, std::int32_t channels) {
    return {1, size, size, 1, channels, 1, 1, 1, 1, 0, 0};
}

}  // namespace

TEST(conv16_agrees_for_every_count_of_output_channels) {
    Random random(1);
    for (std::int32_t o = 1; o <= 70; ++o) check_all({.oh = 3, .ow = 5, .o = o, .window = window(1, 20)}, random);
    for (const std::int32_t o : {127, 128, 129, 255, 256, 257})
        check_all({.oh = 2, .ow = 4, .o = o, .window = window(1, 9)}, random);
}

TEST(conv16_agrees_for_every_depth) {
    Random random(2);
    for (std::int32_t i = 1; i <= 70; ++i)
        check_all({.oh = 2, .ow = 4, .o = 17, .window = window(i % 3 + 1, i)}, random);
    for (const std::int32_t i : {127, 128, 129, 255, 256, 257, 509, 510, 511, 512, 513, 1023, 1024, 1025, 5000})
        check_all({.oh = 1, .ow = 3, .o = 17, .window = window(1, i)}, random);
}

TEST(conv16_agrees_for_every_count_of_pixels) {
    Random random(3);
    for (std::int32_t w = 1; w <= 66; ++w) {
        check_all({.ow = w, .o = 32, .window = window(1, 64)}, random);
        check_all({.oh = w % 4 + 1, .ow = w, .o = 8, .window = window(3, 5)}, random);
        check_all({.oh = w % 4 + 1, .ow = w, .o = 40, .window = depthwise(3, 40)}, random);
    }
    check_all({.n = 3, .oh = 31, .ow = 33, .o = 5, .window = window(2, 4)}, random);
    check_all({.n = 2, .oh = 60, .ow = 60, .o = 3, .window = window(1, 3)}, random);
}

TEST(conv16_agrees_for_every_count_of_depthwise_channels) {
    Random random(4);
    for (std::int32_t c = 2; c <= 100; ++c)
        check_all({.oh = 2, .ow = 5, .o = c, .window = depthwise(c % 5 + 1, c)}, random);
    check_all({.n = 2, .oh = 9, .ow = 11, .o = 513, .window = depthwise(3, 513)}, random);
}

TEST(conv16_agrees_for_any_window_stride_dilation_group_and_border) {
    Random random(5);
    for (int round = 0; round < 600; ++round) {
        const auto any = [&](std::int32_t most) { return random.between(1, most); };
        const std::int32_t groups = round % 3 ? 1 : any(8), kh = any(4), kw = any(4);
        const bool is_depthwise = round % 6 == 0;
        Case t{.n = any(2), .oh = any(6), .ow = any(10), .o = groups * (is_depthwise ? 1 : any(round % 5 ? 20 : 80))};
        const std::int32_t depth = is_depthwise ? 1 : any(round % 7 ? 12 : 70);
        t.window = {1, kh, kw, depth, groups, any(3), any(3), any(3), any(3), 0, 0};
        t.window.top = random.between(0, kh - 1), t.window.left = random.between(0, kw - 1);
        if (round % 2) t.x_gap = any(9), t.y_gap = any(9);
        t.rounding = roundings[round % 5];
        check_all(t, random);
    }
}

TEST(conv16_sums_are_wider_than_32_bits) {
    Random random(6);
    for (const bw_rounding rounding : roundings)
        for (const std::int32_t depth : {500, 511, 512, 513, 600, 1024, 2500, 5000}) {
            Case t{.oh = 2, .ow = 7, .o = 35, .window = window(1, depth), .rounding = rounding};
            t.draw = Draw::largest;
            check_all(t, random);
        }
    for (const std::int32_t i : {57, 63, 64, 65, 201}) {
        Case t{.oh = 3, .ow = 5, .o = 20, .window = window(3, i), .x_gap = i % 2, .draw = Draw::largest};
        check_all(t, random);
    }
    check_all({.ow = 2, .o = 40, .window = depthwise(23, 40), .draw = Draw::largest}, random);
}

TEST(conv16_takes_a_bias_of_47_bits) {
    Random random(7);
    for (const bw_rounding rounding : roundings)
        for (int round = 0; round < 20; ++round) {
            Case t{.ow = 3, .o = 70, .window = window(1, 1 + round * 60), .rounding = rounding};
            t.draw = Draw::any_bias;
            check_all(t, random);
            t.window = depthwise(3, t.o);
            check_all(t, random);
        }
}

}  // namespace bitwright::conv16
