// Integers of one scale to those of another, and numbers of one type to those of another: rare, so without vectors.
#pragma once

#include "base/requantize.h"
#include "elementwise/block.h"
#include "engine/tensor.h"

namespace bitwright::elementwise {

// y = requantize(x - zero_point): from i16 or i32 to u8, i16 or i32; false where there is no such function.
bool can_rescale(Type from, Type to);
void rescale(const bw_requant& requant, std::int32_t zero_point, Type from, Type to, const bw_block& block,
             const void* x, void* y);

// How a u8 tensor is read: an i8 value q is stored as q + 128, a bool as 0 or 1.
enum class Meaning : std::uint8_t { itself, biased, truth };

// The number, in another type. Reals to integers: toward zero, the nearest bound beyond it, the highest for NaN.
// Integers to integers: the bits that the type keeps. To truth: whether it is not 0.
void cast(Type from, Meaning from_meaning, Type to, Meaning to_meaning, const bw_block& block, const void* x, void* y);

}  // namespace bitwright::elementwise
