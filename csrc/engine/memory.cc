#include "engine/memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <new>

namespace bitwright {
namespace {

constexpr std::size_t alignment = 64, slack = 64, huge_page = 2 << 20, largest_piece = 16 << 20;

std::size_t rounded(std::size_t bytes, std::size_t to) { return (bytes + to - 1) / to * to; }

}  // namespace

Memory::~Memory() {
    for (const Piece& piece : pieces_) munmap(piece.start, piece.bytes);
}

// Fresh pages, which are zero. Pieces of huge pages begin at one.
std::byte* Memory::map(std::size_t bytes) {
    const bool is_huge = bytes >= huge_page;
    const std::size_t whole = is_huge ? bytes + huge_page : bytes;
    void* const mapped = mmap(nullptr, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) throw std::bad_alloc();
    pieces_.push_back({static_cast<std::byte*>(mapped), whole});
    if (!is_huge) return pieces_.back().start;
    const auto address = reinterpret_cast<std::uintptr_t>(mapped);
    std::byte* const start = pieces_.back().start + (rounded(address, huge_page) - address);
#if defined(MADV_HUGEPAGE)
    static_cast<void>(madvise(start, bytes, MADV_HUGEPAGE));  // where there are none, small ones do
#endif
    return start;
}

std::byte* Memory::take(std::size_t bytes) {
    const std::size_t needed = rounded(bytes + slack, alignment);
    if (needed > left_) {
        const std::size_t piece = std::max(next_bytes_, rounded(needed, next_bytes_ < huge_page ? 4096 : huge_page));
        next_ = map(piece);
        left_ = piece;
        next_bytes_ = std::min(next_bytes_ * 4, largest_piece);
    }
    std::byte* const taken = next_;
    next_ += needed;
    left_ -= needed;
    return taken;
}

}  // namespace bitwright
