// The entropy coder: what it encodes it decodes, near the entropy, and no bytes harm it.
#include <cmath>

#include "entropy/distinct.h"
#include "entropy/rans.h"
#include "entropy/table.h"
#include "testing/testing.h"

namespace bitwright::entropy {
namespace {

using testing::Random;

constexpr std::size_t sizes[] = {0, 1, 2, 3, 4, 5, 7, 8, 9, 63, 64, 65, 1000, 8191, 8192, 8193, 20001};

struct Case {
    int alphabet, contexts;
    std::vector<std::uint16_t> symbols;
    std::vector<std::uint8_t> of;

    const std::uint8_t* contexts_or_null() const { return contexts > 1 ? of.data() : nullptr; }
    std::vector<std::uint64_t> counts() const {
        std::vector<std::uint64_t> counted(static_cast<std::size_t>(alphabet * contexts));
        CHECK(count(symbols.data(), contexts_or_null(), symbols.size(), contexts, alphabet, counted.data()));
        return counted;
    }
    std::vector<std::uint8_t> coded() const {
        return encode(symbols.data(), contexts_or_null(), symbols.size(), counts().data(), contexts, alphabet);
    }
    bool decodes(const std::vector<std::uint8_t>& bytes, std::vector<std::uint16_t>& into) const {
        into.assign(symbols.size(), 0xffff);
        return decode(bytes.data(), bytes.size(), contexts_or_null(), contexts, alphabet, into.data(), into.size());
    }
};

// Symbols of a skewed distribution: the higher `skew`, the rarer all but the first.
Case drawn(Random& random, std::size_t size, int alphabet, int contexts, int skew) {
    Case made{alphabet, contexts, {}, random.fill<std::uint8_t>(size, 0, contexts - 1)};
    for (std::size_t i = 0; i < size; ++i) {
        std::int32_t symbol = alphabet - 1;
        for (int round = 0; round < skew; ++round) symbol = random.between(0, symbol);
        made.symbols.push_back(static_cast<std::uint16_t>(symbol));
    }
    return made;
}

}  // namespace

TEST(entropy_decodes_what_it_encoded) {
    Random random(1);
    for (const int alphabet : {1, 2, 3, 16, 255, 256, 257, 4096})
        for (const int contexts : {1, 2, 16})
            for (const std::size_t size : sizes)
                for (const int skew : {0, 1, 4, 30}) {
                    const Case given = drawn(random, size, alphabet, contexts, skew);
                    std::vector<std::uint16_t> back;
                    CHECK(given.decodes(given.coded(), back));
                    CHECK(back == given.symbols);
                }
}

TEST(entropy_of_bytes_is_that_of_words) {
    Random random(2);
    const Case given = drawn(random, 20001, 200, 1, 3);
    const std::vector<std::uint8_t> narrow(given.symbols.begin(), given.symbols.end());
    const auto coded = encode(narrow.data(), nullptr, narrow.size(), given.counts().data(), 1, 200);
    CHECK(coded == given.coded());
    std::vector<std::uint8_t> back(narrow.size());
    CHECK(decode(coded.data(), coded.size(), nullptr, 1, 200, back.data(), back.size()));
    CHECK(back == narrow);
}

TEST(entropy_is_within_a_hundredth_of_the_bound) {
    Random random(3);
    for (const int skew : {1, 3, 10}) {
        const Case given = drawn(random, 200000, 32, 1, skew);
        double bound = 0;
        for (const std::uint64_t times : given.counts())
            if (times) bound += static_cast<double>(times) * std::log2(200000.0 / static_cast<double>(times)) / 8;
        const double taken = static_cast<double>(given.coded().size());
        CHECK(taken >= bound && taken <= 1.01 * bound + 100);
        const double told = static_cast<double>(coded_bytes(given.counts().data(), 1, 32));
        CHECK(std::abs(told - taken) <= 24);
    }
}

TEST(entropy_of_one_symbol_takes_no_words) {
    const Case given{5, 1, std::vector<std::uint16_t>(100000, 3), {}};
    CHECK(given.coded().size() < 40);
}

TEST(entropy_table_is_read_as_it_was_written) {
    Random random(4);
    for (int round = 0; round < 200; ++round) {
        const int alphabet = random.between(1, 300);
        std::vector<std::uint64_t> counts;
        for (int i = 0; i < alphabet; ++i)
            counts.push_back(random.between(0, 2) ? static_cast<std::uint64_t>(random.between(0, 1 << (round % 20)))
                                                  : 0);
        const Table table = best_table(counts.data(), alphabet, most_bits);
        BitWriter writer;
        write_table(table, writer);
        const auto bytes = writer.take();
        BitReader reader(bytes.data(), bytes.size());
        Table back;
        CHECK(read_table(reader, alphabet, back));
        CHECK(back.bits == table.bits && back.frequencies == table.frequencies);
        CHECK(reader.bytes() == bytes.size() && reader.ends_in_zeros());
        for (std::size_t i = 0; i < counts.size(); ++i) CHECK(!counts[i] || table.frequencies[i]);
    }
}

TEST(entropy_refuses_or_decodes_any_bytes) {
    Random random(5);
    for (int round = 0; round < 3000; ++round) {
        const Case given = drawn(random, sizes[static_cast<std::size_t>(round) % std::size(sizes)], 1 << (round % 13),
                                 1 + round % 3, 3);
        auto bytes = given.coded();
        std::vector<std::uint16_t> back;
        const auto last = static_cast<std::int32_t>(bytes.size()) - 1;
        for (int flips = random.between(1, 3); flips > 0; --flips)
            bytes[static_cast<std::size_t>(random.between(0, last))] ^=
                static_cast<std::uint8_t>(random.between(1, 255));
        if (round % 4 == 0) bytes.resize(static_cast<std::size_t>(random.between(0, last)));
        if (given.decodes(bytes, back))
            for (const std::uint16_t symbol : back) CHECK(symbol < given.alphabet);
        const auto noise = random.fill<std::uint8_t>(static_cast<std::size_t>(random.between(0, 300)), 0, 255);
        given.decodes(noise, back);
    }
}

TEST(entropy_refuses_symbols_and_contexts_that_are_too_large) {
    const std::vector<std::uint16_t> symbols{0, 1, 2};
    const std::vector<std::uint8_t> of{0, 1, 2};
    std::vector<std::uint64_t> counts(100);
    CHECK(count(symbols.data(), of.data(), 3, 3, 3, counts.data()));
    CHECK(!count(symbols.data(), of.data(), 3, 3, 2, counts.data()));
    CHECK(!count(symbols.data(), of.data(), 3, 2, 3, counts.data()));
    std::vector<std::uint8_t> wide(3), bytes(100);
    CHECK(!decode(bytes.data(), bytes.size(), of.data(), 2, 3, wide.data(), 3));
    CHECK(!decode(bytes.data(), bytes.size(), nullptr, 1, 257, wide.data(), 3));
    CHECK(!decode(bytes.data(), bytes.size(), nullptr, 1, 4097, wide.data(), 3));
}

TEST(entropy_finds_the_patterns_that_come) {
    Random random(6);
    for (const int width : {1, 2, 4, 8}) {
        const auto book = random.fill<std::uint8_t>(static_cast<std::size_t>(10 * width), 0, 255);
        std::vector<std::uint8_t> data;
        const auto picks = random.fill<std::uint8_t>(1000, 0, 9);
        for (const std::size_t pick : picks)
            for (int byte = 0; byte < width; ++byte)
                data.push_back(book[pick * static_cast<std::size_t>(width) + static_cast<std::size_t>(byte)]);
        std::vector<std::uint16_t> indices(1000);
        Distinct found;
        CHECK(find_distinct(data.data(), 1000, width, 10, indices.data(), found));
        std::vector<std::uint64_t> counted(found.patterns.size());
        for (std::size_t i = 0; i < 1000; ++i) {
            std::uint64_t pattern = 0;
            for (int byte = 0; byte < width; ++byte)
                pattern |= static_cast<std::uint64_t>(
                               data[i * static_cast<std::size_t>(width) + static_cast<std::size_t>(byte)])
                           << (8 * byte);
            CHECK(found.patterns[indices[i]] == pattern);
            ++counted[indices[i]];
        }
        CHECK(counted == found.counts);
        Distinct fewer;
        CHECK(!find_distinct(data.data(), 1000, width, found.patterns.size() - 1, indices.data(), fewer));
    }
}

}  // namespace bitwright::entropy
