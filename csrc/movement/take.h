// TakeStep: along each axis of x, the positions that a table names: y[i, j, ...] = x[tables[0][i], tables[1][j], ...].
#pragma once

#include <string>
#include <vector>

#include "engine/step.h"
#include "movement/move.h"

namespace bitwright::movement {

using Table = std::vector<std::int64_t>;

class TakeStep final : public Step {
  public:
    // One table an axis of x. y has the tables' lengths as its dims, or as many elements in another shape and no gaps.
    // Throws std::invalid_argument where it has not, or a table leaves x.
    TakeStep(Isa isa, int x, const Tensor& x_tensor, int y, const Tensor& y_tensor, std::vector<Table> tables);

    std::string name() const override { return std::string("take.") + kernel_.name; }
    int tasks() const override { return static_cast<int>((rows_ + rows_a_task_ - 1) / rows_a_task_); }
    void run(const Run& run, int first, int last, std::byte* scratch) const override;

  private:
    const Kernel& kernel_;
    const int x_, y_;
    std::vector<Table> tables_;            // in bytes; the last is the one that kernels walk along
    std::vector<std::int64_t> y_strides_;  // in bytes, one a table
    std::int64_t bytes_ = 0;               // that are taken together
    std::int64_t rows_ = 0;                // of all tables but the last together
    std::int64_t rows_a_task_ = 1;
};

}  // namespace bitwright::movement
