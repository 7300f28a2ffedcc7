#include "reduce/step.h"
#include "testing/testing.h"

namespace bitwright::reduce {
namespace {

using testing::Random;
using Dims = std::vector<std::int64_t>;

// A tensor with gaps behind some of its dimensions; the last one has none.
Tensor tensor_of(Type type, const Dims& dims, const Dims& gaps) {
    Tensor t;
    t.type = type;
    t.rank = static_cast<int>(dims.size());
    std::int64_t stride = 1;
    for (std::size_t i = dims.size(); i-- > 0;) {
        t.dims[i] = dims[i], t.strides[i] = stride;
        stride = stride * dims[i] + gaps[i];
    }
    return t;
}

// The reduction written with nothing but positions of every element, to check the reference's dimensions with.
template <typename T>
std::vector<T> by_elements(const Tensor& x, unsigned axes, const bw_reduce_shape& how, const T* data) {
    std::int64_t results = 1;
    for (int i = 0; i < x.rank; ++i) results *= axes >> i & 1 ? 1 : x.dims[static_cast<std::size_t>(i)];
    std::vector<std::uint32_t> sums(static_cast<std::size_t>(results));
    std::vector<std::int32_t> best(sums.size(), how.kind == BW_REDUCE_MAX ? INT32_MIN : INT32_MAX);
    for (std::int64_t element = 0; element < x.elements(); ++element) {
        std::int64_t left = element, place = 0, to = 0, step = 1;
        for (int i = x.rank - 1; i >= 0; --i) {
            const auto axis = static_cast<std::size_t>(i);
            const std::int64_t at = left % x.dims[axis];
            left /= x.dims[axis];
            place += at * x.strides[axis];
            if (axes >> i & 1) continue;
            to += at * step;
            step *= x.dims[axis];
        }
        const std::int32_t value = data[place];
        const auto index = static_cast<std::size_t>(to);
        sums[index] += static_cast<std::uint32_t>(value);
        best[index] = (value > best[index]) == (how.kind == BW_REDUCE_MAX) ? value : best[index];
    }
    std::vector<T> y;
    for (std::size_t i = 0; i < sums.size(); ++i) {
        const bool is_sum = how.kind == BW_REDUCE_SUM || how.kind == BW_REDUCE_SUM_AFFINE;
        y.push_back(static_cast<T>(is_sum ? bw_finish_sum(&how, sums[i]) : best[i]));
    }
    return y;
}

template <typename T>
bool agrees(const Dims& dims, const Dims& gaps, unsigned axes, bw_reduction kind, Isa isa, Random& random,
            std::int32_t lowest = 0) {
    constexpr bool is_wide = sizeof(T) == 2;
    const Tensor x = tensor_of(is_wide ? Type::i16 : Type::u8, dims, gaps);
    std::int64_t count = 1, room = 64;
    for (int i = 0; i < x.rank; ++i) {
        const auto axis = static_cast<std::size_t>(i);
        if (axes >> i & 1) count *= x.dims[axis];
        room += (x.dims[axis] - 1) * x.strides[axis] + 1;
    }
    const auto data =
        random.fill<T>(static_cast<std::size_t>(room), is_wide ? INT16_MIN : lowest, is_wide ? INT16_MAX : 255);
    bw_reduce_shape how{};
    how.kind = kind;
    how.offset = static_cast<std::int32_t>(-count * random.between(0, 255));
    Requant requant;
    requant.rounding = random.between(0, 1) ? BW_SINGLE : BW_DOUBLE;
    requant.qmin = is_wide ? INT16_MIN : 0, requant.qmax = is_wide ? INT16_MAX : 255;
    requant.zero_point = random.between(0, 255);
    int shift = 1;  // about 1 / count
    while (count >> shift) ++shift;
    requant.multiplier = {random.between(1 << 29, INT32_MAX)};
    requant.shift = {random.between(-shift, 2 - shift)};
    how.requant = requant.view();
    how.affine = {static_cast<float>(random.between(1, 3000)) / 1000 / static_cast<float>(count),
                  static_cast<float>(random.between(-300, 300)) / 2, is_wide ? INT16_MIN : -128,
                  is_wide ? INT16_MAX : 127, is_wide ? 0 : 128};
    const std::vector<T> expected = by_elements(x, axes, how, data.data());

    std::vector<T> found(expected.size() + 64, 77);
    const ReduceStep step(isa, 0, x, 1, axes, how, requant);
    std::byte* tensors[] = {reinterpret_cast<std::byte*>(const_cast<T*>(data.data())),
                            reinterpret_cast<std::byte*>(found.data())};
    const int half = step.tasks() / 2;
    step.run({tensors}, half, step.tasks(), nullptr);
    step.run({tensors}, 0, half, nullptr);
    for (std::size_t i = expected.size(); i < found.size(); ++i)
        if (found[i] != 77) return false;
    found.resize(expected.size());
    return found == expected;
}

constexpr bw_reduction kinds[] = {BW_REDUCE_MAX, BW_REDUCE_MIN, BW_REDUCE_SUM, BW_REDUCE_SUM_AFFINE};

void check_on_all(const Dims& dims, const Dims& gaps, unsigned axes, Random& random, std::int32_t lowest = 0) {
    for (int isa = 0; isa <= static_cast<int>(detected_isa()); ++isa)
        for (const bw_reduction kind : kinds)
            CHECK(agrees<std::uint8_t>(dims, gaps, axes, kind, static_cast<Isa>(isa), random, lowest));
}

constexpr int sizes[] = {1,  2,  3,  4,  5,  6,   7,   8,   9,   10,  15,  16,  17,  31,
                         32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 511, 512, 513};

}  // namespace

TEST(reduce_agrees_for_every_number_of_channels) {
    Random random(1);
    for (const int c : sizes) check_on_all({2, 3, 5, c}, {0, 0, 0, 0}, 0b0110, random);
}

TEST(reduce_agrees_for_every_length_of_rows) {
    Random random(2);
    for (const int k : sizes) check_on_all({3, k}, {0, 0}, 0b10, random);
}

TEST(reduce_agrees_for_every_number_of_pixels) {
    Random random(3);
    for (int pixels = 1; pixels <= 520; pixels += 3)
        check_on_all({1, pixels, 1, 66}, {0, 0, 0, 0}, 0b0110, random, 250);
    check_on_all({300, 7, 70}, {0, 0, 0}, 0b011, random, 255);
    check_on_all({7, 300, 70}, {0, 0, 0}, 0b011, random, 255);
}

TEST(reduce_agrees_for_any_axes_with_gaps_and_without) {
    Random random(4);
    for (int i = 0; i < 500; ++i) {
        Dims dims, gaps;
        const int rank = random.between(1, max_rank);
        for (int k = 0; k < rank; ++k) {
            dims.push_back(random.between(1, 5));
            gaps.push_back(random.between(0, 2) || k == 0 ? 0 : random.between(0, 4));
        }
        if (random.between(0, 1)) dims.back() = random.between(1, 80);
        const auto axes = static_cast<unsigned>(random.between(0, (1 << rank) - 1));
        check_on_all(dims, gaps, axes, random);
        for (const bw_reduction kind : kinds)
            CHECK(agrees<std::int16_t>(dims, gaps, axes, kind, detected_isa(), random));
    }
}

TEST(reduce_divides_large_tensors_into_tasks) {
    Random random(5);
    check_on_all({3, 7, 7, 1100}, {0, 0, 0, 0}, 0b0110, random);
    check_on_all({300, 700}, {0, 0}, 0b10, random);
}

}  // namespace bitwright::reduce
