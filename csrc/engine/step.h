// Step: one call of a kernel, with everything that does not change from run to run worked out beforehand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/isa.h"
#include "engine/tensor.h"

namespace bitwright {

// Where the tensors of one run are: element 0 of each, by its number in the plan.
struct Run {
    std::byte* const* tensors;

    template <typename T>
    T* at(int tensor) const {
        return reinterpret_cast<T*>(tensors[tensor]);
    }
};

class Step {
  public:
    virtual ~Step() = default;

    // What a profile calls it: the kernel's name, such as "conv.avx512vnni".
    virtual std::string name() const = 0;

    // Independent pieces of the work; any of them may run at the same time on other threads.
    virtual int tasks() const { return 1; }

    // Bytes of scratch memory that each thread needs while it runs tasks, aligned to 64.
    virtual std::size_t scratch_bytes() const { return 0; }

    // Runs tasks [first, last). Allocates nothing, raises nothing.
    virtual void run(const Run& run, int first, int last, std::byte* scratch) const = 0;
};

// Splits [0, count) evenly: where part `index` of `parts` begins.
constexpr std::int64_t part_begin(std::int64_t count, int index, int parts) { return count * index / parts; }

// How many blocks a layer is cut into that needs `count`: pairs of them, so that two threads get the same.
constexpr std::int32_t even_blocks(std::int32_t count) { return count > 1 ? count + count % 2 : count; }

// Memory for constants and packed weights: aligned to 64 bytes, zero, and 64 bytes longer than asked, so that kernels
// may read whole vectors at its end.
class Buffer {
  public:
    Buffer() = default;
    explicit Buffer(std::size_t bytes);
    std::byte* data() const { return memory_.get(); }
    template <typename T>
    T* as() const {
        return reinterpret_cast<T*>(memory_.get());
    }
    std::size_t bytes() const { return bytes_; }

  private:
    struct Free {
        void operator()(std::byte* memory) const;
    };
    std::unique_ptr<std::byte, Free> memory_;
    std::size_t bytes_ = 0;
};

}  // namespace bitwright
