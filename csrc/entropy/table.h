// Table: how often each symbol of an alphabet comes, as frequencies that sum to a power of two, and its spelling in
// bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace bitwright::entropy {

// The most symbols of an alphabet, and the most bits of a table's sum.
constexpr int most_symbols = 4096;
constexpr int most_bits = 14;

// Frequencies of the symbols 0, 1, ...; 0 is a symbol that never comes. They sum to 2^bits.
struct Table {
    int bits = 0;
    std::vector<std::uint16_t> frequencies;
};

// Writes numbers of a few bits one after another, the lowest bit first.
class BitWriter {
  public:
    void write(std::uint32_t value, int count);
    std::size_t bits() const { return 8 * bytes_.size() + static_cast<std::size_t>(held_); }
    // The bytes, the last one filled up with zeros.
    std::vector<std::uint8_t> take();

  private:
    std::vector<std::uint8_t> bytes_;
    std::uint64_t pending_ = 0;
    int held_ = 0;
};

// Reads them back; reading past the end gives zeros and is remembered.
class BitReader {
  public:
    BitReader(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}
    std::uint32_t read(int count);
    bool passed_end() const { return at_ > 8 * size_; }
    // Bytes read, the last one counted whole.
    std::size_t bytes() const { return (at_ + 7) / 8; }
    // Whether the bits left of that byte are zeros, as the writer leaves them.
    bool ends_in_zeros();

  private:
    const std::uint8_t* data_;
    std::size_t size_;
    std::size_t at_ = 0;
};

// The table with which symbols that come `counts` often take the fewest bits, those of the table included. A sum of at
// most 2^limit, and at least so large that every symbol that comes has a frequency. When none comes, symbol 0 has all.
Table best_table(const std::uint64_t* counts, int alphabet, int limit);

// Bits that the symbols take by that table, without the table.
double payload_bits(const Table& table, const std::uint64_t* counts);

// The spelling: 4 bits for `bits`; then of each symbol's frequency how many bits it has (0 for frequency 0), as a
// difference to the one before: 0 is spelled 0; +1 is 1 0 0, -1 is 1 0 1; anything else 1 1 and the number itself in 4
// bits; then all its bits but the highest.
void write_table(const Table& table, BitWriter& writer);

// False when it is no table: frequencies that do not sum to 2^bits, or the end passed.
bool read_table(BitReader& reader, int alphabet, Table& table);

}  // namespace bitwright::entropy
