// Winograd's convolution against the reference: tiles that stick out, every rounding, sums at the bound of exactness.
#include <cmath>
#include <cstring>

#include "conv/step.h"
#include "testing/testing.h"
#include "winograd/step.h"

namespace bitwright::winograd {
namespace {

using testing::Random;

Tensor image(std::int64_t n, std::int64_t h, std::int64_t w, std::int64_t c, std::int64_t gap) {
    Tensor tensor;
    tensor.rank = 4;
    tensor.dims = {n, h, w, c};
    tensor.strides = {h * w * (c + gap), w * (c + gap), c + gap, 1};
    return tensor;
}

struct Case {
    std::int32_t n, oh, ow, i, o, gap;
    bw_rounding rounding;
    std::int32_t most_weight;
};

void check(const Case& t, Random& random) {
    const conv::Window window{1, 3, 3, t.i, 1, 1, 1, 1, 1, 0, 0};
    const Tensor x = image(t.n, t.oh + 2, t.ow + 2, t.i, t.gap), y = image(t.n, t.oh, t.ow, t.o, t.gap);
    const auto size = [](const Tensor& tensor) {
        return static_cast<std::size_t>(tensor.dims[0] * tensor.strides[0]) + 64;
    };
    const auto data = random.fill<std::uint8_t>(size(x), t.most_weight == 127 ? 0 : 255, 255);
    const auto weights = random.fill<std::int8_t>(static_cast<std::size_t>(t.o) * 9 * static_cast<std::size_t>(t.i),
                                                  t.most_weight == 127 ? -127 : t.most_weight, t.most_weight);
    const auto bias = random.fill<std::int32_t>(static_cast<std::size_t>(t.o), -100000, 100000);
    Requant requant{t.rounding, 7, 3, 250, {}, {}, {}, {}};
    for (std::int32_t o = 0; o < t.o; ++o) {
        requant.multiplier.push_back(random.between(1 << 30, INT32_MAX));
        requant.shift.push_back(random.between(-13, -9));
        requant.scale64.push_back(std::ldexp(requant.multiplier.back(), requant.shift.back() - 31));
        requant.scale.push_back(static_cast<float>(requant.scale64.back()));
    }
    const conv::Placement placement = conv::place(x, y, window);
    CHECK(takes(Isa::avx512vnni, placement.shape, weights.data()));

    const bw_requant view = requant.view();
    std::vector<std::uint8_t> expected(size(y), 77), found = expected;
    bw_conv_reference(&placement.shape, data.data(), weights.data(), bias.data(), &view, expected.data());
    Memory memory;
    const WinogradStep step(memory, 0, placement.start, 1, placement.shape, weights.data(), bias.data(), requant);
    std::byte* tensors[] = {reinterpret_cast<std::byte*>(const_cast<std::uint8_t*>(data.data())),
                            reinterpret_cast<std::byte*>(found.data())};
    const Buffer scratch(step.scratch_bytes());
    const int half = step.tasks() / 2;
    step.run({tensors}, half, step.tasks(), scratch.data());
    if (half) step.run({tensors}, 0, half, scratch.data());
    CHECK(expected == found);
}

}  // namespace

TEST(winograd_equals_the_reference_whatever_the_size) {
    if (detected_isa() < Isa::avx512vnni) return;
    Random random(1);
    for (std::int32_t h = 8; h <= 17; h += 3)
        for (std::int32_t w = 8; w <= 13; ++w) check({1, h, w, 32, 32, 0, BW_FP32_EVEN, 127}, random);
    check({2, 9, 10, 64, 80, 16, BW_FP32_EVEN, 127}, random);
    check({3, 12, 12, 96, 112, 32, BW_FP32_EVEN, 127}, random);
}

TEST(winograd_requantizes_in_every_rounding) {
    if (detected_isa() < Isa::avx512vnni) return;
    Random random(2);
    for (const bw_rounding rounding : {BW_FP32_EVEN, BW_DOUBLE, BW_SINGLE, BW_FP64_AWAY})
        check({1, 8, 9, 64, 64, 0, rounding, 127}, random);
}

// 9 * 96 * 127 * 255 is 2^24.7: sums that an arithmetic shift of 6 bits only just leaves whole.
TEST(winograd_is_exact_for_the_largest_sums) {
    if (detected_isa() < Isa::avx512vnni) return;
    Random random(3);
    check({1, 8, 8, 96, 32, 0, BW_FP32_EVEN, 126}, random);
    check({1, 8, 8, 96, 32, 0, BW_FP32_EVEN, -126}, random);
}

TEST(winograd_leaves_what_it_could_get_wrong) {
    const conv::Window window{1, 3, 3, 128, 1, 1, 1, 1, 1, 0, 0};
    const conv::Placement placement = conv::place(image(1, 18, 18, 128, 0), image(1, 16, 16, 128, 0), window);
    std::vector<std::int8_t> weights(128 * 9 * 128, 1);
    CHECK(takes(Isa::avx512vnni, placement.shape, weights.data()));
    std::memset(weights.data() + 5 * 9 * 128, -127, 9 * 128);
    CHECK(!takes(Isa::avx512vnni, placement.shape, weights.data()));
    CHECK(!takes(Isa::avx2, placement.shape, weights.data()));
}

}  // namespace bitwright::winograd
