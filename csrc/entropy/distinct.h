// Distinct: the patterns that elements of 1, 2, 4 or 8 bytes have, when they are few.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bitwright::entropy {

struct Distinct {
    std::vector<std::uint64_t> patterns;  // as little-endian integers, in the order they first come
    std::vector<std::uint64_t> counts;    // how often each comes
};

// Patterns of `size` elements, and indices[i] the place of element i's pattern among them. False as soon as there are
// more than `limit` (65536 at most). Any bytes are patterns: -0.0 is not 0.0, and each NaN is itself.
bool find_distinct(const std::uint8_t* data, std::size_t size, int width, std::size_t limit, std::uint16_t* indices,
                   Distinct& found);

}  // namespace bitwright::entropy
