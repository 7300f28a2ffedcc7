// Rows of plain arithmetic: loops of the reference with one operation and strides that the compiler knows, so that it
// makes vectors of them. Internal linkage: each instruction set compiles its own.
#pragma once

#include "elementwise/plain.h"

namespace bitwright::elementwise {
namespace {

inline float apply(const bw_plain& p, bw_plain_operation o, float a, float b) { return bw_plain_f32(&p, o, a, b); }
inline std::uint8_t apply(const bw_plain& p, bw_plain_operation o, std::uint8_t a, std::uint8_t b) {
    return bw_plain_u8(&p, o, a, b);
}
inline std::int16_t apply(const bw_plain& p, bw_plain_operation o, std::int16_t a, std::int16_t b) {
    return bw_plain_i16(&p, o, a, b);
}
inline std::int32_t apply(const bw_plain& p, bw_plain_operation o, std::int32_t a, std::int32_t b) {
    return bw_plain_i32(&p, o, a, b);
}
inline std::int64_t apply(const bw_plain& p, bw_plain_operation o, std::int64_t a, std::int64_t b) {
    return bw_plain_i64(&p, o, a, b);
}

template <bw_plain_operation Operation, class T>
void run_rows(const bw_plain& given, const bw_block& k, const T* a, const T* b, T* y) {
    const bw_plain how = given;
    for (std::int64_t r = 0; r < k.rows; ++r, a += k.row_stride[1], b += k.row_stride[2], y += k.row_stride[0]) {
        if (k.stride[0] == 1 && k.stride[1] == 1 && k.stride[2] == 1) {
            for (std::int64_t i = 0; i < k.length; ++i) y[i] = apply(how, Operation, a[i], b[i]);
        } else if (k.stride[0] == 1 && k.stride[1] == 1 && k.stride[2] == 0) {
            const T second = *b;
            for (std::int64_t i = 0; i < k.length; ++i) y[i] = apply(how, Operation, a[i], second);
        } else {
            for (std::int64_t i = 0; i < k.length; ++i)
                y[i * k.stride[0]] = apply(how, Operation, a[i * k.stride[1]], b[i * k.stride[2]]);
        }
    }
}

template <class T>
void run_type(const bw_plain& how, const bw_block& block, const void* first, const void* second, void* made) {
    const auto* a = static_cast<const T*>(first);
    const auto* b = static_cast<const T*>(second);
    auto* y = static_cast<T*>(made);
    switch (how.operation) {
        case BW_ADD:
            return run_rows<BW_ADD>(how, block, a, b, y);
        case BW_SUBTRACT:
            return run_rows<BW_SUBTRACT>(how, block, a, b, y);
        case BW_MULTIPLY:
            return run_rows<BW_MULTIPLY>(how, block, a, b, y);
        case BW_DIVIDE:
            return run_rows<BW_DIVIDE>(how, block, a, b, y);
        case BW_SMALLER:
            return run_rows<BW_SMALLER>(how, block, a, b, y);
        case BW_LARGER:
            return run_rows<BW_LARGER>(how, block, a, b, y);
        case BW_SQUARED_REMAINDER:
            return run_rows<BW_SQUARED_REMAINDER>(how, block, a, b, y);
        case BW_SLOPED:
            return run_rows<BW_SLOPED>(how, block, a, b, y);
    }
}

void run_pair(const bw_plain& how, Type type, const bw_block& block, const void* a, const void* b, void* y) {
    switch (type) {
        case Type::u8:
            return run_type<std::uint8_t>(how, block, a, b, y);
        case Type::i16:
            return run_type<std::int16_t>(how, block, a, b, y);
        case Type::i32:
            return run_type<std::int32_t>(how, block, a, b, y);
        case Type::i64:
            return run_type<std::int64_t>(how, block, a, b, y);
        case Type::f32:
            return run_type<float>(how, block, a, b, y);
    }
}

template <bw_unary_operation Operation>
void run_function(const bw_unary& given, const bw_block& k, const float* x, float* y) {
    const bw_unary how = given;
    for (std::int64_t r = 0; r < k.rows; ++r, x += k.row_stride[1], y += k.row_stride[0]) {
        if (k.stride[0] == 1 && k.stride[1] == 1) {
            for (std::int64_t i = 0; i < k.length; ++i) y[i] = bw_unary_f32(&how, Operation, x[i]);
        } else {
            for (std::int64_t i = 0; i < k.length; ++i)
                y[i * k.stride[0]] = bw_unary_f32(&how, Operation, x[i * k.stride[1]]);
        }
    }
}

void run_unary(const bw_unary& how, const bw_block& block, const float* x, float* y) {
    switch (how.operation) {
        case BW_CLAMP:
            return run_function<BW_CLAMP>(how, block, x, y);
        case BW_LEAKY:
            return run_function<BW_LEAKY>(how, block, x, y);
        case BW_HARD_SWISH:
            return run_function<BW_HARD_SWISH>(how, block, x, y);
        case BW_ABSOLUTE:
            return run_function<BW_ABSOLUTE>(how, block, x, y);
        case BW_NEGATIVE:
            return run_function<BW_NEGATIVE>(how, block, x, y);
        case BW_SQUARE:
            return run_function<BW_SQUARE>(how, block, x, y);
        case BW_ROOT:
            return run_function<BW_ROOT>(how, block, x, y);
        case BW_INVERSE_ROOT:
            return run_function<BW_INVERSE_ROOT>(how, block, x, y);
        case BW_FLOOR:
            return run_function<BW_FLOOR>(how, block, x, y);
        case BW_CEILING:
            return run_function<BW_CEILING>(how, block, x, y);
        case BW_NEAREST:
            return run_function<BW_NEAREST>(how, block, x, y);
    }
}

}  // namespace
}  // namespace bitwright::elementwise
