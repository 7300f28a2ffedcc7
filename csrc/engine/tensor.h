// Tensors as steps see them: where their elements lie. Nothing here owns memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <stdexcept>

namespace bitwright {

// How elements are stored. 8-bit quantized activations are `u8` whatever the model calls them: an i8 value q is stored
// as q + 128, and its zero_point likewise, so that every kernel meets one type.
enum class Type : std::uint8_t { u8, i16, i32, i64, f32 };

constexpr std::size_t bytes_of(Type type) {
    constexpr std::size_t sizes[] = {1, 2, 4, 8, 4};
    return sizes[static_cast<int>(type)];
}

constexpr int max_rank = 6;

// Where a tensor's bytes are: in the arena of the run, in the plan (constants), or in an array of the caller's.
enum class Place : std::uint8_t { arena, constant, external };

// One tensor of a plan.
struct Tensor {
    Type type = Type::u8;
    int rank = 0;
    std::array<std::int64_t, max_rank> dims{};
    std::array<std::int64_t, max_rank> strides{};  // in elements; a border of padding around an image lies between rows
    Place place = Place::arena;
    std::int64_t offset = 0;  // bytes from the start of the arena or constant to element 0; externals: 0
    int external = -1;        // index into the caller's arrays

    std::int64_t elements() const {
        std::int64_t count = 1;
        for (int i = 0; i < rank; ++i) count *= dims[i];
        return count;
    }
    bool dense() const {
        std::int64_t step = 1;
        for (int i = rank - 1; i >= 0; --i) {
            if (dims[i] != 1 && strides[i] != step) return false;
            step *= dims[i];
        }
        return true;
    }
};

// The last four dimensions of a tensor as an image, missing ones being 1: C is contiguous.
struct Image {
    std::int64_t n = 1, h = 1, w = 1, c = 1;
    std::int64_t sn = 0, sh = 0, sw = 0;  // in elements
};

// Any tensor of rank <= 4 whose last stride is 1.
inline Image image_of(const Tensor& t) {
    Image v;
    std::int64_t* const dims[] = {&v.n, &v.h, &v.w, &v.c};
    std::int64_t last = 1;
    std::int64_t* const steps[] = {&v.sn, &v.sh, &v.sw, &last};
    for (int i = 0; i < t.rank; ++i) {
        *dims[4 - t.rank + i] = t.dims[i];
        *steps[4 - t.rank + i] = t.strides[i];
    }
    return v;
}

// A tensor without gaps as so many rows; throws std::invalid_argument where they do not fill it.
inline Tensor as_rows(Tensor tensor, std::int64_t rows, std::int64_t width) {
    if (tensor.elements() != rows * width || !tensor.dense()) throw std::invalid_argument("rows do not fit");
    tensor.rank = 2;
    tensor.dims = {rows, width};
    tensor.strides = {width, 1};
    return tensor;
}

}  // namespace bitwright
