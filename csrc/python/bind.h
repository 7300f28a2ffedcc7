// What the bindings of all families share: arrays in, options by name. Each family has a bind.cc of its own.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "engine/plan.h"
#include "engine/requant.h"

namespace bitwright {

namespace nb = nanobind;
using namespace nb::literals;

// A C-contiguous numpy array on the CPU.
template <typename T>
using Array = nb::ndarray<const T, nb::c_contig, nb::device::cpu>;

using Pair = std::pair<std::int32_t, std::int32_t>;  // (of H, of W)

using PlanClass = nb::class_<Plan>;

// Each adds its methods to Plan; called once, by the module. One row each: python/families.inc.
#define BW_FAMILY(name) void bind_##name(PlanClass& plan);
#include "python/families.inc"
#undef BW_FAMILY

}  // namespace bitwright
