#include "entropy/table.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>

namespace bitwright::entropy {

void BitWriter::write(std::uint32_t value, int count) {
    pending_ |= static_cast<std::uint64_t>(value) << held_;
    held_ += count;
    for (; held_ >= 8; held_ -= 8, pending_ >>= 8) bytes_.push_back(static_cast<std::uint8_t>(pending_));
}

std::vector<std::uint8_t> BitWriter::take() {
    if (held_) bytes_.push_back(static_cast<std::uint8_t>(pending_));
    pending_ = 0, held_ = 0;
    return std::move(bytes_);
}

std::uint32_t BitReader::read(int count) {
    std::uint32_t value = 0;
    for (int i = 0; i < count; ++i, ++at_)
        if (at_ < 8 * size_) value |= static_cast<std::uint32_t>(data_[at_ / 8] >> (at_ % 8) & 1) << i;
    return value;
}

bool BitReader::ends_in_zeros() {
    while (at_ % 8)
        if (read(1)) return false;
    return true;
}

namespace {

// Frequencies near counts * 2^bits / total, at least 1 where a symbol comes, that sum to 2^bits.
Table scaled(const std::uint64_t* counts, int alphabet, int bits, const std::vector<int>& most_frequent_first) {
    const std::int64_t sum = std::int64_t{1} << bits;
    const double total = static_cast<double>(std::accumulate(counts, counts + alphabet, std::uint64_t{0}));
    std::vector<std::int64_t> frequencies(static_cast<std::size_t>(alphabet));
    std::int64_t left = sum;
    for (int i = 0; i < alphabet; ++i) {
        if (!counts[i]) continue;
        auto& frequency = frequencies[static_cast<std::size_t>(i)];
        frequency =
            std::max<std::int64_t>(1, std::llround(static_cast<double>(counts[i]) * static_cast<double>(sum) / total));
        left -= frequency;
    }
    // What rounding left over or took too much goes to those who feel it least, in proportion to their share.
    while (left)
        for (const int i : most_frequent_first) {
            auto& frequency = frequencies[static_cast<std::size_t>(i)];
            if (!left) break;
            const std::int64_t share = std::max<std::int64_t>(1, std::abs(left) * frequency / sum);
            const std::int64_t change = left > 0 ? std::min(share, left) : -std::min({share, -left, frequency - 1});
            frequency += change, left -= change;
        }
    Table table{bits, std::vector<std::uint16_t>(frequencies.size())};
    std::transform(frequencies.begin(), frequencies.end(), table.frequencies.begin(),
                   [](std::int64_t frequency) { return static_cast<std::uint16_t>(frequency); });
    return table;
}

// Bits that write_table() writes.
int spelled_bits(const Table& table) {
    int bits = 4, before = 0;
    for (const std::uint32_t frequency : table.frequencies) {
        const int width = static_cast<int>(std::bit_width(frequency)), change = std::abs(width - before);
        bits += (change == 0 ? 1 : change == 1 ? 3 : 6) + std::max(width - 1, 0);
        before = width;
    }
    return bits;
}

}  // namespace

Table best_table(const std::uint64_t* counts, int alphabet, int limit) {
    std::vector<int> come;
    for (int i = 0; i < alphabet; ++i)
        if (counts[i]) come.push_back(i);
    if (come.size() < 2) {
        Table table{0, std::vector<std::uint16_t>(static_cast<std::size_t>(alphabet))};
        table.frequencies[come.empty() ? 0u : static_cast<std::size_t>(come[0])] = 1;
        return table;
    }
    std::stable_sort(come.begin(), come.end(), [&](int a, int b) { return counts[a] > counts[b]; });
    // Finer than the counts themselves, frequencies say nothing more.
    const auto total = std::accumulate(counts, counts + alphabet, std::uint64_t{0});
    limit = std::min<int>(limit, std::bit_width(std::max<std::uint64_t>(total, 2 * come.size())));
    Table best;
    double fewest = 0;
    for (int bits = static_cast<int>(std::bit_width(come.size() - 1)); bits <= limit; ++bits) {
        Table table = scaled(counts, alphabet, bits, come);
        const double taken = payload_bits(table, counts) + spelled_bits(table);
        if (best.frequencies.empty() || taken < fewest)
            best = std::move(table), fewest = taken;
        else if (bits > best.bits + 3)
            break;  // finer frequencies have stopped to pay for their spelling
    }
    return best;
}

double payload_bits(const Table& table, const std::uint64_t* counts) {
    double bits = 0;
    for (std::size_t i = 0; i < table.frequencies.size(); ++i)
        if (counts[i]) bits += static_cast<double>(counts[i]) * (table.bits - std::log2(table.frequencies[i]));
    return bits;
}

void write_table(const Table& table, BitWriter& writer) {
    writer.write(static_cast<std::uint32_t>(table.bits), 4);
    int before = 0;
    for (const std::uint32_t frequency : table.frequencies) {
        const int width = static_cast<int>(std::bit_width(frequency));
        if (width == before) {
            writer.write(0, 1);
        } else if (std::abs(width - before) == 1) {
            writer.write(width > before ? 0b001 : 0b101, 3);
        } else {
            writer.write(0b11, 2);
            writer.write(static_cast<std::uint32_t>(width), 4);
        }
        if (width > 1) writer.write(frequency & ((1u << (width - 1)) - 1), width - 1);
        before = width;
    }
}

bool read_table(BitReader& reader, int alphabet, Table& table) {
    table.bits = static_cast<int>(reader.read(4));
    if (table.bits > most_bits) return false;
    table.frequencies.assign(static_cast<std::size_t>(alphabet), 0);
    std::uint32_t left = 1u << table.bits;
    int width = 0;
    for (auto& frequency : table.frequencies) {
        if (reader.read(1)) {
            if (reader.read(1))
                width = static_cast<int>(reader.read(4));
            else
                width += reader.read(1) ? -1 : 1;
        }
        if (reader.passed_end() || width < 0 || width > most_bits + 1) return false;
        const std::uint32_t value = width ? 1u << (width - 1) | reader.read(width - 1) : 0;
        if (value > left) return false;
        frequency = static_cast<std::uint16_t>(value);
        left -= value;
    }
    return left == 0 && !reader.passed_end();
}

}  // namespace bitwright::entropy
