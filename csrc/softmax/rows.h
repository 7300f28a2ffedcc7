// The family of functions of whole rows: the table of kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "base/isa.h"
#include "softmax/log_reference.h"
#include "softmax/reference.h"
#include "softmax/wide_reference.h"

namespace bitwright::softmax {

// Rows without gaps, u8 or i16 as the function's parameters say.
struct Rows {
    const void* x;
    void* y;
    std::int64_t count, length;
};

// How: the parameters of a function, one type each.
template <typename How>
struct Kernel {
    const char* name;
    Isa isa;
    int scratch_rows;  // numbers of 4 bytes that it keeps, in rows
    void (*run)(const How& how, const Rows& rows, std::byte* scratch);
};

// One row each: softmax/kernels.inc.
#define BW_SOFTMAX_KERNEL(isa, how, name) extern const Kernel<how> name;
#include "softmax/kernels.inc"
#undef BW_SOFTMAX_KERNEL

// The fastest kernel of a function that `isa` allows.
template <typename How>
const Kernel<How>& select(Isa isa) {
    const Kernel<How>* best = nullptr;
    const auto consider = [&](Isa needed, const auto& kernel) {
        if constexpr (std::is_same_v<decltype(kernel), const Kernel<How>&>) {
            if (needed <= isa) best = &kernel;
        }
    };
#define BW_SOFTMAX_KERNEL(set, how, name) consider(Isa::set, name);
#include "softmax/kernels.inc"
#undef BW_SOFTMAX_KERNEL
    return *best;
}

}  // namespace bitwright::softmax
