// Convolutions that join their result with another tensor, against the references one after the other.
#include "elementwise/residual.h"

#include <cmath>
#include <stdexcept>
#include <vector>

#include "conv/step.h"
#include "testing/testing.h"
#include "winograd/step.h"

#if BW_X86
#include "conv/amx_emulated_test.h"
#endif

namespace bitwright::conv {
namespace {

using testing::Random;

constexpr int x_number = 0, y_number = 1, other_number = 2;

struct Case {
    std::int32_t n = 1, oh = 1, ow = 1, o = 1;
    Window window{1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0};
    std::int32_t border = 0, gap = 0;  // pixels between rows, channels between pixels, of the other operand and of y
    bw_pair_operation operation = BW_WEIGHTED_SUM;
};

// An image that lies in a larger one.
Tensor image(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c, std::int64_t border, std::int64_t gap) {
    Tensor tensor;
    tensor.rank = 4;
    tensor.dims = {n, h, w, c};
    const std::int64_t sw = c + gap, sh = (w + border) * sw;
    tensor.strides = {(h + border) * sh, sh, sw, 1};
    return tensor;
}

std::size_t bytes_of(const Tensor& tensor) { return static_cast<std::size_t>(tensor.dims[0] * tensor.strides[0]); }

Requant requant_of(Random& random, std::int32_t channels, bw_rounding rounding, int least_shift, int most_shift) {
    Requant requant{rounding, random.between(0, 255), random.between(0, 20), random.between(200, 255), {}, {}, {}, {}};
    for (std::int32_t c = 0; c < channels; ++c) {
        requant.multiplier.push_back(random.between(1 << 30, INT32_MAX));
        requant.shift.push_back(random.between(least_shift, most_shift));
        requant.scale.push_back(static_cast<float>(std::ldexp(requant.multiplier.back(), requant.shift.back() - 31)));
    }
    return requant;
}

QuantizedPair pair_of(Random& random, bw_pair_operation operation) {
    const auto point = [&] { return random.between(0, 255); };
    if (operation == BW_WEIGHTED_SUM) {
        const auto weight = [&] { return random.between(1 << 19, 1 << 21); };
        return {{operation, {point(), point()}, {weight(), weight()}, {0, 0}, 0, random.between(19, 22), {}, {}},
                requant_of(random, 1, BW_FP32_EVEN, 0, 0),
                {}};
    }
    const auto factor = [&] { return random.between(1 << 30, INT32_MAX); };
    return {{operation, {point(), point()}, {factor(), factor()}, {-1, -2}, 20, 0, {}, {}},
            requant_of(random, 1, BW_DOUBLE, -20, -18),
            {}};
}

// The images of one case, and what the references make of them.
struct Expected {
    Tensor y, other;
    Placement placement;
    std::vector<std::uint8_t> data, joined, before, result;
    std::vector<std::int8_t> weights;
    std::vector<std::int32_t> bias;
    Requant requant;
    QuantizedPair pair;

    Expected(const Case& t, bool is_first, Random& random)
        : y(image(t.n, t.oh, t.ow, t.o, random.between(0, 1) * t.border, random.between(0, 1) * t.gap)),
          other(image(t.n, t.oh, t.ow, t.o, t.border, t.gap)),
          requant(requant_of(random, t.o, BW_FP32_EVEN, -11, -8)),
          pair(pair_of(random, t.operation)) {
        const Window& w = t.window;
        const std::int64_t h = (t.oh - 1) * w.stride_h + w.kh, width = (t.ow - 1) * w.stride_w + w.kw;
        const Tensor x = image(t.n, h, width, static_cast<std::int64_t>(w.i) * w.groups, 0, 0);
        placement = place(x, y, w);
        data = random.fill<std::uint8_t>(bytes_of(x) + 64, 0, 255);
        weights = random.fill<std::int8_t>(static_cast<std::size_t>(t.o * w.kh * w.kw * w.i), -127, 127);
        bias = random.fill<std::int32_t>(static_cast<std::size_t>(t.o), -20000, 20000);
        joined = random.fill<std::uint8_t>(bytes_of(other), 0, 255);
        before = random.fill<std::uint8_t>(bytes_of(y), 0, 255);
        result = before;
        const bw_requant view = requant.view();
        bw_conv_reference(&placement.shape, data.data(), weights.data(), bias.data(), &view, result.data());
        const bw_pair how = pair.view();
        for (std::int64_t n = 0; n < t.n; ++n)
            for (std::int64_t r = 0; r < t.oh; ++r) {
                std::uint8_t* const of_y = result.data() + n * y.strides[0] + r * y.strides[1];
                const std::uint8_t* const of_other = joined.data() + n * other.strides[0] + r * other.strides[1];
                const std::int64_t step = y.strides[2], other_step = other.strides[2];
                const bw_block block{
                    t.ow, t.o, {step, is_first ? step : other_step, is_first ? other_step : step}, {1, 1, 1}};
                bw_pair_reference_u8(&how, &block, is_first ? of_y : of_other, is_first ? of_other : of_y, of_y);
            }
    }

    std::unique_ptr<const Residual> residual(Isa isa, bool is_first) const {
        return std::make_unique<const Residual>(elementwise::select_pair(isa), pair, Residual::Operand{y_number, y},
                                                Residual::Operand{other_number, other}, is_first);
    }

    void check(const Step& step) {
        std::vector<std::uint8_t> found = before;
        std::byte* tensors[] = {reinterpret_cast<std::byte*>(data.data()), reinterpret_cast<std::byte*>(found.data()),
                                reinterpret_cast<std::byte*>(joined.data())};
        const Buffer scratch(step.scratch_bytes());
        const int half = step.tasks() / 2;
        step.run({tensors}, half, step.tasks(), scratch.data());
        if (half) step.run({tensors}, 0, half, scratch.data());
        testing::check(result == found, step.name().c_str(), __FILE__, __LINE__);
    }
};

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

void check_all(const Case& t, Random& random) {
    for (const Kernel* kernel : kernels()) {
        const bool is_first = random.between(0, 1);
        Expected expected(t, is_first, random);
        const Isa isa = kernel->isa <= detected_isa() ? kernel->isa : detected_isa();
        Memory memory;
        expected.check(ConvStep(memory, *kernel, x_number, y_number, expected.placement, expected.weights.data(),
                                expected.bias.data(), expected.requant, expected.residual(isa, is_first)));
    }
}

Window window(std::int32_t size, std::int32_t channels, std::int32_t stride = 1, std::int32_t groups = 1) {
    return {1, size, size, channels, groups, stride, stride, 1, 1, 0, 0};
}

}  // namespace

TEST(residual_equals_the_references_whatever_the_shape) {
    Random random(1);
    constexpr bw_pair_operation operations[] = {BW_WEIGHTED_SUM, BW_SUM, BW_DIFFERENCE};
    for (int round = 0; round < 200; ++round) {
        const auto any = [&](std::int32_t most) { return random.between(1, most); };
        const std::int32_t groups = round % 3 ? 1 : any(3);
        Case t{.n = any(3), .oh = any(8), .ow = any(12), .o = groups * any(round % 4 ? 40 : 200)};
        t.window = window(any(3), any(20), any(2), groups);
        if (round % 2) t.border = random.between(0, 2), t.gap = random.between(0, 1) * any(9);
        t.operation = operations[round % 3];
        check_all(t, random);
    }
}

TEST(residual_of_blocks_that_end_within_rows_and_images) {
    Random random(2);
    for (const std::int32_t border : {0, 2}) {
        check_all({.n = 3, .oh = 29, .ow = 31, .o = 24, .window = window(1, 64), .border = border}, random);
        check_all({.n = 2, .oh = 11, .ow = 13, .o = 40, .window = window(1, 1000), .border = border}, random);
    }
}

TEST(residual_of_tasks_that_share_pixels) {
    Random random(3);
    for (const std::int32_t channels : {96, 160, 512, 1000})
        check_all({.oh = 7, .ow = 7, .o = channels, .window = window(1, 32), .border = 1}, random);
}

TEST(residual_of_winograd_equals_the_references) {
    if (detected_isa() < Isa::avx512vnni) return;
    Random random(4);
    const auto check = [&](const Case& t) {
        for (const bool is_first : {false, true}) {
            Expected expected(t, is_first, random);
            CHECK(winograd::takes(Isa::avx512vnni, expected.placement.shape, expected.weights.data()));
            Memory memory;
            expected.check(winograd::WinogradStep(
                memory, x_number, expected.placement.start, y_number, expected.placement.shape, expected.weights.data(),
                expected.bias.data(), expected.requant, expected.residual(Isa::avx512vnni, is_first)));
        }
    };
    for (std::int32_t size = 8; size <= 13; ++size)
        check({.oh = size, .ow = 21 - size, .o = 32, .window = window(3, 32), .border = size % 2});
    check({.n = 3, .oh = 14, .ow = 15, .o = 80, .window = window(3, 96), .border = 2, .gap = 16});
}

TEST(residual_refuses_another_shape) {
    const Residual::Operand y{y_number, image(1, 4, 4, 8, 0, 0)};
    Residual::Operand other{other_number, image(1, 4, 4, 4, 0, 0)};
    const auto is_refused = [&] {
        try {
            const Residual residual(elementwise::select_pair(Isa::scalar), {}, y, other, true);
        } catch (const std::invalid_argument&) {
            return true;
        }
        return false;
    };
    CHECK(is_refused());
    other.tensor = y.tensor;
    CHECK(!is_refused());
    other.tensor.type = Type::i16;
    CHECK(is_refused());
}

}  // namespace bitwright::conv
