#include "softmax/step.h"
#include "testing/testing.h"

#include <cmath>
#include <cstring>

namespace bitwright::softmax {
namespace {

using testing::Random;

constexpr std::int64_t lengths[] = {1,  2,  3,  4,  5,  6,  7,  8,   9,   10,  15,  16,
                                    17, 31, 32, 33, 63, 64, 65, 255, 256, 257, 1000};

Tensor rows(Type type, std::int64_t count, std::int64_t length) {
    Tensor t;
    t.type = type;
    t.rank = 2;
    t.dims = {count, length};
    t.strides = {length, 1};
    return t;
}

// The step on every instruction set equals that of the references; nothing behind y is written.
template <typename How>
void check_on_all(const How& how, Type from, Type to, std::int64_t count, std::int64_t length,
                  const std::vector<std::int16_t>& values) {
    const Tensor x = rows(from, count, length), y = rows(to, count, length);
    std::vector<std::byte> data(values.size() * bytes_of(from));
    for (std::size_t i = 0; i < values.size(); ++i) std::memcpy(&data[i * bytes_of(from)], &values[i], bytes_of(from));
    std::vector<std::byte> expected;
    for (int isa = 0; isa <= static_cast<int>(detected_isa()); ++isa) {
        std::vector<std::byte> found(values.size() * bytes_of(to) + 64, std::byte{77});
        const RowsStep<How> step(static_cast<Isa>(isa), 0, x, 1, y, how);
        std::vector<std::byte> scratch(step.scratch_bytes());
        std::byte* tensors[] = {data.data(), found.data()};
        const int half = step.tasks() / 2;
        step.run({tensors}, half, step.tasks(), scratch.data());
        step.run({tensors}, 0, half, scratch.data());
        if (isa == 0) expected = found;
        CHECK(expected == found);
    }
}

// Rows whose differences are all small, all large, or any.
std::vector<std::int16_t> some_rows(std::int64_t count, std::int64_t length, Random& random) {
    const std::int32_t low = random.between(0, 1) ? 0 : random.between(0, 255);
    return random.fill<std::int16_t>(static_cast<std::size_t>(count * length), low, random.between(low, 255));
}

double exponential(int i, double scale) { return std::exp(scale * (i - 255)); }

}  // namespace

TEST(softmax_in_fixed_point_agrees) {
    Random random(1);
    for (const std::int64_t length : lengths) {
        for (const std::int64_t count : {1, 3, 9}) {
            bw_softmax_fixed how{};
            const double scale = std::exp2(random.between(-9, 1));
            for (int i = 0; i < 256; ++i)
                how.exponential[i] = static_cast<std::int32_t>(INT32_MAX * exponential(i, scale));
            for (const Type to : {Type::u8, Type::i16}) {
                how.is_wide = to == Type::i16;
                check_on_all(how, Type::u8, to, count, length, some_rows(count, length, random));
            }
        }
    }
}

// Sums of 512 and more leave no bit of the shares of 8 bits.
TEST(softmax_in_fixed_point_agrees_for_long_flat_rows) {
    bw_softmax_fixed how{};
    for (auto& e : how.exponential) e = INT32_MAX;
    for (const std::int64_t length : {255, 256, 257, 511, 512, 513, 1023, 1025, 2049, 4095}) {
        for (const Type to : {Type::u8, Type::i16}) {
            how.is_wide = to == Type::i16;
            const std::vector<std::int16_t> flat(static_cast<std::size_t>(length), 9);
            check_on_all(how, Type::u8, to, 1, length, flat);
        }
    }
}

TEST(softmax_in_float32_agrees) {
    Random random(2);
    for (const std::int64_t length : lengths) {
        for (const std::int64_t count : {1, 3, 4, 9}) {
            bw_softmax_real how{};
            const double scale = std::exp2(random.between(-9, 1));
            for (int i = 0; i < 256; ++i) how.exponential[i] = static_cast<float>(exponential(i, scale));
            for (const Type to : {Type::u8, Type::i16}) {
                how.is_wide = to == Type::i16;
                how.low = how.is_wide ? INT16_MIN : 0, how.high = how.is_wide ? INT16_MAX : 255;
                how.zero_point = random.between(0, 255);
                how.scale = std::exp2(static_cast<float>(random.between(how.is_wide ? -16 : -10, -6)));
                check_on_all(how, Type::u8, to, count, length, some_rows(count, length, random));
            }
        }
    }
}

TEST(softmax_divides_many_rows_into_tasks) {
    Random random(3);
    bw_softmax_real real{};
    bw_softmax_fixed fixed{};
    for (int i = 0; i < 256; ++i) {
        real.exponential[i] = static_cast<float>(exponential(i, 0.05));
        fixed.exponential[i] = static_cast<std::int32_t>(INT32_MAX * exponential(i, 0.05));
    }
    real.scale = 1.0f / 256, real.high = 255;
    const auto values = some_rows(121, 127, random);
    check_on_all(real, Type::u8, Type::u8, 121, 127, values);
    check_on_all(fixed, Type::u8, Type::u8, 121, 127, values);
}

// Results of 15 bits tell a quotient from the product with a rounded inverse.
TEST(softmax_in_float32_multiplies_by_the_inverse) {
    Random random(4);
    bw_softmax_real how{};
    for (int i = 0; i < 256; ++i) how.exponential[i] = static_cast<float>(exponential(i, 0.01));
    how.is_wide = 1, how.scale = 1.0f / 32768, how.low = INT16_MIN, how.high = INT16_MAX;
    for (const std::int64_t length : {3, 5, 6, 7, 9, 10, 11, 13})
        check_on_all(how, Type::u8, Type::i16, 2000, length, some_rows(2000, length, random));
}

// Worked by hand: 1/2 + 1/2; one element; 128 / 256 of 1/2.
TEST(softmax_of_equals_is_their_share) {
    bw_softmax_fixed how{};
    for (int i = 0; i < 256; ++i) how.exponential[i] = i == 255 ? INT32_MAX : 0;
    const std::uint8_t x[] = {7, 7, 3};
    std::uint8_t y[3];
    bw_softmax_fixed_row(&how, x, y, 3);
    CHECK(y[0] == 128 && y[1] == 128 && y[2] == 0);
    bw_softmax_fixed_row(&how, x, y, 1);
    CHECK(y[0] == 255);
}

TEST(softmax_fixed_point_functions_are_those_of_their_names) {
    std::int32_t shift;
    CHECK(std::abs(bw_fixed_reciprocal(3 << 19, 12, &shift) / 2147483648.0 / std::exp2(shift) - 1.0 / 3) < 1e-8);
    CHECK(std::abs(bw_fixed_log(10 << 19) / 67108864.0 - std::log(10.0)) < 1e-7);
    CHECK(std::abs(bw_fixed_inverse_sqrt(16, &shift) / std::exp2(31 - shift) - 0.25) < 1e-8);
    for (std::int64_t x = 2; x < INT32_MAX; x = x * 3 / 2 + 1)
        CHECK(std::abs(bw_fixed_inverse_sqrt(x, &shift) / std::exp2(31 - shift) * std::sqrt(static_cast<double>(x)) -
                       1) < 2e-6);
}

}  // namespace bitwright::softmax
