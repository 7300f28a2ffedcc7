// rANS: symbols of a known distribution in as few bits as they are worth, last in, first out.
//   encoding symbol s of frequency f that starts at b:  x -> (x / f) * 2^bits + b + x % f
//   decoding:  s is the symbol whose interval holds x % 2^bits,  x -> f * (x / 2^bits) + x % 2^bits - b
// A state x lies in [2^31, 2^63); words of 32 bits leave it when it would grow past that, and come back. Several states
// take turns (symbol i belongs to state i % lanes), so that a processor works on all of them at once.
//
// A symbol's distribution is that of its context, a number known to both sides. Bytes: the tables of all contexts
// (table.h) in one row of bits filled up to a byte; the states after encoding, 8 bytes each; the words in the order of
// decoding. All integers are little-endian.
//
// Source: Duda, "Asymmetric numeral systems", arXiv 1311.2540, sections 2 and 3; interleaving: Giesen, arXiv 1402.3392.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bitwright::entropy {

constexpr int most_contexts = 64;

// States that take turns: few symbols are not worth 8 bytes for each.
constexpr int lanes_of(std::size_t count) { return count < 8192 ? 1 : 4; }

// The most bits of a table's sum, so that the tables of all contexts stay in a near cache.
int bits_limit(int contexts, int alphabet);

// How often each symbol comes in each context: counts[contexts][alphabet]. False when a symbol or a context is too
// large. `of` is the context of each symbol; null when there is one.
template <typename Symbol>
bool count(const Symbol* symbols, const std::uint8_t* of, std::size_t size, int contexts, int alphabet,
           std::uint64_t* counts);

// Bytes that encode() makes of symbols that come so often; up to a word for each state more or less.
std::size_t coded_bytes(const std::uint64_t* counts, int contexts, int alphabet);

// Symbols below `alphabet` (most_symbols at most) and contexts below `contexts`: the caller has counted them.
template <typename Symbol>
std::vector<std::uint8_t> encode(const Symbol* symbols, const std::uint8_t* of, std::size_t size,
                                 const std::uint64_t* counts, int contexts, int alphabet);

// False when the bytes, whatever they are, are not what encode() makes of so many symbols.
template <typename Symbol>
bool decode(const std::uint8_t* data, std::size_t bytes, const std::uint8_t* of, int contexts, int alphabet,
            Symbol* symbols, std::size_t size);

}  // namespace bitwright::entropy
