#include <algorithm>
#include <numeric>

#include "movement/fill.h"
#include "movement/step.h"
#include "testing/testing.h"

namespace bitwright::movement {
namespace {

using testing::Random;

// A tensor of these dims, `gap` elements behind every row of each axis but the last.
Tensor tensor_of(Type type, const std::vector<std::int64_t>& dims, std::int64_t gap) {
    Tensor tensor;
    tensor.type = type;
    tensor.rank = static_cast<int>(dims.size());
    std::int64_t stride = 1;
    for (std::size_t i = dims.size(); i-- > 0;) {
        tensor.dims[i] = dims[i];
        tensor.strides[i] = stride;
        stride = stride * dims[i] + gap;
    }
    return tensor;
}

std::int64_t extent_bytes(const Tensor& tensor) {
    std::int64_t last = 1;
    for (int i = 0; i < tensor.rank; ++i) last += (tensor.dims[i] - 1) * tensor.strides[i];
    return last * static_cast<std::int64_t>(bytes_of(tensor.type));
}

// A permutation of x's axes into y, whole or in steps, forwards or backwards.
struct Case {
    std::vector<std::int64_t> dims, x_steps, y_begin, x_begin, y_steps;
    std::vector<std::int32_t> x_axes, y_axes;
    Tensor x, y;
};

Case draw(Random& random, Type type, std::vector<std::int64_t> dims, std::vector<std::int32_t> order) {
    Case c;
    const std::size_t rank = dims.size();
    std::vector<std::int64_t> x_dims(rank), y_dims(rank);
    c.dims = dims;
    c.x_begin.resize(rank), c.y_begin.resize(rank);
    for (std::size_t d = 0; d < rank; ++d) {
        const auto to = static_cast<std::size_t>(order[d]);
        const int way = random.between(0, 7);
        const std::int64_t step = way == 0 ? 2 : way == 1 ? -1 : way == 2 ? 0 : 1;
        x_dims[d] = (dims[d] - 1) * (step < 0 ? -step : step) + 1;
        c.x_begin[d] = step < 0 ? x_dims[d] - 1 : 0;
        c.x_axes.push_back(static_cast<std::int32_t>(d));
        c.x_steps.push_back(step);
        c.y_axes.push_back(order[d]);
        c.y_steps.push_back(1);
        c.y_begin[to] = random.between(0, 3) == 0;
        y_dims[to] = dims[d] + c.y_begin[to];
    }
    c.x = tensor_of(type, x_dims, random.between(0, 3) == 0 ? 3 : 0);
    c.y = tensor_of(type, y_dims, random.between(0, 3) == 0 ? 5 : 0);
    return c;
}

std::vector<std::uint8_t> expected_of(const Case& c, const std::vector<std::uint8_t>& x, std::vector<std::uint8_t> y,
                                      bool flip) {
    const auto bytes = static_cast<std::int64_t>(bytes_of(c.x.type));
    bw_move_shape s{};
    s.rank = static_cast<std::int32_t>(c.dims.size());
    s.bytes = bytes;
    s.flip = flip;
    std::int64_t from = 0, to = 0;
    for (std::size_t d = 0; d < c.dims.size(); ++d) {
        const auto axis = static_cast<std::size_t>(c.y_axes[d]);
        s.dims[d] = c.dims[d];
        s.x_strides[d] = c.x_steps[d] * c.x.strides[d] * bytes;
        s.y_strides[d] = c.y.strides[axis] * bytes;
        from += c.x_begin[d] * c.x.strides[d] * bytes;
        to += c.y_begin[axis] * c.y.strides[axis] * bytes;
    }
    bw_move_reference(&s, x.data() + from, y.data() + to);
    return y;
}

void check_case(Random& random, const Case& c) {
    const bool flip = c.x.type == Type::u8 && random.between(0, 1);
    auto x = random.fill<std::uint8_t>(static_cast<std::size_t>(extent_bytes(c.x)), 0, 255);
    const auto untouched = random.fill<std::uint8_t>(static_cast<std::size_t>(extent_bytes(c.y)), 0, 255);
    const auto expected = expected_of(c, x, untouched, flip);
    for (int isa = 0; isa <= static_cast<int>(detected_isa()); ++isa) {
        const MoveStep step("move", static_cast<Isa>(isa), 0, c.x, {c.x_begin, c.x_axes, c.x_steps}, 1, c.y,
                            {c.y_begin, c.y_axes, c.y_steps}, c.dims, flip);
        auto y = untouched;
        std::byte* const tensors[] = {reinterpret_cast<std::byte*>(x.data()), reinterpret_cast<std::byte*>(y.data())};
        const int middle = random.between(0, step.tasks());
        step.run({tensors}, middle, step.tasks(), nullptr);
        step.run({tensors}, 0, middle, nullptr);
        CHECK(y == expected);
    }
}

constexpr Type types[] = {Type::u8, Type::i16, Type::f32, Type::i64};

}  // namespace

TEST(move_agrees_with_its_reference) {
    Random random(1);
    for (int i = 0; i < 4000; ++i) {
        const int rank = random.between(0, 6);
        std::vector<std::int64_t> dims;
        std::vector<std::int32_t> order(static_cast<std::size_t>(rank));
        const int most = rank <= 2 ? 130 : rank == 3 ? 40 : 7;
        for (int d = 0; d < rank; ++d) dims.push_back(random.between(1, most));
        std::iota(order.begin(), order.end(), 0);
        for (std::size_t d = order.size(); d-- > 1;)
            std::swap(order[d], order[static_cast<std::size_t>(random.between(0, static_cast<int>(d)))]);
        check_case(random, draw(random, types[random.between(0, 3)], dims, order));
    }
}

TEST(move_transposes_matrices_of_every_small_size) {
    Random random(2);
    for (const Type type : types)
        for (const int rows : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100})
            for (const int columns : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 3000})
                check_case(random, draw(random, type, {rows, columns}, {1, 0}));
}

TEST(move_transposes_runs_of_bytes) {
    Random random(5);
    for (const int run : {1, 2, 3, 4, 6, 8, 12, 16, 24, 40})
        for (const int rows : {1, 2, 3, 4, 8, 17})
            for (const int columns : {1, 3, 4, 16, 20})
                for (int again = 0; again < 4; ++again)
                    check_case(random, draw(random, Type::u8, {rows, columns, run}, {1, 0, 2}));
}

TEST(move_copies_rows_of_every_length) {
    Random random(3);
    for (int length = 1; length <= 130; ++length) check_case(random, draw(random, Type::u8, {3, length}, {0, 1}));
}

TEST(move_of_nothing_has_no_tasks) {
    Case c;
    c.x = tensor_of(Type::u8, {2, 0}, 0), c.y = c.x;
    c.dims = {2, 0}, c.x_begin = {0, 0}, c.x_axes = {0, 1}, c.x_steps = {1, 1};
    const View all{c.x_begin, c.x_axes, c.x_steps};
    CHECK(MoveStep("move", Isa::scalar, 0, c.x, all, 1, c.y, all, c.dims, false).tasks() == 0);
}

TEST(move_refuses_a_view_that_leaves_its_tensor) {
    const Tensor x = tensor_of(Type::u8, {4}, 0);
    const std::vector<std::int64_t> begin{1}, steps{1}, dims{4}, backwards{-1};
    const std::vector<std::int32_t> axes{0};
    for (const auto& way : {steps, backwards}) {
        bool refused = false;
        try {
            const MoveStep step("move", Isa::scalar, 0, x, {begin, axes, way}, 1, x, {begin, axes, way}, dims, false);
        } catch (const std::invalid_argument&) {
            refused = true;
        }
        CHECK(refused);
    }
}

TEST(fill_writes_the_border_and_nothing_else) {
    Random random(4);
    for (int i = 0; i < 300; ++i) {
        const Type type = i % 2 ? Type::i16 : Type::u8;
        const auto bytes = static_cast<std::int64_t>(bytes_of(type));
        const Border b{random.between(0, 2), random.between(0, 2), random.between(0, 2), random.between(0, 2)};
        const std::int64_t gap = random.between(0, 1) * 3, n = random.between(1, 2), h = random.between(1, 4);
        const std::int64_t w = random.between(1, 40), c = random.between(1, 5), sw = c + random.between(0, 1);
        const std::int64_t sh = (b.left + w + b.right) * sw + gap, sn = (b.top + h + b.bottom) * sh + gap;
        const std::int64_t start = (b.top * sh + b.left * sw) * bytes;
        Tensor x = tensor_of(type, {n, h, w, c}, 0);
        x.strides = {sn, sh, sw, 1};
        std::vector<std::uint8_t> memory(static_cast<std::size_t>(n * sn * bytes), 1), expected = memory;
        const std::uint8_t value[] = {7, 9};
        for (std::int64_t e = 0; e < n * sn; ++e) {
            const std::int64_t row = e % sn / sh, column = e % sn % sh / sw;
            const bool is_gap = e % sn >= (b.top + h + b.bottom) * sh || column >= b.left + w + b.right;
            const bool is_image = row >= b.top && row < b.top + h && column >= b.left && column < b.left + w;
            for (std::int64_t k = 0; k < bytes && !is_gap && !is_image; ++k)
                expected[static_cast<std::size_t>(e * bytes + k)] = value[k];
        }
        const FillStep step(0, pieces_around(x, b), repeated(value, type));
        std::byte* const tensors[] = {reinterpret_cast<std::byte*>(memory.data()) + start};
        step.run({tensors}, 0, 1, nullptr);
        CHECK(memory == expected);
    }
}

TEST(fill_of_a_border_without_gaps_is_one_piece_a_row) {
    Tensor x = tensor_of(Type::u8, {2, 8, 8, 3}, 0);
    x.strides = {100 * 3, 10 * 3, 3, 1};
    CHECK(pieces_around(x, {1, 1, 1, 1}).size() == 2 * 7 + 3);
}

}  // namespace bitwright::movement
