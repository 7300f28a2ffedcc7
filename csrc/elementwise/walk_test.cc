// Walks: every element of the result is met once, beside those of the operands that belong to it.
#include "elementwise/walk.h"

#include <map>

#include "testing/testing.h"

namespace bitwright::elementwise {
namespace {

using testing::Random;

Tensor dense(std::initializer_list<std::int64_t> dims) {
    Tensor t;
    for (const std::int64_t size : dims) t.dims[static_cast<std::size_t>(t.rank++)] = size;
    std::int64_t step = 1;
    for (int d = t.rank - 1; d >= 0; --d) {
        t.strides[static_cast<std::size_t>(d)] = step;
        step *= t.dims[static_cast<std::size_t>(d)];
    }
    return t;
}

// Where each element of y meets a and b, by the walk's tasks, each on its own.
std::map<std::int64_t, std::array<std::int64_t, 2>> met(const Walk& walk, int& visits) {
    std::map<std::int64_t, std::array<std::int64_t, 2>> found;
    for (int task = 0; task < walk.tasks; ++task)
        for_each_block(walk, task, task + 1, [&](const bw_block& k, const Starts& starts) {
            ++visits;
            for (std::int64_t r = 0; r < k.rows; ++r)
                for (std::int64_t i = 0; i < k.length; ++i) {
                    std::int64_t at[3];
                    for (std::size_t o = 0; o < 3; ++o) at[o] = starts[o] + r * k.row_stride[o] + i * k.stride[o];
                    CHECK(found.try_emplace(at[0], std::array{at[1], at[2]}).second);
                }
        });
    return found;
}

std::int64_t offset(const Tensor& t, const std::int64_t (&index)[4], int rank) {
    std::int64_t at = 0;
    for (int d = 0; d < t.rank; ++d) {
        const auto axis = static_cast<std::size_t>(d);
        if (t.dims[axis] != 1) at += index[rank - t.rank + d] * t.strides[axis];
    }
    return at;
}

void check(const Tensor& y, const Tensor& a, const Tensor& b, int most_visits) {
    const Tensor* const operands[] = {&a, &b};
    const Walk walk = walk_over(y, operands);
    int visits = 0;
    const auto found = met(walk, visits);
    CHECK(visits <= most_visits);
    CHECK(static_cast<std::int64_t>(found.size()) == y.elements());
    for (std::int64_t e = 0; e < y.elements(); ++e) {
        std::int64_t index[4] = {}, rest = e;
        for (int d = y.rank - 1; d >= 0; --d) {
            index[d] = rest % y.dims[static_cast<std::size_t>(d)];
            rest /= y.dims[static_cast<std::size_t>(d)];
        }
        const auto place = found.find(offset(y, index, y.rank));
        CHECK(place != found.end());
        if (place == found.end()) return;
        CHECK(place->second[0] == offset(a, index, y.rank));
        CHECK(place->second[1] == offset(b, index, y.rank));
    }
}

}  // namespace

TEST(walk_of_equal_shapes_is_one_row) {
    const Tensor x = dense({2, 3, 4, 5});
    check(x, x, x, 1);
    check(dense({}), dense({}), dense({}), 1);
    check(dense({1, 1}), dense({1}), dense({1, 1}), 1);
}

TEST(walk_broadcasts) {
    check(dense({2, 3, 4, 5}), dense({2, 3, 4, 5}), dense({5}), 1);
    check(dense({2, 3, 4, 5}), dense({2, 3, 4, 5}), dense({2, 1, 1, 5}), 2);
    check(dense({2, 3, 4, 5}), dense({2, 3, 4, 1}), dense({2, 3, 4, 5}), 1);
    check(dense({3, 5}), dense({3, 1}), dense({1, 5}), 1);
    check(dense({2, 3, 4, 5}), dense({1, 3, 1, 5}), dense({2, 1, 4, 1}), 6);
    check(dense({4, 5}), dense({}), dense({4, 5}), 1);
}

TEST(walk_goes_over_borders_and_orders) {
    Tensor bordered = dense({2, 3, 4, 5});
    bordered.strides = {5 * 7 * 5, 7 * 5, 5, 1};
    check(bordered, dense({2, 3, 4, 5}), bordered, 2);
    Tensor planes = dense({2, 3, 4, 5});
    planes.strides = {60, 4, 1, 12};
    check(dense({2, 3, 4, 5}), planes, planes, 2);
    check(planes, dense({2, 3, 4, 5}), planes, 2);
}

TEST(walk_cuts_long_rows_into_tasks) {
    const Tensor x = dense({100003});
    const Tensor* const operands[] = {&x, &x};
    CHECK(walk_over(x, operands).tasks == 6);
    check(x, x, x, 6);
    for_each_block(walk_over(x, operands), 0, 6,
                   [](const bw_block&, const Starts& starts) { CHECK(starts[0] % 64 == 0); });
    const Tensor pixels = dense({1, 300, 200, 3});
    check(pixels, pixels, dense({3}), 10);
    check(dense({0, 3}), dense({0, 3}), dense({3}), 0);
}

}  // namespace bitwright::elementwise
