#include <algorithm>
#include <stdexcept>

#include <nanobind/stl/tuple.h>

#include "movement/bilinear.h"
#include "movement/fill.h"
#include "movement/step.h"
#include "movement/take.h"
#include "python/bind.h"

namespace bitwright {
namespace {

// begin of each axis, axis of each loop, step of each loop.
using ViewOptions = std::tuple<std::vector<std::int64_t>, std::vector<std::int32_t>, std::vector<std::int64_t>>;

movement::View view_of(const ViewOptions& options) {
    return {std::get<0>(options), std::get<1>(options), std::get<2>(options)};
}

void move(Plan& plan, int x, int y, const std::vector<std::int64_t>& dims, const ViewOptions& x_view,
          const ViewOptions& y_view) {
    plan.add(std::make_unique<movement::MoveStep>("move", plan.isa(), x, plan.tensor(x), view_of(x_view), y,
                                                  plan.tensor(y), view_of(y_view), dims, false));
}

void take(Plan& plan, int x, int y, const std::vector<std::vector<std::int64_t>>& tables) {
    plan.add(std::make_unique<movement::TakeStep>(plan.isa(), x, plan.tensor(x), y, plan.tensor(y), tables));
}

movement::Element element_of(const Tensor& tensor, nb::bytes value) {
    if (value.size() != bytes_of(tensor.type)) throw std::invalid_argument("a value is one element");
    return movement::repeated(value.c_str(), tensor.type);
}

void fill(Plan& plan, int y, nb::bytes value) {
    const Tensor& tensor = plan.tensor(y);
    if (!tensor.dense()) throw std::invalid_argument("only a tensor without gaps is filled");
    plan.add(std::make_unique<movement::FillStep>(y, movement::pieces_of(tensor), element_of(tensor, value)));
}

using Sizes = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>;

void fill_margin(Plan& plan, int y, nb::bytes value, const Sizes& margin) {
    const Tensor& tensor = plan.tensor(y);
    const auto [top, bottom, left, right] = margin;
    const Image whole = image_of(tensor);
    if (tensor.rank < 3 || tensor.rank > 4 || !tensor.dense())
        throw std::invalid_argument("only images without gaps have a margin");
    if (std::min({top, bottom, left, right}) < 0 || top + bottom > whole.h || left + right > whole.w)
        throw std::invalid_argument("a margin lies within its image");
    plan.add(std::make_unique<movement::FillStep>(y, movement::pieces_within(tensor, {top, bottom, left, right}),
                                                  element_of(tensor, value)));
}

// before, after, weight, fraction of each pixel of y; one of the last two is empty.
using AxisOptions =
    std::tuple<std::vector<std::int32_t>, std::vector<std::int32_t>, std::vector<std::int32_t>, std::vector<float>>;

void bilinear(Plan& plan, int x, int y, const AxisOptions& rows, const AxisOptions& columns, std::int32_t bits,
              bool away, std::int32_t bias) {
    const auto axis = [&](const AxisOptions& o) {
        return movement::BilinearAxis{std::get<0>(o), std::get<1>(o), std::get<2>(o), std::get<3>(o), bits};
    };
    plan.add(std::make_unique<movement::BilinearStep>(plan.isa(), x, plan.tensor(x), y, plan.tensor(y), axis(rows),
                                                      axis(columns), away, bias));
}

}  // namespace

void bind_movement(PlanClass& plan) {
    plan.def("move", &move, "x"_a, "y"_a, "dims"_a, "x_view"_a, "y_view"_a,
             "Loops of dims over both tensors; a view is (begin of each axis, axis of each loop, step of each loop).");
    plan.def("take", &take, "x"_a, "y"_a, "tables"_a, "Along each axis of x, the positions that its table names.");
    plan.def("fill", &fill, "y"_a, "value"_a, "value, the bytes of one element as it is stored, to all of y.");
    plan.def("fill_margin", &fill_margin, "y"_a, "value"_a, "margin"_a,
             "value to the outermost rows and columns of y: margin is (top, bottom, left, right), in pixels.");
    plan.def("bilinear", &bilinear, "x"_a, "y"_a, "rows"_a, "columns"_a, "bits"_a, "away"_a, "bias"_a,
             "Bilinear resizing: see movement/bilinear_reference.h; an axis is (before, after, weight, fraction).");
}

}  // namespace bitwright
