#include "movement/take.h"

#include <algorithm>
#include <stdexcept>

namespace bitwright::movement {
namespace {

constexpr std::int64_t task_bytes = 16384;

bool is_all(const Table& table, std::int64_t size) {
    for (std::int64_t i = 0; i < size; ++i)
        if (table[static_cast<std::size_t>(i)] != i) return false;
    return true;
}

// Whether y's dims are the tables' lengths.
bool check(const Tensor& x, const Tensor& y, const std::vector<Table>& tables) {
    if (x.type != y.type || tables.size() != static_cast<std::size_t>(x.rank))
        throw std::invalid_argument("take has one table an axis and changes no type");
    std::int64_t elements = 1;
    bool is_same = x.rank == y.rank;
    for (std::size_t a = 0; a < tables.size(); ++a) {
        const auto length = static_cast<std::int64_t>(tables[a].size());
        elements *= length;
        is_same = is_same && length == y.dims[a];
        for (const std::int64_t index : tables[a])
            if (index < 0 || index >= x.dims[a]) throw std::invalid_argument("a table leaves its tensor");
    }
    if (!is_same && (elements != y.elements() || !y.dense())) throw std::invalid_argument("the tables do not fill y");
    return is_same;
}

}  // namespace

TakeStep::TakeStep(Isa isa, int x, const Tensor& x_tensor, int y, const Tensor& y_tensor, std::vector<Table> tables)
    : kernel_(select(isa)), x_(x), y_(y), tables_(std::move(tables)) {
    const bool is_same = check(x_tensor, y_tensor, tables_);
    bytes_ = static_cast<std::int64_t>(bytes_of(x_tensor.type));
    const std::size_t rank = tables_.size();
    y_strides_.resize(rank);
    std::int64_t stride = 1;
    for (std::size_t a = rank; a-- > 0;) {
        y_strides_[a] = is_same ? y_tensor.strides[a] : stride;
        stride *= static_cast<std::int64_t>(tables_[a].size());
    }
    for (std::int64_t& s : y_strides_) s *= bytes_;
    const std::int64_t element = bytes_;
    // What is taken whole at the end is taken together.
    while (!tables_.empty()) {
        const std::size_t a = tables_.size() - 1;
        const auto length = static_cast<std::int64_t>(tables_[a].size());
        const bool is_together = x_tensor.strides[a] * element == bytes_ && y_strides_[a] == bytes_;
        if (!is_together || length != x_tensor.dims[a] || !is_all(tables_[a], length)) break;
        bytes_ *= length;
        tables_.pop_back();
        y_strides_.pop_back();
    }
    for (std::size_t a = 0; a < tables_.size(); ++a)
        for (std::int64_t& index : tables_[a]) index *= x_tensor.strides[a] * element;
    if (tables_.empty()) tables_.push_back({0}), y_strides_.push_back(0);
    rows_ = 1;
    for (std::size_t a = 0; a + 1 < tables_.size(); ++a) rows_ *= static_cast<std::int64_t>(tables_[a].size());
    const std::int64_t row_bytes = bytes_ * static_cast<std::int64_t>(tables_.back().size());
    if (row_bytes == 0) rows_ = 0;
    rows_a_task_ = std::max<std::int64_t>(task_bytes / std::max<std::int64_t>(row_bytes, 1), 1);
}

void TakeStep::run(const Run& run, int first, int last, std::byte*) const {
    const std::size_t outer = tables_.size() - 1;
    const std::int64_t end = std::min(last * rows_a_task_, rows_);
    for (std::int64_t row = first * rows_a_task_; row < end; ++row) {
        const std::uint8_t* x = run.at<const std::uint8_t>(x_);
        std::uint8_t* y = run.at<std::uint8_t>(y_);
        std::int64_t rest = row;
        for (std::size_t a = outer; a-- > 0;) {
            const auto length = static_cast<std::int64_t>(tables_[a].size());
            const std::int64_t index = rest % length;
            rest /= length;
            x += tables_[a][static_cast<std::size_t>(index)];
            y += index * y_strides_[a];
        }
        kernel_.take(tables_[outer].data(), static_cast<std::int64_t>(tables_[outer].size()), bytes_, x, y,
                     y_strides_[outer]);
    }
}

}  // namespace bitwright::movement
