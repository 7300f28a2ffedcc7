#include "engine/plan.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>

namespace bitwright {

// The memory of one run: tensors of the arena, where every tensor is, scratch for each thread.
struct Plan::Arena {
    Buffer memory, scratch;
    std::vector<std::byte*> tensors;
};

Plan::Plan(Isa isa, int threads, std::int64_t arena_bytes) : isa_(isa), arena_bytes_(arena_bytes) {
    if (threads > 1) pool_ = std::make_unique<Pool>(threads);
}

Plan::~Plan() {
    if (pool_ && !pool_->is_alive()) static_cast<void>(pool_.release());
}

int Plan::add(const Tensor& tensor) {
    if (tensor.place == Place::external) {
        external_tensors_.emplace_back(static_cast<int>(tensors_.size()), tensor.external);
        externals_ = std::max(externals_, tensor.external + 1);
    }
    tensors_.push_back(tensor);
    constants_.emplace_back();
    return static_cast<int>(tensors_.size()) - 1;
}

int Plan::add_constant(Tensor tensor, const void* elements) {
    tensor.place = Place::constant;
    const int number = add(tensor);
    const std::size_t bytes = static_cast<std::size_t>(tensor.elements()) * bytes_of(tensor.type);
    constants_.back() = Buffer(bytes);
    if (bytes) std::memcpy(constants_.back().data(), elements, bytes);
    return number;
}

void Plan::add(std::unique_ptr<Step> step) {
    scratch_bytes_ = std::max(scratch_bytes_, (step->scratch_bytes() + 127) / 64 * 64);
    steps_.push_back(std::move(step));
}

std::unique_ptr<Plan::Arena> Plan::take() {
    {
        const std::lock_guard lock(mutex_);
        if (!idle_.empty()) {
            auto arena = std::move(idle_.back());
            idle_.pop_back();
            return arena;
        }
    }
    auto arena = std::make_unique<Arena>();
    arena->memory = Buffer(static_cast<std::size_t>(arena_bytes_));
    arena->scratch = Buffer(scratch_bytes_ * static_cast<std::size_t>(pool_ ? pool_->threads() : 1));
    arena->tensors.resize(tensors_.size());
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
        const Tensor& tensor = tensors_[i];
        std::byte* const start = tensor.place == Place::arena      ? arena->memory.data()
                                 : tensor.place == Place::constant ? constants_[i].data()
                                                                   : nullptr;
        arena->tensors[i] = start == nullptr ? nullptr : start + tensor.offset;
    }
    return arena;
}

void Plan::give_back(std::unique_ptr<Arena> arena) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(arena));
}

void Plan::run(std::byte* const* externals, double* microseconds) {
    auto arena = take();
    for (const auto& [tensor, index] : external_tensors_)
        arena->tensors[static_cast<std::size_t>(tensor)] = externals[index];
    const Run run{arena->tensors.data()};
    std::unique_lock<std::mutex> pool_lock;
    if (pool_ && pool_->is_alive()) pool_lock = std::unique_lock(pool_mutex_, std::try_to_lock);
    using Clock = std::chrono::steady_clock;
    Clock::time_point before = microseconds == nullptr ? Clock::time_point() : Clock::now();
    for (const auto& step : steps_) {
        const int tasks = step->tasks();
        if (pool_lock.owns_lock() && tasks > 1) {
            pool_->run(tasks, [&](int first, int last, int worker) {
                step->run(run, first, last, arena->scratch.data() + scratch_bytes_ * static_cast<std::size_t>(worker));
            });
        } else {
            step->run(run, 0, tasks, arena->scratch.data());
        }
        if (microseconds != nullptr) {
            const auto now = Clock::now();
            *microseconds++ = std::chrono::duration<double, std::micro>(now - before).count();
            before = now;
        }
    }
    give_back(std::move(arena));
}

}  // namespace bitwright
