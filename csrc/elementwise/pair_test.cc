// Every kernel of quantized pairs beside the reference, bit for bit.
#include "elementwise/pair.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "testing/testing.h"

namespace bitwright::elementwise {
namespace {

using testing::Random;

constexpr const PairKernel* kernels[] = {
#define BW_PAIR_KERNEL(isa, name) &name,
#include "elementwise/pair_kernels.inc"
#undef BW_PAIR_KERNEL
};

constexpr std::int64_t lengths[] = {1,  2,  3,  4,  5,  6,  7,  8,   9,   10,  15, 16,
                                    17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 300};

// Requantization of one channel, with arrays of its own.
struct OneChannel {
    float scale;
    std::int32_t multiplier, shift;
    bw_requant requant;

    OneChannel(Random& random, bw_rounding rounding, int shift_low, int shift_high, bool is_bytes) {
        scale = std::ldexp(static_cast<float>(random.between(1 << 19, 1 << 20)), random.between(-35, -13));
        multiplier = random.between(1 << 30, INT32_MAX);
        shift = random.between(shift_low, shift_high);
        const std::int32_t low = is_bytes ? 0 : -32768, high = is_bytes ? 255 : 32767;
        const bool tight = random.between(0, 1);
        const std::int32_t qmin = tight ? random.between(low, low + 40) : low,
                           qmax = tight ? random.between(high - 40, high) : high;
        requant = {rounding, is_bytes ? 255 * random.between(0, 1) : 0, qmin, qmax, &scale, &multiplier, &shift,
                   nullptr};
    }
};

template <typename T>
void run(const PairKernel& kernel, const bw_pair& how, const bw_block& block, const T* a, const T* b, T* y) {
    if constexpr (sizeof(T) == 1) {
        kernel.run_u8(how, block, a, b, y);
    } else {
        kernel.run_i16(how, block, a, b, y);
    }
}

// All ways in which operands broadcast, and rows with gaps; what lies between and after the rows stays.
template <typename T>
void check(const bw_pair& how, std::uint64_t seed) {
    Random random(seed);
    const std::int32_t low = sizeof(T) == 1 ? 0 : -32768, high = sizeof(T) == 1 ? 255 : 32767;
    for (const std::int64_t length : lengths) {
        const std::int64_t gap = random.between(0, 3), rows = random.between(1, 3);
        const std::size_t size = static_cast<std::size_t>(rows * (length + gap));
        auto a = random.fill<T>(size, low, high), b = random.fill<T>(2 * size, low, high);
        a[0] = static_cast<T>(low), b[0] = static_cast<T>(high);
        const std::vector<T> start = random.fill<T>(size, low, high);
        for (const auto& [of_a, of_b] : {std::pair{1, 1}, {1, 0}, {0, 1}, {1, 2}}) {
            const std::int64_t row_b = random.between(0, 1) * (length + gap);
            const bw_block block{rows, length, {length + gap, length + gap, row_b}, {1, of_a, of_b}};
            std::vector<T> expected = start;
            run(pair_scalar, how, block, a.data(), b.data(), expected.data());
            for (const PairKernel* kernel : kernels) {
                if (kernel->isa > detected_isa()) continue;
                std::vector<T> made = start;
                run(*kernel, how, block, a.data(), b.data(), made.data());
                CHECK(made == expected);
            }
        }
    }
}

bw_pair on_common_scale(Random& random, bw_pair_operation operation, int left_shift, bool is_bytes,
                        const bw_requant& requant) {
    bw_pair how{operation, {0, 0}, {0, 0}, {0, 0}, left_shift, 0, requant, {}};
    for (int k = 0; k < 2; ++k) {
        how.zero_point[k] = is_bytes ? 255 * random.between(0, 1) : 0;
        how.multiplier[k] = random.between(1 << 30, INT32_MAX);
        how.shift[k] = -random.between(0, random.between(0, 1) ? 2 : 31);
    }
    return how;
}

// A shift that brings sums of operands on their common scale to the range of results, or near it.
std::int32_t shift_of_sums(Random& random, const bw_pair& how, bool is_bytes) {
    const int bits = (is_bytes ? 8 : 15) + how.left_shift + std::max(how.shift[0], how.shift[1]);
    return std::clamp((is_bytes ? 8 : 16) - bits + random.between(-2, 2), -30, 0);
}

}  // namespace

TEST(pair_weighted_sum) {
    Random random(1);
    for (int round = 0; round < 40; ++round) {
        OneChannel channel(random, BW_FP32_EVEN, 0, 0, true);
        const auto weight = [&] { return random.between(0, 1) ? 1 << 21 : random.between(-(1 << 21), 1 << 21); };
        const bw_pair how{BW_WEIGHTED_SUM,
                          {random.between(0, 255), 255 * random.between(0, 1)},
                          {weight(), weight()},
                          {0, 0},
                          0,
                          random.between(13, 30),
                          channel.requant,
                          {}};
        check<std::uint8_t>(how, static_cast<std::uint64_t>(round));
    }
}

// Weights, zero_points and shifts up to what sums of bytes hold in 32 bits, and beyond; every pair of bytes.
TEST(pair_weighted_sum_of_all_bytes) {
    std::vector<std::uint8_t> a(1 << 16), b(1 << 16), expected(1 << 16), made(1 << 16);
    for (std::size_t i = 0; i < a.size(); ++i)
        a[i] = static_cast<std::uint8_t>(i), b[i] = static_cast<std::uint8_t>(i >> 8);
    const bw_block block{1, 1 << 16, {0, 0, 0}, {1, 1, 1}};
    Random random(6);
    for (int round = 0; round < 60; ++round) {
        OneChannel channel(random, BW_FP32_EVEN, 0, 0, true);
        const std::int32_t most = 1 << 21;
        const auto weight = [&] {
            return random.between(0, 3) ? random.between(-most, most) : random.between(0, 1) ? most : -most;
        };
        const auto point = [&] { return random.between(0, 1) ? random.between(0, 255) : 255 * random.between(0, 1); };
        const bw_pair how{BW_WEIGHTED_SUM,
                          {point(), point()},
                          {weight(), weight()},
                          {0, 0},
                          0,
                          random.between(15, 24),
                          channel.requant,
                          {}};
        pair_scalar.run_u8(how, block, a.data(), b.data(), expected.data());
        for (const PairKernel* kernel : kernels) {
            if (kernel->isa > detected_isa()) continue;
            kernel->run_u8(how, block, a.data(), b.data(), made.data());
            CHECK(made == expected);
        }
    }
}

TEST(pair_on_common_scale) {
    Random random(2);
    for (int round = 0; round < 120; ++round) {
        const bool is_bytes = round % 2;
        const auto operation = static_cast<bw_pair_operation>(BW_SUM + round % 3);
        OneChannel channel(random, random.between(0, 1) ? BW_DOUBLE : BW_SINGLE, -30, 0, is_bytes);
        // 7 bits for squares; scales that are powers of two need 1.
        const int left = operation == BW_SQUARED_DIFFERENCE ? 7 : is_bytes ? 20 : 15;
        bw_pair how = on_common_scale(random, operation, left, is_bytes, channel.requant);
        if (operation == BW_SQUARED_DIFFERENCE) {
            if (!is_bytes) continue;
        } else if (random.between(0, 3)) {
            channel.shift = shift_of_sums(random, how, is_bytes);
        } else if (!is_bytes && random.between(0, 1)) {
            how.left_shift = 1;
            how.multiplier[0] = how.multiplier[1] = 1 << 30;
            channel.requant.rounding = how.requant.rounding = BW_DOUBLE;
            channel.multiplier = 1 << 30, channel.shift = 1;
        }
        is_bytes ? check<std::uint8_t>(how, static_cast<std::uint64_t>(round))
                 : check<std::int16_t>(how, static_cast<std::uint64_t>(round));
    }
}

TEST(pair_product) {
    Random random(3);
    for (int round = 0; round < 60; ++round) {
        const bool is_bytes = round % 2;
        const bw_rounding roundings[] = {BW_DOUBLE, BW_SINGLE, BW_FP32_EVEN};
        const bw_rounding rounding = roundings[random.between(0, is_bytes ? 2 : 1)];
        OneChannel channel(random, rounding, -30, is_bytes ? 13 : 0, is_bytes);
        const auto point = [&] { return is_bytes ? 255 * random.between(0, 1) : 0; };
        const bw_pair how{BW_PRODUCT, {point(), point()}, {0, 0}, {0, 0}, 0, 0, channel.requant, {}};
        is_bytes ? check<std::uint8_t>(how, static_cast<std::uint64_t>(round))
                 : check<std::int16_t>(how, static_cast<std::uint64_t>(round));
    }
}

TEST(pair_slope) {
    Random random(4);
    for (int round = 0; round < 40; ++round) {
        const bw_rounding rounding = random.between(0, 1) ? BW_DOUBLE : BW_SINGLE;
        const OneChannel above(random, rounding, -30, 13, true), below(random, rounding, -30, 13, true);
        const std::int32_t point = 255 * random.between(0, 1);
        bw_pair how{BW_SLOPE, {random.between(0, 255), point}, {0, 0}, {0, 0}, 0, 0, above.requant, above.requant};
        how.below.multiplier = below.requant.multiplier;
        how.below.shift = below.requant.shift;
        check<std::uint8_t>(how, static_cast<std::uint64_t>(round));
    }
}

}  // namespace bitwright::elementwise
