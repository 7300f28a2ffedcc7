// Every kernel of quantize and dequantize beside the reference, bit for bit.
#include "elementwise/quantize.h"

#include <cmath>
#include <limits>

#include "testing/testing.h"

namespace bitwright::elementwise {
namespace {

using testing::Random;

constexpr const QuantizeKernel* kernels[] = {
#define BW_QUANTIZE_KERNEL(isa, name) &name,
#include "elementwise/quantize_kernels.inc"
#undef BW_QUANTIZE_KERNEL
};

constexpr float infinity = std::numeric_limits<float>::infinity();

// Ties and their neighbours, all magnitudes, and what is no number.
std::vector<float> reals(Random& random, std::size_t count, float factor, bw_quantize_rule rule) {
    constexpr float special[] = {NAN,           infinity,       -infinity,   -0.0f,  3e9f, -3e9f,
                                 2147483648.0f, -2147483648.0f, 0.49999997f, 1e-40f, 0.5f, -0.5f,
                                 8388607.5f,    511.5f,         512.5f,      -512.5f};
    const float step = rule == BW_DIVIDED ? factor : 1 / factor;
    std::vector<float> made(count);
    for (float& x : made) {
        const int kind = random.between(0, 9);
        if (kind == 0) {
            x = special[random.between(0, 15)] * (random.between(0, 1) ? step : 1);
        } else if (kind < 5) {
            x = (static_cast<float>(random.between(-300, 300)) + 0.5f) * step;
            if (random.between(0, 1)) x = std::nextafterf(x, random.between(0, 1) ? infinity : -infinity);
        } else {
            x = std::ldexp(static_cast<float>(random.between(-1000000, 1000000)), random.between(-40, 20));
        }
    }
    return made;
}

// Rows with gaps, and channels apart in x.
std::vector<bw_block> blocks(Random& random) {
    std::vector<bw_block> made;
    for (const std::int64_t length : {1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 63, 64, 65, 129, 200}) {
        const std::int64_t gap = random.between(0, 2), rows = random.between(1, 3);
        made.push_back({rows, length, {length + gap, length, 0}, {1, 1, 0}});
        made.push_back({rows, length, {2 * length, 2 * length, 0}, {2, 1, 0}});
    }
    for (const std::int64_t channels : {2, 3, 4, 5, 15, 16, 17, 33})
        for (const std::int64_t pixels : {1, 15, 16, 17, 63, 64, 65, 150}) {
            const std::int64_t gap = random.between(0, 1);
            made.push_back({pixels, channels, {channels + gap, 1, 0}, {1, pixels + 3 * gap, 0}});
        }
    return made;
}

std::size_t span_of(const bw_block& k, std::size_t operand) {
    return static_cast<std::size_t>((k.rows - 1) * k.row_stride[operand] + (k.length - 1) * k.stride[operand] + 1);
}

template <typename T>
auto quantize_of(const QuantizeKernel& kernel) {
    if constexpr (sizeof(T) == 1) {
        return kernel.quantize_u8;
    } else {
        return kernel.quantize_i16;
    }
}

template <typename T>
auto dequantize_of(const QuantizeKernel& kernel) {
    if constexpr (sizeof(T) == 1) {
        return kernel.dequantize_u8;
    } else {
        return kernel.dequantize_i16;
    }
}

template <typename T>
void check_quantize(std::uint64_t seed) {
    Random random(seed);
    const auto rule = random.between(0, 1) ? BW_DIVIDED : BW_MULTIPLIED;
    const std::int32_t bias = sizeof(T) == 1 ? 128 * random.between(0, 1) : 0,
                       most = sizeof(T) == 1 ? 255 - bias : 32767;
    const float factor = std::ldexp(static_cast<float>(random.between(1, 1000000)), random.between(-40, -10));
    const bw_quantize how{rule, factor, random.between(0, 1) ? most : most - (sizeof(T) == 1 ? 255 : 65535), bias};
    for (const bw_block& block : blocks(random)) {
        const std::vector<float> x = reals(random, span_of(block, 1), factor, rule);
        const std::vector<T> start = random.fill<T>(span_of(block, 0), 0, 255);
        std::vector<T> expected = start;
        quantize_of<T>(quantize_scalar)(how, block, x.data(), expected.data());
        for (const QuantizeKernel* kernel : kernels) {
            if (kernel->isa > detected_isa()) continue;
            std::vector<T> made = start;
            quantize_of<T> (*kernel)(how, block, x.data(), made.data());
            CHECK(made == expected);
        }
    }
}

template <typename T>
void check_dequantize(std::uint64_t seed) {
    Random random(seed);
    const std::int32_t low = sizeof(T) == 1 ? 0 : -32768, high = sizeof(T) == 1 ? 255 : 32767;
    const bw_dequantize how{static_cast<float>(random.between(1, 1000000)) / 16777216.0f, random.between(low, high)};
    for (const bw_block& block : blocks(random)) {
        const std::vector<T> x = random.fill<T>(span_of(block, 1), low, high);
        std::vector<float> expected(span_of(block, 0), -1.0f);
        dequantize_of<T>(quantize_scalar)(how, block, x.data(), expected.data());
        for (const QuantizeKernel* kernel : kernels) {
            if (kernel->isa > detected_isa()) continue;
            std::vector<float> made(span_of(block, 0), -1.0f);
            dequantize_of<T> (*kernel)(how, block, x.data(), made.data());
            CHECK(made == expected);
        }
    }
}

}  // namespace

TEST(quantize_of_every_kernel) {
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        check_quantize<std::uint8_t>(seed);
        check_quantize<std::int16_t>(seed);
    }
}

TEST(dequantize_of_every_kernel) {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        check_dequantize<std::uint8_t>(seed);
        check_dequantize<std::int16_t>(seed);
    }
}

TEST(quantize_of_what_does_not_fit_wraps) {
    const bw_quantize divided{BW_DIVIDED, 1.0f, -1, 128}, multiplied{BW_MULTIPLIED, 1.0f, -1, 128};
    CHECK(255 == bw_quantize_real(&divided, 3e9f, 0, 255));
    CHECK(255 == bw_quantize_real(&divided, NAN, 0, 255));
    CHECK(255 == bw_quantize_real(&multiplied, NAN, 0, 255));
    CHECK(0 == bw_quantize_real(&multiplied, -3e9f, 0, 255));
}

}  // namespace bitwright::elementwise
