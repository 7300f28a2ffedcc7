// Bilinear resizing in a plan: BilinearStep, and the table of its kernels.
#pragma once

#include <string>
#include <vector>

#include "engine/step.h"
#include "movement/bilinear_reference.h"

namespace bitwright::movement {

struct BilinearKernel {
    const char* name;
    Isa isa;
    // Row i of image n. scratch: 8 bytes an element of one row of x. The weights' bits are as few as can be.
    void (*row)(const bw_bilinear_shape& shape, const void* x, void* y, int n, int i, std::byte* scratch);
};

// One row each: movement/bilinear_kernels.inc.
#define BW_BILINEAR_KERNEL(isa, name) extern const BilinearKernel name;
#include "movement/bilinear_kernels.inc"
#undef BW_BILINEAR_KERNEL

// How one axis is resized: one entry a pixel of y.
struct BilinearAxis {
    std::vector<std::int32_t> before, after;
    std::vector<std::int32_t> weight;  // for integers, of all 2^bits; empty for floats
    std::vector<float> fraction;       // for floats; empty for integers
    std::int32_t bits = 0;
};

class BilinearStep final : public Step {
  public:
    // away: ties of sums of integers go away from zero. bias: what stands for 0 in u8.
    // Throws std::invalid_argument where the axes do not fit the tensors.
    BilinearStep(Isa isa, int x, const Tensor& x_tensor, int y, const Tensor& y_tensor, BilinearAxis rows,
                 BilinearAxis columns, bool away, std::int32_t bias);

    std::string name() const override { return kernel_.name; }
    int tasks() const override { return shape_.n * shape_.oh; }
    std::size_t scratch_bytes() const override {
        return static_cast<std::size_t>(shape_.w) * static_cast<std::size_t>(shape_.c) * 8;
    }
    void run(const Run& run, int first, int last, std::byte* scratch) const override;

  private:
    const BilinearKernel& kernel_;
    const int x_, y_;
    BilinearAxis rows_, columns_;
    bw_bilinear_shape shape_{};
};

}  // namespace bitwright::movement
