#include "entropy/rans.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "entropy/table.h"

namespace bitwright::entropy {
namespace {

constexpr std::uint64_t low = std::uint64_t{1} << 31;  // where a state starts, and the least it may be

// What decoding needs of one value of x % 2^bits.
struct Slot {
    std::uint16_t symbol, frequency, offset, unused;
};

struct Decoder {
    int bits = 0;
    std::vector<Slot> slots;
};

struct Interval {
    std::uint32_t start, frequency;
};

struct Encoder {
    int bits = 0;
    std::vector<Interval> intervals;
};

Encoder encoder_of(const Table& table) {
    Encoder encoder{table.bits, {}};
    std::uint32_t start = 0;
    for (const std::uint32_t frequency : table.frequencies) {
        encoder.intervals.push_back({start, frequency});
        start += frequency;
    }
    return encoder;
}

Decoder decoder_of(const Table& table) {
    Decoder decoder{table.bits, {}};
    decoder.slots.reserve(std::size_t{1} << table.bits);
    for (std::size_t symbol = 0; symbol < table.frequencies.size(); ++symbol)
        for (std::uint16_t i = 0; i < table.frequencies[symbol]; ++i)
            decoder.slots.push_back({static_cast<std::uint16_t>(symbol), table.frequencies[symbol], i, 0});
    return decoder;
}

std::uint64_t little(const std::uint8_t* data, int bytes) {
    std::uint64_t value = 0;
    for (int i = 0; i < bytes; ++i) value |= static_cast<std::uint64_t>(data[i]) << (8 * i);
    return value;
}

void append(std::vector<std::uint8_t>& data, std::uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) data.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
}

template <int lanes, bool one_context, typename Symbol>
bool decode_words(const std::uint8_t* at, const std::uint8_t* end, const std::vector<Decoder>& decoders,
                  const std::uint8_t* of, std::uint64_t* states, Symbol* symbols, std::size_t size) {
    std::uint64_t x[lanes];
    std::copy(states, states + lanes, x);
    const Slot* const only = decoders[0].slots.data();
    const int only_bits = decoders[0].bits;
    const auto step = [&](std::size_t i, std::uint64_t& state) {
        const Slot* const slots = one_context ? only : decoders[of[i]].slots.data();
        const int bits = one_context ? only_bits : decoders[of[i]].bits;
        const Slot slot = slots[state & ((std::uint64_t{1} << bits) - 1)];
        state = slot.frequency * (state >> bits) + slot.offset;
        symbols[i] = static_cast<Symbol>(slot.symbol);
        if (state < low) {
            if (end - at < 4) return false;
            state = state << 32 | little(at, 4);
            at += 4;
        }
        return true;
    };
    std::size_t i = 0;
    for (; i + lanes <= size; i += lanes)
        for (int lane = 0; lane < lanes; ++lane)
            if (!step(i + static_cast<std::size_t>(lane), x[lane])) return false;
    for (int lane = 0; i < size; ++i, ++lane)
        if (!step(i, x[lane])) return false;
    return at == end && std::all_of(x, x + lanes, [](std::uint64_t state) { return state == low; });
}

// The words in the order of encoding: that of the last symbol first.
template <int lanes, typename Symbol>
void encode_words(const Symbol* symbols, const std::uint8_t* of, std::size_t size, const std::vector<Encoder>& encoders,
                  std::uint64_t* states, std::vector<std::uint32_t>& words) {
    std::uint64_t x[lanes];
    std::copy(states, states + lanes, x);
    const auto step = [&](std::size_t i, std::uint64_t& state) {
        const Encoder& encoder = encoders[of ? of[i] : 0];
        const auto [start, frequency] = encoder.intervals[symbols[i]];
        if (state >= ((low >> encoder.bits) << 32) * frequency) {
            words.push_back(static_cast<std::uint32_t>(state));
            state >>= 32;
        }
        const std::uint64_t quotient = state / frequency;
        state = (quotient << encoder.bits) + start + (state - quotient * frequency);
    };
    std::size_t i = size;
    while (i % lanes) --i, step(i, x[i % lanes]);
    for (; i; i -= lanes)
        for (int lane = lanes; lane-- > 0;) step(i - lanes + static_cast<std::size_t>(lane), x[lane]);
    std::copy(x, x + lanes, states);
}

}  // namespace

int bits_limit(int contexts, int alphabet) {
    return contexts == 1 ? most_bits
                         : std::clamp<int>(std::bit_width(static_cast<unsigned>(alphabet)) + 2, 12, most_bits);
}

template <typename Symbol>
bool count(const Symbol* symbols, const std::uint8_t* of, std::size_t size, int contexts, int alphabet,
           std::uint64_t* counts) {
    const auto width = static_cast<std::size_t>(alphabet);
    bool fits = true;
    for (std::size_t i = 0; i < size; ++i) {
        const std::size_t context = of ? of[i] : 0;
        if (symbols[i] >= alphabet || context >= static_cast<std::size_t>(contexts))
            fits = false;
        else
            ++counts[context * width + symbols[i]];
    }
    return fits;
}

std::size_t coded_bytes(const std::uint64_t* counts, int contexts, int alphabet) {
    const auto width = static_cast<std::size_t>(alphabet);
    BitWriter spelled;
    double payload = 0;
    std::uint64_t total = 0;
    for (std::size_t c = 0; c < static_cast<std::size_t>(contexts); ++c) {
        const Table table = best_table(counts + c * width, alphabet, bits_limit(contexts, alphabet));
        write_table(table, spelled);
        payload += payload_bits(table, counts + c * width);
        for (std::size_t i = 0; i < width; ++i) total += counts[c * width + i];
    }
    return spelled.bits() / 8 + 1 + static_cast<std::size_t>(payload / 8) + 8u * static_cast<unsigned>(lanes_of(total));
}

template <typename Symbol>
std::vector<std::uint8_t> encode(const Symbol* symbols, const std::uint8_t* of, std::size_t size,
                                 const std::uint64_t* counts, int contexts, int alphabet) {
    BitWriter spelled;
    std::vector<Encoder> encoders;
    for (int c = 0; c < contexts; ++c) {
        const Table table =
            best_table(counts + static_cast<std::ptrdiff_t>(c) * alphabet, alphabet, bits_limit(contexts, alphabet));
        write_table(table, spelled);
        encoders.push_back(encoder_of(table));
    }
    const auto lanes = static_cast<std::size_t>(lanes_of(size));
    std::vector<std::uint64_t> states(lanes, low);
    std::vector<std::uint32_t> words;
    if (lanes == 1)
        encode_words<1>(symbols, of, size, encoders, states.data(), words);
    else
        encode_words<4>(symbols, of, size, encoders, states.data(), words);
    std::vector<std::uint8_t> coded = spelled.take();
    coded.reserve(coded.size() + 8 * lanes + 4 * words.size());
    for (const std::uint64_t state : states) append(coded, state, 8);
    std::for_each(words.rbegin(), words.rend(), [&](std::uint32_t word) { append(coded, word, 4); });
    return coded;
}

template <typename Symbol>
bool decode(const std::uint8_t* data, std::size_t bytes, const std::uint8_t* of, int contexts, int alphabet,
            Symbol* symbols, std::size_t size) {
    if (contexts < 1 || contexts > most_contexts || alphabet < 1 || alphabet > most_symbols) return false;
    if ((alphabet - 1) >> (8 * sizeof(Symbol)) || (!of && contexts > 1 && size)) return false;
    if (of && std::any_of(of, of + size, [&](std::uint8_t context) { return context >= contexts; })) return false;
    BitReader reader(data, bytes);
    std::vector<Decoder> decoders;
    for (int c = 0; c < contexts; ++c) {
        Table table;
        if (!read_table(reader, alphabet, table)) return false;
        decoders.push_back(decoder_of(table));
    }
    if (!reader.ends_in_zeros()) return false;
    const auto lanes = static_cast<std::size_t>(lanes_of(size));
    const std::uint8_t *at = data + reader.bytes(), *const end = data + bytes;
    if (static_cast<std::size_t>(end - at) < 8 * lanes) return false;
    std::uint64_t states[4];
    for (std::size_t lane = 0; lane < lanes; ++lane, at += 8) {
        states[lane] = little(at, 8);
        if (states[lane] < low || states[lane] >> 63) return false;
    }
    if (lanes == 1)
        return contexts == 1 ? decode_words<1, true>(at, end, decoders, of, states, symbols, size)
                             : decode_words<1, false>(at, end, decoders, of, states, symbols, size);
    return contexts == 1 ? decode_words<4, true>(at, end, decoders, of, states, symbols, size)
                         : decode_words<4, false>(at, end, decoders, of, states, symbols, size);
}

#define BW_ENTROPY_SYMBOL(Symbol)                                                                                    \
    template bool count(const Symbol*, const std::uint8_t*, std::size_t, int, int, std::uint64_t*);                  \
    template std::vector<std::uint8_t> encode(const Symbol*, const std::uint8_t*, std::size_t, const std::uint64_t*, \
                                              int, int);                                                             \
    template bool decode(const std::uint8_t*, std::size_t, const std::uint8_t*, int, int, Symbol*, std::size_t);
BW_ENTROPY_SYMBOL(std::uint8_t)
BW_ENTROPY_SYMBOL(std::uint16_t)
#undef BW_ENTROPY_SYMBOL

}  // namespace bitwright::entropy
