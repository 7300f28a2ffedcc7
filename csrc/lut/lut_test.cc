// Every kernel of lookup tables beside the reference.
#include "lut/lut.h"

#include "testing/testing.h"

namespace bitwright::lut {
namespace {

using testing::Random;

constexpr const Kernel* kernels[] = {
#define BW_LUT_KERNEL(isa, name) &name,
#include "lut/kernels.inc"
#undef BW_LUT_KERNEL
};

constexpr std::int64_t lengths[] = {0, 1, 2, 3, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 129, 256, 1000};

}  // namespace

TEST(lut_bytes_of_every_kernel) {
    Random random(1);
    for (int round = 0; round < 10; ++round)
        for (const std::int64_t length : lengths) {
            const auto size = static_cast<std::size_t>(length);
            const auto table = random.fill<std::uint8_t>(256 + 64, 0, 255);
            auto x = random.fill<std::uint8_t>(size, 0, 255);
            if (length == 256)
                for (std::size_t i = 0; i < size; ++i) x[i] = static_cast<std::uint8_t>(i);
            std::vector<std::uint8_t> expected(size + 1, 7);
            bw_lut_bytes(table.data(), x.data(), length, expected.data());
            for (const Kernel* kernel : kernels) {
                if (!runs(*kernel, detected_isa())) continue;
                std::vector<std::uint8_t> made(size + 1, 7);
                kernel->bytes(table.data(), x.data(), length, made.data());
                CHECK(made == expected);
            }
        }
}

TEST(lut_interpolation_of_every_kernel) {
    Random random(2);
    for (int round = 0; round < 10; ++round)
        for (const std::int64_t length : lengths) {
            const auto size = static_cast<std::size_t>(length);
            const auto table = random.fill<std::int16_t>(513, -32768, 32767);
            auto x = random.fill<std::int16_t>(size, -32768, 32767);
            if (length > 2) x[0] = -32768, x[1] = 32767;
            std::vector<std::int16_t> expected(size + 1, 7);
            bw_lut_interpolated(table.data(), x.data(), length, expected.data());
            for (const Kernel* kernel : kernels) {
                if (!runs(*kernel, detected_isa())) continue;
                std::vector<std::int16_t> made(size + 1, 7);
                kernel->interpolated(table.data(), x.data(), length, made.data());
                CHECK(made == expected);
            }
        }
}

TEST(lut_interpolation_is_between_entries) {
    std::int16_t table[513];
    for (int i = 0; i < 513; ++i) table[i] = static_cast<std::int16_t>(10 * (i - 256));
    CHECK(5 == bw_interpolate(table, 64));
    CHECK(-10 == bw_interpolate(table, -128));
}

}  // namespace bitwright::lut
