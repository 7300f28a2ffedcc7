#include <cstdlib>
#include <cstring>
#include <new>

#include "engine/step.h"

namespace bitwright {

constexpr std::size_t alignment = 64;

Buffer::Buffer(std::size_t bytes) : bytes_(bytes) {
    const std::size_t whole = (bytes + 2 * alignment - 1) / alignment * alignment;
    auto* memory = static_cast<std::byte*>(std::aligned_alloc(alignment, whole));
    if (memory == nullptr) throw std::bad_alloc();
    std::memset(memory, 0, whole);
    memory_.reset(memory);
}

void Buffer::Free::operator()(std::byte* memory) const { std::free(memory); }

}  // namespace bitwright
