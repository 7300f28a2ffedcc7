#include "entropy/distinct.h"

#include <bit>
#include <cstring>

namespace bitwright::entropy {
namespace {

template <typename Element>
bool find(const std::uint8_t* data, std::size_t size, std::size_t limit, std::uint16_t* indices, Distinct& found) {
    // A table with places for four times the patterns: a place holds one more than the index of its pattern.
    const int bits = static_cast<int>(std::bit_width(4 * limit));
    const std::size_t mask = (std::size_t{1} << bits) - 1;
    std::vector<std::uint32_t> places(mask + 1);
    for (std::size_t i = 0; i < size; ++i) {
        Element element;
        std::memcpy(&element, data + i * sizeof(Element), sizeof(Element));
        const std::uint64_t pattern = element;
        std::size_t place = (pattern * 0x9e3779b97f4a7c15u) >> (64 - bits);
        while (places[place] && found.patterns[places[place] - 1] != pattern) place = (place + 1) & mask;
        if (!places[place]) {
            if (found.patterns.size() == limit) return false;
            found.patterns.push_back(pattern);
            found.counts.push_back(0);
            places[place] = static_cast<std::uint32_t>(found.patterns.size());
        }
        const std::uint32_t index = places[place] - 1;
        ++found.counts[index];
        indices[i] = static_cast<std::uint16_t>(index);
    }
    return true;
}

}  // namespace

bool find_distinct(const std::uint8_t* data, std::size_t size, int width, std::size_t limit, std::uint16_t* indices,
                   Distinct& found) {
    switch (width) {
        case 1:
            return find<std::uint8_t>(data, size, limit, indices, found);
        case 2:
            return find<std::uint16_t>(data, size, limit, indices, found);
        case 4:
            return find<std::uint32_t>(data, size, limit, indices, found);
        default:
            return find<std::uint64_t>(data, size, limit, indices, found);
    }
}

}  // namespace bitwright::entropy
