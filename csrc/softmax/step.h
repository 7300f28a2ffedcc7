// RowsStep: a function of whole rows in a plan.
#pragma once

#include <algorithm>

#include "engine/step.h"
#include "softmax/rows.h"

namespace bitwright::softmax {

template <typename How>
class RowsStep final : public Step {
  public:
    // x and y: tensors without gaps, rows being their last dimension.
    RowsStep(Isa isa, int x, const Tensor& x_tensor, int y, const Tensor& y_tensor, const How& how)
        : kernel_(select<How>(isa)), x_(x), y_(y), how_(how) {
        constexpr std::int64_t task_elements = 2048;  // about 2 us of work
        x_bytes_ = static_cast<std::int64_t>(bytes_of(x_tensor.type));
        y_bytes_ = static_cast<std::int64_t>(bytes_of(y_tensor.type));
        length_ = x_tensor.dims[static_cast<std::size_t>(x_tensor.rank - 1)];
        rows_ = length_ ? x_tensor.elements() / length_ : 0;
        tasks_ = static_cast<int>(std::clamp<std::int64_t>(std::min(rows_, rows_ * length_ / task_elements), 1, 64));
    }

    std::string name() const override { return kernel_.name; }
    int tasks() const override { return tasks_; }

    std::size_t scratch_bytes() const override { return static_cast<std::size_t>(kernel_.scratch_rows * length_) * 4; }

    void run(const Run& run, int first, int last, std::byte* scratch) const override {
        const std::int64_t begin = part_begin(rows_, first, tasks_), end = part_begin(rows_, last, tasks_);
        const Rows rows{run.at<const std::byte>(x_) + begin * length_ * x_bytes_,
                        run.at<std::byte>(y_) + begin * length_ * y_bytes_, end - begin, length_};
        kernel_.run(how_, rows, scratch);
    }

  private:
    const Kernel<How>& kernel_;
    const int x_, y_;
    const How how_;
    std::int64_t x_bytes_, y_bytes_, length_, rows_;
    int tasks_;
};

}  // namespace bitwright::softmax
