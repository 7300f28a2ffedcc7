// Every kernel of plain arithmetic beside the reference, bit for bit.
#include "elementwise/plain.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "testing/testing.h"

namespace bitwright::elementwise {
namespace {

using testing::Random;

constexpr const PlainKernel* kernels[] = {
#define BW_PLAIN_KERNEL(isa, name) &name,
#include "elementwise/plain_kernels.inc"
#undef BW_PLAIN_KERNEL
};

constexpr float infinity = std::numeric_limits<float>::infinity();

std::vector<float> reals(Random& random, std::size_t count) {
    constexpr float special[] = {NAN, infinity, -infinity, -0.0f, 0.0f, -3.0f, 3e38f, 1e-40f};
    std::vector<float> made(count);
    for (float& x : made)
        x = random.between(0, 5)
                ? std::ldexp(static_cast<float>(random.between(-1000000, 1000000)), random.between(-40, 20))
                : special[random.between(0, 7)];
    return made;
}

// The same bits, any NaN being as good as another.
bool same(const std::vector<float>& a, const std::vector<float>& b) {
    for (std::size_t i = 0; i < a.size(); ++i)
        if (!(std::isnan(a[i]) && std::isnan(b[i])) && std::memcmp(&a[i], &b[i], sizeof(float)) != 0) return false;
    return a.size() == b.size();
}

template <typename T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
    return a == b;
}

template <typename T>
void check_pair(Random& random, Type type, const bw_plain& how, const std::vector<T>& a, const std::vector<T>& b,
                std::int64_t length, T (*element)(const bw_plain*, bw_plain_operation, T, T)) {
    for (const auto& [of_a, of_b] : {std::pair{1, 1}, {1, 0}, {0, 1}, {1, 2}}) {
        const bw_block block{2, length, {length + 1, length + 1, random.between(0, 1) * length}, {1, of_a, of_b}};
        std::vector<T> expected(a.size(), T{});
        for (std::int64_t r = 0; r < 2; ++r)
            for (std::int64_t i = 0; i < length; ++i)
                expected[static_cast<std::size_t>(r * (length + 1) + i)] =
                    element(&how, how.operation, a[static_cast<std::size_t>(r * (length + 1) + i * block.stride[1])],
                            b[static_cast<std::size_t>(r * block.row_stride[2] + i * block.stride[2])]);
        for (const PlainKernel* kernel : kernels) {
            if (kernel->isa > detected_isa()) continue;
            std::vector<T> made(a.size(), T{});
            kernel->run_pair(how, type, block, a.data(), b.data(), made.data());
            CHECK(same(made, expected));
        }
    }
}

}  // namespace

TEST(plain_pairs_of_every_kernel) {
    Random random(1);
    for (const std::int64_t length : {1, 7, 8, 9, 33, 100}) {
        const auto size = static_cast<std::size_t>(3 * (length + 1));
        for (int operation = BW_ADD; operation <= BW_SLOPED; ++operation)
            for (const bool bounded : {false, true}) {
                const auto which = static_cast<bw_plain_operation>(operation);
                const bw_plain how{which, bounded ? 0.0f : -infinity, bounded ? 6.0f : infinity, 0, 6};
                check_pair<float>(random, Type::f32, how, reals(random, size), reals(random, size), length,
                                  bw_plain_f32);
                if (which == BW_DIVIDE || which == BW_SLOPED) continue;
                const bw_plain bytes{which, 0, 0, 0, bounded ? 6 : 255};
                check_pair<std::uint8_t>(random, Type::u8, bytes, random.fill<std::uint8_t>(size, 0, 255),
                                         random.fill<std::uint8_t>(size, 0, 255), length, bw_plain_u8);
                const bw_plain words{which, 0, 0, bounded ? 0 : INT32_MIN, bounded ? 6 : INT32_MAX};
                check_pair<std::int32_t>(random, Type::i32, words,
                                         random.fill<std::int32_t>(size, INT32_MIN, INT32_MAX),
                                         random.fill<std::int32_t>(size, INT32_MIN, INT32_MAX), length, bw_plain_i32);
            }
    }
}

TEST(plain_unary_of_every_kernel) {
    Random random(2);
    for (const std::int64_t length : {1, 7, 8, 9, 33, 100})
        for (int operation = BW_CLAMP; operation <= BW_NEAREST; ++operation) {
            const bw_unary how{static_cast<bw_unary_operation>(operation), operation == BW_CLAMP ? 0.0f : 0.1f, 6.0f};
            const bw_block block{1, length, {0, 0, 0}, {1, 1, 0}};
            const std::vector<float> x = reals(random, static_cast<std::size_t>(length));
            std::vector<float> expected;
            for (const float value : x) expected.push_back(bw_unary_f32(&how, how.operation, value));
            for (const PlainKernel* kernel : kernels) {
                if (kernel->isa > detected_isa()) continue;
                std::vector<float> made(x.size());
                kernel->run_unary(how, block, x.data(), made.data());
                CHECK(same(made, expected));
            }
        }
}

TEST(plain_clamp_keeps_nan) {
    CHECK(std::isnan(bw_plain_clamp(NAN, 0.0f, 6.0f)));
    CHECK(!std::signbit(bw_plain_clamp(-0.0f, 0.0f, 6.0f)));
}

}  // namespace bitwright::elementwise
