// Plan: tensors, steps in order, and the memory of a run. Built once, then run by any number of threads at a time.
#pragma once

#include <memory>
#include <mutex>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/memory.h"
#include "engine/pool.h"
#include "engine/step.h"

namespace bitwright {

class Plan {
  public:
    // isa: kernels use no more than this. threads: that split each step.
    Plan(Isa isa, int threads, std::int64_t arena_bytes);
    ~Plan();

    // Numbers a tensor.
    int add(const Tensor& tensor);
    // Numbers a tensor whose elements never change: they are copied.
    int add_constant(Tensor tensor, const void* elements);
    void add(std::unique_ptr<Step> step);

    Isa isa() const { return isa_; }
    // What steps keep as long as the plan lives.
    Memory& memory() { return memory_; }
    const Tensor& tensor(int number) const { return tensors_.at(static_cast<std::size_t>(number)); }
    std::span<const std::unique_ptr<Step>> steps() const { return steps_; }
    std::int64_t arena_bytes() const { return arena_bytes_; }
    int externals() const { return externals_; }
    // Throws std::invalid_argument unless fits(index, bytes) holds for each of the caller's arrays.
    template <typename Fits>
    void check_externals(const Fits& fits) const {
        for (const auto& [tensor, index] : external_tensors_) {
            const Tensor& t = tensors_[static_cast<std::size_t>(tensor)];
            if (!fits(index, t.elements() * static_cast<std::int64_t>(bytes_of(t.type))))
                throw std::invalid_argument("array " + std::to_string(index) + " has not the size of its tensor");
        }
    }

    // One run. externals: element 0 of each of the caller's arrays. Callers on other threads may run at the same time:
    // each has an arena of its own, and the pool works for one at a time.
    // microseconds: when not null, receives the time of each step.
    void run(std::byte* const* externals, double* microseconds = nullptr);

  private:
    struct Arena;
    std::unique_ptr<Arena> take();
    void give_back(std::unique_ptr<Arena> arena);

    const Isa isa_;
    const std::int64_t arena_bytes_;
    Memory memory_;
    std::vector<Tensor> tensors_;
    std::vector<Buffer> constants_;
    std::vector<std::pair<int, int>> external_tensors_;  // (tensor, index of the caller's array)
    std::vector<std::unique_ptr<Step>> steps_;
    std::size_t scratch_bytes_ = 0;
    int externals_ = 0;
    std::mutex mutex_;  // of idle_
    std::vector<std::unique_ptr<Arena>> idle_;
    std::mutex pool_mutex_;
    std::unique_ptr<Pool> pool_;
};

}  // namespace bitwright
