// Every kernel of the family that this machine can run against the reference.
#include "conv/conv.h"

#include <cmath>
#include <vector>

#include "conv/step.h"
#include "testing/testing.h"

#if BW_X86
#include "conv/amx_emulated_test.h"
#endif

namespace bitwright::conv {
namespace {

using testing::Random;

// What is drawn into x, weights, bias and requantization.
enum class Draw { any, sums_that_overflow_16_bits, accumulators_of_any_size };

struct Case {
    std::int32_t n = 1, oh = 1, ow = 1, o = 1;
    Window window{1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0};
    std::int32_t x_gap = 0, y_gap = 0;  // elements between pixels, as in a slice of channels
    bw_rounding rounding = BW_FP32_EVEN;
    Draw draw = Draw::any;
    Phase phase{};
};

constexpr bw_rounding roundings[] = {BW_FP32_EVEN, BW_DOUBLE, BW_SINGLE, BW_INT64, BW_FP64_AWAY};

std::vector<const Kernel*> kernels() {
    std::vector<const Kernel*> found;
#define BW_CONV_KERNEL(set, name) \
    if (Isa::set <= detected_isa()) found.push_back(&name);
#include "conv/kernels.inc"
#undef BW_CONV_KERNEL
#if BW_X86
    if (detected_isa() >= Isa::avx512vnni) found.push_back(&amx_emulated);
#endif
    return found;
}

Tensor image(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c, std::int64_t gap) {
    Tensor tensor;
    tensor.rank = 4;
    tensor.dims = {n, h, w, c};
    const std::int64_t sw = c + gap, sh = w * sw + gap;
    tensor.strides = {h * sh, sh, sw, 1};
    return tensor;
}

std::size_t bytes_of_image(const Tensor& tensor) {
    return static_cast<std::size_t>(tensor.dims[0] * tensor.strides[0]);
}

Requant draw_requant(const Case& t, Random& random) {
    Requant requant;
    requant.rounding = t.rounding;
    if (random.between(0, 1)) requant.qmin = random.between(0, 120), requant.qmax = random.between(121, 255);
    constexpr std::int32_t zero_points[] = {0, 255, 128};
    requant.zero_point = random.between(0, 3) ? zero_points[random.between(0, 2)] : random.between(0, 255);
    // Factors that spread usual sums over the bytes; for any sums, factors of any size.
    const bool any_size = t.draw == Draw::accumulators_of_any_size;
    const std::int32_t most_shift = !any_size ? -5 : random.between(0, 1) ? 0 : t.rounding == BW_INT64 ? 7 : 30;
    for (std::int32_t o = 0; o < t.o; ++o) {
        const std::int32_t shift = random.between(any_size ? -31 : -11, most_shift);
        const std::int32_t multipliers[] = {random.between(1 << 30, INT32_MAX), 1 << 30, INT32_MAX, 0};
        const std::int32_t multiplier = multipliers[random.between(0, 2) ? 0 : random.between(0, 3)];
        const double scale = std::ldexp(multiplier, shift - 31);
        requant.multiplier.push_back(multiplier);
        requant.shift.push_back(multiplier ? shift : 0);
        requant.scale.push_back(static_cast<float>(scale));
        requant.scale64.push_back(random.between(0, 1) ? scale : static_cast<double>(random.between(0, 64)) / 32);
    }
    return requant;
}

// The kernel's y on the case, and nothing beyond it, is the reference's.
void check(const Kernel& kernel, const Case& t, Random& random) {
    const Window& w = t.window;
    const std::int64_t h = (t.oh - 1) * w.stride_h + (w.kh - 1) * w.dilation_h + 1;
    const std::int64_t width = (t.ow - 1) * w.stride_w + (w.kw - 1) * w.dilation_w + 1;
    const Tensor whole = image(t.n, h, width, static_cast<std::int64_t>(w.i) * w.groups, t.x_gap);
    // x is what lies within the padding of the window; element 0 of `data` is that of the padding.
    Tensor x = whole;
    x.dims[1] -= w.top, x.dims[2] -= w.left;
    const Phase& p = t.phase;
    const Tensor y =
        image(t.n, p.first_h + (t.oh - 1) * p.step_h + 1, p.first_w + (t.ow - 1) * p.step_w + 1, t.o, t.y_gap);
    const auto depth = static_cast<std::size_t>(w.repeats * w.kh * w.kw * w.i);
    const auto channels = static_cast<std::size_t>(t.o);

    const bool any_size = t.draw == Draw::accumulators_of_any_size,
               overflows = t.draw == Draw::sums_that_overflow_16_bits;
    auto data = random.fill<std::uint8_t>(bytes_of_image(whole) + 64, overflows ? 255 : 0, 255);
    auto weights = random.fill<std::int8_t>(channels * depth, any_size ? 0 : -128, any_size ? 0 : 127);
    if (overflows)
        for (std::size_t k = 0; k < weights.size(); ++k) weights[k] = k / depth % 2 ? 127 : -128;
    const std::int32_t most = any_size ? INT32_MAX : 20000;
    auto bias = random.fill<std::int32_t>(channels, any_size ? INT32_MIN : -most, most);
    const Requant requant = draw_requant(t, random);
    const bw_requant view = requant.view();
    if (any_size)
        for (std::size_t o = 0; o < channels; ++o) {
            // Every other sum is a tie, or beside one; some are the ends of 32 bits.
            const double tie = (random.between(-300, 300) + 0.5) / requant.scale[o];
            if (o % 2 && std::abs(tie) < INT32_MAX - 1)
                bias[o] = static_cast<std::int32_t>(tie) + random.between(-1, 1);
            if (o % 30 == 0) bias[o] = o % 60 ? INT32_MIN : INT32_MAX;
        }
    const Placement placement = place(x, y, w, p);

    std::vector<std::uint8_t> expected(bytes_of_image(y) + 64, 77), found = expected;
    bw_conv_reference(&placement.shape, data.data(), weights.data(), bias.data(), &view,
                      expected.data() + placement.y_start);

    Memory memory;
    const ConvStep step(memory, kernel, 0, 1, placement, weights.data(), bias.data(), requant);
    std::byte* tensors[] = {reinterpret_cast<std::byte*>(data.data() - placement.start),
                            reinterpret_cast<std::byte*>(found.data())};
    const Buffer scratch(step.scratch_bytes());
    const int half = step.tasks() / 2;
    step.run({tensors}, half, step.tasks(), scratch.data());
    if (half) step.run({tensors}, 0, half, scratch.data());

    CHECK(placement.shape.oh == t.oh && placement.shape.ow == t.ow);
    testing::check(expected == found, kernel.name, __FILE__, __LINE__);
}

void check_all(const Case& t, Random& random) {
    for (const Kernel* kernel : kernels()) check(*kernel, t, random);
}

Window window(std::int32_t size, std::int32_t channels) { return {1, size, size, channels, 1, 1, 1, 1, 1, 0, 0}; }

}  // namespace

TEST(conv_agrees_for_every_count_of_output_channels) {
    Random random(1);
    for (std::int32_t o = 1; o <= 70; ++o) check_all({.oh = 3, .ow = 5, .o = o, .window = window(1, 20)}, random);
    for (const std::int32_t o : {127, 128, 129, 255, 256, 257})
        check_all({.oh = 2, .ow = 4, .o = o, .window = window(1, 9)}, random);
}

TEST(conv_agrees_for_every_count_of_input_channels) {
    Random random(2);
    for (std::int32_t i = 1; i <= 70; ++i)
        check_all({.oh = 2, .ow = 4, .o = 17, .window = window(i % 3 + 1, i)}, random);
    for (const std::int32_t i : {127, 128, 129, 255, 256, 257, 1023, 1024, 1025})
        check_all({.oh = 1, .ow = 3, .o = 17, .window = window(1, i)}, random);
}

TEST(conv_agrees_for_every_count_of_pixels) {
    Random random(3);
    for (std::int32_t w = 1; w <= 66; ++w) {
        check_all({.ow = w, .o = 32, .window = window(1, 64)}, random);
        check_all({.oh = w % 4 + 1, .ow = w, .o = 8, .window = window(3, 5)}, random);
    }
    check_all({.oh = 7, .ow = 7, .o = 64, .window = window(1, 64)}, random);
    check_all({.n = 3, .oh = 31, .ow = 33, .o = 5, .window = window(2, 4)}, random);
    check_all({.n = 2, .oh = 60, .ow = 60, .o = 3, .window = window(1, 3)}, random);
    check_all({.oh = 9, .ow = 10, .o = 5, .window = window(3, 1000)}, random);  // more rows than kernels copy at a time
    check_all({.n = 2, .oh = 5, .ow = 6, .o = 20, .window = window(1, 64), .x_gap = 3}, random);  // rows lie apart
}

TEST(conv_agrees_for_any_window_stride_dilation_group_and_border) {
    Random random(4);
    for (int round = 0; round < 500; ++round) {
        const auto any = [&](std::int32_t most) { return random.between(1, most); };
        const std::int32_t groups = round % 3 ? 1 : any(4), kh = any(4), kw = any(4);
        Case t{.n = any(2), .oh = any(6), .ow = any(10), .o = groups * any(round % 5 ? 20 : 80)};
        t.window = {
            any(round % 4 ? 1 : 3), kh, kw, any(round % 7 ? 12 : 70), groups, any(3), any(3), any(3), any(3), 0, 0};
        t.window.top = random.between(0, kh - 1), t.window.left = random.between(0, kw - 1);
        if (round % 2) t.x_gap = any(9), t.y_gap = any(9);
        if (round % 11 == 0) t.phase = {random.between(0, 2), random.between(0, 2), 3, 3};
        t.rounding = roundings[round % 5];
        check_all(t, random);
    }
}

TEST(conv_agrees_for_many_groups) {
    Random random(7);
    for (const std::int32_t groups : {2, 12, 40})
        for (const std::int32_t filters : {1, 9, 33}) {
            Case t{.oh = 3, .ow = 7, .o = groups * filters, .window = window(1, 5)};
            t.window.groups = groups;
            check_all(t, random);
        }
}

TEST(conv_sums_wider_than_16_bits) {
    Random random(5);
    for (const bw_rounding rounding : roundings)
        for (const std::int32_t depth : {2, 4, 300, 2500}) {
            Case t{.oh = 2, .ow = 3, .o = 35, .window = window(1, depth), .rounding = rounding};
            t.draw = Draw::sums_that_overflow_16_bits;
            check_all(t, random);
        }
}

TEST(conv_requantizes_any_accumulator_in_every_rounding) {
    Random random(6);
    for (const bw_rounding rounding : roundings)
        for (int round = 0; round < 30; ++round) {
            Case t{.ow = 2, .o = 200, .window = window(1, 1), .rounding = rounding};
            t.draw = Draw::accumulators_of_any_size;
            check_all(t, random);
        }
}

#if BW_X86
TEST(conv_amx_gives_tiles_only_what_they_take) { CHECK(emulated_faults() == 0); }
#endif

}  // namespace bitwright::conv
