// Memory: what lives as long as a plan, in few large pieces, on huge pages where the system has them: the weights of a
// network are read from end to end in every run, and a page of 4 KiB for each 4 KiB of them costs a look-up on the way.
#pragma once

#include <cstddef>
#include <vector>

namespace bitwright {

class Memory {
  public:
    Memory() = default;
    ~Memory();
    Memory(const Memory&) = delete;
    Memory& operator=(const Memory&) = delete;

    // Zero, aligned to 64 bytes, and readable for 64 bytes past the end. Throws std::bad_alloc.
    std::byte* take(std::size_t bytes);

  private:
    struct Piece {
        std::byte* start;
        std::size_t bytes;
    };
    std::byte* map(std::size_t bytes);

    std::vector<Piece> pieces_;
    std::byte* next_ = nullptr;
    std::size_t left_ = 0;
    std::size_t next_bytes_ = 64 << 10;  // of the next piece; they grow with the plan
};

}  // namespace bitwright
