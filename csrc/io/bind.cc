// What lies at the ends of a plan: the caller's arrays are copied in and out, borders get their padding.
#include <algorithm>
#include <numeric>
#include <stdexcept>

#include <nanobind/stl/tuple.h>

#include "movement/fill.h"
#include "movement/step.h"
#include "python/bind.h"

namespace bitwright {
namespace {

void copy(Plan& plan, int x, int y, bool bias) {
    const Tensor &from = plan.tensor(x), &to = plan.tensor(y);
    const auto rank = static_cast<std::size_t>(from.rank);
    if (from.rank != to.rank || from.dims != to.dims) throw std::invalid_argument("x and y of copy have other shapes");
    if (bias && from.type != Type::u8) throw std::invalid_argument("only 8-bit elements have a bias");
    const std::vector<std::int64_t> begin(rank, 0), steps(rank, 1);
    std::vector<std::int32_t> axes(rank);
    std::iota(axes.begin(), axes.end(), 0);
    const movement::View all{begin, axes, steps};
    plan.add(std::make_unique<movement::MoveStep>("copy", plan.isa(), x, from, all, y, to, all,
                                                  std::span(from.dims.data(), rank), bias));
}

using Sizes = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>;

void fill_border(Plan& plan, int x, std::int64_t value, const Sizes& border) {
    const Tensor& image = plan.tensor(x);
    if (image.rank > 4 || image.type == Type::f32)
        throw std::invalid_argument("no border of padding lies around such a tensor");
    const auto [top, bottom, left, right] = border;
    if (std::min({top, bottom, left, right}) < 0) throw std::invalid_argument("a border is not negative");
    auto pieces = movement::pieces_around(image, {top, bottom, left, right});
    for (const auto& piece : pieces)
        if (image.place != Place::arena || image.offset + piece.start < 0 ||
            image.offset + piece.start + piece.bytes > plan.arena_bytes())
            throw std::out_of_range("a border lies outside the arena");
    plan.add(std::make_unique<movement::FillStep>(x, std::move(pieces), movement::repeated(&value, image.type)));
}

}  // namespace

void bind_io(PlanClass& plan) {
    plan.def("copy", &copy, "x"_a, "y"_a, "bias"_a,
             "Every element of x to y, of the same shape; with bias, i8 becomes u8 as the engine stores it, and back.");
    plan.def("fill_border", &fill_border, "x"_a, "value"_a, "border"_a,
             "value around an image: border is (top, bottom, left, right), in pixels, and lies around x in memory.");
}

}  // namespace bitwright
